"""hashscan.quarantine.restore_selection: records that a restore of many files selects."""

import os
from types import SimpleNamespace

import pytest

from hashscan.quarantine import restore_selection
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.summary import Briefed


def _listed(number, **changes):
    values = {
        "state": RecordState.QUARANTINED, "acted": f"2026-01-0{number}T00:00:00+00:00",
        "path": f"/srv/www/a{number}/f.jpg".encode(),
        "owner": None, "uid": 5, "withdrawn": "", "each_digest": (), **changes,
    }  # fmt: skip
    return Briefed(str(number), SimpleNamespace(**values))


def chosen(monkeypatch, listed, **given):
    monkeypatch.setattr(restore_selection, "briefs", lambda _store: listed)
    found = restore_selection.Selection(**given).selected(None)
    return found.ids, found.unread


def test_only_what_is_there_is_selected_and_unreadable_records_are_reported(monkeypatch):
    listed = [_listed(1), _listed(2, state=RecordState.DISPLACED), Briefed("3", None, "damaged")]
    listed += [
        _listed(number, state=state)
        for number, state in enumerate(
            set(RecordState) - {RecordState.QUARANTINED, RecordState.DISPLACED}, start=4
        )
    ]  # fmt: skip
    assert chosen(monkeypatch, listed) == (["1", "2"], ["damaged"])


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (("/srv/www/a1/f.jpg",), ["1"]),
        (("/srv/www/a1",), ["1"]),
        (("/srv/www/a1/",), ["1"]),
        (("/srv/www/a",), []),
        (("/srv/www",), ["1", "2"]),
        (("/",), ["1", "2"]),
        (("/srv/*/a2/*",), ["2"]),
        (("*.jpg",), ["1", "2"]),
        (("*.JPG",), []),
        (("/srv/www/a1/f.jpg/x",), []),
        (("/nowhere", "/srv/www/a2"), ["2"]),
    ],
)
def test_selection_by_path(monkeypatch, paths, found):
    assert chosen(monkeypatch, [_listed(1), _listed(2)], paths=paths) == (found, [])


def test_selection_through_a_link(monkeypatch, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    path = os.fsencode(tmp_path / "real" / "f")
    listed = [_listed(1, path=path)]
    assert chosen(monkeypatch, listed, paths=(str(tmp_path / "link"),)) == (["1"], [])


def test_selection_by_category_and_by_withdrawal(monkeypatch):
    listed = [
        _listed(1, category="baseline"),
        _listed(2, category="csam", withdrawn="2026-01-02T00:00:00Z"),
        _listed(3, category="other"),
    ]
    assert chosen(monkeypatch, listed, categories=("csam", "other")) == (["2", "3"], [])
    assert chosen(monkeypatch, listed, withdrawn=True) == (["2"], [])


def test_selection_by_time_takes_the_very_second(monkeypatch):
    since = 1767312000.0  # 2026-01-02T00:00:00Z
    listed = [_listed(1), _listed(2), _listed(3)]
    assert chosen(monkeypatch, listed, since=since) == (["2", "3"], [])
    assert chosen(monkeypatch, listed, since=since + 0.001) == (["3"], [])


@pytest.mark.parametrize(
    ("owner", "uid", "asked", "fits"),
    [
        ("root", 0, "root", True),
        ("root", 0, "0", True),
        ("other", 0, "root", False),  # the number is another user's by now
        (None, 0, "root", True),
        (None, 5, "root", False),
        ("gone", 7, "gone", True),  # this host has no such user any more
        (None, 7, "gone", False),
        ("other", 7, "7", True),
        ("7", 8, "7", False),  # a name of digits is a number
    ],
)
def test_selection_by_owner(monkeypatch, owner, uid, asked, fits):
    listed = [_listed(1, owner=owner, uid=uid), _listed(2, uid=None)]
    assert chosen(monkeypatch, listed, owners=(asked,)) == (["1"] if fits else [], [])


def test_all_conditions_must_fit(monkeypatch):
    listed = [_listed(1, owner="root", uid=0), _listed(2, owner="root", uid=0)]
    given = {"owners": ("root",), "paths": ("/srv/www/a1", "/srv/www/a2")}
    assert chosen(monkeypatch, listed, since=1767312000.0, **given) == (["2"], [])
