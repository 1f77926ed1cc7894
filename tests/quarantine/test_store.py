"""The store's directory, its lock and its records, damaged ones included."""

import os
import stat
import threading
import time

import pytest
from isolating import confirmed, fork, kill_at, recovered

from hashscan.errors import LockedError, QuarantineError
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.recover import recover
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store


@pytest.fixture
def one(tmp_path, volume):
    """A store with one quarantined file."""
    (volume / "f\udcff\n").write_bytes(b"known")
    quarantine = Quarantine.open(os.fsencode(tmp_path / "store"))
    acted = quarantine.act(confirmed(volume, "f\udcff\n"))
    yield quarantine._store, acted.quarantine_id, tmp_path / "store" / acted.quarantine_id
    quarantine.close()


def test_unsafe_stores_are_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "open").mkdir()
    os.chmod(tmp_path / "open", 0o750)
    for name in ("link", "file", "open"):
        with pytest.raises(QuarantineError) as caught:
            Store.open(os.fsencode(tmp_path / name))
        assert caught.value.reason == "unsafe-store"
        assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(QuarantineError) as caught:
        Store.open(os.fsencode(tmp_path / "none"), create=False)
    assert caught.value.reason == "no-store"
    assert not (tmp_path / "none").exists()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_store_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "store").mkdir(mode=0o700)
    os.chown(tmp_path / "store", 4711, 4711)
    with pytest.raises(QuarantineError, match="owned by user 4711"):
        Store.open(os.fsencode(tmp_path / "store"))


def test_lock_excludes_and_waits(one):
    store, _, _ = one
    with store.lock(), pytest.raises(LockedError, match="another hashscan"), store.lock(0.05):
        pass
    started = threading.Event()

    def hold():
        with store.lock():
            started.set()
            time.sleep(0.2)

    holder = threading.Thread(target=hold)
    holder.start()
    started.wait()
    with store.lock(5):
        assert not holder.is_alive() or holder.join() is None
    holder.join()


def test_a_child_that_was_forked_meanwhile_does_not_keep_the_lock(one):
    store, _, _ = one
    reading, writing = os.pipe()
    with store.lock():
        child = os.fork()
        if child == 0:
            os.read(reading, 1)
            os._exit(0)
    try:
        with store.lock(0):
            pass
    finally:
        os.write(writing, b"x")
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


def test_nobody_else_has_any_right_to_what_is_in_a_store(one):
    store, record_id, directory = one
    store.keep_timeline()
    with store.lock():
        restore(store, record_id)
    found = {
        stat.S_IMODE(path.lstat().st_mode)
        for path in (directory.parent, *directory.parent.rglob("*"))
    }
    assert found == {0o700, 0o600}


def test_leftovers_of_a_killed_write_are_removed(one, tmp_path):
    _, _, directory = one
    (directory / "record.json.new").write_bytes(b"{")
    early = tmp_path / "store" / "20010101T000000-00000000"
    early.mkdir()
    (early / "record.json.new").write_bytes(b"")
    with recovered(tmp_path / "store"):
        assert not early.exists()
        assert sorted(os.listdir(directory)) == ["content", "record.json"]


def test_what_became_of_a_file_at_whose_move_hashscan_was_killed_is_told(tmp_path, volume):
    told = set()
    for step in range(1, 20):
        path, where = volume / str(step), os.fsencode(tmp_path / f"s{step}")
        path.write_bytes(b"known")

        def act(step=step, path=path, where=where):
            quarantine = Quarantine.open(where)
            kill_at(step, "after")
            quarantine.act(confirmed(volume, path.name))

        fork(act)
        with Store.open(where) as store, store.lock():
            for note in recover(store):
                start, became = note.message.split(": ", 1)
                assert start == str(path)
                left = "hashscan was stopped before it was moved; it was left where it is"
                assert (became == left) == path.exists()
                told.add(became)
    assert any("was left where it is" in one for one in told)
    assert "hashscan was stopped at work on it (intent); now it is quarantined" in told
