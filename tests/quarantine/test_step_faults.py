"""The steps of a move and of a restore that fail half way: each ends in a state with its reason."""

import errno
import os
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from faulty import break_os, open_descriptors, raising
from isolating import confirmed

from hashscan.errors import LockedError, QuarantineError
from hashscan.model import Identity
from hashscan.quarantine import act, conclude, recover
from hashscan.quarantine import store as store_module
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.records import RecordState, new_id

# act


def test_a_store_that_stays_locked_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(act, "recover", lambda *_a, **_k: (_ for _ in ()).throw(LockedError("x")))
    before = open_descriptors()
    with pytest.raises(LockedError):
        Quarantine.open(os.fsencode(tmp_path / "store"))
    assert open_descriptors() == before


def test_a_volume_that_answers_again_is_recovered_once(store, volume, monkeypatch):
    volumes = [os.fsencode(volume), b"/other"]
    asked = []
    monkeypatch.setattr(act, "recover", lambda _store, absent: asked.append(set(absent)))
    one = Quarantine(store, absent=volumes)
    for name in ("a", "b"):
        (volume / name).write_bytes(b"known")
        assert one.act(confirmed(volume, name)).action == "quarantined"
    assert asked == [set(volumes), {b"/other"}]


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (LockedError("another hashscan"), "locked"),
        (ValueError("a NUL"), "other"),
        (OSError(errno.EIO, "I/O"), "io-error"),
        (QuarantineError("it is full", reason="no-space"), "no-space"),
    ],
)
def test_what_stands_in_the_way_is_in_the_result(
    own_quarantine, volume, monkeypatch, error, problem
):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    monkeypatch.setattr(
        own_quarantine, "_act", lambda _match: (_ for _ in ()).throw(error)
    )  # fmt: skip
    found = own_quarantine.act(match)
    assert (found.action, found.problem, found.quarantine_id) == ("reported", problem, None)
    assert (
        problem == "no-space" or f"{volume}/f: could not be moved to quarantine: " in found.message
    )
    assert (volume / "f").exists()


def test_a_damaged_record_holds_nothing_and_proves_nothing(own_quarantine, store, volume, moved):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    store.remember_restored(match.candidate.full_path, moved)
    assert own_quarantine.held(match.candidate) is None, "it is not restored"
    (volume / "f").unlink()
    own_quarantine.act(match)  # the index has read all records
    with open(os.fsdecode(store.path_of(moved)) + "/record.json", "wb"):
        pass
    assert own_quarantine.held(match.candidate) is None
    assert own_quarantine._earlier_move(match) is None


def test_a_file_that_is_renamed_again_and_again_is_given_up(own_quarantine, volume, monkeypatch):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    opened = []

    def act_at(given, *, opens):
        opened.append(opens)
        raise QuarantineError("gone", reason="vanished")

    monkeypatch.setattr(own_quarantine, "_act_at", act_at)
    monkeypatch.setattr(own_quarantine, "_renamed", lambda given: given)
    with pytest.raises(QuarantineError):
        own_quarantine._act(match)
    assert opened == [True] + [False] * 10
    monkeypatch.setattr(own_quarantine, "_renamed", lambda _given: None)
    opened.clear()
    with pytest.raises(QuarantineError):
        own_quarantine._act(match)
    assert opened == [True]


def test_a_directory_that_is_gone_has_no_new_name(own_quarantine, volume):
    (volume / "d").mkdir()
    (volume / "d" / "f").write_bytes(b"known")
    match = confirmed(volume, "d/f")
    (volume / "d" / "f").rename(volume / "d" / "g")
    assert own_quarantine._renamed(match).candidate.path == b"d/g"
    (volume / "d").rename(volume / "e")
    assert own_quarantine._renamed(match) is None


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EIO])
def test_only_another_mount_leads_to_a_copy(own_quarantine, volume, monkeypatch, number):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    real = act.take
    monkeypatch.setattr(act, "take", raising(number, real, calls=1))
    found = own_quarantine.act(match)
    if number == errno.EXDEV:
        assert (found.action, (volume / "f").exists()) == ("quarantined", False)
        assert own_quarantine._store.load(found.quarantine_id).is_copy
    else:
        assert (found.problem, (volume / "f").exists()) == ("io-error", True)
        assert own_quarantine._store.ids() == []
    assert not (volume / ".hashscan").exists()


def test_the_digests_of_a_moved_file_are_those_of_its_record(own_quarantine, store, moved):
    assert own_quarantine.digests_of(moved) == store.load(moved).digests
    assert own_quarantine.digests_of(moved).sha256 is not None
    assert own_quarantine.digests_of(None) is None
    assert own_quarantine.digests_of("20260101T000000-00000000") is None


@pytest.mark.parametrize("by_copy", [False, True])
def test_a_move_that_fails_after_the_rename_keeps_its_record(
    own_quarantine, store, volume, monkeypatch, by_copy
):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    lines, failures = [], []
    with monkeypatch.context() as patch:
        patch.setattr(store, "conclude", lambda event, **facts: lines.append((event, facts)))
        patch.setattr(own_quarantine._attempts, "failed", lambda *given: failures.append(given))
        patch.setattr(act, "conclude", raising(errno.EIO))
        patch.setattr(act, "take", raising(errno.EXDEV, act.take, calls=by_copy))
        found = own_quarantine.act(match)
    assert (found.action, found.problem) == ("reported", "io-error")
    assert not (volume / "f").exists()
    (record_id,) = store.ids()
    assert store.load(record_id).state is RecordState.INTENT
    ((event, facts),) = lines
    assert (event, facts["reason"]) == ("not-moved", "unfinished")
    assert facts["message"].endswith("; the next command or start finishes or undoes the move")
    assert failures == [(match.candidate.uid, os.fsencode(volume / "f"))]
    with store.lock():
        (one,) = recover.recover(store)
    assert one.resolved
    assert store.load(record_id).state is RecordState.QUARANTINED


@pytest.mark.parametrize(("gone", "tries"), [(0, 1), (2, 3), (3, 3)])
def test_a_private_directory_that_another_agent_removes_is_made_again(
    own_quarantine, volume, monkeypatch, gone, tries
):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    seen = []
    real = act._rename_to

    def take(origin, spot):
        if spot.name == b"content":
            raise OSError(errno.EXDEV, "")
        seen.append(spot.name)
        if len(seen) <= gone:
            (private,) = Path(volume, ".hashscan").parent.glob(".hashscan")
            private.rmdir()
            raise QuarantineError("gone", reason="gone")
        if not gone:
            raise QuarantineError("denied", reason="denied")
        real(origin, spot)

    monkeypatch.setattr(act, "_rename_to", take)
    found = own_quarantine.act(match)
    assert len(seen) == tries
    assert found.action == ("quarantined" if gone == 2 else "reported")
    assert (volume / "f").exists() is (gone != 2)


def test_all_that_is_to_be_said_of_a_move_is_in_the_result(store, moved, volume):
    record = replace(store.load(moved), note="it is odd", open_for_writing=True)
    path = f"{volume}/f"
    said = act._result_of(record).message
    assert said.startswith(f"{path}: it is odd; {path}: a process has it open for writing")
    said = act._result_of(replace(record, note="")).message
    assert said.startswith(f"{path}: a process has it open for writing")
    said = act._result_of(replace(record, open_for_writing=False)).message
    assert said == f"{path}: it is odd"


# recover


def test_a_state_that_cannot_be_read_is_unknown(store, moved):
    assert recover._state_of(store, moved) is RecordState.QUARANTINED
    assert recover._state_of(store, "none") is None


def test_a_parent_with_another_inode_is_not_the_old_place(store, moved, volume):
    record = store.load(moved)
    with ExitStack() as stack:
        assert recover._open_origin(stack, record) is not None
        assert recover._open_origin(stack, replace(record, parent_inode=1)) is None


def spot_of(inode, size=5, device=1):
    status = SimpleNamespace(st_dev=device, st_ino=inode, st_size=size)
    return SimpleNamespace(status=lambda: status if inode else None)


@pytest.mark.parametrize(
    ("there", "ours", "known", "arrived"),
    [
        (spot_of(0), spot_of(1), Identity(1, 1), False),
        (spot_of(1), spot_of(0), Identity(1, 1), False),
        (spot_of(1), spot_of(1), None, True),
        (spot_of(1, device=2), spot_of(1), None, False),
        (spot_of(2), spot_of(1), None, False),
        (spot_of(2), spot_of(1), Identity(9, 2), True),
        (spot_of(2), spot_of(1), Identity(1, 3), False),
        (spot_of(2, size=4), spot_of(1), Identity(9, 2), False),
    ],
)
def test_whether_a_restored_file_has_arrived(there, ours, known, arrived):
    record = SimpleNamespace(target_identity=known)
    found = recover._arrived(record, SimpleNamespace(spot=there), ours)
    assert found is arrived


@contextmanager
def staged_at(spot):
    yield spot


@pytest.mark.parametrize("copy", ["whole", "damaged", "gone"])
def test_a_copied_file_of_a_killed_run_is_finished_or_copied_again(
    own_quarantine, store, volume, monkeypatch, copy
):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    monkeypatch.setattr(act, "take", raising(errno.EXDEV, act.take, calls=1))
    monkeypatch.setattr(
        conclude, "finish_copied", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        own_quarantine.act(match)
    monkeypatch.undo()
    (left,) = store.ids()
    assert store.load(left).state is RecordState.COPIED
    content = os.fsdecode(store.path_of(left)) + "/content"
    if copy == "damaged":
        with open(content, "r+b") as file:
            file.write(b"K")
    elif copy == "gone":
        os.unlink(content)
    told = []
    monkeypatch.setattr(
        store_module.Store, "conclude", lambda _self, *event, **facts: told.append((event, facts))
    )
    monkeypatch.setattr(store_module.Store, "keep_timeline", lambda _self: told.append("timeline"))
    with store.lock():
        (found,) = recover.recover(store)
    assert found.resolved
    path = os.fsdecode(volume / "f")
    assert found.message == (
        f"{path}: hashscan was stopped at work on it (copied); now it is quarantined"
    )
    facts = {"quarantine_id": left, "message": found.message}
    assert told == ["timeline", ((recover.events.RECOVERED,), facts)]
    assert store.load(left).state is RecordState.QUARANTINED
    assert Path(content).read_bytes() == b"known"
    assert os.listdir(volume) == []


@pytest.mark.parametrize("name", ["content", "content.part"])
def test_a_copy_without_its_staged_file_is_never_deleted(
    own_quarantine, store, volume, monkeypatch, name
):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    monkeypatch.setattr(act, "take", raising(errno.EXDEV, act.take, calls=1))
    monkeypatch.setattr(act, "conclude", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        own_quarantine.act(match)
    monkeypatch.undo()
    (left,) = store.ids()
    assert store.load(left).state is RecordState.INTENT
    part = conclude.PART.decode() if name != "content" else name
    with open(f"{os.fsdecode(store.path_of(left))}/{part}", "wb") as file:
        file.write(b"known")
    (volume / ".hashscan" / left).rename(volume / "away")
    with store.lock():
        (found,) = recover.recover(store)
    assert not found.resolved
    assert "its staged file is not in .hashscan" in found.message
    assert os.path.exists(f"{os.fsdecode(store.path_of(left))}/{part}")
    assert store.load(left).state is RecordState.INTENT


# store


@pytest.mark.parametrize("step", ["save", "sync"])
def test_a_record_that_cannot_be_made_leaves_nothing(store, moved, volume, monkeypatch, step):
    record = replace(store.load(moved), id=new_id(), state=RecordState.INTENT)
    with monkeypatch.context() as patch:
        if step == "save":
            patch.setattr(store, "save", raising(errno.ENOSPC))
        else:
            break_os(patch, store_module, fsync=raising(errno.EIO, os.fsync, on=store.fd.__eq__))
        with pytest.raises((QuarantineError, OSError)) as caught:
            store.create(record)
    if step == "sync":
        assert isinstance(caught.value, QuarantineError)
        assert "the quarantine could not be written" in str(caught.value)
        assert caught.value.reason == "io-error"
    assert store.ids() == [moved]
