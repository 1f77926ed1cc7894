"""hashscan.daemon.session: one turn of the loop, with its clock and all other processes replaced."""

from types import SimpleNamespace

import pytest
from session_parts import VOLUMES, ChangedFiles, Coverage, Probes, Scan, calls

from hashscan.daemon import scan_queue as wants_module
from hashscan.daemon import session as module
from hashscan.daemon.counters import Counters
from hashscan.daemon.scan_queue import ScanQueue
from hashscan.daemon.session import Session
from hashscan.jobs.volume_presence import Seen
from hashscan.model import Identity, Summary
from hashscan.scan.options import ScanOptions
from hashscan.watch.source import Changed, Lost


@pytest.fixture
def clock(monkeypatch):
    one = SimpleNamespace(now=1000.0)
    one.monotonic = lambda: one.now
    one.time = lambda: one.now + 1e9
    monkeypatch.setattr(module, "time", one)
    monkeypatch.setattr(wants_module, "time", one)
    return one


@pytest.fixture
def session(clock):
    one = object.__new__(Session)
    one._settings = SimpleNamespace(scan=SimpleNamespace(unwatched=600.0))
    one._log, one._catalog = calls(), calls(judged_until=7, filterset=4)
    one._volumes, one._numbers = VOLUMES, {volume.root: n for n, volume in enumerate(VOLUMES)}
    one.checked = []
    one._new_lists = SimpleNamespace(known=None, connections=[], take=lambda _ready: None)
    one._new_lists.begin = lambda known: bool(one.checked.append(known))
    one._devices, one._judged, one._kind = None, 3, "start"
    one._options = ScanOptions(
        volumes=VOLUMES, jobs=1, filters=(), filterset="old", algorithms=frozenset({"sha1"}),
        service="s", remote=True,
    )  # fmt: skip
    one.ticks = []
    one._tick = one.ticks.append
    one._probes, one.coverage, one._queue = Probes(), Coverage(), ScanQueue()
    one.watches = SimpleNamespace(
        connections=["watch"], deaths=0, told=[], answered=[], step=lambda: None
    )
    one.watches.answer = one.watches.answered.append
    one.watches.take = lambda _ready: one.watches.told
    one._asker = SimpleNamespace(connection="asker", replies=lambda: ["reply"])
    one._confirmation = SimpleNamespace(more=False, has_room=True, links_wait=False, taken=[])
    one._confirmation.take = one._confirmation.taken.append
    one.retry = SimpleNamespace(step=lambda: None)
    one.rejudging = SimpleNamespace(connections=["rejudging"], taken=[])
    one.rejudging.take = one.rejudging.taken.append
    one.changed_files, one.found, one.running_scan = ChangedFiles(), Summary(), None
    one._probe_again = one._last_unwatched = one._last_commit = clock.now
    one.ended = Counters()
    one.events = one._lost_changes = one.turns = one.scans = 0
    return one


def wanted(session):
    return {number: one.kind for number, one in session._queue._requests.items()}


# The length of a turn


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        ({}, 1.0),
        ({"due": 0.4}, 0.4),
        ({"due": 5.0}, 1.0),
        ({"due": -1.0}, 0.0),
        ({"due": -1.0, "under_way": True}, 0.1),
        ({"due": 0.4, "under_way": True}, 0.4),
        ({"more": True}, 0.0),
        ({"more": True, "has_room": False}, 1.0),
        ({"has_room": True}, 1.0),
        ({"walked": False}, 1.0),
        ({"walked": False, "busy": True}, 0.1),
        ({"busy": True}, 1.0),
        ({"walked": True}, 0.05),
        ({"walked": True, "busy": True, "due": 0.01}, 0.01),
        ({"links_wait": True}, 0.5),
        ({"links_wait": True, "due": 0.4}, 0.4),
    ],
)
def test_how_long_a_turn_waits(session, clock, given, wait):
    if "due" in given:
        session.changed_files.changes.due = clock.now + given["due"]
    if "walked" in given:
        session.running_scan = Scan(walked=given["walked"])
    for name in ("under_way", "busy"):
        setattr(session.changed_files, name, given.get(name, False))
    for name in ("more", "has_room", "links_wait"):
        setattr(session._confirmation, name, given.get(name, name == "has_room"))
    assert session._until_next() == pytest.approx(wait)


def test_a_turn_hears_everybody_and_waits_no_longer_than_it_may(session):
    session.changed_files.ready, session.changed_files.spoke = ["asker", "other"], 2
    session._take_change = session._take_probe = None  # nobody says anything
    assert session.turn(["other", "another"], longest=0.3) == ["other"]
    ((listened, wait),) = session.changed_files.listened
    assert listened == ["asker", "other", "another", "watch", "probes", "rejudging"]
    assert wait == 0.3
    assert session._confirmation.taken == [["reply"]]
    assert session.rejudging.taken == [["asker", "other"]]
    assert session.turns == 2
    session.changed_files.ready = []
    session.turn([])
    assert session.changed_files.listened[-1][1] == 1.0
    assert len(session._confirmation.taken) == 1, "the asker said nothing"


@pytest.mark.parametrize("busy", [True, False])
def test_a_scan_gets_its_turn_and_is_heard(session, busy):
    session.running_scan, session.changed_files.busy = Scan(), busy
    session.turn([])
    assert session.running_scan.handed == [busy], "held back while something changes"
    assert session.changed_files.listened[0][0][-1] == "running_scan"
    assert session.turns == 4
    session.running_scan.walked = True
    session.turn([])
    assert len(session.running_scan.handed) == 1
    assert session.turns == 4
    assert "running_scan" not in session.changed_files.listened[1][0]


def test_what_was_found_is_committed_after_a_moment(session, clock):
    for later, commits in ((0.2, 0), (0.05, 1), (0.2, 1), (0.05, 2)):
        clock.now += later
        session.turn([])
        assert len(session._catalog.of("commit")) == commits


# Scans


@pytest.fixture
def begun(monkeypatch):
    """The scans that begin."""
    found = []

    def begin(options, *_given, **named):
        found.append((options, named))
        return Scan(volumes=named["volumes"], kind=named["kind"])

    monkeypatch.setattr(module, "SessionScan", begin)
    return found


def test_a_scan_begins_once_all_its_volumes_were_checked(session, clock, begun):
    for number in range(3):
        session._queue.request(number, "schedule")
    session.coverage.untold = {2}
    session._probes.answers[0] = Seen(b"/a", None, Identity(8, 9))
    session._begin_scan()
    assert begun == []
    assert session._probes.asked == [1], "0 has answered, and of 2 the watch has said nothing yet"
    assert session._probes.since == [clock.now] * 2
    session.coverage.gone = {1}
    session._probes.answers[1] = Seen(b"/b", "gone")
    session._begin_scan()
    ((options, how),) = begun
    assert options.volumes == (VOLUMES[0],)
    assert options.others == VOLUMES
    assert options.identities == {b"/a": Identity(8, 9)}
    assert (how["kind"], how["volumes"]) == ("schedule", [0])
    assert (how["judged"], how["judged_until"]) == (3, 7)
    assert session._log.of("info") == [("scan (schedule) of /a",)]
    assert session.changed_files.begun == 1
    assert wanted(session) == {2: "schedule"}
    session.coverage.untold = set()
    session._probes.answers[2] = Seen(b"/c", None)
    session._begin_scan()
    assert len(begun) == 1, "one scan at a time"
    session.running_scan = None
    session._begin_scan()
    assert begun[1][0].identities == {}
    assert begun[1][1]["volumes"] == [2]


def test_without_a_volume_that_is_there_no_scan_begins(session, begun):
    session._queue.request(1, "start")
    session.coverage.gone = {1}
    session._probes.answers[1] = Seen(b"/b", "gone")
    session._begin_scan()
    assert (begun, session.running_scan, session.changed_files.begun) == ([], None, 0)
    assert wanted(session) == {}


def test_the_end_of_a_scan_is_counted_and_logged(session, clock):
    running_scan = session.running_scan = Scan(kind="overflow", vanished=[2])
    session._try_to_end_scan()
    assert session.running_scan is running_scan
    running_scan.is_settled = True
    session._queue.request(0, "overflow")
    session._try_to_end_scan()
    assert session.running_scan is None
    assert running_scan.ends == [{"interrupted": False, "held": {5}}]
    found = session.found
    assert (found.matches, found.quarantined, found.held, found.allowed) == (5, 3, 2, 1)
    assert (session.scans, session.ended.scans, session.changed_files.over) == (1, 1, 1)
    assert len(session._log.of("summary")) == 1
    assert wanted(session) == {0: "overflow", 2: "mount"}
    assert session._queue.since(0) == clock.now + 40, "a rest of twice the scan's length"


def test_a_scan_that_ends_with_the_session_is_interrupted(session):
    session._end_scan()
    assert session._log == []
    running_scan = session.running_scan = Scan()
    session._end_scan()
    assert running_scan.ends == [{"interrupted": True}]
    assert session.ended.scans == 1
    assert session.running_scan is None
    assert len(session._log.of("summary")) == 1


# What the watch says


def test_a_change_is_queued_unless_its_volume_is_away(session):
    session._take_change(Changed(0, b"d", b"n"))
    session._take_change(Changed(1, b"d", b"n"))
    assert session.changed_files.heard == [(0, b"d", b"n")]
    assert session.events == 2


def test_when_too_much_waits_the_volume_of_which_most_waits_is_scanned(session):
    session.changed_files.full = True
    session._take_change(Changed(0, b"d", b"n"))
    assert session.changed_files.changes.forgotten == [2]
    assert wanted(session) == {2: "overflow"}
    assert session.changed_files.heard == [(0, b"d", b"n")] * 2, "now there is room"
    assert session.lost == 1
    session._take_change(Changed(2, b"d", b"n"))
    assert session.changed_files.heard[2:] == [(2, b"d", b"n")], "its volume is scanned"


def test_a_loss_during_the_scan_of_its_volume_asks_for_another_one_later(session, clock):
    running_scan = session.running_scan = Scan()
    session._take_change(Lost(0, b"", "overflow", "the queue is full"))
    session._take_change(Lost(1, b"", "overflow", "the queue is full"))
    assert session.running_scan is running_scan
    assert session._queue.since(0) > clock.now
    assert session._queue.since(1) == clock.now
    assert session.events == 0


def test_an_unmount_breaks_off_the_scan_of_its_volume_only(session):
    running_scan = session.running_scan = Scan()
    session._take_change(Lost(1, b"", "mount", "it was unmounted"))
    assert session.running_scan is running_scan
    session._take_change(Lost(2, b"", "mount", "it was unmounted"))
    assert session.running_scan is None
    assert running_scan.ends == [{"interrupted": True}]
    assert wanted(session) == {0: "start", 1: "mount", 2: "mount"}


def test_what_is_not_watched_is_scanned_now_and_then(session, clock):
    session.coverage.partly = [1]
    clock.now += 599
    session._scan_unwatched()
    assert wanted(session) == {}
    clock.now += 1
    session.running_scan = Scan()
    session._scan_unwatched()
    assert wanted(session) == {}, "after the scan that goes on"
    session.running_scan = None
    session._scan_unwatched()
    assert wanted(session) == {1: "unwatched"}
    session._queue.begun([1])
    clock.now += 599
    session._scan_unwatched()
    assert wanted(session) == {}


# Volumes that are not there


def test_volumes_that_are_away_or_silent_are_checked_every_half_minute(session, clock):
    session._probe_again = clock.now + 5
    session._probe_volumes()
    assert session._probes.asked == []
    clock.now += 5
    seconds = []
    session.changed_files.pool.silent = lambda s: seconds.append(s) or {0}
    session.running_scan = Scan()
    session.running_scan.silent = lambda s: seconds.append(s) or {2}
    session._probe_volumes()
    assert sorted(session._probes.asked) == [0, 1, 2]
    assert seconds == [30.0, 30.0]
    clock.now += 29.9
    session._probe_volumes()
    assert len(session._probes.asked) == 3
    clock.now += 0.1
    session.running_scan = None
    session._probe_volumes()
    assert sorted(session._probes.asked[3:]) == [0, 1]


def test_a_volume_that_is_back_is_watched_and_scanned(session):
    session._take_probe(1)
    assert session.coverage.away == {1}, "there is no answer yet"
    session._probes.last = {0: Seen(b"/a", None), 1: Seen(b"/b", None)}
    session._devices = {}
    session._take_probe(0)
    assert session._devices is None, "another file system may be mounted there"
    assert wanted(session) == {}
    session._take_probe(1)
    assert wanted(session) == {1: "mount"}
    assert session.watches.answered == [1]
    assert session.changed_files.given_up == []


def test_what_is_done_in_a_volume_that_went_away_ends(session):
    session._probes.last = {0: Seen(b"/a", "gone")}
    session.coverage.gone = {0}
    running_scan = session.running_scan = Scan()
    session._take_probe(0)
    assert session.changed_files.given_up == [0]
    assert running_scan.ends == [{"interrupted": True}]
    assert wanted(session) == {2: "start"}
    assert session.absent == {b"/a", b"/b"}
    assert [session._is_away(root) for root in (b"/a", b"/c", b"/other")] == [True, False, False]


def test_only_a_volume_of_the_configuration_is_asked_whether_it_is_silent(session):
    assert [session._is_silent(root) for root in (b"/a", b"/c", b"/other")] == [False, True, False]
    assert session.ticks == [False, False], "that is no progress"


def test_the_numbers_that_rows_may_have_for_a_device(session):
    session._probes.last = {
        0: Seen(b"/a", None, Identity(8, 1)),
        1: Seen(b"/b", "gone"),
        2: Seen(b"/c", None, Identity(8, 2)),
    }
    candidate = SimpleNamespace(identity=Identity(8, 77))
    assert session._devices_of(candidate) == [8, -11, -13]
    assert session._devices_of(SimpleNamespace(identity=Identity(9, 77))) == [9]
    session._probes.last.clear()
    assert session._devices_of(candidate) == [8, -11, -13], "until a volume is checked again"
    session._devices = None
    assert session._devices_of(candidate) == [8]


def test_a_candidate_is_counted_and_asked_for(session):
    session._on_candidate()
    assert session.found.candidates == 1
    assert session._confirmation.more is True
    session._check_rows(5, [b"n"])
    assert session.changed_files.rows == [(5, [b"n"])]


def test_all_volumes_can_be_wanted(session):
    session.request_all("schedule")
    assert wanted(session) == dict.fromkeys(range(3), "schedule")


# Filters


def test_newer_filters_are_used_when_their_check_has_ended(session):
    old, new, used = SimpleNamespace(name="old"), SimpleNamespace(name="new"), []
    session.known = old
    session._use = used.append
    session._new_lists.begin = lambda known: setattr(session._new_lists, "known", known) or True
    session._new_lists.connections = ["check"]
    session.swap(new)
    assert (used, session.known, session.newest) == ([], old, new)
    session.turn([])
    assert session.changed_files.listened[0][0][-1] == "check"
    session._new_lists.known, session._new_lists.take = None, lambda _ready: new
    session.turn([])
    assert used == [new]
    assert session.newest is old, "which the fake of _use left in use"


@pytest.mark.parametrize("remote", [True, False])
@pytest.mark.parametrize("walking", [True, False])
def test_other_filters_are_used_by_everybody(session, remote, walking):
    order = calls(restart=["open"])
    session._asker.restart = order.restart
    session._confirmation.judge_by = order.judge_by
    session.rejudging = SimpleNamespace(end=order.end, begin=order.begin)
    session.changed_files.swap = order.changed_files
    session.running_scan = SimpleNamespace(swap=order.running_scan) if walking else None
    known = SimpleNamespace(
        name="new", filters=("f",), algorithms=frozenset({"md5"}), service="s", remote=remote,
        make_confirmer="make",
    )  # fmt: skip
    session.swap(known)
    assert session.checked == [known], "the brakes see the lists first"
    assert session.known is known
    assert [name for name, *_ in order] == [
        "end", "judge_by", *([] if remote else ["restart"]), "changed_files",
        *(["running_scan"] if walking else []), "begin",
    ]  # fmt: skip
    assert session._confirmation.more is True
    assert session._confirmation.taken == ([] if remote else [["open"]])
    assert session._catalog == [
        ("commit",), ("filterset", "new"), ("judged_until", 4), ("reconsider", 0, "s"),
    ]  # fmt: skip
    assert order.of("judge_by") == [(4,)]
    assert order.of("begin") == [(known, 4)]
    ((options, judged, until),) = order.of("changed_files")
    assert (options.filterset, options.filters, options.algorithms) == (
        "new", ("f",), frozenset({"md5"}),
    )  # fmt: skip
    assert (judged, until, options.large_apart) == (4, 7, module._LARGE_APART)
    if walking:
        ((options, judged, until),) = order.of("running_scan")
        assert (options.filterset, judged, until, options.large_apart) == ("new", 4, 7, None)
    session._stack = SimpleNamespace(close=order.closed)
    session.close()
    assert order.of("closed") == [()]
    session.commit()
    assert session._catalog.of("commit") == [(), ()]
