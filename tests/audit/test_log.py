"""The writer: order, locks, rotation, and what a kill or a full disk leaves."""

import json
import multiprocessing
import os
import resource
import signal

import pytest

from hashscan.audit import events
from hashscan.audit.actor import Who
from hashscan.audit.line import GENESIS, parse
from hashscan.audit.log import AuditLog, EventEntry
from hashscan.audit.reader import newest, read
from hashscan.audit.verify import verify
from hashscan.errors import StateError

WHO = Who(1000, "alice", "command")


def seqs(small):
    return [event.seq for event in read(small.state)]


def chained(small):
    """The lines' numbers; each line must continue the one before it."""
    prev, seq = None, None
    for raw in small.lines():
        event = parse(raw)
        assert event is not None, raw
        if seq is not None:
            assert (event.seq, event.prev) == (seq + 1, prev)
        seq, prev = event.seq, event.hash
    return seqs(small)


def test_the_first_line_begins_the_chain(small):
    assert small.log().append(events.MOVED, WHO, path="/srv/a") == 1
    event = parse(small.lines()[0])
    assert (event.seq, event.prev, event.event) == (1, GENESIS, "moved")
    assert small.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in small.directory.iterdir()} == {0o600}


def test_lines_continue_the_chain_and_the_head_names_the_newest(small):
    small.fill(5)
    assert chained(small) == [1, 2, 3, 4, 5]
    head = json.loads((small.directory / "head").read_bytes())
    assert head["seq"] == newest(small.state) == 5
    assert head["hash"] == parse(small.lines()[-1]).hash
    assert head["size"] == small.files[0].stat().st_size


def test_nothing_is_made_for_nothing(small):
    assert small.log().append_all([]) == 0
    assert not small.directory.exists()


def test_many_lines_cost_one_fsync(small, monkeypatch):
    small.fill(1)
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    entries = [EventEntry(events.MATCH, WHO, {"n": number}) for number in range(100)]
    assert small.log().append_all(entries) == 101
    assert len(synced) == 1
    assert small.log().append_all(entries, sync=False) == 201
    assert len(synced) == 1
    assert len(chained(small)) == 201


def test_a_line_is_synced_before_the_head_names_it(small, monkeypatch):
    small.fill(1)
    head = small.directory / "head"
    before = head.read_bytes()
    calls = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (calls.append(head.read_bytes()), real(fd)))
    small.fill(1)
    assert calls == [before]
    assert head.read_bytes() != before


def test_the_head_is_on_the_disk_before_the_file_that_it_named_is_removed(small, monkeypatch):
    head = small.directory / "head"
    synced, removed = [], []
    real, unlink = os.fdatasync, os.unlink

    def sync(fd):
        real(fd)
        if os.path.samestat(os.fstat(fd), os.stat(head)):
            synced.append(json.loads(head.read_bytes())["file"])

    def remove(name, **more):
        removed.append((name, synced[-1]))
        unlink(name, **more)

    monkeypatch.setattr(os, "fdatasync", sync)
    monkeypatch.setattr(os, "unlink", remove)
    log = AuditLog(str(small.state), file_size=2000, files=2)
    for _ in range(40):
        log.append(events.MOVED, WHO)
    assert removed
    assert all(int(name.partition(".")[0]) < number for name, number in removed)


def test_a_head_that_a_power_cut_made_older_is_followed_up(small):
    small.fill(1)
    head = small.directory / "head"
    before = head.read_bytes()
    small.fill(20)
    head.write_bytes(before)
    assert verify(str(small.state)).findings == []
    small.fill(1)
    result = verify(str(small.state))
    assert (result.findings, result.last) == ([], 22)


def _write_many(state, number, count):
    log = AuditLog(state, file_size=4000, files=None)
    for turn in range(count):
        log.append(events.MOVED, WHO, writer=number, turn=turn)


def test_several_processes_write_one_chain(small):
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_write_many, args=(small.state, n, 25)) for n in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join(60)
        assert one.exitcode == 0
    assert chained(small) == list(range(1, 101))
    turns = {number: [] for number in range(4)}
    for event in read(small.state):
        turns[event.facts["writer"]].append(event.facts["turn"])
    assert all(found == list(range(25)) for found in turns.values())


def test_a_clock_that_goes_back_changes_no_order(small, monkeypatch):
    times = iter(["2030-01-01T00:00:00.000Z", "2001-01-01T00:00:00.000Z"])
    monkeypatch.setattr("hashscan.audit.log.rfc3339", lambda: next(times))
    small.fill(2)
    assert [event.time[:4] for event in read(small.state)] == ["2030", "2001"]
    assert chained(small) == [1, 2]


def test_each_new_file_is_synced_in_its_directory(small, monkeypatch):
    synced = []
    monkeypatch.setattr("hashscan.audit.log.sync_names", synced.append)
    small.fill(1, file_size=700)
    assert len(synced) == 2, "the head and the first file"
    small.fill(1, file_size=700)
    assert len(synced) == 2
    small.fill(4, file_size=700)
    assert len(synced) == 1 + len(small.files)


# Rotation


def test_a_full_file_is_followed_by_the_next_one(small):
    small.fill(20, file_size=1000)
    assert len(small.files) > 3
    assert all(path.stat().st_size <= 1000 for path in small.files)
    assert chained(small) == list(range(1, 21))


def test_old_files_are_removed_after_a_line_about_it(small):
    small.fill(40, file_size=1000, files=3)
    assert len(small.files) == 3
    found = chained(small)
    assert found[-1] > 40  # with the lines about the removals
    removals = [event for event in read(small.state) if event.event == events.LOG_REMOVED]
    first = parse(small.lines()[0])
    assert {"seq": first.seq, "prev": first.prev} in [one.facts["begins"] for one in removals]
    assert removals[-1].facts["file"] == f"{int(small.files[0].stem) - 1:06}.jsonl"


# The end of the log


def last_event(small):
    return list(read(small.state))[-1]


# What stands in the way


def test_a_full_disk_leaves_no_half_line(small):
    """The kernel's bound of a file's size stands for the full disk: a part is written, then none."""
    small.fill(3)
    size = small.files[0].stat().st_size
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limits[1]))
        with pytest.raises(StateError, match=r"audit log .* cannot be written: file too large"):
            small.fill(1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert small.files[0].stat().st_size == size
    small.fill(1)
    assert chained(small) == [1, 2, 3, 4]
    assert last_event(small).event == events.MOVED


def test_a_writer_that_stands_still_is_not_waited_for_without_end(small, monkeypatch):
    import fcntl

    small.fill(1)
    monkeypatch.setattr("hashscan.audit.log._PATIENCE", 0.02)
    with open(small.directory / "head", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StateError, match="another process has held its lock"):
            small.fill(1)
    assert seqs(small) == [1]
