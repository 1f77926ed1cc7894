"""hashscan.catalog: what is committed stays, what cannot be used is refused with a way out."""

import os
import time

import pytest
from catalog_rows import HIT, found, report, row

from hashscan.catalog.reader import CatalogReader
from hashscan.catalog.rows import FoundProblem, signed
from hashscan.catalog.status_overview import overview
from hashscan.catalog.store import Catalog
from hashscan.model import Answer, Digest, Identity, Stamp


@pytest.fixture
def catalog(tmp_path):
    one = Catalog(str(tmp_path / "c.sqlite3"))
    one.service = ("s", True)
    yield one
    one.close()


def test_a_new_catalog_has_no_damage(catalog):
    assert catalog.damaged == 0


def test_it_is_private(tmp_path):
    Catalog(str(tmp_path / "c")).close()
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o600


def test_rows_come_back(catalog):
    rows = [row(b"\xff\n"), row(b"b", sha256=b"t" * 32, hit=True)]
    catalog.put_files(7, rows)
    catalog.commit()
    reader = CatalogReader(catalog.path)
    assert reader.directory(7) == {one.name: one for one in rows}
    assert reader.named(7, b"b") == rows[1]
    assert list(reader.names(7)) == [b"b", b"\xff\n"]
    assert reader.has(7, b"b")
    assert not reader.has(7, b"c")
    assert not reader.has(8, b"b")
    reader.close()


def test_a_directory_is_settled_if_nothing_has_to_be_done_about_its_files(catalog):
    catalog.put_files(7, [row(b"a"), row(b"b", inode=9)])
    catalog.put_files(8, [row(b"racy", racy=True)])
    catalog.put_files(9, [row(b"a"), row(b"hit", hit=True)])
    catalog.commit()
    reader = CatalogReader(catalog.path)
    one = row(b"a")

    def settled(directory, judged=one.judged, until=0, algorithms=("sha1",)):
        return reader.settled(directory, judged=judged, until=until, algorithms=algorithms)

    found = settled(7)
    assert found == {
        b"a": (one.device, 5, *one.stamp, 1), b"b": (one.device, 9, *one.stamp, 1)
    }  # fmt: skip
    assert settled(7, judged=one.judged + 1) is None
    assert settled(7, judged=one.judged + 1, until=one.scan) == found
    assert settled(7, algorithms=("sha1", "sha256")) is None
    assert settled(8) is None
    assert settled(9) is None
    assert settled(10) == {}
    ruled_out = row(b"size", sha1=None, head=b"")
    catalog.put_files(11, [row(b"a"), ruled_out, ruled_out._replace(name=b"head", head=b"h" * 16)])
    catalog.put_files(12, [ruled_out._replace(hit=True)])
    catalog.put_files(13, [ruled_out._replace(racy=True)])
    catalog.commit()
    kinds = {name: values[-1] for name, values in settled(11).items()}
    assert kinds == {b"a": 1, b"size": 2, b"head": 3}
    assert settled(11, judged=one.judged + 1) is None
    assert settled(12) is None
    assert settled(13) is None
    reader.close()


def test_links_are_found_by_inode(catalog):
    catalog.put_files(
        7, [row(b"a", linked=True), row(b"b", linked=True, racy=True, inode=6), row(b"c")]
    )
    catalog.commit()
    reader = CatalogReader(catalog.path)
    assert reader.linked(0, 5, Stamp(10, 20, 30)).name == b"a"
    assert reader.linked(0, 5, Stamp(10, 20, 31)) is None
    assert reader.linked(0, 6, Stamp(10, 20, 30)) is None, "a racy row is not believed"
    reader.close()


def test_inode_numbers_of_64_bits(catalog):
    largest = (1 << 64) - 2
    (root,) = catalog.queue_directories(1, 0, b"", [(b"/srv", 0)])
    (below,) = catalog.queue_directories(1, root.number, b"", [(b"d", largest)])
    catalog.put_files(root.number, [row(b"f", inode=signed(largest), linked=True)])
    one = found(b"f")._replace(identity=Identity(1, largest))
    catalog.put_candidate(1, b"/srv", root, one)
    (queued,) = catalog.candidates_to_ask(1, "s", 10, met=True)
    assert queued.candidate.identity == Identity(1, largest)
    assert len(catalog.other_names(Identity(1, largest), [0, 1])) == 1
    catalog.commit()
    reader = CatalogReader(catalog.path)
    assert reader.linked(0, largest, Stamp(10, 20, 30)).name == b"f"
    assert catalog.place_of(below.number) == (root.number, b"d", largest)
    reader.close()


def test_directories_are_queued_once_a_scan(catalog):
    (root,) = catalog.queue_directories(1, 0, b"", [(b"/srv", 0)])
    assert (root.path, root.fresh) == (b"", True)
    first = catalog.queue_directories(1, root.number, b"", [(b"a", 5), (b"b", 6)])
    assert [one.path for one in first] == [b"a", b"b"]
    assert catalog.queue_directories(1, root.number, b"", [(b"a", 5), (b"b", 6)]) == []
    again = catalog.queue_directories(2, root.number, b"", [(b"a", 5)])
    assert (again[0].number, again[0].fresh) == (first[0].number, False)
    (deep,) = catalog.queue_directories(1, first[0].number, b"a", [(b"x", 7)])
    assert deep.path == b"a/x"
    assert catalog.directory_path(deep.number) == b"a/x"
    assert catalog.volume_of(deep.number) == b"/srv"
    assert catalog.directory_path(root.number) == b""


def test_what_is_held_is_not_forgotten_at_the_end_of_a_scan(catalog):
    def make(scan, parent, *names):
        return [
            d.number for d in catalog.queue_directories(scan, parent, b"", [(n, 1) for n in names])
        ]

    first, _ = catalog.begin_scan([b"/srv"], complete=False)
    (root,) = make(first, 0, b"/srv")
    kept, gone = make(first, root, b"kept", b"gone")
    (deep,) = make(first, kept, b"deep")
    (deeper,) = make(first, deep, b"deeper")
    (aside,) = make(first, root, b"aside")
    for directory in (kept, gone, deep, deeper, aside):
        catalog.put_files(directory, [row(b"f")])
    catalog.end_scan(first, files=4, interrupted=False)

    second, _ = catalog.begin_scan([b"/srv"], complete=False)
    make(second, 0, b"/srv")
    catalog.spill(5, [(0, aside, False, 0.0)])
    catalog.end_scan(second, files=0, interrupted=False, held=[deep])
    left = {n: catalog.directory_path(n) for n in (kept, gone, deep, deeper, aside)}
    assert left == {
        kept: b"kept", gone: b"", deep: b"kept/deep", deeper: b"", aside: b"aside"
    }  # fmt: skip
    assert catalog.unspill(5, 10), "what was laid aside is still there"
    reader = CatalogReader(catalog.path)
    catalog.commit()
    assert [bool(reader.directory(n)) for n in left] == [True, False, True, False, True]
    reader.close()

    third, _ = catalog.begin_scan([b"/srv"], complete=False)
    make(third, 0, b"/srv")
    catalog.end_scan(third, files=0, interrupted=False)
    assert {catalog.directory_path(n) for n in left} == {b""}


def test_the_last_whole_scan_of_each_volume_is_remembered_whatever_others_do(catalog):
    def scan(volume, *, interrupted=False):
        number, _ = catalog.begin_scan([volume], complete=False)
        catalog.end_scan(number, files=number, interrupted=interrupted)
        return number

    scan(b"/quiet")
    quiet = scan(b"/quiet")
    scan(b"/quiet", interrupted=True)
    scan(b"/busy")
    catalog._connection.execute(
        "INSERT INTO scan (id, started, volumes, complete) VALUES (2000, 0, x'', 0)"
    )
    busy = scan(b"/busy")
    assert {path: one.files for path, one in overview(catalog.path).by_volume.items()} == {
        b"/quiet": quiet, b"/busy": busy
    }  # fmt: skip
    assert catalog.expected([b"/quiet"]).files == quiet
    numbers = [number for (number,) in catalog._connection.execute("SELECT id FROM scan")]
    assert numbers == [quiet, 2000, busy], "others are forgotten"


def test_problems_are_told_once_a_scan(catalog):
    problem = FoundProblem(b"f", "denied", "x")
    assert catalog.put_problems(1, 7, [problem]) == [problem]
    assert catalog.put_problems(1, 7, [problem]) == []
    assert catalog.put_problems(2, 7, [problem]) == [problem]


def test_what_could_be_judged_in_the_end_is_no_problem_any_more(catalog):
    for name in (b"f", b"g"):
        catalog.put_problems(1, 7, [FoundProblem(name, "busy", "x")])
    catalog.put_files(7, [row(b"f")])
    catalog.commit()
    assert overview(catalog.path).problems == 1


def test_a_candidate_lives_until_it_is_dropped(catalog):
    (root,) = catalog.queue_directories(1, 0, b"", [(b"/srv", 0)])
    catalog.put_files(root.number, [row(b"f", hit=True)])
    assert catalog.put_candidate(1, b"/srv", root, found(b"f"))
    assert not catalog.put_candidate(1, b"/srv", root, found(b"f"))
    (queued,) = catalog.candidates_to_ask(1, "s", 10, met=False)
    assert queued.candidate.full_path == b"/srv/f"
    assert queued.candidate.hits == (HIT,)
    catalog.mark_asked(1, [queued.number])
    assert catalog.candidates_to_ask(1, "s", 10, met=False) == []
    assert len(catalog.candidates_to_ask(2, "s", 10, met=False)) == 1
    catalog.mark_pending(queued.number, "down")
    assert [error for _, error in catalog.pending()] == ["down"]
    catalog.mark_known(queued.number, "baseline", 0)
    assert catalog.candidates_to_ask(3, "s", 10, met=True) == []
    (known,) = catalog.candidates_to_act("s", 10)
    assert known.known == ("baseline", 0)
    catalog.drop_candidate(queued.number, file_too=True)
    assert not catalog.put_candidate(1, b"/srv", root, found(b"f")), "it is done in this scan"
    assert catalog.candidates_to_act("s", 10) == []
    catalog.commit()
    reader = CatalogReader(catalog.path)
    assert reader.directory(root.number) == {}
    reader.close()


def test_a_match_that_was_not_acted_on_is_asked_for_anew_in_the_next_scan(catalog):
    (root,) = catalog.queue_directories(1, 0, b"", [(b"/srv", 0)])
    catalog.put_candidate(1, b"/srv", root, found(b"f"))
    (queued,) = catalog.candidates_to_ask(1, "s", 10, met=True)
    catalog.mark_known(queued.number, "baseline", 0)
    catalog.reconsider(1, "s")
    assert len(catalog.candidates_to_act("s", 10)) == 1
    catalog.reconsider(2, "s")
    assert catalog.candidates_to_act("s", 10) == []
    assert len(catalog.candidates_to_ask(2, "s", 10, met=False)) == 1


def reported(catalog):
    catalog.commit()
    return sum(overview(catalog.path).reported.values())


def test_what_was_reported_is_counted_until_it_is_gone(catalog):
    first, _ = catalog.begin_scan([b"/srv"], complete=False)
    (root,) = catalog.queue_directories(first, 0, b"", [(b"/srv", 0)])
    watch = catalog.begin_watch()
    report(catalog, first, root, b"scanned")
    for name in (b"watched", b"removed", b"withdrawn", b"written"):
        report(catalog, watch, root, name)
    assert not catalog.put_candidate(watch, b"/srv", root, found(b"watched")), "it is told once"
    catalog.end_scan(first, files=5, interrupted=False)
    assert reported(catalog) == 5
    catalog.forget_files(root.number, [b"removed"])
    catalog.rejudge(root.number, 2, [(b"withdrawn", False)])
    catalog.put_files(root.number, [row(b"written")])
    assert reported(catalog) == 2
    other, _ = catalog.begin_scan([b"/sr"], complete=False)
    catalog.end_scan(other, files=0, interrupted=False)
    stopped, _ = catalog.begin_scan([b"/srv"], complete=False)
    catalog.end_scan(stopped, files=0, interrupted=True)
    assert reported(catalog) == 2
    last, _ = catalog.begin_scan([b"/srv"], complete=False)
    report(catalog, last, root, b"scanned")
    catalog.end_scan(last, files=1, interrupted=False)
    assert reported(catalog) == 1, "the scan did not find the other one"


def test_another_name_of_a_match_is_acted_on_though_it_was_reported_before(catalog):
    first, _ = catalog.begin_scan([b"/srv"], complete=False)
    (root,) = catalog.queue_directories(first, 0, b"", [(b"/srv", 0)])
    report(catalog, first, root, b"a")
    report(catalog, first, root, b"b")
    second, _ = catalog.begin_scan([b"/srv/www"], complete=False)
    assert catalog.put_candidate(second, b"/srv", root, found(b"a"))
    (queued,) = catalog.candidates_to_ask(second, "s", 10, met=True)
    catalog.mark_known(queued.number, "baseline", 0)
    for expected in ([b"a", b"b"], [b"a"]):
        catalog.put_other_name(
            queued, scan=second, volume=b"/srv", path=b"b", directory=root.number
        )
        waiting = catalog.candidates_to_act("s", 9)
        assert [one.candidate.path for one in waiting] == expected
        catalog.drop_candidate(waiting[-1].number, file_too=False, reported=True)


def test_what_was_withdrawn_is_asked_for_anew_in_the_same_scan(catalog):
    (root,) = catalog.queue_directories(1, 0, b"", [(b"/srv", 0)])
    catalog.put_candidate(1, b"/srv", root, found(b"f"))
    (queued,) = catalog.candidates_to_ask(1, "s", 10, met=False)
    catalog.mark_asked(1, [queued.number])
    catalog.mark_known(queued.number, "baseline", 0)
    catalog.mark_unmoved(queued.number, "a full disk")
    catalog.reconsider(0, "s")
    assert len(catalog.candidates_to_ask(1, "s", 10, met=False)) == 1


def test_what_was_judged_by_filters_counts_only_until_others_are_used(catalog):
    first = catalog.filterset("b")
    catalog.set_judged_until(first, 7)
    assert catalog.filterset("b") == first
    assert catalog.judged_until(first) == 7
    catalog.filterset("c")  # rows may be judged by these from now on
    assert catalog.filterset("b") == first
    assert catalog.judged_until(first) == 0


def test_a_row_without_a_hit_ends_the_candidate(catalog):
    (root,) = catalog.queue_directories(1, 0, b"", [(b"/srv", 0)])
    catalog.put_candidate(1, b"/srv", root, found(b"f"))
    catalog.put_files(root.number, [row(b"f")])
    assert list(catalog.pending()) == []


def read_row(catalog, directory, name):
    catalog.commit()
    reader = CatalogReader(catalog.path)
    try:
        return reader.named(directory, name)
    finally:
        reader.close()


def test_a_row_that_comes_late_replaces_neither_a_newer_one_nor_its_candidate(catalog):
    scan, _ = catalog.begin_scan([b"/srv"], complete=False)
    (root,) = catalog.queue_directories(scan, 0, b"", [(b"/srv", 0)])
    watch = catalog.begin_watch()
    written = time.time_ns()
    newer = row(b"f", ctime_ns=written, hit=True, scan=watch)
    late = row(b"f", ctime_ns=written - 1, scan=watch)
    catalog.put_files(root.number, [newer])
    catalog.put_candidate(watch, b"/srv", root, found(b"f"))
    for before in (late, late._replace(scan=scan)):
        catalog.put_files(root.number, [before])
        assert read_row(catalog, root.number, b"f") == newer
        assert len(list(catalog.pending())) == 1
    # By a rename of the directory: the file there now did not change for that.
    other = late._replace(inode=6)
    catalog.put_files(root.number, [other])
    assert read_row(catalog, root.number, b"f") == other, "it was put in its place"
    assert list(catalog.pending()) == []


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_row_is_corrected_by_the_next_scan_where_the_clock_was_set_back(catalog, hours):
    before = row(b"f", ctime_ns=time.time_ns() + hours * 3600 * 10**9)
    catalog.put_files(7, [before])
    scan, _ = catalog.begin_scan([b"/srv"], complete=False)
    after = row(b"f", ctime_ns=before.ctime_ns - 1, scan=scan)
    catalog.put_files(7, [after])
    assert read_row(catalog, 7, b"f") == after


def test_verdicts_hold_for_their_filters_and_a_day(catalog, monkeypatch):
    digest = Digest("sha1", "ab" * 20)
    catalog.put_verdict("s", digest, Answer(known=True, category="c"), 1)
    assert catalog.verdict("s", digest, 1) == Answer(known=True, category="c")
    assert catalog.verdict("s", digest, 2) is None
    assert catalog.verdict("other", digest, 1) is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 90000)
    assert catalog.verdict("s", digest, 1) is None


def test_rows_in_any_order_fill_the_catalogs_pages(tmp_path):
    """Some file systems list the newest file first."""
    sizes = []
    for order in (1, -1):
        catalog = Catalog(str(tmp_path / f"catalog{order}"))
        scan, _ = catalog.begin_scan([b"/v"], complete=False)
        (root,) = catalog.queue_directories(scan, 0, b"", [(b"/v", 0)])
        for number in range(60):
            rows = [
                (b"file-%06d.jpg" % file, -1, file, 4096, 1 << 60, 1 << 60, None, os.urandom(20),
                 None, False, False, False, 1, scan, None)
                for file in range(200)
            ]  # fmt: skip
            catalog.put_files(root.number + number, rows[::order])
        catalog.close()
        sizes.append(os.path.getsize(tmp_path / f"catalog{order}"))
    assert sizes[1] < 1.05 * sizes[0]
    assert sizes[0] / 12_000 < 130


def test_what_is_met_beside_a_scan_is_not_forgotten_by_its_end(tmp_path):
    catalog = Catalog(str(tmp_path / "catalog.sqlite3"))
    before, _ = catalog.begin_scan([b"/v"], complete=False)
    (root,) = catalog.queue_directories(before, 0, b"", [(b"/v", 0)])
    catalog.queue_directories(before, root.number, b"", [(b"gone", 5), (b"stays", 6)])
    catalog.end_scan(before, files=0, interrupted=False)
    scan, _ = catalog.begin_scan([b"/v"], complete=False)
    watch = catalog.begin_watch()
    catalog.queue_directories(scan, 0, b"", [(b"/v", 0)])
    catalog.queue_directories(scan, root.number, b"", [(b"stays", 6)])
    made = catalog.find_directory(watch, root.number, b"made/deep")
    assert catalog.directory_path(made.number) == b"made/deep"
    # met by the watch as well: the scan meets it once, and once only
    (again,) = catalog.queue_directories(watch, root.number, b"", [(b"stays", 6)], again=True)
    assert not again.fresh
    assert catalog.queue_directories(scan, root.number, b"", [(b"stays", 6)]) == []
    catalog.end_scan(scan, files=0, interrupted=False)
    names = {name for (name,) in catalog._connection.execute("SELECT name FROM dir")}
    assert names == {b"/v", b"stays", b"made", b"deep"}
    catalog.close()


LARGE = (1 << 64) - 5


def linked_row(name, *, inode=-5, device=3, linked=True):
    return row(name, inode=inode, device=device, linked=linked, scan=7)


def test_the_other_names_of_an_inode_with_their_directories(catalog):
    (root,) = catalog.queue_directories(7, 0, b"", [(b"/srv", 0)])
    first, second = catalog.queue_directories(7, root.number, b"", [(b"d", 0), (b"e", 0)])
    catalog.put_files(
        first.number,
        [
            linked_row(b"a"),
            linked_row(b"b", inode=4),
            linked_row(b"c", linked=False),
            linked_row(b"z", device=9),
        ],
    )
    catalog.put_files(second.number, [linked_row(b"a", device=4)])
    found = catalog.other_names(Identity(3, LARGE), [3, 4])
    assert sorted((number, one.name) for number, one in found) == [
        (first.number, b"a"), (second.number, b"a"),
    ]  # fmt: skip
    catalog._connection.execute("UPDATE file SET size = 11 WHERE dir = ?", (second.number,))
    ((number, _),) = catalog.other_names(Identity(3, LARGE), [3, 4])
    assert number == first.number, "a damaged row names nothing"
