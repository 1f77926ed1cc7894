"""Tiers in a scan: files are passed over only where no known file can be among them."""

import mmap
import os
import random
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from scanning import Scanner, Told, fill, nothing_is_hashed, options_of, settle, sha1
from tiered import tiered

from hashscan.catalog.store import Catalog
from hashscan.fs.reading import BUFFER_SIZE, CacheNeutralReader
from hashscan.fs.volume import Volume
from hashscan.known.filters.build import build
from hashscan.known.filters.filter_file import load
from hashscan.model import HEAD_LENGTH, Tiers, filterset_of, head_key, size_key
from hashscan.scan import screening
from hashscan.scan.directory_task import DirectoryTask
from hashscan.scan.hard_links import LinkTable
from hashscan.scan.messages import Task, WorkerSettings
from hashscan.scan.screening import Screen
from hashscan.scan.worker import Worker

SIZE, HEAD = "unknown-size", "unknown-head"


class Holds:
    """A tier of just these keys."""

    version = "1"

    def __init__(self, *keys):
        self.keys = keys

    def __contains__(self, key):
        return key in self.keys


def of(sizes=None, heads=None):
    return SimpleNamespace(
        tiers=Tiers(
            None if sizes is None else Holds(*map(size_key, sizes)),
            None if heads is None else Holds(*heads),
        )
    )


H, OTHER = head_key(b"h"), head_key(b"o")


@pytest.mark.parametrize(
    ("filters", "by_size", "by_head"),
    [
        ([], False, False),
        ([of()], False, False),
        ([of(sizes=[5])], True, False),
        ([of(heads=[H])], False, True),
        ([of(sizes=[5]), of(sizes=[6])], True, False),
        ([of(sizes=[5]), of()], False, False),
        ([of(sizes=[5], heads=[H]), of(sizes=[6])], True, True),
        ([of(sizes=[5]), of(heads=[H])], False, True),
        ([of(heads=[H]), of()], False, False),
    ],
)
def test_every_filter_must_be_able_to_say_no(filters, by_size, by_head):
    screen = Screen(filters)
    assert (screen.sizes, screen.heads) == (by_size, by_head)
    assert screen.rules_out_size(7) == by_size


def test_a_file_is_ruled_out_by_each_filter_in_its_own_way():
    screen = Screen([of(sizes=[5], heads=[H]), of(sizes=[6])])
    assert not screen.rules_out_size(5)
    assert not screen.rules_out_size(6)
    assert screen.rules_out(5, OTHER)
    assert not screen.rules_out(5, H)
    assert not screen.rules_out(6, OTHER), "the second has no heads to say no by"
    assert not screen.rules_out(5, b""), "a head that is not known says nothing"


def test_remembered_sizes_do_not_pile_up(monkeypatch):
    monkeypatch.setattr("hashscan.scan.screening._REMEMBERED", 10)
    screen = Screen([of(sizes=[5])])
    for size in range(1, 100):
        assert screen.rules_out_size(size) == (size != 5)
        assert screen.rules_out_size(size) == (size != 5)
    assert len(screen._remembered) <= 10


# Scans


class Tiered(Scanner):
    """Scans with a filter of contents, and its tiers."""

    def __init__(self, directory, contents, **options):
        super().__init__(directory, {sha1(content) for content in contents})
        self.set(contents, **options)

    def set(self, contents, **options):
        self.known = {sha1(content) for content in contents}
        path = os.path.join(self.directory, "tiered")
        self.filter = tiered(Path(path), contents, **options)

    def rows(self):
        with sqlite3.connect(self.catalog) as connection:
            return {
                name: (sha, head)
                for name, sha, head in connection.execute("SELECT name, sha1, head FROM file")
            }


def passed_over(summary):
    """How many files tiers ruled out; by chance a size hits, and then the first block is asked."""
    assert set(summary.skipped) <= {SIZE, HEAD}
    return sum(summary.skipped.values())


def rows_racy(scanner):
    with sqlite3.connect(scanner.catalog) as connection:
        return connection.execute("SELECT sum(racy) FROM file").fetchone()[0]


def known_of_all_kinds():
    rng = random.Random(3)
    sizes = [1, 100, HEAD_LENGTH - 1, HEAD_LENGTH, HEAD_LENGTH + 1, 60_000, BUFFER_SIZE + 5]
    return [rng.randbytes(size) for size in sizes]


@pytest.mark.parametrize(
    "columns", [("sha1", "size"), ("sha1", "xxh3-4096"), ("sha1", "size", "xxh3-4096")]
)
def test_known_files_are_found_whatever_their_owner_does(volume, state, columns):
    known = known_of_all_kinds()
    fill(volume, 120)
    paths = []
    for number, content in enumerate(known):
        folder = volume / f"d{number % 5}"
        folder.mkdir(exist_ok=True)
        path = folder / f".{number}.txt"
        path.write_bytes(content)
        os.utime(path, (0, 0))
        paths.append(path)
        os.link(path, folder / f"{number}.link")
        paths.append(folder / f"{number}.link")
        # Like a known file, but for its end, its length or its start: another file.
        (folder / f"{number}.longer").write_bytes(content + b"x")
        (folder / f"{number}.other").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        (folder / f"{number}.start").write_bytes(bytes([content[0] ^ 1]) + content[1:])
    (volume / "empty").write_bytes(b"")
    with open(volume / "hole", "wb") as file:
        file.truncate(BUFFER_SIZE + 5)
    settle(volume)
    scanner = Tiered(state, known, columns=columns)
    summary = scanner.scan(volume)
    assert scanner.told.paths == sorted(
        os.fsencode(os.path.relpath(path, volume)) for path in paths
    )
    assert summary.files == 120 + len(known) * 5 + 2
    assert summary.files == summary.hashed + sum(summary.skipped.values())
    passed_over = summary.skipped.get(SIZE, 0) + summary.skipped.get(HEAD, 0)
    assert passed_over >= 110, summary
    assert (SIZE in summary.skipped) == ("size" in columns)
    assert (HEAD in summary.skipped) == ("xxh3-4096" in columns)
    # What is passed over by its size was not read, by its start only that far.
    again = scanner.scan(volume)
    assert again.hashed == 0
    assert again.skipped == summary.skipped, "as before, not unchanged"
    assert again.matches == 2 * len(known)


def test_what_is_passed_over_by_its_size_is_not_opened(volume, state, monkeypatch):
    fill(volume, 60)
    settle(volume)
    scanner = Tiered(state, [b"k" * 77_777], columns=("sha1", "size"))
    nothing_is_hashed(monkeypatch)
    summary = scanner.scan(volume)
    assert summary.skipped == {SIZE: 60}
    assert summary.bytes_hashed == 0
    assert set(scanner.rows().values()) == {(None, b"")}


def test_all_is_hashed_where_all_is_asked_for(volume, state):
    fill(volume, 30)
    settle(volume)
    scanner = Tiered(state, [b"k" * 77_777])
    assert passed_over(scanner.scan(volume)) == 30
    full = scanner.scan(volume, full=True)
    assert (full.hashed, full.skipped) == (30, {})
    assert scanner.scan(volume).unchanged == 30


def test_a_set_without_tiers_hashes_what_one_with_them_passed_over(volume, state):
    contents = fill(volume, 30)
    wanted = list(contents.values())[7]
    settle(volume)
    scanner = Tiered(state, [b"k" * 77_777])
    assert passed_over(scanner.scan(volume)) == 30
    scanner.set([b"k" * 77_777, wanted], columns=("sha1",))
    summary = scanner.scan(volume)
    assert (summary.hashed, summary.matches) == (30, 1)


def test_a_new_set_opens_only_what_it_cannot_rule_out(volume, state):
    contents = fill(volume, 40)
    settle(volume)
    scanner = Tiered(state, [b"k" * 77_777])
    assert passed_over(scanner.scan(volume)) == 40
    wanted = list(contents.values())[11]
    scanner.set([b"k" * 77_777, wanted])
    summary = scanner.scan(volume)
    assert summary.matches == 1
    assert (summary.hashed, passed_over(summary)) == (1, 39)
    rows = scanner.rows()
    assert sum(sha is not None for sha, _ in rows.values()) == 1


def test_sizes_that_are_put_right_bring_back_what_wrong_ones_hid(volume, state, monkeypatch):
    """The digests stay, only the tier is another one: that alone has to count as a new set."""
    # At its own rate the tier would hold the right size by chance, once in a few hundred runs.
    monkeypatch.setattr("hashscan.known.filters.build.TIER_ERROR_RATE", 1e-9)
    contents = fill(volume, 10)
    wanted = list(contents.values())[3]
    settle(volume)
    wrong = Tiered(state, [wanted], columns=("sha1",))
    source = state / "wrong.csv"
    source.write_text(f"sha1,size\n{sha1(wanted)},{len(wanted) + 1}\n")
    build([str(source)], wrong.filter, force=True, jobs=1)
    assert wrong.scan(volume).matches == 0
    source.write_text(f"sha1,size\n{sha1(wanted)},{len(wanted)}\n")
    build([str(source)], wrong.filter, force=True, jobs=1)
    assert wrong.scan(volume).matches == 1


def test_a_file_that_changes_is_looked_at_anew(volume, state):
    known = b"k" * 5000
    path = volume / "f"
    path.write_bytes(b"x" * 4999)
    settle(volume)
    scanner = Tiered(state, [known])
    assert passed_over(scanner.scan(volume)) == 1
    path.write_bytes(b"x" * 5000)
    settle(volume)
    assert scanner.scan(volume).skipped == {HEAD: 1}
    path.write_bytes(known)
    settle(volume)
    assert scanner.scan(volume).matches == 1
    path.write_bytes(b"x" * 4999)
    settle(volume)
    summary = scanner.scan(volume)
    assert (summary.matches, passed_over(summary)) == (0, 1)
    with sqlite3.connect(scanner.catalog) as connection:
        assert connection.execute("SELECT count(*) FROM candidate").fetchone() == (0,)


def test_excluded_files_are_excluded_first(volume, state):
    fill(volume, 10)
    scanner = Tiered(state, [b"k" * 77_777])
    assert scanner.scan(volume, exclude=["*/f*"]).skipped == {"excluded": 10}


def test_linked_names_of_what_is_ruled_out(volume, state):
    first = volume / "first"
    first.write_bytes(b"x" * 5000)
    os.link(first, volume / "second")
    settle(volume)
    scanner = Tiered(state, [b"k" * 5000])
    assert scanner.scan(volume).skipped == {HEAD: 2}
    scanner.set([b"x" * 5000], columns=("sha1",))
    assert scanner.scan(volume).matches == 2


def test_workers_that_die_lose_no_file(volume, state, monkeypatch):
    """A directory that is done again counts what was stored as ruled out as just that."""
    for number in range(600):
        (volume / f"{number:03}").write_bytes(b"x" * 4000 + b"%d" % number)
    (volume / "zz-known").write_bytes(b"k" * 5000)
    settle(volume)
    scanner = Tiered(state, [b"k" * 5000], columns=("sha1", "xxh3-4096"))
    scanner.jobs = 1
    real = DirectoryTask._hash_all
    flag = state / "died"

    def dies(self, names, **options):
        if not flag.exists() and scanner_rows(scanner) >= 256:
            flag.touch()
            os._exit(9)
        done = real(self, names, **options)
        self.send_findings()
        self._tools.outbox.flush()
        for _ in range(100):
            if scanner_rows(scanner) >= 256:
                break
            time.sleep(0.05)
        return done

    monkeypatch.setattr(DirectoryTask, "_hash_all", dies)
    summary = scanner.scan(volume)
    assert flag.exists()
    assert summary.files == 601
    assert (summary.hashed, summary.matches) == (1, 1)
    assert summary.skipped == {HEAD: 600}
    assert summary.bytes_hashed == 5000


def scanner_rows(scanner):
    with sqlite3.connect(f"file:{scanner.catalog}?mode=ro", uri=True) as connection:
        return connection.execute("SELECT count(*) FROM file").fetchone()[0]


def test_each_reason_is_counted_not_told(volume, state):
    fill(volume, 5)
    settle(volume)
    scanner = Tiered(state, [b"k" * 77_777])
    scanner.scan(volume)
    assert isinstance(scanner.told, Told)
    assert scanner.told.skippeds == []


def test_a_match_among_files_that_are_ruled_out_is_the_file_that_it_is(volume, state):
    known = [b"k%d" % number + b"y" * 6000 for number in range(5)]
    for number in range(300):
        content = known[number // 60] if number % 60 == 59 else b"%d" % number + b"x" * 6000
        (volume / f"{number:03}").write_bytes(content)
    settle(volume)
    scanner = Tiered(state, known, columns=("sha1", "xxh3-4096"))
    summary = scanner.scan(volume)
    assert scanner.told.paths == [b"059", b"119", b"179", b"239", b"299"]
    assert (summary.hashed, summary.skipped) == (5, {HEAD: 295})


def test_what_is_ruled_out_no_longer_is_hashed_whatever_became_of_who_noted_it(volume, state):
    """The daemon marks such rows, and may be killed before anybody has looked."""
    (volume / "f").write_bytes(b"w" * 5000)
    settle(volume)
    scanner = Tiered(state, [b"k" * 5001])
    assert passed_over(scanner.scan(volume)) == 1
    scanner.set([b"k" * 5001, b"w" * 5000])
    catalog = Catalog(scanner.catalog)
    judged = catalog.filterset(filterset_of([load(scanner.filter)]))
    catalog.rejudge(1, judged, [(b"f", True)])
    catalog.close()
    assert scanner.scan(volume).matches == 1


def test_a_full_scan_that_goes_on_takes_nothing_for_hashed_that_was_ruled_out(tmp_path, state):
    one, other = tmp_path / "one", tmp_path / "other"
    for directory in (one, other):
        directory.mkdir()
        fill(directory, 30)
        settle(directory)
    scanner = Tiered(state, [b"k" * 77_777])
    catalog = Catalog(scanner.catalog)
    scan, _ = catalog.begin_scan([os.fsencode(one), os.fsencode(other)], complete=True)
    catalog.end_scan(scan, files=0, interrupted=True)
    catalog.close()
    assert passed_over(scanner.scan(one)) == 30
    full = scanner.scan(one, other, full=True)
    assert (full.hashed, full.unchanged) == (60, 0)


def test_a_file_system_that_tells_no_sizes_is_no_reason_to_pass_over(state):
    """Everything below it is a problem without tiers; it must not be clean with them."""
    where = "/proc/sys/vm"
    plain = Scanner(state / "plain").scan(where)
    assert plain.problems
    tiered_ = Tiered(state / "tiered", [b"k" * 5000]).scan(where)
    assert tiered_.problems + tiered_.hashed >= plain.problems
    assert SIZE not in tiered_.skipped


@pytest.mark.parametrize("size", [5000, BUFFER_SIZE + 5])
@pytest.mark.parametrize("links", [1, 2])
@pytest.mark.parametrize("change", ["shorter", "touched", "grown"])
def test_a_file_that_changes_while_its_head_is_read_is_not_ruled_out(
    volume, state, monkeypatch, size, links, change
):
    path = volume / "f"
    path.write_bytes(b"x" * size)
    for number in range(1, links):
        os.link(path, volume / f"link{number}")
    settle(volume)
    scanner = Tiered(state, [b"k" * size], columns=("sha1", "xxh3-4096"))
    real = CacheNeutralReader.read_head

    def read_head(self, fd, device, length):
        if change == "shorter":
            return min(100, real(self, fd, device, length))
        count = real(self, fd, device, length)
        if change == "touched":
            os.utime(path, (5, 5))
        else:
            with open(path, "ab") as file:
                file.write(b"y")
        return count

    monkeypatch.setattr(CacheNeutralReader, "read_head", read_head)
    summary = scanner.scan(volume)
    assert HEAD not in summary.skipped, summary
    assert summary.hashed + summary.problems == links


@pytest.mark.parametrize("size", [BUFFER_SIZE + 5, 5000])
def test_a_file_with_a_writer_is_ruled_out_each_time_anew(volume, state, size):
    """Who has it open, or mapped, could write the known content behind what was read."""
    path = volume / "f"
    path.write_bytes(b"x" * size)
    settle(volume)
    scanner = Tiered(state, [b"k" * size], columns=("sha1", "xxh3-4096"))
    with open(path, "r+b"):
        assert scanner.scan(volume).skipped == {HEAD: 1}
        assert rows_racy(scanner) == 1
    assert scanner.scan(volume).skipped == {HEAD: 1}
    assert rows_racy(scanner) == 0
    assert scanner.scan(volume).skipped == {HEAD: 1}


def test_rows_of_linked_files_say_so(volume, state):
    (volume / "a").write_bytes(b"x" * 5000)
    os.link(volume / "a", volume / "b")
    settle(volume)
    scanner = Tiered(state, [b"k" * 77_777], columns=("sha1", "size"))
    assert passed_over(scanner.scan(volume)) == 2
    with sqlite3.connect(scanner.catalog) as connection:
        assert connection.execute("SELECT sum(linked) FROM file").fetchone() == (2,)


@pytest.mark.parametrize("bound", [None, 1000])
@pytest.mark.parametrize("scanned", [False, True])
def test_an_open_file_of_unknown_size_is_handed_back_to_who_was_told_of_it(
    volume, state, bound, scanned
):
    """It may grow into a known one; neither its size nor a scan that came by makes it settled."""
    path = volume / "f"
    path.write_bytes(b"x" * 5000)
    time.sleep(0.3)
    scanner = Tiered(state, [b"k" * 5001])
    one = load(scanner.filter)
    if scanned:
        assert passed_over(scanner.scan(volume)) == 1
    catalog = Catalog(scanner.catalog)
    scan = catalog.begin_watch()
    (root,) = catalog.queue_directories(scan, 0, b"", [(os.fsencode(volume), 0)])
    judged = catalog.filterset(filterset_of([one]))
    catalog.commit()
    sent = []
    options = options_of((Volume(os.fsencode(volume)),), (one,), large_apart=bound)
    settings = WorkerSettings(options, (root.number,), catalog.path, judged, scan)
    links = LinkTable()
    worker = Worker(settings, links, None, mmap.mmap(-1, 4096), sent.append)
    with open(path, "r+b"):
        worker.do(Task(1, 0, root.number, b"", False, names=((b"f", 0),), look=True))
        worker.flush()
    ((told,),) = sent
    assert told.unrested == [(b"f", 5000)]
    assert (told.rows, told.large) == ([], [])
    worker.do(Task(1, 0, root.number, b"", False, names=((b"f", 0),), look=True))
    worker.flush()
    assert sent[1][0].unrested == []
    worker.rest()
    links.close()
    catalog.close()


def test_the_remembered_sizes_are_bounded(monkeypatch):
    monkeypatch.setattr(screening, "_REMEMBERED", 2)
    screen, asked = screening.Screen([]), []
    screen.sizes = True
    monkeypatch.setattr(screen, "rules_out", lambda size, _head: asked.append(size) or size == 2)
    assert [screen.rules_out_size(size) for size in (1, 2, 1, 2, 3, 1)] == [
        False, True, False, True, False, False
    ]  # fmt: skip
    assert asked == [1, 2, 3, 1]
