"""hashscan.scan.findings: what a worker reports of each file: row, candidate, outcome."""

import hashlib
import os

import pytest
from one_task import NoSizes, Place

from hashscan.catalog.rows import FileRow
from hashscan.model import Identity, Problem, Skipped, Tiers, head_key
from hashscan.scan import changed_entries, directory_task
from hashscan.scan.findings import count_not_hashed
from hashscan.scan.hashing import NotHashed
from hashscan.scan.messages import At, Findings, Job
from hashscan.scan.volume_root import VolumeRoot

BAD = b"this is known"
SHA1 = hashlib.sha1(BAD).digest()


@pytest.fixture
def place(tmp_path, state):
    one = Place(tmp_path / "volume", state, known=SHA1)
    yield one
    one.catalog.close()


def rows_of(parts):
    return {row[0]: FileRow(*row) for part in parts for row in part.rows}


def candidates_of(parts):
    return [one for part in parts for one in part.candidates]


def skipped_of(parts):
    found = {}
    for part in parts:
        for reason, count in part.tally.skipped.items():
            found[reason] = found.get(reason, 0) + count
    return found


@pytest.mark.parametrize("careful", [False, True])
def test_a_known_file_has_a_row_that_hits_and_a_candidate(place, monkeypatch, careful):
    if careful:
        monkeypatch.setattr("hashscan.scan.fast_path.BUFFER_SIZE", 1)
    (place.path / "bad").write_bytes(BAD)
    (place.path / "good").write_bytes(b"good")
    parts = place.do(fresh=True)
    good = hashlib.sha1(b"good").digest()
    assert rows_of(parts) == {
        b"bad": place.row(b"bad", sha1=SHA1, hit=True),
        b"good": place.row(b"good", sha1=good),
    }
    (found,) = candidates_of(parts)
    status = (place.path / "bad").stat()
    assert found.identity == Identity(status.st_dev, status.st_ino)
    assert (found.name, found.links, found.digests.sha1) == (b"bad", 1, SHA1)
    assert found.stamp == (len(BAD), status.st_mtime_ns, status.st_ctime_ns)
    assert (sum(part.tally.hashed for part in parts), skipped_of(parts)) == (2, {})
    assert sum(part.tally.bytes_hashed for part in parts) == len(BAD) + 4


def test_a_candidate_on_another_file_system_has_that_device(place, monkeypatch):
    opened = VolumeRoot.open

    def elsewhere(root):
        opened(root)
        root.row_device = (-1, -place.root.number)

    monkeypatch.setattr(VolumeRoot, "open", elsewhere)
    (place.path / "bad").write_bytes(BAD)
    status = (place.path / "bad").stat()
    parts = place.do(fresh=True)
    assert rows_of(parts)[b"bad"].device == status.st_dev
    (found,) = candidates_of(parts)
    assert found.identity == Identity(status.st_dev, status.st_ino)


def test_a_row_says_whether_the_file_has_other_names(place):
    (place.path / "one").write_bytes(BAD)
    os.link(place.path / "one", place.path / "two")
    (place.path / "empty").touch()
    parts = place.do(fresh=True)
    assert {name: row.linked for name, row in rows_of(parts).items()} == {
        b"one": True, b"two": True, b"empty": False,
    }  # fmt: skip
    assert [one.links for one in candidates_of(parts)] == [2, 2]


def test_a_file_that_is_skipped_by_its_size_has_a_row_to_believe(place):
    place.filters = (NoSizes(),)
    (place.path / "f").write_bytes(b"1234")
    os.link(place.path / "f", place.path / "linked")
    parts = place.do(fresh=True)
    assert rows_of(parts) == {
        name: place.row(name, linked=True, head=b"") for name in (b"f", b"linked")
    }
    assert skipped_of(parts) == {"unknown-size": 2}


def test_files_that_are_skipped_by_their_size_are_sent_in_parts(place, monkeypatch):
    monkeypatch.setattr(directory_task, "PART_FILES", 2)
    place.filters = (NoSizes(),)
    for number in range(5):
        (place.path / f"f{number}").write_bytes(b"1234")
    parts = place.do()
    assert [len(part.rows) for part in parts] == [2, 2, 1]
    assert skipped_of(parts) == {"unknown-size": 5}


class NoHeads(NoSizes):
    """A filter that knows the first block of ``BAD`` only."""

    tiers = Tiers(sizes=None, heads=frozenset({head_key(BAD)}))

    def __contains__(self, _digest):
        return False


@pytest.mark.parametrize("careful", [False, True])
def test_a_file_that_is_skipped_by_its_first_block_has_a_row_to_believe(place, careful):
    place.filters = (NoHeads(),)
    (place.path / "bad").write_bytes(BAD)
    (place.path / "good").write_bytes(b"good")
    parts = place.do(again=careful)
    assert rows_of(parts) == {
        b"bad": place.row(b"bad", sha1=SHA1),
        b"good": place.row(b"good", head=head_key(b"good")),
    }
    assert (sum(part.tally.hashed for part in parts), skipped_of(parts)) == (1, {"unknown-head": 1})
    assert sum(part.tally.bytes_hashed for part in parts) == len(BAD)


def test_a_file_that_becomes_a_link_after_its_listing_is_a_problem(place):
    (place.path / "f").symlink_to("/etc/passwd")
    parts = place.do(names=((b"f", 1),))
    (problem,) = [one for part in parts for one in part.problems]
    assert (problem.name, problem.reason) == (b"f", "changed")
    assert "is something else now" in problem.message
    assert skipped_of(parts) == {}


def test_what_a_lost_file_has_become_is_skipped_with_its_reason(place):
    (place.path / "now").symlink_to("/etc/passwd")
    inode = (place.path / "now").lstat().st_ino
    parts = place.do(names=((b"was", inode),), job=Job.FOLLOW)
    assert [one for part in parts for one in part.problems] == []
    assert skipped_of(parts) == {"symlink": 1}


@pytest.mark.parametrize("most", [1, 256])
def test_changed_files_that_are_gone_are_counted_once_and_not_followed(place, monkeypatch, most):
    monkeypatch.setattr(directory_task, "PART_FILES", most)

    def is_at_rest(_fd, entry):
        (place.path / os.fsdecode(entry.name)).unlink()
        return True

    monkeypatch.setattr(changed_entries, "is_at_rest", is_at_rest)
    for name in ("a", "b", "c"):
        (place.path / name).write_bytes(b"x")
    parts = place.do(names=((b"a", 0), (b"b", 0), (b"c", 0)), look=True)
    assert skipped_of(parts) == {"vanished": 3}
    assert [part.lost for part in parts if part.lost] == []


def test_a_new_file_that_is_gone_is_handed_back_with_its_inode(place):
    parts = place.do(names=((b"gone", 7),))
    assert [part.lost for part in parts] == [[(b"gone", 7)]]
    assert skipped_of(parts) == {}


def test_a_directory_is_done_after_its_last_findings(place, monkeypatch):
    monkeypatch.setattr(directory_task, "PART_FILES", 2)
    for number in range(5):
        (place.path / f"f{number}").write_bytes(b"x")
    parts = place.do(fresh=True)
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert len(rows_of(parts)) == 5


def test_names_are_announced_only_after_a_worker_died(place):
    for name in ("a", "b"):
        (place.path / name).write_bytes(b"x")
    place.do(fresh=False)
    assert [one for one in place.sent if isinstance(one, At)] == []
    parts = place.do(fresh=False, again=True, avoid=frozenset({b"a"}))
    assert [one.name for one in place.sent if isinstance(one, At)] == [b"b"]
    (problem,) = [one for part in parts for one in part.problems]
    assert (problem.name, problem.reason) == (b"a", "worker-died")


def test_excluded_files_and_directories_are_counted(place):
    (place.path / "private").mkdir()
    (place.path / "private" / "f").touch()
    for name in ("a.log", "b"):
        (place.path / name).write_bytes(b"x")
    for fresh in (True, False):
        parts = place.do(fresh=fresh, exclude=("*.log", "private/*"))
        assert skipped_of(parts) == {"excluded": 2}
        assert list(rows_of(parts)) == [b"b"]


def counted(name, reason):
    findings = Findings(0)
    count_not_hashed(findings, name, NotHashed(reason, "why"))
    return findings


@pytest.mark.parametrize("reason", Skipped)
def test_of_what_is_skipped_only_what_may_surprise_is_reported(reason):
    findings = counted(b"f", reason)
    assert findings.tally.skipped == {reason.value: 1}
    is_reported = reason in {Skipped.SPARSE, Skipped.TOO_LARGE}
    assert findings.skipped == ([(b"f", reason.value)] if is_reported else [])
    assert (findings.problems, findings.tally.problems, findings.later) == ([], 0, [])


@pytest.mark.parametrize("reason", Problem)
@pytest.mark.parametrize("name", [b"f", b""])
def test_a_problem_is_reported_and_checked_again_if_it_may_pass(reason, name):
    findings = counted(name, reason)
    assert [tuple(one) for one in findings.problems] == [(name, reason.value, "why")]
    assert (findings.tally.problems, findings.tally.skipped) == (1, {})
    passing = {Problem.CHANGED, Problem.BUSY, Problem.IO_ERROR, Problem.STALE}
    assert findings.later == ([(b"f", 0)] if name and reason in passing else [])
    # Of a directory whose storage fails no file is seen, however many there are.
    storage = {Problem.IO_ERROR, Problem.STALE, Problem.OTHER}
    assert findings.unread == (not name and reason in storage)
