"""SIGKILL before each system call of the writer: the log verifies, and has each line it confirmed."""

import shutil

import pytest
from dying import Dying

from hashscan.audit import events
from hashscan.audit.actor import Who
from hashscan.audit.line import parse
from hashscan.audit.log import AuditLog
from hashscan.audit.reader import newest, read
from hashscan.audit.verify import verify

WHO = Who(0, "root", "scan")
#: The first line, an ordinary one, those that begin new files, and those that remove old files.
SCRIPT = """
import os, sys
from hashscan.audit.log import AuditLog, EventEntry
from hashscan.audit.actor import Who
log = AuditLog(sys.argv[1], file_size=700, files=2)
confirmed = open(sys.argv[2], "a", buffering=1)
who = Who(0, "root", "scan")
for number in range(6):
    last = log.append_all([EventEntry("moved", who, {"n": number})], sync=number % 3 != 1)
    print(last, file=confirmed)
log.append_all([EventEntry("moved", who, {"n": number}) for number in range(3)])
"""
CALLS = "open,mkdir,write,pwrite,fdatasync,fsync,unlink,ftruncate"


def check(state, confirmed):
    """The log verifies, before the next writer and after it, and nothing confirmed is missing."""
    assert verify(str(state)).findings == []
    found = {event.seq for event in read(str(state))}
    first = min(found, default=1)
    assert {seq for seq in confirmed if seq >= first} <= found
    assert newest(str(state)) <= max(found, default=0)
    seq = AuditLog(str(state), file_size=700, files=2).append(events.PURGED, WHO)
    assert seq > max(found, default=0)
    result = verify(str(state))
    assert (result.findings, result.last) == ([], seq)


def test_a_kill_at_any_instant_leaves_a_log_that_verifies(tmp_path):
    with Dying(SCRIPT, CALLS) as dying:
        for left in range(1000):
            state = tmp_path / "state"
            state.mkdir()
            noted = tmp_path / "confirmed"
            noted.write_text("")
            done = dying.run(left, state, noted)
            assert done.returncode in {0, -9}, done.stderr
            check(state, [int(line) for line in noted.read_text().split()])
            shutil.rmtree(state)
            if done.returncode == 0:
                break
    assert left > 60, "it has been killed at each call"


def test_a_kill_while_a_log_is_mended_leaves_one_that_verifies(small, tmp_path):
    small.fill(3)
    head = (small.directory / "head").read_bytes()
    small.fill(2)
    (small.directory / "head").write_bytes(head)
    with open(small.files[0], "ab") as file:
        file.write(b'{"event":"mov')
    script = SCRIPT.replace("file_size=700", "file_size=100000").replace("range(6)", "range(1)")
    with Dying(script, CALLS) as dying:
        for left in range(100):
            state = tmp_path / "copy"
            shutil.copytree(small.directory, state / "audit")
            done = dying.run(left, state, tmp_path / "confirmed")
            assert verify(str(state)).findings == []
            assert AuditLog(str(state)).append(events.PURGED, WHO) >= 6
            assert verify(str(state)).findings == []
            shutil.rmtree(state)
            if done.returncode == 0:
                break
    assert left > 8


@pytest.mark.parametrize("count", [1, 3])
def test_a_kill_within_a_write_leaves_a_log_that_verifies(small, tmp_path, count):
    """The kernel ends a write of several pages early if its process is killed."""
    small.fill(2)
    whole = small.files[0].read_bytes()
    head = (small.directory / "head").read_bytes()
    small.log().append_all([_entry(number) for number in range(count)])
    added = small.files[0].read_bytes()[len(whole) :]
    ends = [at + 1 for at, byte in enumerate(added) if byte == ord("\n")]
    for length in sorted({*range(0, len(added), 41), *ends, *(end - 1 for end in ends)}):
        small.files[0].write_bytes(whole + added[:length])
        (small.directory / "head").write_bytes(head)
        assert verify(small.state).findings == []
        small.fill(1)
        assert verify(small.state).findings == []
        complete = added[:length].count(b"\n")
        torn = not added[:length].endswith(b"\n") and length > 0
        assert parse(small.lines()[-1]).seq == 3 + complete + torn


def _entry(number):
    from hashscan.audit.log import EventEntry

    return EventEntry(events.MATCH, WHO, {"n": number})
