"""hashscan.scan.confirmation: the queue of a daemon, which outlives its scans."""

import os
from dataclasses import replace

import pytest
from scanning import Told

from hashscan.catalog.rows import FileRow, FoundCandidate
from hashscan.catalog.status_overview import overview
from hashscan.catalog.store import Catalog
from hashscan.errors import StateError
from hashscan.fs.reading import identity_in, stamp_of
from hashscan.model import (
    Acted,
    Answer,
    Digest,
    FileDigests,
    FilterHit,
    Identity,
    Stamp,
    Summary,
)
from hashscan.scan import confirmation
from hashscan.scan.asker import NoAnswer, Reply
from hashscan.scan.confirmation import Confirmation

DIGEST = Digest("sha1", "ab" * 20)
FOUND = FoundCandidate(
    b"x",
    Identity(1, 5),
    Stamp(10, 20, 30),
    FileDigests(sha1=b"\xab" * 20),
    1,
    1000,
    (FilterHit(DIGEST, "baseline", "v1"),),
)
ROW = FileRow(
    *(b"x", 0, 5, 10, 20, 30, None, b"\xab" * 20, None),
    linked=False, hit=True, racy=False, judged=1, scan=1,
)  # fmt: skip


class Asks:
    """Whose questions are answered by the test."""

    def __init__(self):
        self.asked = []

    def ask(self, digest):
        self.asked.append(digest)


class Acts:
    """An actor; ``remaining``: names that are left after each act in turn."""

    def __init__(self):
        self.came_to = Acted("quarantined", "id")
        self.count = 0
        self.remaining = []

    def act(self, _match):
        self.count += 1
        if self.remaining:
            return replace(self.came_to, remaining_links=self.remaining.pop(0))
        return self.came_to


class Lasting:
    """A queue, and what a watch finds."""

    def __init__(self, catalog):
        self.catalog = catalog
        self.scan = catalog.begin_watch()
        (self.directory,) = catalog.queue_directories(self.scan, 0, b"", [(b"/srv", 0)])
        catalog.put_files(self.directory.number, [ROW])
        self.asker, self.actor, self.told, self.found = Asks(), Acts(), Told(), Summary()
        self.confirmation = Confirmation(
            catalog, self.asker, self.actor, self.told, self.found,
            scan=self.scan, filterset=1, service="s", remote=True,
            devices_of=lambda _candidate: [1], lasting=True,
        )  # fmt: skip

    def find(self, name, digest=DIGEST, inode=5):
        """Another file is listed; no question about it is put yet."""
        hits = (FilterHit(digest, "baseline", "v1"),)
        digests = FileDigests(sha1=bytes.fromhex(digest.hex))
        found = FOUND._replace(name=name, identity=Identity(1, inode), digests=digests, hits=hits)
        self.catalog.put_candidate(self.scan, b"/srv", self.directory, found)

    def meet(self):
        """The file is listed, as its row has it."""
        if self.catalog.put_candidate(self.scan, b"/srv", self.directory, FOUND):
            self.confirmation.more = True
        self.confirmation.ask_more()
        asked, self.asker.asked = self.asker.asked, []
        self.confirmation.take([(digest, Answer(known=True)) for digest in asked])


@pytest.fixture
def lasting(tmp_path):
    catalog = Catalog(str(tmp_path / "c.sqlite3"))
    catalog.service = ("s", True)
    yield Lasting(catalog)
    catalog.close()


def test_a_match_says_whether_the_watch_or_a_scan_found_it(lasting):
    lasting.meet()
    catalog, watch = lasting.catalog, lasting.scan
    lasting.scan, _ = catalog.begin_scan([b"/srv"], complete=False)
    lasting.meet()
    assert [event.match.found_by for event in lasting.told.matches] == ["watch", "scan"]
    catalog.begin_watch()
    assert catalog.is_of_watch(watch), "its row is gone by now"
    assert not catalog.is_of_watch(lasting.scan)


def test_verdicts_hold_for_one_set_of_filters(lasting):
    lasting.confirmation._remote = False
    lasting.confirmation.take([Reply(DIGEST, Answer(known=True))])
    assert lasting.confirmation._answer(DIGEST) == Answer(known=True)
    lasting.confirmation.judge_by(2)
    assert lasting.confirmation._answer(DIGEST) is None


def test_what_is_acted_on_is_on_disk_before(lasting, monkeypatch):
    open_before = []
    act = lasting.actor.act
    database = lasting.catalog._connection
    monkeypatch.setattr(
        lasting.actor,
        "act",
        lambda match: (open_before.append(database.in_transaction), act(match))[1],
    )
    lasting.meet()
    assert open_before == [False]


def test_a_match_that_was_away_is_acted_on_as_soon_as_it_is_met_again(lasting):
    lasting.actor.came_to = Acted("reported", message="not there", problem="vanished")
    for turn in range(3):
        lasting.meet()
        lasting.confirmation.ask_more()
        assert lasting.actor.count == turn + 1, "once each time that it is met"
    assert [event.acted.problem for event in lasting.told.matches] == ["vanished"], "told once"
    assert lasting.found.matches == 1
    lasting.actor.came_to = Acted("quarantined", "id")
    lasting.meet()
    assert lasting.told.matches[-1].acted.action == "quarantined"
    lasting.meet()
    assert lasting.actor.count == 4, "what was moved is done"


def test_what_is_not_the_file_that_was_hashed_is_hashed_anew(lasting):
    lasting.actor.came_to = Acted("reported", message="put back", problem="changed")
    lasting.meet()
    count = lasting.catalog._connection.execute("SELECT count(*) FROM file").fetchone()
    assert count == (0,), "or it would be taken for that file again, and moved, and put back..."


def test_the_digest_that_the_service_knows_best_is_asked_for_first(lasting):
    digests = [Digest("md5", "cd" * 16), Digest("sha256", "ef" * 32), DIGEST]
    hits = tuple(FilterHit(one, "baseline", "v1") for one in digests)
    lasting.catalog.put_candidate(
        lasting.scan, b"/srv", lasting.directory, FOUND._replace(hits=hits)
    )
    lasting.confirmation.ask_more()
    for count in (1, 2, 3):
        assert len(lasting.asker.asked) == count, "one after the other: each is one more request"
        lasting.confirmation.take([(lasting.asker.asked[-1], Answer(known=False))])
    assert [one.algorithm for one in lasting.asker.asked] == ["sha1", "sha256", "md5"]
    assert lasting.found.false_positives == 1


def test_names_that_are_acted_on_next_do_not_count_as_left(lasting):
    for name in (b"x", b"y"):
        lasting.catalog.put_files(lasting.directory.number, [ROW._replace(name=name)])
        found = FOUND._replace(name=name, links=3)
        lasting.catalog.put_candidate(lasting.scan, b"/srv", lasting.directory, found)
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(DIGEST, Answer(known=True))])
    assert lasting.actor.count == 0
    lasting.actor.remaining = [2, 1]  # the other name and one elsewhere, then that one
    lasting.confirmation.act_on_links(lambda: False)
    assert [event.acted.remaining_links for event in lasting.told.matches] == [1, 1]


def test_names_that_only_the_catalog_knows_are_acted_on_too(lasting):
    """A change is reported for one name of an inode; its other names come from the scan before."""
    linked = ROW._replace(device=1, linked=True)
    rows = [linked._replace(name=name) for name in (b"x", b"y", b"z")]
    rows[2] = rows[2]._replace(ctime_ns=31)  # written since: it is to be hashed first
    lasting.catalog.put_files(lasting.directory.number, rows)
    stale = []
    lasting.confirmation._on_stale = lambda _directory, names: stale.extend(names)
    lasting.catalog.put_candidate(lasting.scan, b"/srv", lasting.directory, FOUND._replace(links=3))
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(DIGEST, Answer(known=True))])
    lasting.confirmation.act_on_links(lambda: False)
    assert lasting.told.paths == [b"x", b"y"]
    assert lasting.actor.count == 2
    assert lasting.found.candidates == 1, "the name that no change was reported for"
    assert stale == [b"z"]
    lasting.catalog.put_files(lasting.directory.number, [linked._replace(name=b"later")])
    lasting.scan, _ = lasting.catalog.begin_scan([b"/srv"], complete=False)
    lasting.catalog.put_candidate(lasting.scan, b"/srv", lasting.directory, FOUND._replace(links=3))
    lasting.confirmation.ask_more()
    lasting.confirmation.act_on_links(lambda: False)
    assert b"later" in lasting.told.paths


def test_a_scan_by_hand_keeps_why_a_match_could_not_be_moved(lasting):
    lasting.confirmation._lasting = False
    why = "/srv/x: could not be moved to quarantine: Read-only file system"
    lasting.actor.came_to = Acted("reported", message=why, problem="read-only")
    lasting.meet()
    lasting.catalog.commit()
    found = overview(lasting.catalog.path)
    assert found.unmoved == (1, b"/srv/x", why)
    assert found.reported == {}
    lasting.catalog.forget_reported(lasting.scan + 1, [b"/srv"])
    lasting.catalog.commit()
    assert overview(lasting.catalog.path).unmoved is None


def test_one_notice_tells_a_scan_that_nothing_is_answered(lasting):
    lasting.confirmation._lasting = False
    for number in (1, 2):
        lasting.find(b"%d" % number, Digest("sha1", f"{number:040}"))
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(one, NoAnswer("no route")) for one in lasting.asker.asked])
    assert lasting.told.notices == ["no verdict, candidates are kept: no route"]
    assert lasting.confirmation.failed == 2
    assert lasting.confirmation.answered == 0
    assert lasting.confirmation.ask_again() is True
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(one, Answer(known=False)) for one in lasting.asker.asked[2:]])
    assert lasting.confirmation.answered == 2
    assert lasting.confirmation.ask_again() is False


def test_a_scan_takes_up_only_candidates_of_its_own_service(lasting):
    lasting.catalog.service = ("other", True)
    lasting.find(b"theirs")
    lasting.catalog.service = ("s", True)
    lasting.find(b"ours")
    lasting.confirmation._scan, _ = lasting.catalog.begin_scan([b"/mnt"], complete=False)
    lasting.confirmation.begin([b"/mnt"])
    assert lasting.found.candidates == 1
    assert lasting.confirmation.ask_more(walking=True) == 1


def test_a_bounded_number_of_candidates_is_under_way(lasting, monkeypatch):
    monkeypatch.setattr(confirmation, "_IN_FLIGHT", 2)
    for number in range(3):
        lasting.find(b"%d" % number, Digest("sha1", f"{number:040}"))
    assert lasting.confirmation.has_room
    assert lasting.confirmation.ask_more() == 2
    assert not lasting.confirmation.has_room
    assert lasting.confirmation.ask_more() == 0
    lasting.confirmation.take([(one, Answer(known=False)) for one in lasting.asker.asked])
    assert lasting.confirmation.more
    assert lasting.confirmation.ask_more() == 1
    assert not lasting.confirmation.more
    assert len(lasting.asker.asked) == 3


def test_a_candidate_is_in_the_catalog_before_its_digest_leaves(lasting):
    seen = []
    lasting.asker.ask = lambda _digest: seen.append(overview(lasting.catalog.path).pending)
    lasting.find(b"x")
    lasting.confirmation.ask_more()
    assert seen == [1]


def test_a_false_positive_stays_in_the_catalog_as_a_file(lasting):
    lasting.find(b"x")
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(DIGEST, Answer(known=False))])
    count = lasting.catalog._connection.execute("SELECT count(*) FROM file").fetchone()
    assert count == (1,)


def test_an_inode_with_names_waits_for_the_walk(lasting):
    lasting.confirmation.links_wait = False
    lasting.catalog.put_candidate(lasting.scan, b"/srv", lasting.directory, FOUND._replace(links=2))
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(DIGEST, Answer(known=True))])
    assert lasting.confirmation.links_wait
    assert lasting.actor.count == 0


@pytest.mark.parametrize(
    ("acted", "counted"),
    [
        (Acted("held", hold="H1"), (1, 0, 1, 0, 0)),
        (Acted("held"), (1, 0, 1, 0, 1)),
        (Acted("held", problem="busy"), (1, 0, 1, 0, 0)),
        (Acted("allowed"), (1, 0, 0, 1, 0)),
        (Acted("quarantined", "id"), (1, 1, 0, 0, 0)),
    ],
)
def test_each_action_has_its_number(lasting, acted, counted):
    lasting.actor.came_to = acted
    lasting.meet()
    found = lasting.found
    assert counted == (
        found.matches, found.quarantined, found.held, found.allowed, found.restored
    )  # fmt: skip


def test_a_new_set_of_filters_asks_again(lasting):
    lasting.meet()
    lasting.find(b"y")
    lasting.confirmation.judge_by(2)
    lasting.confirmation.ask_more()
    assert lasting.asker.asked == [DIGEST]


def test_a_forgotten_verdict_of_a_local_list_is_asked_for_too(lasting):
    lasting.confirmation._remote = False
    lasting.meet()
    lasting.find(b"y")
    lasting.confirmation.ask_more()
    assert lasting.asker.asked == []
    lasting.confirmation.forget([DIGEST])
    lasting.find(b"z")
    lasting.confirmation.ask_more()
    assert lasting.asker.asked == [DIGEST]


def test_no_verdict_of_a_file_is_taken_for_the_file_in_its_place(lasting):
    lasting.find(b"x")
    lasting.confirmation.ask_more()
    other = Digest("sha1", "cd" * 20)
    lasting.find(b"x", other, inode=6)
    assert lasting.confirmation.more is False
    lasting.confirmation.take([(DIGEST, Answer(known=True))])
    assert lasting.actor.count == 0
    assert lasting.confirmation.more is True
    lasting.confirmation.ask_more()
    assert lasting.asker.asked == [DIGEST, other]


def test_no_false_positive_is_counted_for_the_file_in_its_place(lasting):
    lasting.find(b"x")
    lasting.confirmation.ask_more()
    lasting.find(b"x", Digest("sha1", "cd" * 20), inode=6)
    lasting.confirmation.take([(DIGEST, Answer(known=False))])
    assert lasting.found.false_positives == 0
    assert len(list(lasting.catalog.pending())) == 1


def test_after_refused_credentials_nothing_more_is_asked(lasting):
    for number in (1, 2):
        lasting.find(b"%d" % number, Digest("sha1", f"{number:040}"))
    lasting.confirmation.ask_more()
    first, second = lasting.asker.asked
    lasting.confirmation.take([(first, NoAnswer("HTTP 500"))])
    assert lasting.confirmation.refused is None
    refusal = NoAnswer("wrong password", is_last=True)
    lasting.confirmation.take([(second, refusal)])
    assert lasting.confirmation.refused == refusal
    lasting.find(b"3", Digest("sha1", f"{3:040}"))
    lasting.confirmation.ask_more()
    assert len(lasting.asker.asked) == 2
    assert {why for _, why in lasting.catalog.pending()} == {"HTTP 500", "wrong password"}
    assert lasting.confirmation.ask_again() is False


def test_remembered_answers_do_not_pile_up(lasting):
    lasting.confirmation._remote = False
    for number in range(4097):
        digest = Digest("sha1", f"{number:040}")
        lasting.confirmation.take([(digest, Answer(known=False))])
        assert lasting.confirmation._answer(digest) == Answer(known=False)
    assert len(lasting.confirmation._answers) <= 4096


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_scan_that_is_stopped_leaves_matches_to_the_next(lasting, turns):
    for name in (b"x", b"y"):
        lasting.catalog.put_files(lasting.directory.number, [ROW._replace(name=name)])
        found = FOUND._replace(name=name, links=2)
        lasting.catalog.put_candidate(lasting.scan, b"/srv", lasting.directory, found)
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(DIGEST, Answer(known=True))])
    lasting.confirmation.act_on_links(lambda: lasting.actor.count == turns)
    assert lasting.actor.count == turns
    assert len(lasting.catalog.candidates_to_act("s", 9)) == 2 - turns
    lasting.confirmation.act_on_links(lambda: False)
    assert lasting.actor.count == 2


def test_the_other_names_of_an_inode_are_found_once_for_all_its_names(lasting, monkeypatch):
    for name in (b"x", b"y"):
        found = FOUND._replace(name=name, links=3)
        lasting.catalog.put_candidate(lasting.scan, b"/srv", lasting.directory, found)
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(DIGEST, Answer(known=True))])
    asked = []
    other_names = lasting.catalog.other_names
    monkeypatch.setattr(
        lasting.catalog, "other_names", lambda *given: (asked.append(given), other_names(*given))[1]
    )
    lasting.confirmation.act_on_links(lambda: False)
    assert asked == [(Identity(1, 5), [1])]


def test_a_name_in_a_directory_that_the_catalog_has_forgotten_is_not_acted_on(lasting, monkeypatch):
    monkeypatch.setattr(lasting.catalog, "volume_of", lambda _directory: None)
    lasting.catalog.put_files(
        lasting.directory.number, [ROW._replace(name=b"y", device=1, linked=True)]
    )
    lasting.catalog.put_candidate(lasting.scan, b"/srv", lasting.directory, FOUND._replace(links=2))
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(DIGEST, Answer(known=True))])
    lasting.confirmation.act_on_links(lambda: False)
    assert lasting.told.paths == [b"x"]


def test_a_digest_whose_verdict_is_forgotten_is_asked_for_at_once(lasting):
    lasting.meet()
    assert lasting.confirmation.more is False
    lasting.confirmation.forget([DIGEST])
    assert lasting.confirmation.more is True
    lasting.find(b"y")
    lasting.confirmation.ask_more()
    assert lasting.asker.asked == [DIGEST]


@pytest.mark.parametrize("is_lasting", [False, True])
def test_a_match_that_cannot_be_put_on_record_stays_in_the_queue(lasting, is_lasting):
    def fails(_event):
        raise StateError("audit.jsonl: No space left on device")

    lasting.confirmation._lasting = is_lasting
    lasting.confirmation._record = fails
    if not is_lasting:
        with pytest.raises(StateError, match="No space"):
            lasting.meet()
        assert lasting.catalog.candidates_to_act("s", 9), "the next scan acts again"
        return
    lasting.meet()
    assert lasting.told.matches == []
    assert lasting.confirmation.unmoved is True
    lasting.catalog.commit()
    assert overview(lasting.catalog.path).unmoved[2] == "audit.jsonl: No space left on device"
    lasting.confirmation._record = lambda _event: None
    assert lasting.confirmation.move_unmoved() is None
    assert lasting.told.paths == [b"x"]


@pytest.mark.parametrize("action", ["reported", "quarantined"])
def test_status_counts_what_is_only_reported(lasting, action):
    lasting.actor.came_to = Acted(action, "id" if action == "quarantined" else None)
    lasting.meet()
    lasting.catalog.commit()
    assert overview(lasting.catalog.path).reported == ({b"/srv": 1} if action == "reported" else {})


def test_matches_that_could_not_be_moved_are_tried_some_at_a_time(lasting, monkeypatch):
    monkeypatch.setattr(confirmation, "_RETRIED", 2)
    lasting.actor.came_to = Acted("reported", message="full", problem="no-space")
    for name in (b"1", b"2", b"3"):
        lasting.find(name)
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(DIGEST, Answer(known=True))])
    assert lasting.actor.count == 3
    assert lasting.confirmation.unmoved
    after = lasting.confirmation.move_unmoved()
    assert lasting.actor.count == 5
    assert lasting.confirmation.move_unmoved(after) is None
    assert lasting.actor.count == 6


def test_a_bounded_number_of_absent_matches_is_remembered(lasting, monkeypatch):
    monkeypatch.setattr(confirmation, "_MOST_AWAY", 2)
    lasting.actor.came_to = Acted("reported", problem="vanished")
    for name in (b"1", b"2", b"1", b"3", b"3"):
        lasting.find(name)
        lasting.confirmation.ask_more()
        lasting.confirmation.take([(DIGEST, Answer(known=True))])
    assert [event.match.candidate.path for event in lasting.told.matches] == [b"1", b"2", b"3"]
    assert len(lasting.confirmation._away) == 1


@pytest.mark.parametrize(("is_readable", "kept"), [(True, 0), (False, 1)])
def test_a_candidate_whose_place_cannot_be_read_is_kept(lasting, monkeypatch, is_readable, kept):
    def open_root(_volume):
        raise FileNotFoundError if is_readable else PermissionError

    monkeypatch.setattr(confirmation, "open_root", open_root)
    lasting.find(b"x")
    lasting.confirmation.drop_gone([b"/srv"])
    assert len(list(lasting.catalog.pending())) == 1, "this scan met it"
    lasting.confirmation.drop_gone([b"/srv"], lasting.scan + 1)
    assert len(list(lasting.catalog.pending())) == kept


@pytest.mark.parametrize("what", ["nothing", "written", "replaced", "removed"])
def test_a_candidate_that_was_not_met_is_kept_if_it_is_as_it_was(lasting, tmp_path, what):
    path = tmp_path / "x"
    path.write_bytes(b"known")
    status = os.lstat(path)
    found = FOUND._replace(identity=identity_in(status), stamp=stamp_of(status))
    volume = os.fsencode(tmp_path)
    if what == "written":
        os.utime(path, (1, 1))
    elif what == "replaced":
        found = found._replace(identity=Identity(status.st_dev, status.st_ino + 1))
    elif what == "removed":
        path.unlink()
    lasting.catalog.put_candidate(lasting.scan, volume, lasting.directory, found)
    lasting.confirmation.drop_gone([volume], lasting.scan + 1)
    assert len(list(lasting.catalog.pending())) == (what == "nothing")


def test_what_was_done_is_put_on_record_before_it_is_told(lasting):
    lasting.confirmation._record = lasting.told.notices.append
    lasting.meet()
    assert lasting.told.notices == lasting.told.matches
    assert lasting.told.notices[0].acted.action == "quarantined"


def test_a_match_that_stays_where_it_is_is_told_once_for_each_scan_and_reason(lasting):
    lasting.actor.came_to = Acted("reported", message="full", problem="no-space")
    lasting.meet()
    lasting.confirmation.move_unmoved()
    assert len(lasting.told.matches) == 1
    lasting.actor.came_to = Acted("reported", message="read-only", problem="read-only")
    lasting.confirmation.move_unmoved()
    assert [one.acted.problem for one in lasting.told.matches] == ["no-space", "read-only"]
    lasting.scan, _ = lasting.catalog.begin_scan([b"/srv"], complete=False)
    lasting.meet()
    assert len(lasting.told.matches) == 3


def test_the_engine_sees_what_the_queue_does(lasting):
    assert lasting.confirmation.more, "a killed scan may have left candidates"
    assert lasting.confirmation.links_wait
    for name in (b"1", b"2"):
        lasting.find(name)
    assert lasting.confirmation.busy is False
    assert lasting.confirmation.ask_more() == 2
    assert lasting.confirmation.busy is True
    lasting.confirmation.take([(DIGEST, Answer(known=True))])
    assert lasting.confirmation.busy is False
