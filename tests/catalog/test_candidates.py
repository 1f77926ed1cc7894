"""hashscan.catalog.candidates: candidates and their verdicts, and bounds of the catalog."""

import sqlite3
import time

import pytest
from catalog_rows import HIT, found, row

from hashscan.catalog import candidates as candidates_module
from hashscan.catalog.reader import CatalogReader
from hashscan.catalog.rows import DirectoryPlace, FoundProblem
from hashscan.catalog.status_overview import directories_known, overview
from hashscan.catalog.store import Catalog
from hashscan.errors import StateError
from hashscan.model import Answer, Digest, Problem, Stamp

ROW = row(b"a")


@pytest.fixture
def catalog(tmp_path):
    one = Catalog(str(tmp_path / "c.sqlite3"))
    one.service = ("s", True)
    yield one
    one.close()


@pytest.fixture
def queued(catalog):
    """The ids of three candidates, met by scan 7."""
    (directory,) = catalog.queue_directories(7, 0, b"", [(b"/srv", 0)])
    for name in (b"a", b"b", b"c"):
        assert catalog.put_candidate(7, b"/srv", directory, found(name))
    return [one.number for one, _ in catalog.pending()]


# candidates


def test_a_candidate_has_one_state_from_its_find_to_its_end(catalog, queued):
    number, asked, _ = queued

    def state(one=number):
        (found,) = catalog._connection.execute("SELECT state FROM candidate WHERE id = ?", (one,))
        return found[0]

    assert state() == "waiting"
    catalog.mark_unmoved(number, "no verdict yet")
    catalog.mark_acting(number)
    assert state() == "waiting", "only a match is acted on"
    catalog.mark_known(number, "baseline", 0)
    assert state() == "match"
    assert [one.number for one in catalog.candidates_to_act("s", 9)] == [number]
    assert catalog.candidates_to_act("other", 9) == []
    catalog.mark_acting(number)
    assert state() == "acting"
    assert [one.number for one in catalog.candidates_to_act("other", 9)] == [number]
    catalog.mark_unmoved(number, "the disk is full")
    assert state() == "unmoved"
    assert catalog.candidates_to_act("s", 9) == []
    assert [one.number for one in catalog.unmoved(0, 9)] == [number]
    catalog.reconsider(8, "s")
    assert (state(), state(asked)) == ("waiting", "waiting")
    catalog.mark_known(number, "baseline", 0)
    for given, end in (
        ({"hold": "h1"}, "held"), ({"reported": True}, "reported"),
        ({"not_moved": "busy"}, "reported"), ({}, "done"),
    ):  # fmt: skip
        catalog.drop_candidate(number, file_too=False, **given)
        assert state() == end
        catalog.mark_known(number, "baseline", 0)
        catalog.mark_acting(number)
        assert state() == end, "a late verdict brings nothing back"


def test_what_waits_and_why(catalog, queued):
    assert catalog.waiting()[::2] == (3, None)
    assert abs(catalog.waiting()[1] - time.time()) < 60
    assert catalog.pending_of(7) == 3
    assert catalog.pending_of(8) == 0
    first, second, third = queued
    catalog.mark_pending(first, "first")
    catalog.mark_pending(second, "second")
    assert catalog.waiting()[2] == "second", "the latest"
    catalog.mark_known(second, "baseline", 0)
    assert catalog.waiting()[::2] == (3, "first"), "one that is known waits to be moved"
    assert dict.fromkeys(one.number for one, _ in catalog.pending()) == {first: None, third: None}
    catalog.mark_unmoved(second, "disk full")
    assert catalog.waiting()[0] == 2
    catalog.drop_candidate(third, file_too=False)
    assert (catalog.waiting()[0], catalog.pending_of(7)) == (1, 2)


def test_matches_that_could_not_be_moved(catalog, queued):
    first, second, third = queued
    for number, why in ((first, "one"), (second, "two")):
        catalog.mark_known(number, "baseline", 0)
        catalog.mark_unmoved(number, why)
    catalog.commit()
    assert overview(catalog.path).unmoved == (2, b"/srv/b", "two")
    assert [one.number for one in catalog.unmoved(0, 10)] == [first, second]
    assert [one.number for one in catalog.unmoved(first, 10)] == [second]
    assert [one.number for one in catalog.unmoved(0, 1)] == [first]
    assert catalog.candidate(third).number == third
    assert catalog.candidate(third + 1) is None


def test_a_match_counts_as_unmoved_while_its_move_is_tried_again(catalog, queued):
    number = queued[0]
    catalog.mark_known(number, "baseline", 0)
    catalog.mark_acting(number)
    catalog.commit()
    seen = overview(catalog.path)
    assert (seen.unmoved, seen.pending, catalog.waiting()[0]) == (None, 3, 3), "the first move"
    catalog.mark_unmoved(number, "disk full")
    catalog.mark_acting(number)
    catalog.commit()
    seen = overview(catalog.path)
    assert (seen.unmoved, seen.pending) == ((1, b"/srv/a", "disk full"), 2)
    assert catalog.waiting()[0] == 2
    assert [one.number for one in catalog.candidates_to_act("s", 9)] == [number], "after a kill"
    catalog.mark_known(number, "baseline", 0)
    catalog.commit()
    assert overview(catalog.path).unmoved is None, "a new verdict forgets the failure"


def test_a_candidate_that_this_scan_queued_as_it_is_now_is_not_queued_again(catalog, queued):
    (directory,) = catalog.queue_directories(8, 0, b"", [(b"/srv", 0)])
    assert not catalog.put_candidate(7, b"/srv", directory, found(b"a"))
    changed = found(b"a")._replace(stamp=Stamp(10, 20, 31))
    assert catalog.put_candidate(7, b"/srv", directory, changed)
    assert catalog.put_candidate(8, b"/srv", directory, changed)


def test_a_verdict_grows_old_and_holds_for_its_filters_only(catalog, monkeypatch):
    digest = HIT.digest
    assert candidates_module.VERDICT_AGE == 86400
    now = [1_000_000.0]
    monkeypatch.setattr(candidates_module.time, "time", lambda: now[0])
    catalog.put_verdict("s", digest, Answer(known=True, category="c"), 5)
    answer = Answer(known=True, category="c")
    assert catalog.verdict("s", digest, 5) == answer
    assert catalog.verdict("s", digest, 6) is None
    assert catalog.verdict("other", digest, 5) is None
    assert catalog.verdict("s", Digest("sha1", "cd" * 20), 5) is None
    for later, there in ((86400, True), (86401, False), (-60, True), (-61, False)):
        now[0] = 1_000_000.0 + later
        assert (catalog.verdict("s", digest, 5) is not None) is there
    catalog.put_verdict("s", digest, Answer(known=False), 5)
    assert catalog.verdict("s", digest, 5) == Answer(known=False)


def test_what_got_no_answer_is_asked_for_once_more(catalog, queued):
    first, second, _ = queued
    catalog.mark_asked(7, [first, second])
    assert len(catalog.candidates_to_ask(7, "s", 10, met=True)) == 1
    assert catalog.ask_again(8) == 0
    assert catalog.ask_again(7) == 2
    assert len(catalog.candidates_to_ask(7, "s", 10, met=True)) == 3
    assert len(catalog.candidates_to_ask(7, "s", 2, met=True)) == 2
    assert catalog.candidates_to_ask(8, "s", 10, met=True) == []
    assert len(catalog.candidates_to_ask(8, "s", 10, met=False)) == 3
    assert catalog.candidates_to_ask(8, "other", 10, met=False) == []


def test_without_candidates_rows_of_files_are_not_looked_for_among_them(catalog, tmp_path):
    assert (catalog._has_candidates, catalog._has_problems) == (False, False)
    (directory,) = catalog.queue_directories(7, 0, b"", [(b"/srv", 0)])
    catalog.put_candidate(7, b"/srv", directory, found(b"a"))
    catalog.put_problems(
        7, directory.number, [FoundProblem(b"b", Problem.IO_ERROR.value, "why")]
    )  # fmt: skip
    assert catalog._has_candidates is True
    catalog.commit()
    again = Catalog(catalog.path)
    assert (again._has_candidates, again._has_problems) == (True, True)
    again.close()


# store


def test_a_directory_that_the_catalog_forgot_has_no_place(catalog):
    assert catalog.place_of(99) == DirectoryPlace(0, b"", 0)
    (root,) = catalog.queue_directories(7, 0, b"", [(b"/srv", 8)])
    assert catalog.place_of(root.number) == DirectoryPlace(0, b"/srv", 8)


def test_a_directory_is_noted_once_in_a_scan(catalog):
    (root,) = catalog.queue_directories(7, 0, b"", [(b"/srv", 8)])
    assert (root.path, root.fresh) == (b"", True)
    assert catalog.queue_directories(7, 0, b"", [(b"/srv", 8)]) == []
    (again,) = catalog.queue_directories(7, 0, b"", [(b"/srv", 8)], again=True)
    assert (again.number, again.fresh) == (root.number, False)
    (below,) = catalog.queue_directories(7, root.number, b"x", [(b"d", 9)])
    assert (below.path, below.fresh) == (b"x/d", True)
    (later,) = catalog.queue_directories(8, 0, b"", [(b"/srv", 8)])
    assert (later.number, later.fresh) == (root.number, False)
    assert catalog.queue_directories(8, 0, b"", []) == []


# writer


def test_a_commit_that_fails_leaves_no_transaction(catalog, monkeypatch):
    class Full:
        def __init__(self, connection):
            self.real = connection

        def execute(self, words, *given):
            if words == "COMMIT":
                raise sqlite3.OperationalError("database or disk is full")
            return self.real.execute(words, *given)

        def __getattr__(self, name):
            return getattr(self.real, name)

    catalog.put_files(7, [ROW])
    real = catalog._connection
    monkeypatch.setattr(catalog, "_connection", Full(real))
    with pytest.raises(StateError):
        catalog.commit()
    monkeypatch.setattr(catalog, "_connection", real)
    assert real.in_transaction is False
    catalog.put_files(8, [ROW])
    catalog.commit()
    reader = CatalogReader(catalog.path)
    assert (reader.directory(7), len(reader.directory(8))) == ({}, 1)
    reader.close()


# overview


def test_how_many_directories_are_known(catalog, tmp_path):
    assert directories_known(str(tmp_path / "none")) is None
    assert not (tmp_path / "none").exists()
    assert directories_known(catalog.path) == 0
    (root,) = catalog.queue_directories(7, 0, b"", [(b"/srv", 0)])
    catalog.queue_directories(7, root.number, b"", [(b"a", 1), (b"b", 2)])
    catalog.commit()
    assert directories_known(catalog.path) == 3
    (tmp_path / "broken").write_bytes(b"no database at all, but long enough to be read" * 100)
    with pytest.raises(StateError):
        directories_known(str(tmp_path / "broken"))


def test_the_overview_counts_what_waits(catalog, queued):
    catalog.mark_known(queued[0], "baseline", 0)
    catalog.mark_unmoved(queued[0], "disk full")
    catalog.drop_candidate(queued[1], file_too=False, reported=True)
    catalog.commit()
    seen = overview(catalog.path)
    assert (seen.pending, seen.problems, seen.refused) == (1, 0, None)
    assert seen.unmoved == (1, b"/srv/a", "disk full")
    assert seen.reported == {b"/srv": 1}
