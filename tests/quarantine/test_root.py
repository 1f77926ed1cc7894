"""The volume's root itself is swapped: its parent's owner may do that at any instant."""

import json
import os

import pytest
from isolating import adversary, confirmed, exchange, fork, recovered

from hashscan.errors import QuarantineError
from hashscan.quarantine import restore as module
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.records import Record, RecordState
from hashscan.quarantine.recover import recover
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store


@pytest.fixture
def outside(tmp_path):
    """What the volume is swapped for; the same directories stand there."""
    directory = tmp_path / "outside"
    (directory / "d").mkdir(parents=True)
    (directory / "d" / "keep").write_bytes(b"not the volume's")
    return directory


def swap(volume, outside, how):
    """Puts another directory, or a link to one, where the volume was; returns the way back."""
    away = volume.with_name("away")
    volume.rename(away)
    if how == "link":
        volume.symlink_to(outside)
    else:
        outside.rename(volume)

    def back():
        if how == "link":
            volume.unlink()
        else:
            volume.rename(outside)
        away.rename(volume)

    return back


def tree(directory):
    return sorted(os.fspath(path) for path in directory.rglob("*"))


@pytest.fixture
def known(volume):
    (volume / "d").mkdir()
    (volume / "d" / "f").write_bytes(b"known content")
    return confirmed(volume, "d/f")


@pytest.mark.parametrize("how", ["link", "directory"])
def test_restore_into_another_root_is_refused(
    tmp_path, volume, outside, quarantine, store_path, known, how
):
    acted = quarantine.act(known)
    before = tree(outside)
    back = swap(volume, outside, how)
    with recovered(store_path) as store:
        with pytest.raises(QuarantineError) as caught:
            restore(store, acted.quarantine_id)
        assert caught.value.reason == {"link": "no-directory", "directory": "other-root"}[how]
        assert os.fspath(volume) in str(caught.value)
        assert "--to" in str(caught.value)
        assert not (volume / "d" / "f").exists()
        back()
        assert tree(outside) == before
        assert store.load(acted.quarantine_id).state is RecordState.QUARANTINED
        restore(store, acted.quarantine_id)
    assert (volume / "d" / "f").read_bytes() == b"known content"


def test_restore_to_a_named_directory_whatever_the_root_is(
    tmp_path, volume, outside, quarantine, store_path, known
):
    acted = quarantine.act(known)
    swap(volume, outside, "directory")
    (tmp_path / "link").symlink_to(volume / "d")
    with recovered(store_path) as store:
        done = restore(store, acted.quarantine_id, to=os.fsencode(tmp_path / "link"))
    assert done.path == os.fsencode(volume / "d" / "f")
    assert (volume / "d" / "f").read_bytes() == b"known content"


def test_act_below_a_swapped_root_is_refused(volume, outside, quarantine, known):
    back = swap(volume, outside, "link")
    os.link(volume.with_name("away") / "d" / "f", outside / "d" / "f")
    acted = quarantine.act(known)
    assert (acted.action, acted.problem) == ("reported", "swapped"), acted
    assert (outside / "d" / "f").exists()
    back()
    assert quarantine.act(known).action == "quarantined"


@pytest.mark.parametrize("how", ["link", "directory"])
def test_recovery_below_a_swapped_root_waits(volume, outside, store_path, how):
    """Killed right before an innocent file goes back: it must not go to another directory."""
    (volume / "d").mkdir()
    (volume / "d" / "f").write_bytes(b"known content")
    match = confirmed(volume, "d/f")
    (volume / "d" / "f").write_bytes(b"other content")

    def killed():
        from hashscan.quarantine import act, conclude

        act._precheck = lambda *_, **__: None
        conclude.put = lambda *_: os.kill(os.getpid(), 9)
        Quarantine.open(os.fsencode(store_path)).act(match)

    assert fork(killed) == ("killed", 9)
    before = tree(outside)
    back = swap(volume, outside, how)
    with Store.open(os.fsencode(store_path)) as store, store.lock():
        (one,) = recover(store)
        assert not one.resolved
        assert os.fspath(volume) in one.message
    back()
    assert tree(outside) == before
    with recovered(store_path):
        assert (volume / "d" / "f").read_bytes() == b"other content"


def test_killed_restore_is_ended_below_the_same_root_only(volume, outside, store_path, known):
    quarantine = Quarantine.open(os.fsencode(store_path))
    acted = quarantine.act(known)
    quarantine.close()

    def killed():
        with Store.open(os.fsencode(store_path)) as store, store.lock():
            module._restore = lambda *_: os.kill(os.getpid(), 9)
            restore(store, acted.quarantine_id)

    assert fork(killed) == ("killed", 9)
    with Store.open(os.fsencode(store_path)) as store:
        assert store.load(acted.quarantine_id).state is RecordState.RESTORING
    back = swap(volume, outside, "directory")
    with Store.open(os.fsencode(store_path)) as store, store.lock():
        (one,) = recover(store)
        assert (one.resolved, "not touched" in one.message) == (False, True)
    back()
    with recovered(store_path) as store:
        assert store.load(acted.quarantine_id).state is RecordState.QUARANTINED
        restore(store, acted.quarantine_id)
    assert (volume / "d" / "f").read_bytes() == b"known content"


def test_root_flips_to_a_link_while_files_are_restored(
    tmp_path, volume, outside, quarantine, store_path
):
    names = [f"d/{number}" for number in range(60)]
    (volume / "d").mkdir()
    ids = []
    for name in names:
        (volume / name).write_bytes(name.encode())
        ids.append(quarantine.act(confirmed(volume, name)).quarantine_id)
    before = tree(outside)
    link = tmp_path / "link"
    link.symlink_to(outside)
    try:
        exchange(volume, link)
        exchange(volume, link)
    except (OSError, AttributeError):
        pytest.skip("this file system cannot exchange two names")
    refused = []
    with (
        Store.open(os.fsencode(store_path)) as store,
        adversary(lambda: exchange(volume, link)) as flips,
        store.lock(),
    ):
        for one in ids:
            while True:
                try:
                    restore(store, one)
                    break
                except QuarantineError as error:
                    refused.append(error.reason)
        assert flips() > 100
    real = link if volume.is_symlink() else volume
    assert set(refused) == {"no-directory"}
    assert sorted(os.listdir(real / "d"), key=int) == [str(number) for number in range(60)]
    assert tree(outside) == before


def test_records_without_the_roots_inode_are_read_and_restored(
    volume, quarantine, store_path, known
):
    acted = quarantine.act(known)
    path = store_path / acted.quarantine_id / "record.json"
    data = json.loads(path.read_bytes())
    assert data["origin"].pop("root_inode") == os.stat(volume).st_ino
    path.write_text(json.dumps(data))
    record = Record.from_json(path.read_bytes(), "here")
    assert record.origin.root_inode is None
    with recovered(store_path) as store:
        restore(store, record.id)
    assert (volume / "d" / "f").exists()
