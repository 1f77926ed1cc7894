"""hashscan.jobs.notices.moved_files: files that were moved for a notice."""

from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.errors import QuarantineError
from hashscan.jobs.notices import moved_files
from hashscan.notices.notice import Role
from hashscan.quarantine.records import AWAY


def test_files_that_were_moved_for_a_notice(monkeypatch):
    records = {}

    class Store:
        @classmethod
        def open(cls, _directory, *, create):
            assert create is False
            return cls()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def load(self, number):
            return records[number]

    def record(number, state, owner="ann", **more):
        metadata = SimpleNamespace(owner=owner, uid=1000)
        records[number] = SimpleNamespace(
            **{
                "id": number, "state": state, "metadata": metadata,
                "acted": "2026-01-01T00:00:00Z", "origin": SimpleNamespace(full_path=b"/v/a"),
                **more,
            }
        )  # fmt: skip

    def file(number, role=Role.NAMED):
        return SimpleNamespace(item=3, quarantine_id=number, category="c", role=role)

    away = next(iter(AWAY))
    record("one", away)
    record("back", "restored")
    record("nobody", away, owner=None)
    monkeypatch.setattr(moved_files, "Store", Store)
    settings = Settings.of(state="/s")
    assert moved_files.moved_files(settings, [file(None)]) == []
    given = [file("one"), file("one", Role.COPY), file("back"), file("nobody", Role.COPY)]
    first, second = moved_files.moved_files(settings, given)
    assert (first.item, first.owner, first.path, first.category) == (3, "ann", b"/v/a", "c")
    assert (first.is_named, first.when) == (True, 1767225600.0)
    assert (second.owner, second.is_named) == ("1000", False)
    record("damaged", away, metadata=None)
    with pytest.raises(QuarantineError, match="the record damaged has no owner"):
        moved_files.moved_files(settings, [file("damaged")])
