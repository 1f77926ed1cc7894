"""A new set of filters over a catalog: what changes is told, and nothing else."""

import errno
import hashlib
import os
import signal
from contextlib import closing
from multiprocessing.connection import wait
from types import SimpleNamespace

import pytest
from catalog_rows import row as catalog_row
from scanning import make_filter
from tiered import tiered

from hashscan.catalog.reader import CatalogReader
from hashscan.catalog.store import Catalog
from hashscan.known.filters.filter_file import load
from hashscan.model import HEAD_LENGTH, FileDigests, head_key, hits
from hashscan.scan import rejudge as module
from hashscan.scan.rejudge import Judge, Rejudging

FILTERSET, BEFORE = 2, 1


def digest(name):
    return hashlib.sha1(name).digest()


def row(name, **changes):
    return catalog_row(name, **{"sha1": digest(name), "judged": BEFORE, "scan": 3, **changes})


@pytest.fixture
def catalog(tmp_path):
    one = Catalog(str(tmp_path / "catalog"))
    yield one
    one.close()


def fill(catalog, directories, files):
    """Directories with files; their ids."""
    scan, _ = catalog.begin_scan([b"/v"], complete=False)
    (root,) = catalog.queue_directories(scan, 0, b"", [(b"/v", 0)])
    names = [(b"d%d" % number, number) for number in range(directories)]
    numbers = [one.number for one in catalog.queue_directories(scan, root.number, b"", names)]
    for number in numbers:
        catalog.put_files(number, [row(b"%d-%d" % (number, file)) for file in range(files)])
    catalog.commit()
    return numbers


def made(tmp_path, names, algorithms=("sha1",)):
    return load(
        make_filter(tmp_path / "filter", {digest(name).hex() for name in names}, algorithms)
    )


def all_of(rejudging):
    found, cleared = [], []
    while rejudging.connections:
        for connection in wait(rejudging.connections, 20):
            part = rejudging.take(connection)
            assert part is not None
            found += part.found + part.due
            cleared += part.cleared
    return found, cleared


@pytest.mark.parametrize("processes", [1, 2, 3, 50])
@pytest.mark.parametrize("step", [3, 4096])
def test_every_file_is_judged_once_whatever_the_parts(
    catalog, tmp_path, monkeypatch, processes, step
):
    monkeypatch.setattr("hashscan.scan.rejudge._STEP", step)
    numbers = fill(catalog, 11, 7)
    known = [(number, b"%d-%d" % (number, number % 7)) for number in numbers]
    one = made(tmp_path, [name for _, name in known])
    catalog.put_files(numbers[0], [row(b"was", hit=True), row(b"new", judged=FILTERSET, hit=True)])
    catalog.put_files(numbers[1], [row(b"later", scan=9), row(b"lacks", sha1=None)])
    catalog.commit()
    rejudging = Rejudging(
        catalog.path, (one,), frozenset({"sha1"}), filterset=FILTERSET, until=8,
        processes=processes,
    )  # fmt: skip
    assert len(rejudging.connections) == min(processes, 4)
    found, cleared = all_of(rejudging)
    rejudging.close()
    errs = {place for place in found if place not in known} - {(numbers[1], b"lacks")}
    assert all(hits((one,), FileDigests(sha1=digest(name))) for _, name in errs)
    assert set(known) <= set(found)
    assert (numbers[1], b"lacks") in found
    assert len(found) == len(set(found))
    assert cleared == [(numbers[0], b"was")]
    assert rejudging.files == 11 * 7 + 2


def test_nothing_to_judge(catalog, tmp_path):
    rejudging = Rejudging(
        catalog.path, (made(tmp_path, [b"x"]),), frozenset({"sha1"}), filterset=FILTERSET, until=8
    )
    assert all_of(rejudging) == ([], [])
    assert rejudging.files == 0


def test_one_that_dies_is_told(catalog, tmp_path, monkeypatch):
    monkeypatch.setattr("hashscan.scan.rejudge._count_clear", lambda *_: signal.pause())
    fill(catalog, 4, 2)
    rejudging = Rejudging(
        catalog.path, (made(tmp_path, [b"x"]),), frozenset({"sha1"}), filterset=FILTERSET, until=8,
        processes=2,
    )  # fmt: skip
    dead, alive = rejudging._children
    os.kill(dead.pid, signal.SIGKILL)
    assert rejudging.take(dead.connection) is None
    rejudging.close()
    assert rejudging.connections == []
    assert [one.exit_code for one in (dead, alive)] == [-signal.SIGKILL] * 2


def test_if_the_kernel_starts_no_more_processes_the_others_are_ended(
    catalog, tmp_path, monkeypatch
):
    started = []

    def start(*_given, **_options):
        assert closes == ["close"], "a fork must not copy an open reader"
        if len(started) == 2:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        started.append(SimpleNamespace(end=lambda: ended.append("end")))
        return started[-1]

    ended, closes = [], []
    close = CatalogReader.close
    monkeypatch.setattr(CatalogReader, "close", lambda one: (closes.append("close"), close(one)))
    monkeypatch.setattr(module, "Child", start)
    fill(catalog, 4, 1)
    with pytest.raises(OSError, match="unavailable"):
        Rejudging(
            catalog.path, (made(tmp_path, [b"x"]),), frozenset({"sha1"}),
            filterset=FILTERSET, until=8, processes=4,
        )  # fmt: skip
    assert ended == ["end", "end"]


def test_two_filters_with_algorithms_of_their_own(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    md5 = {name: hashlib.md5(name).digest() for name in (b"m", b"n")}
    one = load(make_filter(tmp_path / "a" / "f", {md5[b"m"].hex()}, ("md5",)))
    other = made(tmp_path / "b", [b"s"])
    judge = Judge((one, other), frozenset({"md5", "sha1"}), filterset=FILTERSET, until=8)
    rows = [
        row(b"by md5", md5=md5[b"m"], sha1=digest(b"n")),
        row(b"by sha1", md5=md5[b"n"], sha1=digest(b"s"), hit=1),
        row(b"none", md5=md5[b"n"], sha1=digest(b"n"), hit=1),
        row(b"lacks", md5=None, sha1=digest(b"n")),
    ]
    judged = judge.judge([(1, one) for one in rows])
    assert sorted(name for _, name in judged.found) == [b"by md5", b"by sha1"]
    assert [name for _, name in judged.due] == [b"lacks"]
    assert [name for _, name in judged.cleared] == [b"none"]
    assert judged.files == 4
    assert judged.new == [("baseline", one.version, FileDigests(md5=md5[b"m"], sha1=digest(b"n")))]


def test_what_is_special_is_found_among_directories_that_are_passed_as_a_whole(
    catalog, tmp_path, monkeypatch
):
    monkeypatch.setattr("hashscan.scan.rejudge._DIRECTORIES", 2)
    numbers = fill(catalog, 9, 5)
    odd = [
        row(b"was a candidate", hit=True),
        row(b"has no digest", sha1=None),
        row(b"is ruled out", sha1=None, head=b""),
        row(b"is judged", judged=FILTERSET),
        row(b"is newer", scan=99),
    ]
    for number, one in zip(numbers[::2], odd, strict=True):
        catalog.put_files(number, [one])
    catalog.commit()
    known = made(tmp_path, [b"%d-3" % numbers[1]])
    rejudging = Rejudging(
        catalog.path, (known,), frozenset({"sha1"}), filterset=FILTERSET, until=8, processes=1
    )
    found, cleared = all_of(rejudging)
    assert sorted(found) == sorted(
        [(numbers[1], b"%d-3" % numbers[1]), (numbers[2], b"has no digest"),
         (numbers[4], b"is ruled out")]
    )  # fmt: skip
    assert cleared == [(numbers[0], b"was a candidate")]
    assert rejudging.files == 9 * 5 + 3


def test_the_processes_have_the_lowest_priority(catalog, tmp_path, monkeypatch):
    """They judge millions of rows beside the customers' work."""
    fill(catalog, 1, 1)
    monkeypatch.setattr(
        "hashscan.scan.rejudge._count_clear", lambda *_: os.getpriority(os.PRIO_PROCESS, 0)
    )
    filters = (made(tmp_path, [b"x"]),)
    rejudging = Rejudging(catalog.path, filters, frozenset({"sha1"}), filterset=FILTERSET, until=5)
    try:
        assert all_of(rejudging) == ([], [])
        assert rejudging.files == 19
    finally:
        rejudging.close()


@pytest.mark.parametrize(("known", "count"), [(b"x", 6), (b"%d-2", None)])
def test_directories_without_a_known_file_are_passed_as_a_whole(catalog, tmp_path, known, count):
    numbers = fill(catalog, 2, 3)
    one = made(tmp_path, [known.replace(b"%d", b"%d" % numbers[0])])
    judge = Judge((one,), frozenset({"sha1"}), filterset=FILTERSET, until=8)
    with closing(CatalogReader(catalog.path)) as reader:
        found = module._count_clear(reader, judge, numbers[0] - 1, numbers[-1])
    assert found == count


def test_a_catalog_is_judged_anew_without_opening_what_tiers_rule_out(tmp_path):
    one = load(tiered(tmp_path / "f", [b"k" * 5000]))
    judge = Judge([one], frozenset({"sha1"}), filterset=2, until=8)
    known = head_key((b"k" * 5000)[:HEAD_LENGTH])
    digest = hashlib.sha1(b"k" * 5000).digest()

    def file(name, size, head, sha=None, **more):
        return 1, row(name, size=size, head=head, sha1=sha, **more)

    judged = judge.judge(
        [
            file(b"other size", 4999, b""),
            file(b"other size, was due", 4999, b"", hit=1),
            file(b"same size, never begun", 5000, b""),
            file(b"same size, begins otherwise", 5000, head_key(b"x")),
            file(b"begins alike", 5000, known),
            file(b"hashed", 5000, None, sha=digest),
            file(b"hashed, other", 5000, None, sha=bytes(20), hit=1),
            file(b"lacks its digest", 5000, None),
            file(b"judged already", 5000, known, judged=2),
        ]
    )
    assert [name for _, name in judged.found] == [b"hashed"]
    assert sorted(name for _, name in judged.due) == [
        b"begins alike", b"lacks its digest", b"same size, never begun",
    ]  # fmt: skip
    assert sorted(name for _, name in judged.cleared) == [b"hashed, other", b"other size, was due"]
    assert judged.files == 8
