"""hashscan.jobs.restore_withdrawn: one turn of restoring; the store and the clock are the test's."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from hashscan.errors import LockedError, MachineError, QuarantineError, StateError
from hashscan.jobs import restore_withdrawn as module
from hashscan.jobs.restore_withdrawn import forget, put_back
from hashscan.model import Digest
from hashscan.state import State

RECORDER = object()
DIGEST = Digest("sha1", "ab" * 20)


@pytest.fixture
def turn(tmp_path, monkeypatch):
    """``begin()`` restores; each restore takes 10 s, and ``faults`` has the errors of ids."""
    one = SimpleNamespace(now=100.0, ids=["a", "b", "c", "d"], faults={}, restored=[], calls=[])

    class Store:
        def __init__(self, directory, **given):
            one.calls.append((directory, given))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def lock(self, _patience):
            return nullcontext()

    def restore(_store, record_id):
        one.now += 10.0
        if record_id in one.faults:
            raise one.faults[record_id]
        one.restored.append(record_id)

    class Selection:
        def __init__(self, *, withdrawn):
            assert withdrawn is True

        def selected(self, _store):
            return SimpleNamespace(ids=one.ids, withdrawn={DIGEST: None})

    monkeypatch.setattr(module, "Store", SimpleNamespace(open=Store))
    monkeypatch.setattr(module, "Selection", Selection)
    monkeypatch.setattr(module, "restore", restore)
    monkeypatch.setattr(module, "recover", lambda _store: one.calls.append("recovered"))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: one.now))
    one.begin = lambda seconds=1000.0, skip=(): put_back(
        bytes(tmp_path), seconds, skip, RECORDER
    )  # fmt: skip
    return one


def test_withdrawn_files_are_restored_but_those_that_failed_before(turn, tmp_path):
    found = turn.begin(skip={"b"})
    assert turn.restored == ["a", "c", "d"]
    assert (found.done, found.failed, found.left) == (3, {}, 0)
    given = {"create": False, "recorder": RECORDER}
    assert turn.calls == [(bytes(tmp_path), given), "recovered"]


def test_scans_beside_the_daemon_forget_the_verdicts_too(turn, tmp_path, monkeypatch):
    forgotten = []

    def forget_verdicts(path, digests):
        assert turn.restored == [], "before the first file is back"
        forgotten.append((path.removeprefix(str(tmp_path)), digests))
        if "/beside/" in path:
            raise StateError("it is damaged")

    monkeypatch.setattr(module, "forget_verdicts", forget_verdicts)
    found = put_back(bytes(tmp_path), 1000.0, (), RECORDER, State(str(tmp_path / "state")))
    assert forgotten == [
        ("/state/catalog.sqlite3", [DIGEST]), ("/state/beside/catalog.sqlite3", [DIGEST]),
    ]  # fmt: skip
    assert (found.done, len(found.notices)) == (4, 1)


@pytest.mark.parametrize(("seconds", "done"), [(0.0, 1), (10.0, 2), (19.0, 2), (1000.0, 4)])
def test_a_turn_ends_after_its_time_and_says_what_is_left(turn, seconds, done):
    found = turn.begin(seconds)
    assert (found.done, found.left) == (done, 4 - done)


def test_a_file_that_cannot_be_restored_holds_up_no_other(turn):
    turn.faults = {
        "a": QuarantineError("another file", reason="taken"),
        "b": QuarantineError("one more", reason="taken"),
        "c": MachineError("disk full"),
    }
    found = turn.begin()
    assert found.failed == {"a": "another file", "b": "one more", "c": "disk full"}
    assert found.reasons == {"taken": 2, "refused": 1}
    assert (found.done, turn.restored) == (1, ["d"])


def test_a_quarantine_that_another_process_uses_ends_the_turn(turn):
    turn.faults = {"b": LockedError("in use")}
    with pytest.raises(LockedError):
        turn.begin()
    assert turn.restored == ["a"]


def test_without_a_quarantine_nothing_is_restored(turn, tmp_path):
    found = put_back(bytes(tmp_path / "none"), 9.0, (), RECORDER)
    assert (found.done, found.failed, found.left, turn.calls) == (0, {}, 0, [])


def test_verdicts_are_forgotten_in_both_catalogs_and_a_fault_is_named(tmp_path, monkeypatch):
    asked, said = [], []

    def forget_verdicts(path, digests):
        asked.append((path.removeprefix(f"{tmp_path}/"), digests))
        if len(asked) == 1:
            raise StateError("damaged")

    monkeypatch.setattr(module, "forget_verdicts", forget_verdicts)
    forget(SimpleNamespace(directory=str(tmp_path)), iter(["x", "y"]), said.append)
    (own, digests), (beside, same) = asked
    assert (own, digests, same) == (module.files.CATALOG, ["x", "y"], ["x", "y"])
    assert beside == f"{module.files.BESIDE}/{module.files.CATALOG}"
    assert said == ["restored files may move again, because verdicts are not forgotten: damaged"]
