"""hashscan.catalog: what is written is one transaction, and comes back as it was stored."""

import sqlite3

import pytest
from catalog_rows import row

from hashscan.catalog.find_files import open_finder
from hashscan.catalog.rows import FoundCandidate, FoundProblem
from hashscan.catalog.status_overview import overview
from hashscan.catalog.store import Catalog
from hashscan.errors import StateError
from hashscan.model import (
    Answer,
    Candidate,
    Digest,
    FileDigests,
    FilterHit,
    Identity,
    Stamp,
    Summary,
)

HIT = FilterHit(Digest("sha1", "ab" * 20), "baseline", "v1")
OTHER_HIT = FilterHit(Digest("md5", "cd" * 16), "other", "v2")
ROW = row(b"x")
FOUND = FoundCandidate(
    b"a", Identity(3, 5), Stamp(10, 20, 30), FileDigests(b"m" * 16, b"s" * 20, b"l" * 32),
    2, 1000, (HIT, OTHER_HIT),
)  # fmt: skip


@pytest.fixture
def catalog(tmp_path):
    one = Catalog(str(tmp_path / "c.sqlite3"))
    one.service = ("s", True)
    yield one
    one.close()


@pytest.fixture
def directory(catalog):
    (found,) = catalog.queue_directories(7, 0, b"", [(b"/srv", 0)])
    (below,) = catalog.queue_directories(7, found.number, b"", [(b"d", 0)])
    return below


@pytest.fixture
def queued(catalog, directory):
    assert catalog.put_candidate(7, b"/srv", directory, FOUND)
    ((one, _),) = catalog.pending()
    return one


WRITES = {
    "put_candidate": lambda c, d, _q: c.put_candidate(8, b"/srv", d, FOUND),
    "put_other_name": lambda c, d, q: c.put_other_name(
        q, scan=8, volume=b"/srv", path=b"d/b", directory=d.number
    ),
    "reconsider": lambda c, _d, _q: c.reconsider(8, "s"),
    "take_for_met": lambda c, _d, q: c.take_for_met(8, [q.number]),
    "mark_unmoved": lambda c, _d, q: c.mark_unmoved(q.number, "why"),
    "mark_acting": lambda c, _d, q: c.mark_acting(q.number),
    "mark_asked": lambda c, _d, q: c.mark_asked(8, [q.number]),
    "mark_pending": lambda c, _d, q: c.mark_pending(q.number, "why"),
    "mark_known": lambda c, _d, q: c.mark_known(q.number, "baseline", 1),
    "drop_candidate": lambda c, _d, q: c.drop_candidate(q.number, file_too=True),
    "forget_reported": lambda c, _d, _q: c.forget_reported(8, [b"/srv"]),
    "forget_done": lambda c, _d, _q: c.forget_done(),
    "ask_again": lambda c, _d, _q: c.ask_again(7),
    "put_verdict": lambda c, _d, _q: c.put_verdict("s", HIT.digest, Answer(known=True), 1),
    "set_mounted": lambda c, _d, _q: c.set_mounted(b"/srv"),
    "forget_mounted": lambda c, _d, _q: c.forget_mounted(b"/mnt"),
    "filterset": lambda c, _d, _q: c.filterset("others"),
    "set_judged_until": lambda c, _d, _q: c.set_judged_until(1, 5),
    "queue_directories": lambda c, d, _q: c.queue_directories(8, d.number, b"d", [(b"e", 1)]),
    "find_directory": lambda c, d, _q: c.find_directory(8, d.number, b"e/f"),
    "put_files": lambda c, d, _q: c.put_files(d.number, [ROW._replace(name=b"y")]),
    "rejudge": lambda c, d, _q: c.rejudge(d.number, 2, [(b"x", True)]),
    "forget_files": lambda c, d, _q: c.forget_files(d.number, [b"x"]),
    "put_problems": lambda c, d, _q: c.put_problems(
        8, d.number, [FoundProblem(b"x", "io-error", "why")]
    ),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_nothing_is_there_for_others_before_the_commit(catalog, directory, queued, write):
    catalog.filterset("some")
    catalog.set_mounted(b"/mnt")
    catalog.put_files(directory.number, [ROW])
    catalog.mark_asked(7, [queued.number])
    if write is WRITES["forget_reported"]:
        catalog.drop_candidate(queued.number, file_too=False, reported=True)
    elif write is WRITES["forget_done"]:
        catalog.drop_candidate(queued.number, file_too=False)
    catalog.commit()
    other = sqlite3.connect(catalog.path)

    def version():
        return other.execute("PRAGMA data_version").fetchone()

    before = version()
    write(catalog, directory, queued)
    assert version() == before
    catalog.commit()
    assert version() != before
    other.close()


def test_a_candidate_comes_back_as_it_was_stored(catalog, queued):
    stored = Candidate(
        volume=b"/srv", path=b"d/a", identity=FOUND.identity, stamp=FOUND.stamp,
        digests=FOUND.digests, links=2, uid=1000, hits=(HIT, OTHER_HIT),
    )  # fmt: skip
    assert queued.candidate == stored
    assert (queued.known, queued.service, queued.seen) == (None, "s", 7)
    catalog.mark_known(queued.number, "other", 1)
    (known,) = catalog.candidates_to_act("s", 5)
    assert (known.candidate, known.known) == (stored, ("other", 1))


def test_what_left_the_queue_is_removed_between_scans(catalog, queued):
    def rows():
        return catalog._connection.execute("SELECT count(*) FROM candidate").fetchone()[0]

    catalog.drop_candidate(queued.number, file_too=False, reported=True)
    catalog.forget_done()
    assert rows() == 1, "a match that was reported is counted until it is gone"
    catalog.drop_candidate(queued.number, file_too=False)
    catalog.forget_done()
    assert rows() == 0


def test_a_text_that_is_not_utf_8_is_read(catalog, queued):
    catalog.mark_pending(queued.number, "?A")
    catalog._connection.execute("UPDATE candidate SET error = CAST(x'ff41' AS TEXT)")
    assert [why for _, why in catalog.pending()] == ["\udcffA"]


def test_a_whole_scan_its_counts_and_the_version(catalog):
    number, _ = catalog.begin_scan([b"/srv"], complete=False)
    assert overview(catalog.path).scan.is_whole is False
    catalog.end_scan(number, files=3, interrupted=True, summary=Summary(matches=2))
    last = overview(catalog.path).scan
    assert (last.is_whole, last.interrupted, last.summary["matches"]) == (False, True, 2)
    number, _ = catalog.begin_scan([b"/srv"], complete=False)
    catalog.end_scan(number, files=3, interrupted=False, unseen=[b"/srv"])
    last = overview(catalog.path).scan
    assert (last.is_whole, last.interrupted, last.summary) == (False, False, {})
    number, _ = catalog.begin_scan([b"/srv"], complete=False)
    catalog.end_scan(number, files=3, interrupted=False)
    last = overview(catalog.path).scan
    assert (last.is_whole, last.interrupted, last.kind) == (True, False, "scan")
    for pragma in ("application_id", "user_version"):
        other = sqlite3.connect(catalog.path)
        (before,) = other.execute(f"PRAGMA {pragma}").fetchone()
        other.execute(f"PRAGMA {pragma} = {before + 1}")
        with pytest.raises(StateError, match="not a catalog of this hashscan"):
            overview(catalog.path)
        other.execute(f"PRAGMA {pragma} = {before}")
        other.close()


def test_a_finder_searches_for_what_is_asked_now(catalog, directory):
    catalog.put_files(directory.number, [ROW, ROW._replace(name=b"y", sha1=b"o" * 20)])
    catalog.commit()
    with open_finder(catalog.path) as finder:
        for name, digest in ((b"x", b"s" * 20), (b"y", b"o" * 20)):
            (found,) = finder.with_digests([Digest("sha1", digest.hex())], 9)
            assert (found.volume, found.path) == (b"/srv", b"d/" + name)
        assert finder.algorithms() == {"sha1"}


def test_the_work_of_a_full_scan_is_that_of_its_volumes(catalog):
    for root in (b"/a", b"/b"):
        number, _ = catalog.begin_scan([root], complete=False)
        (top,) = catalog.queue_directories(number, 0, b"", [(root, 0)])
        catalog.put_files(top.number, [ROW._replace(size=7 if root == b"/a" else 8, scan=number)])
        catalog.end_scan(number, files=5, interrupted=False)
    for root, size in ((b"/a", 7), (b"/b", 8), (b"/a", 7)):
        found = catalog.expected([root], hash_before=99)
        assert (found.files, found.hashed, found.bytes) == (5, 1, size)
    found = catalog.expected([b"/a"])
    assert (found.files, found.hashed, found.bytes, found.costs) == (5, None, 0, None)
    number, _ = catalog.begin_scan([b"/a"], complete=False)
    catalog.end_scan(number, files=0, interrupted=False)
    assert catalog.expected([b"/a"]) is None, "an empty volume says nothing on the next scan"


@pytest.mark.parametrize(
    "given", [{}, {"reported": True}, {"not_moved": "why"}, {"hold": "H1"}], ids=str
)
def test_a_candidate_is_no_damaged_row_whatever_was_done_about_it(catalog, queued, given):
    catalog.mark_known(queued.number, "baseline", 1)
    catalog.drop_candidate(queued.number, file_too=False, **given)
    catalog.commit()
    again = Catalog(catalog.path)
    assert again.damaged == 0
    assert again._connection.execute("SELECT count(*) FROM candidate").fetchone() == (1,)
    again.forget_reported(8, [b"/srv"])
    (left,) = again._connection.execute("SELECT count(*) FROM candidate").fetchone()
    assert left == (not given), "a scan that finds it no more forgets what was left in its place"
    again.close()


def test_a_directory_that_no_scan_has_listed_has_no_inode_yet(catalog, directory):
    assert catalog.find_directory(8, directory.number, b"e").inode == 0


def test_damaged_rows_of_the_small_tables_count_for_nothing(catalog, queued):
    catalog.put_verdict("s", HIT.digest, Answer(known=False), 1)
    filterset = catalog.filterset("a")
    number, _ = catalog.begin_scan([b"/srv"], complete=False)
    catalog.end_scan(number, files=3, interrupted=True)
    whole = Catalog(catalog.path)
    assert whole.damaged == 0
    whole.close()
    for change in (
        "candidate SET size = size + 1",
        "verdict SET known = 1",
        "filterset SET judged_until = 99",
        "scan SET interrupted = -1",
    ):
        catalog._connection.execute(f"UPDATE {change}")
    again = Catalog(catalog.path)
    assert again.damaged == 4
    assert list(again.pending()) == []
    assert again.verdict("s", HIT.digest, 1) is None
    assert again.filterset("a") != filterset
    assert again.expected([b"/srv"]) is None, "a scan that was interrupted is no whole one"
    again.close()
