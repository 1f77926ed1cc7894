"""hashscan.daemon.daemon: syncs, other filters and timers, with the clock and all processes replaced."""

import errno
import math
from types import SimpleNamespace

import pytest
from daemon_loop import Session, fault

from hashscan.daemon import daemon as module
from hashscan.daemon.background_job import Failure
from hashscan.errors import (
    ConfigError,
    FilterError,
    FilterExpiredError,
    LockedError,
    QuarantineError,
    StateError,
    UsageError,
)


def report(*categories, wait=None):
    return SimpleNamespace(
        take=lambda: SimpleNamespace(categories=categories, retry_after=wait, fetched=5000)
    )


def category(state, **more):
    given = {"category": "baseline", "version": "7", "way": "", "message": "", "trouble": ""}
    return SimpleNamespace(state=state, **{**given, **more})


def test_a_sync_that_brings_filters_is_logged_and_they_are_used(daemon, clock, out, refreshed):
    daemon._synced |= {"message": "old", "failing_since": 5.0, "refused": True}
    daemon._sync = "job"
    daemon._refresh._retry = 960.0
    daemon._take_sync(
        report(category("updated", way="patch"), category("updated"), category("current"))
    )
    lines = out.getvalue()
    assert lines.count("filter baseline: version 7 (patch, 5,000 bytes fetched)") == 1
    assert lines.count("filter baseline: version 7 (tiers, 5,000 bytes fetched)") == 1
    assert lines.count("\n") == 2
    assert daemon._sync is None
    assert daemon._synced == {
        "time": clock.time(), "message": "", "failing_since": None, "refused": False,
    }  # fmt: skip
    assert daemon._refresh._retry == daemon._refresh._first_retry
    assert refreshed == [()]


def test_a_tier_that_cannot_be_used_is_a_warning(daemon, out, refreshed):
    daemon._take_sync(report(category("current", message="the tier is too old")))
    assert "warning: the tier is too old" in out.getvalue()
    assert daemon._synced["failing_since"] is None


def test_a_sync_that_fails_is_tried_again_when_the_server_wants(
    daemon, clock, out, refreshed, monkeypatch
):
    waits = []
    monkeypatch.setattr(daemon._refresh, "failed", lambda wait=None: waits.append(wait) or 120.0)
    first = clock.time()
    bad = category("unreachable", trouble="unreachable", message="no route")
    for wait in (None, 500.0):
        daemon._take_sync(report(category("current"), bad, bad, wait=wait))
        clock.now += 10
    assert waits == [None, 500.0]
    assert daemon._synced["failing_since"] == first
    assert daemon._synced["time"] == first + 10
    assert daemon._synced["message"] == "; ".join(["filter baseline: unreachable: no route"] * 2)
    assert "filter baseline: unreachable: no route; again in 2 min" in out.getvalue()
    assert len(refreshed) == 2
    daemon._take_sync(SimpleNamespace(take=lambda: Failure("x", "it died")))
    assert daemon._synced["message"] == "it died"
    assert waits[2] is None


def test_one_sync_at_a_time(daemon, monkeypatch):
    jobs = []
    monkeypatch.setattr(module, "Background", lambda job: jobs.append(job) or f"job {len(jobs)}")
    syncs = []
    monkeypatch.setattr(module, "run_sync", lambda *given, **_named: syncs.append(given))
    daemon._begin_sync()
    daemon._begin_sync()
    assert daemon._sync == "job 1"
    jobs[0]()
    assert syncs == [(daemon._settings, daemon._state)]


@pytest.fixture
def opens(daemon, monkeypatch):
    """``opens.known``: the known set, or its error; ``opens.made``: sessions that were begun."""
    one = SimpleNamespace(known=SimpleNamespace(name="new"), made=[], fault=None)

    def open_known_set(*_given):
        if isinstance(one.known, Exception):
            raise one.known
        return one.known

    def begin(*given, **named):
        if one.fault is not None:
            raise one.fault
        one.made.append((given, named))
        return Session("new")

    monkeypatch.setattr(module, "open_known_set", open_known_set)
    monkeypatch.setattr(module, "Session", begin)
    monkeypatch.setattr(daemon, "_good_for", lambda: 77.0)
    return one


def test_a_session_begins_with_the_first_usable_filters(daemon, opens):
    daemon._trouble = "it is missing"
    daemon._refresh_known("reload")
    (((settings, state, known, log), named),) = opens.made
    assert (settings, state, known) == (daemon._settings, daemon._state, opens.known)
    assert log is daemon._log
    assert named == {"tick": daemon._during_a_turn, "kind": "reload"}
    assert daemon._trouble == ""
    assert daemon._good_until == 77.0
    daemon._session = None
    daemon._refresh_known()
    assert opens.made[1][1]["kind"] == "start"


def test_a_session_gets_other_filters_only(daemon, opens, out, monkeypatch):
    recorded = []
    monkeypatch.setattr(daemon._log.record, "filters", recorded.append)
    session = daemon._session = Session("new")
    daemon._refresh_known()
    assert (session.swapped, recorded) == ([], [])
    session.known.name = "old"
    daemon._refresh_known()
    assert (session.swapped, recorded) == ([opens.known], ["new"])
    assert "another set of filters is used: new" in out.getvalue()
    session.checked = opens.known  # it is used when the brakes have checked it
    daemon._refresh_known()
    assert (session.swapped, recorded) == ([opens.known], ["new"])
    assert opens.made == []


def test_filters_that_were_refused_and_are_good_again_are_no_trouble(daemon, opens):
    daemon._session = Session("new")
    daemon._synced |= {"message": "no route", "failing_since": 5.0}
    daemon._refresh_known()
    assert daemon._synced["message"] == "no route", "a sync that fails is another trouble"
    daemon._synced["refused"] = True
    daemon._refresh_known()
    assert (daemon._synced["message"], daemon._synced["failing_since"]) == ("", None)
    assert daemon._synced["refused"] is False


@pytest.mark.parametrize("kind", [FilterError, ConfigError, UsageError, StateError])
def test_filters_that_cannot_be_opened_end_no_daemon(daemon, opens, clock, kind):
    opens.known = fault(kind, "it is damaged")
    daemon._good_until = math.inf
    session = daemon._session = Session()
    daemon._refresh_known()
    assert daemon._session is session
    first = clock.time()
    assert daemon._synced["failing_since"] == first
    assert daemon._synced["message"] == "the filters in use stay, for: it is damaged"
    clock.now += 5
    daemon._refresh_known()
    assert daemon._synced["failing_since"] == first
    opens.known = FilterExpiredError("it is too old")
    daemon._refresh_known()
    assert (daemon._session, session.closed) == (None, 1)
    assert daemon._trouble == "it is too old"


@pytest.mark.parametrize(
    "kind", [FilterError, ConfigError, UsageError, LockedError, StateError, QuarantineError]
)
def test_a_session_that_cannot_begin_ends_no_daemon(daemon, opens, kind):
    opens.fault = fault(kind, "it is locked")
    daemon._refresh_known()
    assert daemon._session is None
    assert "it is locked" in daemon._trouble
    assert daemon._limit is False
    opens.fault = fault(kind, "it cannot be opened")
    opens.fault.__cause__ = OSError(errno.EMFILE, "Too many open files")
    daemon._refresh_known()
    assert daemon._limit is (kind is not LockedError)


def test_until_when_filters_may_be_used(daemon, make, clock, monkeypatch):
    ages = [SimpleNamespace(age=100.0), SimpleNamespace(age=None), SimpleNamespace(age=300.0)]
    monkeypatch.setattr(module, "filters_of", lambda *_: ("words", ages))
    most = daemon._settings.filter.max_age
    assert daemon._good_for() == clock.time() + most - 300
    del ages[::2]
    assert daemon._good_for() == clock.time() + most, "its age is unknown"
    ages.clear()
    assert daemon._good_for() == clock.time()
    without = make("")
    assert without._good_for() == math.inf


def test_why_nothing_is_scanned_is_logged_once(daemon, out):
    session = daemon._session = Session()
    daemon._facts_at = math.inf
    daemon._without("the disk is full", limit=True)
    assert (daemon._session, session.closed, daemon._facts_at, daemon._limit) == (
        None,
        1,
        0.0,
        True,
    )
    daemon._without("the disk is full")
    assert daemon._limit is False
    daemon._without("it is damaged")
    lines = [one.partition("error: ")[2] for one in out.getvalue().splitlines()]
    assert lines == ["nothing is scanned: the disk is full", "nothing is scanned: it is damaged"]


def test_each_trouble_and_its_end_have_a_line_in_the_audit_log(daemon, opens, monkeypatch):
    lines = []
    for name in ("problem", "well", "refused"):
        note = lambda *given, name=name: lines.append((name, *given))  # noqa: E731
        monkeypatch.setattr(daemon._log.record, name, note)
    daemon._session = Session("new")
    bad = [category("bad", trouble="t", message=message) for message in ("b", "a")]
    daemon._take_sync(report(*bad))
    faults = "filter baseline: t: a", "filter baseline: t: b"
    assert lines == [("problem", "sync", "; ".join(faults), "; ".join(reversed(faults)))]
    lines.clear()
    daemon._take_sync(report(category("current")))
    assert lines == [("well", "sync")]
    lines.clear()
    known, opens.known = opens.known, FilterError("it is damaged")
    daemon._good_until = math.inf
    for _ in range(2):
        daemon._refresh_known()
    assert lines == [("refused", "filter", "it is damaged")]
    lines.clear()
    for _ in range(2):
        daemon._without("no room")
    assert lines == [("problem", "scanning", "no room", "no room")]
    lines.clear()
    opens.known = known
    daemon._refresh_known()
    assert lines == [("well", "scanning")]
    lines.clear()
    daemon._refuse(UsageError("no such volume"))
    assert lines == [("refused", "configuration", "no such volume")]


# The clock


@pytest.fixture
def by_the_clock(daemon, monkeypatch, refreshed):
    """The daemon's timers: names in ``due`` have come."""
    due, steps = set(), []

    def timer(name):
        return SimpleNamespace(due=lambda: name in due, changed=lambda: name in due)

    for name in ("scan", "refresh", "again", "lists", "expiry"):
        setattr(daemon, f"_{name}", timer(name))
    for name in ("housekeeping", "notices", "notice_rounds", "exporting", "notifications"):
        part = SimpleNamespace(step=lambda *given, name=name: steps.append((name, *given)))
        setattr(daemon, f"_{name}", part)
    monkeypatch.setattr(daemon, "_begin_sync", lambda: steps.append(("sync",)))

    def step(*names):
        due.clear()
        due.update(names)
        steps.clear()
        refreshed.clear()
        daemon._by_the_clock()
        parts = [
            ("housekeeping", daemon._session),
            ("notices",),
            ("notice_rounds", daemon._session, daemon._trouble),
            ("notifications",),
        ]
        assert steps[-4:] == parts
        assert steps[-5] == ("exporting",), "before what forks"
        return [name for (name,) in steps[:-5]], len(refreshed)

    return step


def test_what_the_clock_brings(daemon, by_the_clock, monkeypatch):
    assert by_the_clock("scan") == ([], 0), "there is no session"
    assert by_the_clock("again") == ([], 1)
    assert by_the_clock("expiry") == ([], 0)
    assert by_the_clock("refresh") == (["sync"], 0)
    assert by_the_clock("lists") == ([], 1)
    session = daemon._session = Session()
    daemon._good_until = math.inf
    assert by_the_clock("scan", "again", "expiry") == ([], 0)
    assert session.wanted == ["schedule"]
    daemon._good_until = 0.0
    assert by_the_clock("expiry") == ([], 1)
    assert by_the_clock() == ([], 0)
    daemon._sync = "job"
    assert by_the_clock("lists") == ([], 0), "the sync opens them"
    monkeypatch.setattr(module, "from_repository", lambda _settings: False)
    assert by_the_clock("refresh") == ([], 1)


def test_the_timers_are_those_of_the_configuration(daemon, make, clock):
    assert daemon._refresh.next == pytest.approx(clock.time(), abs=1e10), "a sync is due at once"
    assert daemon._refresh.due() is True
    assert daemon._expiry.due() is True
    assert daemon._again.due() is False
    local = make("")
    assert local._refresh.due() is False
    assert local._refresh._interval == 3600.0
    assert daemon._refresh._interval == daemon._settings.filter.refresh
