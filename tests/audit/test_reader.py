"""The reader: from a position, since a time, past damaged lines, while somebody writes."""

import os
import time

from hashscan.audit import events, reader
from hashscan.audit.reader import newest, read


def seqs(*given, **options):
    return [event.seq for event in read(*given, **options)]


def test_without_a_log_there_are_no_events(small, tmp_path):
    assert seqs(small.state) == []
    assert newest(small.state) == 0
    assert seqs(str(tmp_path / "missing")) == []
    assert list(tmp_path.iterdir()) == [], "a reader makes nothing"


def test_an_event_has_its_facts_and_who_did_it(small):
    small.fill(1)
    (event,) = read(small.state)
    assert (event.seq, event.event, event.facts) == (1, events.MOVED, {"n": 0})
    assert event.who.user == "alice"


def test_only_events_after_a_position(small):
    small.fill(30, file_size=1500)
    for position in range(32):
        assert seqs(small.state, position) == list(range(position + 1, 31))


def test_a_position_in_a_long_file_is_found_without_reading_all_of_it(small, monkeypatch):
    from hashscan.audit import reader
    from hashscan.audit.log import EventEntry

    entries = [EventEntry(events.MATCH, _who(), {"path": "x" * 500}) for _ in range(3000)]
    small.log().append_all(entries)
    parsed = []
    monkeypatch.setattr(
        reader, "parse", lambda raw, real=reader.parse: parsed.append(1) or real(raw)
    )
    for position in (1, 17, 1500, 2990, 2999, 3000, 4000):
        parsed.clear()
        assert seqs(small.state, position)[:1] == ([position + 1] if position < 3000 else [])
        if position >= 2990:
            assert len(parsed) < 300


def _who():
    from hashscan.audit.actor import Who

    return Who(0, "root", "scan")


def test_only_events_since_a_time(small, monkeypatch):
    times = iter(["2026-11-27T10:00:00.000Z", "2026-11-27T11:00:00.000Z", "2026-11-27T10:30:00Z"])
    monkeypatch.setattr("hashscan.audit.log.rfc3339", lambda: next(times))
    small.fill(3)
    assert seqs(small.state, since=1795777200.0 - 1800) == [2, 3]


def test_damaged_lines_are_named_and_left_out(small):
    small.fill(4)
    lines = small.files[0].read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"n":1', b'"n":7')
    lines[2] = b"x" * 5000 + b"\n"
    small.files[0].write_bytes(b"".join(lines))
    found = []
    assert seqs(small.state, on_damaged=lambda *where: found.append(where)) == [1, 4]
    assert found == [("000001.jsonl", 2), ("000001.jsonl", 3)]


def test_a_line_that_is_being_written_is_left_out(small):
    small.fill(2)
    with open(small.files[0], "ab") as file:
        file.write(b'{"event":')
    assert seqs(small.state, on_damaged=lambda *_: 1 / 0) == [1, 2]


def test_files_that_are_removed_meanwhile_are_left_out(small):
    small.fill(9, file_size=400)
    reading = read(small.state)
    assert next(reading).seq == 1
    for path in small.files[1:-1]:
        path.unlink()
    assert [event.seq for event in reading][-1] == 9


def spied(monkeypatch):
    """The numbers of the files that are opened from now on."""
    opened = []
    real = reader.open_number
    monkeypatch.setattr(
        reader,
        "open_number",
        lambda at, number, flags: opened.append(number) or real(at, number, flags),
    )
    return opened


def test_files_that_are_older_than_a_time_are_not_read(small, monkeypatch):
    small.fill(20, file_size=1200)
    *_, before, last = small.files
    now = time.time()
    for path in small.files[:-2]:
        os.utime(path, (now - 5 * 86400, now - 5 * 86400))
    opened = spied(monkeypatch)
    assert seqs(small.state, since=now - 3600)
    assert sorted(set(opened)) == [int(one.stem) for one in (before, last)]


def test_the_newest_events_are_read_from_the_end(small, monkeypatch):
    small.fill(20, file_size=1200)
    opened = spied(monkeypatch)
    found = reader.read_last(small.state, 4, lambda event: event.facts["n"] % 2 == 0)
    assert [event.facts["n"] for event in found] == [12, 14, 16, 18]
    assert 1 not in opened
    everything = reader.read_last(small.state, 99, lambda _: True)
    assert [event.seq for event in everything] == list(range(1, 21))
    assert reader.read_last(f"{small.state}/none", 5, lambda _: True) == []
