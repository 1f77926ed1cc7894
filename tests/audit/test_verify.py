"""``verify`` finds each change, gap and cut, and nothing in a log that nobody changed."""

import json
import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashscan.audit import events
from hashscan.audit.actor import Who
from hashscan.audit.line import GENESIS, encode, parse
from hashscan.audit.reader import read
from hashscan.audit.verify import verify

WHO = Who(1000, "alice", "command")


def kinds(small):
    return [one.kind for one in verify(small.state).findings]


def one_finding(small):
    (found,) = verify(small.state).findings
    return found


def rewrite(path, change):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(change(lines)))


@pytest.fixture
def log(small):
    """Five files with three lines or so each."""
    small.fill(15, file_size=900)
    assert len(small.files) >= 5
    assert kinds(small) == []
    return small


def test_nothing_is_found_in_a_log_that_nobody_changed(log):
    result = verify(log.state)
    assert (result.lines, result.first, result.last) == (15, 1, 15)
    assert result.files == len(log.files)
    assert result.hash == parse(log.lines()[-1]).hash


def test_no_log_has_no_findings(small):
    assert verify(small.state).findings == []
    small.directory.mkdir()
    assert verify(small.state).findings == []


def test_a_changed_line_is_named(log):
    rewrite(
        log.files[1], lambda lines: [lines[0], lines[1].replace(b"alice", b"mallo"), *lines[2:]]
    )
    found = one_finding(log)
    assert (found.kind, found.file, found.line) == ("changed", "000002.jsonl", 2)


def test_a_line_that_was_made_again_with_its_hash_is_found(log):
    lines = log.files[1].read_bytes().splitlines()
    old = parse(lines[1])
    new, _ = encode(old.seq, old.time, "purged", WHO, {}, old.prev)
    rewrite(log.files[1], lambda lines: [lines[0], new, *lines[2:]])
    found = one_finding(log)
    assert found.kind == "foreign"
    assert found.line in {0, 1, 3}


def test_a_removed_line_is_missing(log):
    rewrite(log.files[1], lambda lines: [lines[0], *lines[2:]])
    found = one_finding(log)
    assert (found.kind, found.file) == ("missing", "000002.jsonl")
    assert found.first == found.last


def test_a_removed_file_is_missing(log):
    log.files[2].unlink()
    found = one_finding(log)
    assert found.kind == "missing"
    assert found.last > found.first


def test_two_lines_in_each_other_s_place_are_reordered(log):
    rewrite(log.files[1], lambda lines: [lines[1], lines[0], *lines[2:]])
    assert set(kinds(log)) == {"reordered"}


def test_two_files_in_each_other_s_place_are_reordered(log):
    one, two = log.files[1], log.files[2]
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert set(kinds(log)) == {"reordered"}


def test_a_cut_end_is_found(log):
    rewrite(log.files[-1], lambda lines: lines[:-1])
    found = one_finding(log)
    assert (found.kind, found.first, found.last) == ("cut", 15, 15)


def test_half_of_the_newest_line_is_found(log):
    raw = log.files[-1].read_bytes()
    log.files[-1].write_bytes(raw[:-20])
    assert kinds(log) in (["cut"], ["changed"])


def test_all_files_removed_is_found(log):
    for path in log.files:
        path.unlink()
    found = one_finding(log)
    assert (found.kind, found.first, found.last) == ("cut", 1, 15)


def test_a_cut_end_is_found_after_the_writer_went_on(log):
    rewrite(log.files[-1], lambda lines: lines[:-1])
    log.fill(3)
    found = one_finding(log)
    assert (found.kind, found.first, found.last) == ("missing", 15, 15)


def test_a_cut_begin_is_found(log):
    log.files[0].unlink()
    found = one_finding(log)
    assert (found.kind, found.first) == ("cut", 1)
    assert "no line says that the lines before it were removed" in found.message


def test_a_begin_that_the_rotation_removed_is_none(small):
    small.fill(40, file_size=1000, files=3)
    assert verify(small.state).first > 1
    assert kinds(small) == []


def test_more_than_the_rotation_removed_is_found(small):
    small.fill(40, file_size=1000, files=4)
    small.files[0].unlink()
    assert kinds(small) == ["cut"]


def test_files_that_the_rotation_was_about_to_remove_are_no_finding(small):
    """Killed after the line, before the removal; and in between, where several are removed."""
    small.fill(12, file_size=400, files=None)
    before = {path: path.read_bytes() for path in small.files}
    small.fill(1, file_size=400, files=3)
    removed = [path for path in before if not path.exists()]
    assert len(removed) > 3
    for path in reversed(removed):
        path.write_bytes(before[path])
        assert kinds(small) == []


@pytest.mark.parametrize("what", ["missing", "empty", "damaged"])
def test_a_missing_head_is_found_and_stays_on_record(log, what):
    head = log.directory / "head"
    head.unlink() if what == "missing" else head.write_bytes(b"" if what == "empty" else b"x" * 256)
    assert kinds(log) == ["head"]
    log.fill(1)
    found = one_finding(log)
    assert found.kind == "head"
    assert "may have been cut off" in found.message


def test_a_forged_head_is_found(log):
    head = log.directory / "head"
    found = json.loads(head.read_bytes())
    text = json.dumps({**found, "hash": "0" * 64}, sort_keys=True)
    head.write_bytes(text.ljust(255).encode() + b"\n")
    assert kinds(log) == ["head"]


def test_a_line_of_another_log_is_found(log, tmp_path):
    other, _ = encode(16, "2026-11-27T10:00:00.000Z", "moved", WHO, {}, GENESIS)
    with open(log.files[-1], "ab") as file:
        file.write(other)
    assert kinds(log) == ["foreign"]


def test_another_log_in_its_place_is_found_by_a_line_that_was_noted(log):
    noted = {3: parse(log.lines()[2]).hash, 15: parse(log.lines()[-1]).hash}
    assert verify(log.state, noted).findings == []
    for path in log.directory.iterdir():
        path.unlink()
    log.fill(20, file_size=900)
    assert kinds(log) == []
    assert [one.kind for one in verify(log.state, noted).findings] == ["foreign", "foreign"]
    for path in log.directory.iterdir():
        path.unlink()
    log.directory.rmdir()
    assert [one.kind for one in verify(log.state, noted).findings] == ["foreign", "foreign"]


def test_a_link_in_the_place_of_a_file_is_found(log, tmp_path):
    content = log.files[1].read_bytes()
    (tmp_path / "elsewhere").write_bytes(content)
    log.files[1].unlink()
    (log.directory / "000002.jsonl").symlink_to(tmp_path / "elsewhere")
    assert kinds(log) == ["unreadable", "missing"]


def test_many_findings_are_counted(small):
    small.fill(1)
    lines = [b"x\n", *(encode(n, "t", "moved", WHO, {}, GENESIS)[0] for n in range(2, 900, 3))]
    small.files[0].write_bytes(b"".join(lines))
    result = verify(small.state)
    assert len(result.findings) == 200
    assert result.more > 90


def test_a_writer_that_works_meanwhile_is_no_finding(log, monkeypatch):
    from hashscan.audit import verify as module

    real, done = module.parse, []

    def parsing(raw):
        if not done:
            done.append(1)
            log.fill(8, file_size=900, files=4)
        return real(raw)

    monkeypatch.setattr(module, "parse", parsing)
    assert kinds(log) == []


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(
    seed=st.integers(0, 2**32), how=st.sampled_from(["byte", "insert", "remove", "line", "swap"])
)
def test_any_change_of_the_files_is_found(log, seed, how):
    """Whatever somebody without a copy of the hashing program changes."""
    before = {path: path.read_bytes() for path in log.files}
    chance = random.Random(seed)
    path = chance.choice(log.files)
    raw = bytearray(before[path])
    at = chance.randrange(len(raw))
    lines = before[path].splitlines(keepends=True)
    if how == "byte":
        raw[at] ^= chance.randint(1, 255)
    elif how == "insert":
        raw[at:at] = chance.randbytes(chance.randint(1, 9))
    elif how == "remove":
        del raw[at : at + chance.randint(1, 300)]
    elif how == "line":
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(log.lines()) + b"\n")
        raw = bytearray(b"".join(lines))
    else:
        other = chance.choice(log.files)
        raw = bytearray(before[other])
    try:
        path.write_bytes(raw)
        changed = path.read_bytes() != before[path]
        if changed:
            assert kinds(log) != []
    finally:
        for one, content in before.items():
            one.write_bytes(content)
    assert kinds(log) == []


def test_a_repair_of_half_a_line_is_no_finding(log):
    with open(log.files[-1], "ab") as file:
        file.write(b'{"event"')
    assert kinds(log) == []
    log.fill(1)
    assert kinds(log) == []
    assert [one.event for one in read(log.state)][-2:] == [events.LOG_REPAIRED, events.MOVED]
    assert os.path.exists(log.directory / "head")
