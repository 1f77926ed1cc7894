"""hashscan.scan.directory_task: which files are hashed, skipped, handed over and handed back."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest
from catalog_rows import row as catalog_row
from faulty import break_os, raising
from one_task import KNOWN, Place

from hashscan.catalog.reader import CatalogReader
from hashscan.fs.beneath import MAX_PATH
from hashscan.fs.listing import ListedDirectory, ListedError, ListedGone, ListedOther
from hashscan.fs.private import QUARANTINE_MARK
from hashscan.fs.reading import identity_in
from hashscan.fs.volume import Volume
from hashscan.model import Skipped
from hashscan.scan import changed_entries, directory_task
from hashscan.scan.messages import Task
from hashscan.scan.outbox import FindingsOutbox
from hashscan.scan.volume_root import VolumeRoot

KIB = 1 << 10


@pytest.fixture
def place(tmp_path, state):
    one = Place(tmp_path / "volume", state, settles=False)
    yield one
    one.catalog.close()


@pytest.fixture
def check(place):
    """A function that lets a worker check files of a directory; returns hashed and handed back."""

    def check(sizes, *, bound, holes=(), large=False, look=True):
        for name, size in sizes.items():
            with open(place.path / name, "wb") as file:
                if name in holes:
                    file.truncate(size)
                else:
                    file.write(os.urandom(size))
        names = tuple((name.encode(), 0) for name in sizes) if look else None
        parts = place.do(bound=bound, names=names, look=look, final=look, large=large)
        hashed = {os.fsdecode(row[0]) for part in parts for row in part.rows}
        return hashed, {os.fsdecode(name) for part in parts for name in part.large}

    return check


def test_a_file_above_the_bound_is_handed_back(check):
    sizes = {"at": 64 * KIB, "above": 64 * KIB + 1}
    assert check({"above": sizes["above"]}, bound=64 * KIB) == (set(), {"above"})
    assert check({"at": sizes["at"]}, bound=64 * KIB) == ({"at"}, set())


def test_files_that_are_together_above_the_bound_are_handed_back(check):
    sizes = dict.fromkeys(("a", "b", "c", "d"), 30 * KIB)
    hashed, large = check(sizes, bound=64 * KIB)
    assert (len(hashed), len(large)) == (2, 2), "many changes at once are as long as a large one"
    assert hashed | large == set(sizes)


def test_a_large_file_does_not_count_for_those_after_it(check):
    sizes = {"large": 200 * KIB, "a": 30 * KIB, "b": 30 * KIB}
    assert check(sizes, bound=64 * KIB) == ({"a", "b"}, {"large"})


def test_in_a_listing_only_each_file_counts(check):
    sizes = {"large": 200 * KIB, "a": 30 * KIB, "b": 30 * KIB, "c": 30 * KIB}
    hashed, large = check(sizes, bound=64 * KIB, look=False)
    assert (hashed, large) == ({"a", "b", "c"}, {"large"})


def test_in_a_listing_a_file_at_the_bound_is_hashed(check):
    assert check({"at": 64 * KIB}, bound=64 * KIB, look=False) == ({"at"}, set())


def test_what_is_not_read_or_has_its_turn_is_not_handed_back(check):
    sizes = {"a": 200 * KIB}
    assert check(sizes, bound=64 * KIB, large=True) == ({"a"}, set())
    assert check(sizes, bound=None) == ({"a"}, set())
    _, large = check({"holes": 4 << 20}, bound=64 * KIB, holes={"holes"})
    assert large == set(), "a file of holes is not read"


@pytest.mark.parametrize(
    ("head", "hit", "is_read", "skipped"),
    [
        (None, False, False, {}),
        (b"", False, False, {"unknown-size": 1}),
        (b"8 bytes.", False, False, {"unknown-head": 1}),
        # Another set of filters came meanwhile, and has its size or its first block.
        (b"", True, True, {}),
        (b"8 bytes.", True, True, {}),
    ],
)
def test_what_a_dead_worker_had_stored_counts_and_is_not_read_again(
    place, head, hit, is_read, skipped
):
    (place.path / "f").write_bytes(b"content")
    row = place.row(
        b"f", sha1=os.urandom(20) if head is None else None, hit=hit, racy=True, head=head
    )
    place.catalog.put_files(place.root.number, [row])
    parts = place.do(again=True)
    assert [row[0] for part in parts for row in part.rows] == ([b"f"] if is_read else [])
    assert sum(part.tally.hashed for part in parts) == (not skipped)
    assert {key: count for part in parts for key, count in part.tally.skipped.items()} == skipped


def test_a_file_that_is_reported_and_did_not_change_is_not_read(place):
    (place.path / "f").write_bytes(b"content")
    row = place.row(b"f", sha1=os.urandom(20))
    place.catalog.put_files(place.root.number, [row])
    parts = place.do(names=((b"f", 0),), look=True, final=True)
    assert [row[0] for part in parts for row in part.rows] == []
    assert sum(part.tally.hashed for part in parts) == 0


def test_reported_names_are_checked_whatever_they_are_now(place, monkeypatch):
    monkeypatch.setattr(changed_entries, "is_at_rest", lambda _fd, entry: entry.name != b"busy")
    for name in ("busy", "file"):
        (place.path / name).write_bytes(b"content")
    (place.path / "directory").mkdir()
    os.mkfifo(place.path / "fifo")
    row = catalog_row(b"gone", device=-place.root.number, sha1=KNOWN)
    place.catalog.put_files(place.root.number, [row])
    names = (b"busy", b"file", b"directory", b"fifo", b"gone", b"never")
    parts = place.do(names=tuple((name, 0) for name in names), look=True)
    (part,) = parts
    assert [row[0] for row in part.rows] == [b"file"]
    assert part.unrested == [(b"busy", 7)]
    assert [name for name, _ in part.directories] == [b"directory"]
    assert part.tally.skipped == {"fifo": 1}
    assert part.gone == [b"gone"], "nobody has to forget a name that the catalog has not"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("hit", "judged"), [(False, "now"), (True, "now"), (False, "before")])
def test_an_unchanged_file_is_judged_again_by_the_filters_of_now(place, known, hit, judged):
    (place.path / "f").write_bytes(b"content")
    before = place.catalog.filterset("before")
    row = place.row(
        b"f",
        sha1=KNOWN if known else os.urandom(20),
        hit=hit,
        judged=place.judged if judged == "now" else before,
        scan=1,
    )
    place.catalog.put_files(place.root.number, [row])
    parts = place.do()
    tally = sum((part.tally.unchanged for part in parts), 0)
    assert (tally, [row for part in parts for row in part.rows]) == (1, [])
    again = [one for part in parts for one in part.rejudged]
    assert again == ([(b"f", known)] if judged == "before" else [])
    found = [one.name for part in parts for one in part.candidates]
    assert found == ([b"f"] if known and (hit or judged == "before") else [])


@pytest.mark.parametrize(("sizes", "given"), [((40, 40, 40, 1, 1), 2), ((40, 40, 1, 1, 1), None)])
def test_files_are_handed_over_after_so_many_bytes(monkeypatch, sizes, given):
    monkeypatch.setattr(directory_task, "PART_BYTES", 100)
    names = [(b"f%d" % number, number) for number in range(len(sizes))]
    handed = []

    def run(_fd, names, start, *, most_bytes, **_more):
        read = 0
        while start < len(names) and read < most_bytes:
            read += sizes[names[start][1]]
            start += 1
        return start, read

    part = bare_part()
    part._tools = SimpleNamespace(
        hasher=SimpleNamespace(fast=SimpleNamespace(run=run)),
        outbox=SimpleNamespace(may_hand_over=lambda: True),
    )
    part._give = lambda rest: handed.append(list(rest))
    part._hash_all(names)
    assert handed == ([] if given is None else [names[-given:]])


@pytest.mark.parametrize(
    ("number", "is_unread"),
    [(errno.EIO, True), (errno.ESTALE, True), (errno.EACCES, False), (errno.ELOOP, False)],
)
def test_an_entry_that_the_storage_does_not_show_may_be_a_directory(number, is_unread):
    part = bare_part()
    part._handle(ListedError(b"x", OSError(number, os.strerror(number))))
    assert (part._findings.unread, part._findings.tally.problems) == (is_unread, 1)


@pytest.mark.parametrize(("excluded", "reason"), [(True, "excluded"), (False, "fifo")])
def test_an_excluded_special_file_is_skipped_as_excluded(excluded, reason):
    part = bare_part(excluded)
    part._handle(ListedOther(b"x", Skipped.FIFO))
    assert part._findings.tally.skipped == {reason: 1}


def bare_part(excluded=False, path=b""):
    root = SimpleNamespace(
        excludes=lambda _path: excluded, has_excludes=excluded, row_device=(0, 0)
    )
    return directory_task.DirectoryTask(None, Task(1, 0, 1, path, False), root, -1)


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("idle", [True, False])
def test_a_large_directory_is_hashed_in_parts(place, monkeypatch, fresh, idle):
    """Each file is hashed here or by an idle process, never by both."""
    monkeypatch.setattr(directory_task, "PART_FILES", 4)
    monkeypatch.setattr(FindingsOutbox, "may_hand_over", lambda _self: idle)
    names = {b"%02d" % number for number in range(10)}
    for name in names:
        (place.path / name.decode()).write_bytes(name)
    parts = place.do(fresh=fresh)
    rows = [[row[0] for row in part.rows] for part in parts]
    given = [[name for name, _ in part.give] for part in parts]
    assert sorted(name for some in rows + given for name in some) == sorted(names)
    assert max(map(len, rows + given)) <= 4
    assert sum(map(len, given)) == (8 if idle else 0)
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


def test_what_is_handed_over_is_sent_immediately():
    part, sent = bare_part(), []
    part._tools = SimpleNamespace(outbox=SimpleNamespace(flush=lambda: sent.append("flush")))
    part._send = lambda: sent.append(part._findings.give)
    part._give([(b"a", 1), (b"b", 2)])
    assert sent == [((b"a", 1), (b"b", 2)), "flush"]


# Directories


def only(parts):
    """The only findings."""
    (part,) = parts
    return part


@pytest.mark.parametrize(
    ("inode", "same_device", "is_replaced"),
    [("any", True, False), ("own", True, False), ("other", True, True), ("other", False, False)],
)
def test_a_directory_that_took_the_place_of_another_is_reported(
    place, monkeypatch, inode, same_device, is_replaced
):
    own = place.path.stat().st_ino
    if not same_device:  # a mount hides the directory that the listing of its parent showed
        monkeypatch.setattr(VolumeRoot, "device", -1)
    found = only(place.do(inode={"any": 0, "own": own, "other": own + 1}[inode]))
    assert found.replaced == (own if is_replaced else 0)


@pytest.fixture
def enter(place):
    """A function that lists the directory ``name``; returns why it is skipped, if it is."""

    def enter(name, mode=0o755, **options):
        inner = place.path / name
        inner.mkdir(exist_ok=True)
        inner.chmod(mode)
        (inner / "f").write_bytes(b"content")
        found = only(place.do(fresh=True, path=name.encode(), options=options))
        assert found.done
        assert [row[0] for row in found.rows] == ([] if found.tally.skipped else [b"f"])
        (reason,) = found.tally.skipped or (None,)
        assert found.tally.files == 1
        return reason

    return enter


def test_the_state_and_other_volumes_are_not_entered(place, enter):
    assert enter("d") is None
    inner = place.path / "d"
    assert enter("d", own=frozenset({identity_in(inner.stat())})) == "hashscan"
    assert enter("d", others=(Volume(os.fsencode(inner)),)) == "other-volume"
    assert enter("d", others=(Volume(os.fsencode(place.path / "elsewhere")),)) is None


def test_a_private_directory_is_not_entered_if_it_is_hashscans_own(enter, monkeypatch):
    assert enter(".hashscan-x", 0o700) == "hashscan"
    assert enter(".hashsca", 0o700) is None
    # A customer's directory does not hide files by its name.
    for mode in (0o701, 0o710, 0o740, 0o704):
        assert enter(".hashscan-x", mode) is None, oct(mode)
    break_os(monkeypatch, directory_task, geteuid=lambda: os.geteuid() + 1)
    assert enter(".hashscan-x", 0o700) is None


def test_a_quarantine_is_not_entered_unless_others_can_write_to_it(place, enter):
    (place.path / "q").mkdir()
    (place.path / "q" / QUARANTINE_MARK.decode()).touch()
    found = only(place.do(fresh=True, path=b"q"))
    assert found.tally.files == 1, "it is open to others, so it is a directory like any other"
    (place.path / "q").chmod(0o700)
    found = only(place.do(fresh=True, path=b"q"))
    assert (found.tally.skipped, found.rows) == ({"hashscan": 1}, [])


@pytest.mark.parametrize(
    ("path", "name", "is_entered"),
    [
        (b"", b"d", True),
        (b"p" * (MAX_PATH - 2), b"d", True),
        (b"p" * (MAX_PATH - 1), b"d", False),
        (b"p/" * 9 + b"p", b"d", False),
        (b"p/" * 8 + b"p", b"d", True),
    ],
)
def test_directories_are_entered_to_a_depth_that_the_problem_names(
    monkeypatch, path, name, is_entered
):
    monkeypatch.setattr(directory_task, "MAX_LEVELS", 10)
    part = bare_part(path=path)
    part._handle(ListedDirectory(name, 5))
    found = part._findings
    assert found.directories == ([(name, 5)] if is_entered else [])
    assert [(one.name, one.reason) for one in found.problems] == (
        [] if is_entered else [(name, "too-deep")]
    )
    assert all(f"10 levels and {MAX_PATH} bytes" in one.message for one in found.problems)


def test_an_entry_that_is_gone_is_followed_by_its_inode():
    part = bare_part()
    part._handle(ListedGone(b"x", 7))
    assert part._lost == [(b"x", 7)]
    assert part._findings.tally.files == 0, "it has its outcome later"


@pytest.mark.parametrize("has_rows", [False, True])
def test_a_directory_that_cannot_be_listed_to_its_end_keeps_its_rows(place, monkeypatch, has_rows):
    (place.path / "a").write_bytes(b"a")
    (place.path / "b").write_bytes(b"b")
    rows = [place.row(name, sha1=KNOWN, scan=1) for name in (b"a", b"b") if has_rows]
    place.catalog.put_files(place.root.number, rows)
    whole = directory_task.listing

    def half(*given, **options):
        yield from list(whole(*given, **options))[:1]
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(directory_task, "listing", half)
    found = only(place.do(fresh=not has_rows))
    assert (found.gone, found.done, found.unread) == ([], True, True)
    assert [(one.name, one.reason) for one in found.problems] == [(b"", "io-error")]
    assert (found.tally.hashed, found.tally.unchanged) == ((0, 2) if has_rows else (1, 0))


def test_a_directory_that_fails_is_one_problem(place, monkeypatch):
    (place.path / "a").write_bytes(b"a")
    break_os(monkeypatch, directory_task, fstat=raising(errno.ESTALE))
    found = only(place.do())
    assert [(one.name, one.reason) for one in found.problems] == [(b"", "stale")]
    assert (found.tally.files, found.unread, found.done) == (1, True, True)


@pytest.mark.parametrize("are_unchanged", [False, True])
def test_names_that_are_gone_are_reported_in_parts(place, monkeypatch, are_unchanged):
    monkeypatch.setattr(directory_task, "PART_NAMES", 2)
    (place.path / "here").write_bytes(b"content")
    row = place.row(b"here", sha1=os.urandom(20), racy=not are_unchanged, scan=1)
    names = [b"gone%d" % number for number in range(5)]
    rows = [row._replace(name=name) for name in names]
    place.catalog.put_files(place.root.number, [row, *rows])
    parts = place.do()
    assert sorted(name for part in parts for name in part.gone) == names
    assert [len(part.gone) for part in parts] == [2, 2, 1]
    assert [part.done for part in parts] == [False, False, True]
    counted = [part.tally.unchanged if are_unchanged else part.tally.hashed for part in parts]
    assert counted == [1, 0, 0]


def test_of_more_names_than_memory_holds_only_those_that_are_gone_are_forgotten(place, monkeypatch):
    for method in ("directory", "settled"):
        monkeypatch.setattr(CatalogReader, method, lambda *_given, **_options: None)
    (place.path / "here").write_bytes(b"content")
    (place.path / "unreadable").mkdir()
    row = place.row(b"here", sha1=os.urandom(20), scan=1)
    rows = [row._replace(name=name) for name in (b"gone", b"unreadable")]
    place.catalog.put_files(place.root.number, [row, *rows])
    unreadable = raising(errno.EACCES, os.lstat, on=lambda name: name == b"unreadable")
    break_os(monkeypatch, directory_task, lstat=unreadable)
    found = only(place.do())
    assert (found.gone, unreadable.count) == ([b"gone"], 1)
    assert (found.tally.unchanged, found.rows) == (1, []), "each row is looked up by its name"


@pytest.mark.parametrize(("most", "counts"), [(2, [2, 2, 1]), (3, [3, 2])])
def test_directories_are_sent_in_parts(place, monkeypatch, most, counts):
    monkeypatch.setattr(directory_task, "PART_FILES", most)
    for number in range(5):
        (place.path / f"d{number}").mkdir()
    assert [len(part.directories) for part in place.do()] == counts


def test_counts_of_many_skipped_entries_are_sent_in_parts(place, monkeypatch):
    monkeypatch.setattr(directory_task, "PART_FILES", 1)
    for number in range(33):
        os.mkfifo(place.path / f"f{number}")
    assert [part.tally.files for part in place.do()] == [16, 16, 1]


def test_what_a_dead_process_left_is_hashed_by_one_of_its_names(place):
    (place.path / "a").write_bytes(b"content")
    os.link(place.path / "a", place.path / "b")
    found = only(place.do(again=True))
    assert {row[0] for row in found.rows} == {b"a", b"b"}
    assert (found.tally.hashed, found.tally.bytes_hashed) == (2, 7), "it was read once"
