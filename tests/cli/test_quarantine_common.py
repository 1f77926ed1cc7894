"""What all commands of the quarantine share: the store, and failures that stop no other file."""

import json

import pytest

from hashscan.cli.quarantine_common import each, line, opened
from hashscan.config.settings import Settings
from hashscan.errors import LockedError, OutputError, QuarantineError, UsageError
from hashscan.quarantine.store import Store

HELD = QuarantineError("a: is busy", reason="busy")
UNKNOWN = UsageError("b: no such record")


def failing(errors):
    """A call that notes its id, and fails for the ids that have an error."""

    def do(one):
        called.append(one)
        if one in errors:
            raise errors[one]

    called = []
    return do, called


def test_all_are_done_and_one_failure_is_raised_unchanged():
    do, called = failing({"a": HELD})
    with pytest.raises(QuarantineError) as error:
        each(("a", "b", "c"), do)
    assert error.value is HELD
    assert called == ["a", "b", "c"]
    each((), do)


@pytest.mark.parametrize(
    ("errors", "kind", "reason"),
    [
        ({"a": HELD, "b": UNKNOWN}, QuarantineError, "several"),
        ({"b": UNKNOWN, "c": UNKNOWN}, UsageError, None),
    ],
    ids=["several-kinds", "usage-only"],
)
def test_several_failures_are_all_named(errors, kind, reason):
    do, called = failing(errors)
    with pytest.raises(kind) as error:
        each(("a", "b", "c"), do)
    assert called == ["a", "b", "c"]
    assert str(error.value) == "\n".join(str(one) for one in errors.values())
    assert getattr(error.value, "reason", None) == reason


def test_nothing_more_is_done_once_nobody_can_be_told():
    do, called = failing({"a": HELD, "b": OutputError("the disk is full")})
    with pytest.raises(OutputError):
        each(("a", "b", "c"), do)
    assert called == ["a", "b"]


def test_a_line_has_its_event_first(capsys):
    line("restored", {"id": "q1", "path": "/a\udcff\n"})
    shown = capsys.readouterr().out
    assert shown == '{"event": "restored", "id": "q1", "path": "/a\\udcff\\n"}\n'
    assert json.loads(shown)["path"] == "/a\udcff\n"


@pytest.fixture
def settings(tmp_path):
    return Settings.of(state=str(tmp_path), quarantine={"directory": str(tmp_path / "quarantine")})


def test_without_a_store_a_reader_has_nothing_and_a_change_is_refused(settings, tmp_path):
    with opened(settings, change=False) as store:
        assert store is None
    with pytest.raises(UsageError, match="see --state"), opened(settings, change=True):
        pass
    assert not (tmp_path / "quarantine").exists()


def test_a_store_that_cannot_be_used_is_no_empty_store(settings, tmp_path):
    (tmp_path / "quarantine").write_text("a file")
    with pytest.raises(QuarantineError), opened(settings, change=False):
        pass


def test_a_reader_does_not_wait_for_the_lock_of_another_process(settings, monkeypatch):
    asked = []

    def taken(self, seconds):
        asked.append(seconds)
        raise LockedError("another process has the lock")

    Store.open(settings.quarantine_directory.encode()).close()
    monkeypatch.setattr(Store, "lock", taken)
    with opened(settings, change=False) as store:
        assert store is not None
    with opened(settings, change=False, one_by_one=True) as store:
        assert store is not None
    with pytest.raises(LockedError), opened(settings, change=True):
        pass
    assert asked[0] == 0
    assert asked[1] == asked[2] > 0
