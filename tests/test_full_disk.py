"""A full disk below hashscan's own files: nothing is lost, and with room again they go on."""

import errno
import os

import pytest
from brake_matches import Clock, match, moves
from isolating import in_mount_namespace, mount, needs_root

from hashscan.audit.reader import read
from hashscan.audit.verify import verify
from hashscan.config.settings import Settings
from hashscan.daemon.audit_lines import DaemonRecord
from hashscan.daemon.status_file import write_facts
from hashscan.errors import LockedError, StateError
from hashscan.jobs.daemon_status import read_daemon_status
from hashscan.notify.message import Event
from hashscan.notify.outbox import Outbox, Route
from hashscan.quarantine.brake_limits import BrakeLimits
from hashscan.quarantine.holds import Holds
from hashscan.quarantine.recheck_answers import AskedStore
from hashscan.state import Lock, State

MS_REMOUNT = 32


class Disk:
    """A small file system."""

    def __init__(self, path):
        self.path = str(path)
        mount("none", self.path, "tmpfs", 0, "size=512k,mode=700")

    def fill(self):
        with open(f"{self.path}/filler", "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(4096))

    def enlarge(self):
        mount("none", self.path, "tmpfs", MS_REMOUNT, "size=64m")


def on_a_disk(path, job):
    """Run ``job`` with a small file system at ``path``, in a child."""
    path.mkdir()
    return in_mount_namespace(lambda: job(Disk(path)))


def put_event(outbox, number):
    event = Event("hold", "held", "2026-01-01T00:00:00Z", {"reason": "x" * 900})
    outbox.queue([Route("oncall", f"{number}", event, 1.0)], number)


def a_hold(holds, number):
    assert moves(holds, BrakeLimits(), match(f"{number}/" + "f" * 900, number))


def an_answer(asked, number):
    asked.put_size("s" * 900 + str(number), number)


@needs_root
@pytest.mark.parametrize(
    ("opened", "change"),
    [
        (Outbox, put_event),
        (lambda path: Holds(f"{path}/holds.sqlite3", Clock()), a_hold),
        (lambda path: AskedStore.open(f"{path}/withdrawn.sqlite3"), an_answer),
    ],
    ids=["notifications", "holds", "withdrawn"],
)
def test_a_store_on_a_full_disk(tmp_path, opened, change):
    def job(disk):
        with opened(disk.path) as store:
            change(store, 1)
            disk.fill()
            number = 1
            with pytest.raises(StateError) as caught:
                for number in range(2, 200):
                    change(store, number)
            # Another process cannot open it either, or only reads it.
            with pytest.raises(StateError) as second, opened(disk.path) as other:
                for one in range(200, 400):
                    change(other, one)
            disk.enlarge()
            change(store, number)
            change(store, number + 1)
        return str(caught.value), str(second.value)

    for message in on_a_disk(tmp_path / "state", job):
        assert str(tmp_path / "state") in message
        assert "free some space there: what was committed is kept, the daemon goes on by" in message


@needs_root
def test_the_index_of_a_database_on_a_full_disk(tmp_path):
    """SQLite calls that an error of the disk."""

    def job(disk):
        Holds(f"{disk.path}/holds.sqlite3").close()
        disk.fill()
        with pytest.raises(StateError) as caught:
            Holds(f"{disk.path}/holds.sqlite3").close()
        return str(caught.value)

    assert "free some space there" in on_a_disk(tmp_path / "state", job)


@needs_root
def test_a_lock_on_a_full_disk(tmp_path):
    def job(disk):
        disk.fill()
        with Lock(f"{disk.path}/lock"):
            child = os.fork()
            if child == 0:
                try:
                    Lock(f"{disk.path}/lock")
                except LockedError as error:
                    os._exit(0 if f"process {os.getppid()})" in str(error) else 1)
                os._exit(2)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert on_a_disk(tmp_path / "state", job) == 0


@needs_root
def test_the_status_file_on_a_full_disk(tmp_path):
    """It is the new one, or the old one if that has no room, and never half of one."""

    def job(disk):
        disk.fill()
        with pytest.raises(OSError) as first:
            write_facts(disk.path, {"a": 0})
        left = os.listdir(disk.path)
        disk.enlarge()
        write_facts(disk.path, {"a": "x" * 3000})
        mount("none", disk.path, "tmpfs", MS_REMOUNT, "size=520k")
        disk.fill()
        found = []
        for facts in ({"a": "y" * 3500}, {"a": 1}):
            write_facts(disk.path, facts)
            found.append(read_daemon_status(disk.path) == facts)
        with pytest.raises(OSError) as last:
            write_facts(disk.path, {"a": "z" * 9000})
        return first.value.errno, left, found, last.value.errno, read_daemon_status(disk.path)

    first, left, found, last, facts = on_a_disk(tmp_path / "state", job)
    assert (first, last) == (errno.ENOSPC, errno.ENOSPC)
    assert left == ["filler"], "no empty file is left"
    assert found == [True, True]
    assert facts == {"a": 1}


@needs_root
def test_the_lines_of_a_time_without_room_are_written_later(tmp_path):
    def job(disk):
        os.mkdir(f"{disk.path}/state", 0o700)
        state, said = State(f"{disk.path}/state"), []
        record = DaemonRecord(said.append)
        record.open(Settings.of(state=state.directory), state)
        record.started()
        disk.fill()
        for number in range(100):  # the last block of the log has some room
            record.volume_lost(b"/srv", f"{number} " + "x" * 100)
        record.problem("scanning", "full", "the disk is full")
        written = len(list(read(state.directory)))
        record.write_delayed()
        disk.enlarge()
        record.write_delayed()
        record.well("scanning")
        lines = list(read(state.directory))
        return said, written, [(one.event, one.facts) for one in lines], verify(state.directory)

    said, written, lines, verified = on_a_disk(tmp_path / "disk", job)
    assert written < 90
    assert "free some space there" in said[0]
    assert [event for event, _ in lines] == [
        "daemon-started", *["volume-lost"] * 100, "problem", "problem-ended"
    ]  # fmt: skip
    assert [int(facts["message"].split()[0]) for _, facts in lines[1:101]] == list(range(100))
    assert [("delayed_since" in facts) for _, facts in lines] == [
        *[False] * written, *[True] * (102 - written), False
    ]  # fmt: skip
    assert verified.findings == []


def test_only_so_many_lines_wait(tmp_path):
    state = State(str(tmp_path / "state"))
    record = DaemonRecord(lambda _message: None)
    record.open(Settings.of(state=state.directory), state)
    (tmp_path / "state" / "audit").write_bytes(b"")
    for number in range(1100):
        record.volume_lost(b"/srv", str(number))
    (tmp_path / "state" / "audit").unlink()
    record.write_delayed()
    numbers = [int(one.facts["message"]) for one in read(state.directory)]
    assert numbers == list(range(100, 1100))
