"""hashscan.scan.confirmation: the matches of a daemon's queue, which outlives its scans."""

import os

import pytest
from lasting_queue import DIGEST, FOUND, ROW

from hashscan.catalog.status_overview import overview
from hashscan.errors import StateError
from hashscan.fs.reading import identity_in, stamp_of
from hashscan.model import (
    Acted,
    Answer,
    Identity,
)
from hashscan.scan import confirmation


def test_a_match_says_whether_the_watch_or_a_scan_found_it(lasting):
    lasting.meet()
    catalog, watch = lasting.catalog, lasting.scan
    lasting.scan, _ = catalog.begin_scan([b"/srv"], complete=False)
    lasting.meet()
    assert [event.match.found_by for event in lasting.told.matches] == ["watch", "scan"]
    catalog.begin_watch()
    assert catalog.is_of_watch(watch), "its row is gone by now"
    assert not catalog.is_of_watch(lasting.scan)


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
