"""The store's directory, its lock and its records, damaged ones included."""

import errno
import os
import stat
import threading
import time

import pytest
from faulty import open_descriptors, raising
from isolating import confirmed, fork, kill_at, recovered

from hashscan.audit import events
from hashscan.audit.log import AuditLog
from hashscan.errors import LockedError, QuarantineError, StateError
from hashscan.quarantine import store as module
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.recover import recover
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store
from hashscan.timeline import Instant


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


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o740, 0o704, 0o777])
def test_a_store_that_others_can_enter_is_refused_with_the_way_out(tmp_path, mode):
    (tmp_path / "store").mkdir()
    os.chmod(tmp_path / "store", mode)
    before = open_descriptors()
    with pytest.raises(QuarantineError, match=f"mode 0{mode:o}.*chmod 0700"):
        Store.open(os.fsencode(tmp_path / "store"))
    assert open_descriptors() <= before
    os.chmod(tmp_path / "store", 0o700)
    Store.open(os.fsencode(tmp_path / "store")).close()


def test_a_store_on_a_full_disk_can_still_be_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "mark_quarantine", raising(errno.ENOSPC))
    with Store.open(os.fsencode(tmp_path / "store")) as store:
        assert list(store.ids()) == []


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


@pytest.mark.parametrize("disk", ["there", "full"])
def test_what_was_known_of_the_records_is_forgotten_if_somebody_else_had_the_lock(
    tmp_path, monkeypatch, disk
):
    where = os.fsencode(tmp_path / "store")
    with Store.open(where) as store, Store.open(where) as other:
        forgotten = []
        monkeypatch.setattr(store.index, "reset", lambda: forgotten.append("reset"))
        for _ in range(2):
            with store.lock():
                pass
        assert forgotten == ["reset"], "nobody else had it"
        if disk == "full":
            monkeypatch.setattr(os, "pwrite", raising(errno.ENOSPC))
        with other.lock():
            pass
        monkeypatch.undo()
        monkeypatch.setattr(store.index, "reset", lambda: forgotten.append("again"))
        with store.lock():
            pass
        assert forgotten == ["reset", "again"]


def test_the_timeline_is_written_if_it_differs_enough(tmp_path, monkeypatch):
    at = [Instant(1000.0, 5000.0, "boot")]
    monkeypatch.setattr(module, "instant", lambda: at[0])
    with Store.open(os.fsencode(tmp_path / "store")) as store:
        began = store.timeline()
        assert store.timeline().span != began.span, "nothing keeps it yet"
        kept = store.keep_timeline()
        assert (store.timeline(), kept.counted) == (kept, 5000.0)
        writes = raising(errno.EROFS)
        monkeypatch.setattr(module, "_write", writes)
        at[0] = Instant(1001.0, 5001.0, "boot")
        assert store.keep_timeline().counted == 5001.0
        assert store.timeline() == kept.at(at[0])
        at[0] = Instant(1_001_000.0, 1_005_000.0, "boot")
        with pytest.raises(QuarantineError):
            store.keep_timeline()
        assert writes.count == 1


class Log:
    """A recorder of the audit log that keeps its lines, or cannot write."""

    def __init__(self, tmp_path):
        self.log = AuditLog(str(tmp_path / "state"))
        self.lines, self.is_full = [], False

    def write(self, event, *, sync=False, **facts):
        if self.is_full:
            raise StateError("audit.jsonl: No space left on device")
        self.lines.append((event, sync, facts))


def test_an_act_that_cannot_be_put_on_record_must_not_begin(tmp_path):
    log = Log(tmp_path)
    with Store.open(os.fsencode(tmp_path / "store"), recorder=log) as store:
        log.is_full = True
        with pytest.raises(QuarantineError, match=r"nothing was changed.*No space left") as caught:
            store.announce(events.MOVING, quarantine_id="id", path="/srv/f")
        assert caught.value.reason == "no-audit-log"


@pytest.mark.parametrize("line", [True, False])
def test_the_result_of_an_act_gets_its_line_later_if_the_log_is_full(tmp_path, line):
    log = Log(tmp_path)
    with Store.open(os.fsencode(tmp_path / "store"), recorder=log) as store:
        store.announce(events.MOVING, line=line, quarantine_id="id", path="/srv/f")
        announced = (events.MOVING, False, {"quarantine_id": "id", "path": "/srv/f"})
        assert log.lines == ([announced] if line else [])
        begun = store.begun_act()
        assert (begun.record_id, begun.path, begun.has_line) == ("id", b"/srv/f", line)
        log.is_full = True
        store.conclude(events.MOVED, quarantine_id="id")
        assert store.begun_act() == begun
        log.is_full = False
        store.conclude(events.MOVED, sync=True, quarantine_id="id")
        assert log.lines[-1] == (events.MOVED, True, {"quarantine_id": "id"})
        assert store.begun_act() is None


def test_without_an_audit_log_nothing_is_announced(tmp_path):
    with Store.open(os.fsencode(tmp_path / "store")) as store:
        store.announce(events.MOVING, quarantine_id="id", path="/srv/f")
        assert store.begun_act() is None
        store.conclude(events.MOVED, quarantine_id="id")


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
