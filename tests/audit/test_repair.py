"""hashscan.audit.repair: the end of a log that a kill, a power cut or a deletion left."""

import pytest

from hashscan.audit import events
from hashscan.audit.line import parse
from hashscan.audit.reader import read


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
