"""hashscan.jobs.new_list_check: a new list is checked before its matches move files."""

from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.jobs import new_list_check
from hashscan.jobs.new_list_check import check_lists
from hashscan.model import Digest, FileDigests
from hashscan.quarantine.hold_types import HoldKind
from hashscan.quarantine.holds import Holds
from hashscan.state import State


@pytest.fixture
def state(tmp_path):
    return State(str(tmp_path / "state"))


class Judging:
    """Stands for the processes that judge; ``parts``: their answers; ``None``: one has died."""

    def __init__(self, parts):
        self.parts, self.connections, self.closed = list(parts), ["one"], 0

    def __call__(self, path, filters, algorithms, *, filterset, until):
        self.given = (path, filters, algorithms, filterset, until)
        return self

    def take(self, _connection):
        part = self.parts.pop(0)
        if not self.parts:
            self.connections = []
        return part if part is None else SimpleNamespace(new=part)

    def close(self):
        self.closed += 1


def new(count, first=0, category="baseline", version="2"):
    return [
        (category, version, FileDigests(sha1=number.to_bytes(20, "big")))
        for number in range(first, first + count)
    ]


@pytest.fixture
def check(state, monkeypatch):
    """Checks a known set that no scan has seen, with the answers of the processes."""
    calls = []
    known = SimpleNamespace(
        name="baseline=2", filters=("filter",), algorithms=frozenset({"sha1"}), test=False
    )
    catalog = SimpleNamespace(
        path="catalog",
        commit=lambda: calls.append("commit"),
        has_filterset=lambda name: name == "seen",
    )

    def run(*parts, limit=3, action=None, configured="quarantine", **changes):
        calls.clear()
        judging = Judging(parts)
        monkeypatch.setattr(
            new_list_check, "Rejudging", lambda *a, **k: calls.append("judge") or judging(*a, **k)
        )
        monkeypatch.setattr(new_list_check, "wait", lambda connections, _seconds: list(connections))
        settings = Settings.of(
            state=state.directory,
            quarantine={"action": configured},
            brakes={"new_candidates": limit},
        )
        told, ticks = [], []
        check_lists(
            settings, state, catalog, SimpleNamespace(**(vars(known) | changes)), told.append,
            ticks.append, action=action,
        )  # fmt: skip
        run.judging, run.ticks = judging, ticks
        return told

    run.calls = calls
    return run


def test_the_matches_of_a_version_with_too_many_new_candidates_are_held(check, state):
    (told,) = check(new(3), [*new(1, 3), *new(3, 9, "other", "5")])
    assert told.startswith("filter baseline, version 2: 4 files would be new candidates, so H1")
    assert check.judging.given == ("catalog", ("filter",), frozenset({"sha1"}), -1, 1 << 62)
    assert check.ticks == [True]
    assert check.judging.closed == 1
    with Holds(state.holds) as holds:
        (hold,) = holds.holds()
        assert (hold.kind, hold.category, hold.filter_version) == (HoldKind.LIST, "baseline", "2")
        assert sorted(holds.digests(1)) == [Digest("sha1", f"{one:040x}") for one in range(4)]
    assert check(new(4)) == [], "it is held already"


def test_the_processes_begin_after_a_commit(check):
    check(new(0))
    assert check.calls == ["commit", "judge"]


def test_a_process_that_dies_leaves_the_list_to_the_scans(check):
    (told,) = check(new(4), None)
    assert "4 files" in told
    assert check.judging.closed


def test_a_list_that_has_everything_does_not_fill_the_memory(check, state, monkeypatch):
    monkeypatch.setattr(new_list_check, "MOST_DIGESTS", 5)
    monkeypatch.setattr("hashscan.quarantine.holds.MOST_DIGESTS", 5)
    given = []
    hold_list = Holds.hold_list
    monkeypatch.setattr(
        Holds, "hold_list", lambda *all: given.append(len(all[-1])) or hold_list(*all)
    )
    (told,) = check(new(20), new(20, 20))
    assert "40 files" in told
    assert given == [6]
    with Holds(state.holds) as holds:
        (hold,) = holds.holds()
        assert (hold.volume, holds.digests(1)) == (b"", []), "all matches of the category"


@pytest.mark.parametrize(
    ("given", "is_judged"),
    [
        ({}, True),
        ({"action": "report"}, False),
        ({"configured": "report"}, False),
        ({"configured": "report", "action": "quarantine"}, True),
        ({"limit": "none"}, False),
        ({"test": True}, False),
        ({"name": "seen"}, False),
    ],
)
def test_a_list_is_judged_only_if_its_matches_would_move(check, given, is_judged):
    check(new(0), **given)
    assert bool(check.calls) is is_judged
