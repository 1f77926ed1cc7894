"""The writer: order, locks, rotation, and what a kill or a full disk leaves."""

import json
import multiprocessing
import os
import resource
import signal

import pytest
from faulty import break_os

from hashscan.audit import events
from hashscan.audit import head as head_module
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


def test_a_head_that_is_not_written_whole_is_an_error(small, monkeypatch):
    small.fill(1)
    break_os(monkeypatch, head_module, pwrite=lambda _fd, raw, _at: len(raw) - 1)
    with pytest.raises(StateError, match="no space left on device"):
        small.log().append(events.MOVED, WHO)


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


def test_half_a_line_is_cut_off_and_noted(small):
    small.fill(3)
    with open(small.files[0], "ab") as file:
        file.write(b'{"event":"mov')
    assert seqs(small) == [1, 2, 3]
    small.fill(1)
    assert chained(small) == [1, 2, 3, 4, 5]
    note = list(read(small.state))[3]
    assert (note.event, note.facts["reason"]) == (events.LOG_REPAIRED, "torn")
    assert "13 bytes" in note.facts["message"]


def test_lines_that_the_head_does_not_know_yet_count(small):
    small.fill(3)
    before = (small.directory / "head").read_bytes()
    small.fill(2)
    (small.directory / "head").write_bytes(before)
    small.fill(1)
    assert chained(small) == [1, 2, 3, 4, 5, 6]
    assert all(event.event == events.MOVED for event in read(small.state))


def test_a_file_that_the_head_does_not_know_yet_counts(small):
    small.fill(3, file_size=100)
    before = (small.directory / "head").read_bytes()
    small.fill(2, file_size=100)
    (small.directory / "head").write_bytes(before)
    small.fill(1, file_size=100)
    assert chained(small) == [1, 2, 3, 4, 5, 6]
    assert all(event.event == events.MOVED for event in read(small.state))


def test_a_new_file_without_a_line_is_used(small):
    small.fill(3)
    (small.directory / "000002.jsonl").touch()
    small.fill(1)
    assert chained(small) == [1, 2, 3, 4]
    assert small.files[1].stat().st_size > 0


def test_a_cut_end_stays_a_gap(small):
    small.fill(4)
    lines = small.files[0].read_bytes().splitlines(keepends=True)
    small.files[0].write_bytes(b"".join(lines[:2]))
    small.fill(1)
    assert seqs(small) == [1, 2, 5, 6]
    note = list(read(small.state))[2]
    assert (note.event, note.facts["reason"]) == (events.LOG_REPAIRED, "cut")
    assert note.prev == parse(lines[3][:-1]).hash
    assert small.files[0].read_bytes() == b"".join(lines[:2])


def test_a_removed_file_stays_a_gap(small):
    small.fill(4)
    small.files[0].unlink()
    small.fill(1)
    assert seqs(small) == [5, 6]
    assert small.files[0].name == "000002.jsonl"


def test_lines_that_do_not_continue_the_chain_are_left_and_noted(small):
    small.fill(2)
    with open(small.files[0], "ab") as file:
        file.write(small.lines()[0] + b"\n")
    small.fill(1)
    assert seqs(small) == [1, 2, 1, 3, 4]
    assert list(read(small.state))[3].facts["reason"] == "foreign"


@pytest.mark.parametrize("content", [None, b"", b"x" * 256, b"{}" + b" " * 253 + b"\n"])
def test_a_missing_or_damaged_head_is_made_again_and_noted(small, content):
    small.fill(3)
    head = small.directory / "head"
    head.unlink() if content is None else head.write_bytes(content)
    small.fill(1)
    assert chained(small) == [1, 2, 3, 4, 5]
    assert list(read(small.state))[3].facts["reason"] == "head"


# What stands in the way


@pytest.mark.parametrize("name", ["head", "000001.jsonl"])
@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "socket-like"])
def test_nothing_is_written_through_what_is_no_file(small, tmp_path, name, kind):
    small.directory.mkdir(mode=0o700)
    target = tmp_path / "target"
    target.write_bytes(b"")
    place = small.directory / name
    if kind == "link":
        place.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    else:
        os.symlink("/nowhere/at/all", place)
    with pytest.raises(StateError, match=f"audit/{name}.* cannot be written: .*; (re)?move"):
        small.fill(1)
    assert target.read_bytes() == b""


def test_a_link_in_the_place_of_the_directory_is_refused(small, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    small.directory.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="cannot be written"):
        small.fill(1)
    assert not list((tmp_path / "elsewhere").iterdir())


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


def test_the_reason_and_the_fix_are_said(small, monkeypatch):
    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StateError, match="no space left on device; free some space there"):
        small.fill(1)


def test_a_writer_that_stands_still_is_not_waited_for_without_end(small, monkeypatch):
    import fcntl

    small.fill(1)
    monkeypatch.setattr("hashscan.audit.log._PATIENCE", 0.02)
    with open(small.directory / "head", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StateError, match="another process has held its lock"):
            small.fill(1)
    assert seqs(small) == [1]
