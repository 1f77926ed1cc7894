"""hashscan.daemon.daemon: what comes by the clock, with the clock and all processes replaced."""

import errno
import io
import math
import os
import signal
from contextlib import suppress
from types import SimpleNamespace

import pytest

from hashscan.config.loader import load
from hashscan.daemon import daemon as module
from hashscan.daemon.background import Failure
from hashscan.daemon.counters import Counters
from hashscan.daemon.daemon import Daemon
from hashscan.daemon.log import Log
from hashscan.errors import (
    ConfigError,
    ExitCode,
    FilterError,
    FilterExpiredError,
    InterruptError,
    LockedError,
    QuarantineError,
    StateError,
    UsageError,
)
from hashscan.model import Summary
from hashscan.scan.work import Tally
from hashscan.state import State


@pytest.fixture
def out():
    return io.StringIO()


@pytest.fixture
def clock(monkeypatch):
    one = SimpleNamespace(now=1000.0)
    one.monotonic = lambda: one.now
    one.time = lambda: one.now + 1e9
    monkeypatch.setattr(module, "time", one)
    return one


class Notifier:
    """The service manager; ``said`` is what it hears."""

    watchdog_interval = None

    def __init__(self):
        self.said = []

    def __getattr__(self, name):
        return lambda *words: self.said.append((name, *words))

    def names(self):
        return [name for name, *_ in self.said]


@pytest.fixture
def make(tmp_path, out, monkeypatch):
    """Make a daemon whose configuration has more of a section."""
    for name in ("root.json", "known.txt"):
        (tmp_path / name).write_text(f"{'0' * 40}\n")
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(module, "Notifier", Notifier)

    def made(filter_=f"filter: {{source: 'http://127.0.0.1:9/', root: {tmp_path}/root.json}}\n"):
        config = tmp_path / "config.yaml"
        config.write_text(
            f"state: {tmp_path}/state\nvolumes: [{{path: {tmp_path}/volume}}]\n"
            f"service: {{kind: local, known: [{tmp_path}/known.txt]}}\n"
            f"{filter_}quarantine: {{action: report, retention: none}}\n"
        )
        settings = load(str(config))
        return Daemon(settings, State(settings.state), lambda: settings, Log(out, out))

    return made


@pytest.fixture
def daemon(clock, make):
    return make()


class Session:
    """``Duty``, as far as the daemon sees it."""

    def __init__(self, name="old"):
        self.known = SimpleNamespace(name=name)
        self.turns, self.walk, self.found = 0, None, Summary()
        self.looking = SimpleNamespace(busy=False, backlog=1234, tally=Tally())
        self.ended, self.events, self.lost = Counters(), 0, 0
        self.verdicts = SimpleNamespace(in_trouble=False, is_refused=False)
        self.facts = SimpleNamespace(news=False, counted=False, collect=lambda: {"events": 5})
        self.facts.has_news = lambda: self.facts.news
        self.facts.has_counted = lambda: self.facts.counted
        self.wanted, self.swapped, self.closed, self.listened = [], [], 0, []
        self.want_all, self.swap = self.wanted.append, self.swapped.append
        self.fault, self.ready = None, []

    def turn(self, listen):
        self.listened.append(listen)
        if self.fault is not None:
            raise self.fault
        return [one for one in listen if one in self.ready]

    def close(self):
        self.closed += 1


def fault(kind, words):
    """An error of a class, however it is made."""
    error = Exception.__new__(kind)
    Exception.__init__(error, words)
    return error


def thrown(error):
    def throw(*_given, **_named):
        raise error

    return throw


# What the service manager and ``status`` hear


@pytest.fixture
def written(monkeypatch):
    found = []
    monkeypatch.setattr(module, "write_facts", lambda _directory, facts: found.append(facts))
    return found


def test_status_is_written_every_five_seconds_and_sooner_if_there_is_news(daemon, clock, written):
    duty = daemon._duty = Session()
    daemon._tell()
    assert len(written) == 1
    for later, counted, news, count in (
        (0.4, True, False, 1),  # a count waits for half a second
        (0.1, True, False, 2),
        (0.1, False, True, 3),  # news waits for nothing
        (4.9, False, False, 3),
        (0.1, False, False, 4),
    ):
        clock.now += later
        duty.facts.counted, duty.facts.news = counted, news
        daemon._tell()
        assert len(written) == count
    assert daemon._notifier.names() == ["status"] * 4


def test_without_a_session_status_is_written_every_five_seconds(daemon, clock, written):
    daemon._tell()
    clock.now += 4.9
    daemon._tell()
    assert len(written) == 1
    clock.now += 0.1
    daemon._tell()
    assert len(written) == 2


def test_a_status_that_cannot_be_written_is_reported(daemon, clock, out, monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(module, "write_facts", thrown(full))
    daemon._tell()
    assert "/state: the daemon's status cannot be written: No space left on device; free" in (
        out.getvalue()
    )


def test_the_watchdog_hears_as_often_as_it_wants_while_work_goes_on(
    daemon, clock, written, monkeypatch
):
    daemon._notifier.watchdog_interval = 10.0
    goes_on = [True]
    monkeypatch.setattr(daemon, "_goes_on", lambda _now: goes_on[0])
    for later, works, pings in ((0, True, 1), (9.9, True, 1), (0.1, False, 1), (1, True, 2)):
        clock.now += later
        goes_on[0] = works
        daemon._tell()
        assert daemon._notifier.names().count("watchdog") == pings


def test_work_that_stands_still_for_a_quarter_of_an_hour_is_no_progress(daemon, clock):
    def now(later=0.0):
        clock.now += later
        return daemon._goes_on(clock.now)

    assert now()
    assert now(10_000), "without a session there is nothing to do"
    duty = daemon._duty = Session()
    assert now(10_000)
    duty.looking.busy = True
    assert now(899)
    assert not now(1)
    duty.turns += 1
    assert now()
    assert now(899.9)
    assert not now(0.1)
    duty.looking.busy = False
    assert now()
    duty.looking.busy = True
    daemon._in_turn = True  # a large match is moved
    assert now(899)
    assert not now(1)
    daemon._is_ready = False
    daemon._during_a_turn(True)
    assert now(), "the move goes on"
    daemon._during_a_turn(False)
    assert not now(900)


def test_during_a_turn_the_end_is_heard_and_status_is_written(daemon, monkeypatch):
    told = []
    monkeypatch.setattr(daemon, "_tell", lambda: told.append(daemon._in_turn))
    daemon._during_a_turn(False)
    assert told == [], "before the daemon is ready it says nothing"
    daemon._is_ready = True
    daemon._during_a_turn(False)
    assert told == [True]
    assert daemon._in_turn is False
    monkeypatch.setattr(daemon, "_tell", thrown(OSError()))
    with suppress(OSError):
        daemon._during_a_turn(False)
    assert daemon._in_turn is False
    daemon._stop = True
    with pytest.raises(InterruptError):
        daemon._during_a_turn(False)


def test_one_line_on_what_the_daemon_does(daemon):
    daemon._trouble = "the filter is damaged"
    assert daemon._status_line() == "nothing is scanned: the filter is damaged"
    duty = daemon._duty = Session()
    duty.found.matches = 5678
    assert daemon._status_line() == "1,234 changes wait; 5,678 matches"
    duty.walk = SimpleNamespace(kind="start", fraction=0.25, files=9012)
    duty.verdicts.in_trouble = True
    assert daemon._status_line() == (
        "1,234 changes wait; scan (start) 25%, 9,012 files; 5,678 matches; "
        "the service does not answer"
    )
    duty.verdicts.is_refused = True
    assert daemon._status_line().endswith("; the service refuses the password")


def test_the_facts_for_status(daemon, clock):
    facts = daemon._facts()
    assert (facts["pid"], facts["stopped"], facts["limit"]) == (os.getpid(), False, False)
    assert (facts["started"], facts["time"]) == (clock.time(), clock.time())
    assert facts["sync"] == {
        "time": None, "message": "", "failing_since": None, "refused": False,
        "next": daemon._refresh.next,
    }  # fmt: skip
    assert "events" not in facts
    daemon._duty = Session()
    assert daemon._facts()["events"] == 5
    daemon._limit = True
    assert daemon._facts()["limit"] is False, "the limit is gone with its trouble"
    daemon._trouble = "too many open files"
    assert daemon._facts()["limit"] is True
    daemon._duty.facts.collect = thrown(StateError("busy"))
    assert daemon._facts()["pid"] == os.getpid()


# Filters


def report(*categories, wait=None):
    return SimpleNamespace(
        take=lambda: SimpleNamespace(categories=categories, retry_after=wait, fetched=5000)
    )


def category(state, **more):
    given = {"category": "baseline", "version": "7", "way": "", "message": "", "trouble": ""}
    return SimpleNamespace(state=state, **{**given, **more})


@pytest.fixture
def refreshed(daemon, monkeypatch):
    found = []
    monkeypatch.setattr(daemon, "_refresh_known", lambda *kind: found.append(kind))
    return found


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
    monkeypatch.setattr(module, "Duty", begin)
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
    daemon._duty = None
    daemon._refresh_known()
    assert opens.made[1][1]["kind"] == "start"


def test_a_session_gets_other_filters_only(daemon, opens, out, monkeypatch):
    recorded = []
    monkeypatch.setattr(daemon._log.record, "filters", recorded.append)
    duty = daemon._duty = Session("new")
    daemon._refresh_known()
    assert (duty.swapped, recorded) == ([], [])
    duty.known.name = "old"
    daemon._refresh_known()
    assert (duty.swapped, recorded) == ([opens.known], ["new"])
    assert "another set of filters is used: new" in out.getvalue()
    assert opens.made == []


def test_filters_that_were_refused_and_are_good_again_are_no_trouble(daemon, opens):
    daemon._duty = Session("new")
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
    duty = daemon._duty = Session()
    daemon._refresh_known()
    assert daemon._duty is duty
    first = clock.time()
    assert daemon._synced["failing_since"] == first
    assert daemon._synced["message"] == "the filters in use stay, for: it is damaged"
    clock.now += 5
    daemon._refresh_known()
    assert daemon._synced["failing_since"] == first
    opens.known = FilterExpiredError("it is too old")
    daemon._refresh_known()
    assert (daemon._duty, duty.closed) == (None, 1)
    assert daemon._trouble == "it is too old"


@pytest.mark.parametrize(
    "kind", [FilterError, ConfigError, UsageError, LockedError, StateError, QuarantineError]
)
def test_a_session_that_cannot_begin_ends_no_daemon(daemon, opens, kind):
    opens.fault = fault(kind, "it is locked")
    daemon._refresh_known()
    assert daemon._duty is None
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
    ages.clear()
    assert daemon._good_for() == clock.time()
    without = make("")
    assert without._good_for() == math.inf


def test_why_nothing_is_scanned_is_logged_once(daemon, out):
    duty = daemon._duty = Session()
    daemon._facts_at = math.inf
    daemon._without("the disk is full", limit=True)
    assert (daemon._duty, duty.closed, daemon._facts_at, daemon._limit) == (None, 1, 0.0, True)
    daemon._without("the disk is full")
    assert daemon._limit is False
    daemon._without("it is damaged")
    lines = [one.partition("error: ")[2] for one in out.getvalue().splitlines()]
    assert lines == ["nothing is scanned: the disk is full", "nothing is scanned: it is damaged"]


# The clock


@pytest.fixture
def by_the_clock(daemon, monkeypatch, refreshed):
    """The daemon's timers: names in ``due`` have come."""
    due, steps = set(), []

    def timer(name):
        return SimpleNamespace(due=lambda: name in due, changed=lambda: name in due)

    for name in ("scan", "refresh", "again", "lists", "expiry"):
        setattr(daemon, f"_{name}", timer(name))
    for name in ("housekeeping", "notices", "notice_rounds"):
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
            ("housekeeping", daemon._duty),
            ("notices",),
            ("notice_rounds", daemon._duty, daemon._trouble),
        ]
        assert steps[-3:] == parts
        return [name for (name,) in steps[:-3]], len(refreshed)

    return step


def test_what_the_clock_brings(daemon, by_the_clock, monkeypatch):
    assert by_the_clock("scan") == ([], 0), "there is no session"
    assert by_the_clock("again") == ([], 1)
    assert by_the_clock("expiry") == ([], 0)
    assert by_the_clock("refresh") == (["sync"], 0)
    assert by_the_clock("lists") == ([], 1)
    duty = daemon._duty = Session()
    daemon._good_until = math.inf
    assert by_the_clock("scan", "again", "expiry") == ([], 0)
    assert duty.wanted == ["schedule"]
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


# A turn


class Wake:
    """The reading end of the pipe to which signals write."""

    def __init__(self, fd):
        self.fileno = lambda: fd


@pytest.fixture
def turning(daemon, monkeypatch):
    """The daemon with a session; ``done``: the parts of a turn."""
    done = []
    for name in ("housekeeping", "notices", "notice_rounds", "reloading"):
        part = SimpleNamespace(connections=[name])
        part.take = lambda ready, name=name: done.append((name, list(ready)))
        setattr(daemon, f"_{name}", part)
    for name in ("_by_the_clock", "_tell", "_load_anew", "_take_fetched"):
        monkeypatch.setattr(daemon, name, lambda name=name: done.append(name))
    monkeypatch.setattr(daemon, "_take_sync", done.append)
    here, there = os.pipe2(os.O_NONBLOCK)
    daemon._wake = Wake(here)
    daemon._duty = Session()
    yield done, there
    os.close(here)
    os.close(there)


def parts(ready):
    return [(name, ready) for name in ("housekeeping", "notices", "notice_rounds")]


def test_a_turn_hears_every_job_and_then_does_what_the_clock_brings(daemon, turning):
    done, _ = turning
    daemon._turn()
    assert daemon._duty.listened == [
        ["housekeeping", "notices", "notice_rounds", "reloading", daemon._wake]
    ]
    assert done == [*parts([]), "_by_the_clock", "_tell"]
    done.clear()
    sync = daemon._sync = SimpleNamespace(connection="sync")
    daemon._duty.ready = ["notices", "reloading", "sync"]
    daemon._reload = True
    daemon._turn()
    assert daemon._duty.listened[1][4:] == ["sync", daemon._wake]
    assert done == [
        sync, "_take_fetched", *parts(["notices", "reloading", "sync"]), "_load_anew",
        "_by_the_clock", "_tell",
    ]  # fmt: skip
    assert daemon._reload is False


def test_a_signal_wakes_a_turn_and_the_end_ends_it(daemon, turning):
    done, there = turning
    os.write(there, b"x" * 3)
    daemon._signalled(signal.SIGHUP, None)
    assert (daemon._reload, daemon._stop) == (True, False)
    daemon._turn()
    assert "_load_anew" in done
    with pytest.raises(BlockingIOError):
        os.read(daemon._wake.fileno(), 1)
    done.clear()
    daemon._signalled(signal.SIGTERM, None)
    assert (daemon._reload, daemon._stop) == (False, True)
    daemon._turn()
    assert done == []


@pytest.mark.parametrize("is_limit", [True, False])
def test_a_catalog_that_cannot_be_written_ends_the_session_not_the_daemon(
    daemon, turning, is_limit
):
    done, _ = turning
    duty = daemon._duty
    duty.fault = StateError("the catalog: no room")
    if is_limit:
        duty.fault.__cause__ = OSError(errno.EMFILE, "Too many open files")
    daemon._turn()
    assert (daemon._duty, duty.closed, daemon._limit) == (None, 1, is_limit)
    assert done == [*parts([]), "_by_the_clock", "_tell"]


def test_without_a_session_a_turn_waits_for_the_jobs(daemon, turning, monkeypatch):
    done, _ = turning
    daemon._duty = None
    waited = []
    monkeypatch.setattr(
        module,
        "wait",
        lambda listen, seconds: waited.append((list(listen), seconds)) or ["notices"],
    )
    daemon._turn()
    jobs = ["housekeeping", "notices", "notice_rounds", "reloading", daemon._wake]
    assert waited == [(jobs, 1.0)]
    assert done[:3] == parts(["notices"])


@pytest.mark.parametrize(
    ("error", "goes_on"),
    [
        (OSError(errno.EMFILE, "Too many open files"), True),
        (MemoryError(), True),
        (OSError(errno.EIO, "I/O error"), False),
        (ValueError(), False),
    ],
)
def test_a_limit_of_the_machine_does_not_end_the_daemon(daemon, error, goes_on):
    if goes_on:
        daemon._within_limits(thrown(error))
        assert daemon._limit is True
        assert daemon._trouble
    else:
        with pytest.raises(type(error)):
            daemon._within_limits(thrown(error))


# Reload


def test_a_reload_is_taken_over_or_refused_or_waits_for_filters(
    daemon, make, out, refreshed, monkeypatch
):
    new = make("")._settings
    begun = []
    monkeypatch.setattr(daemon, "_load", lambda: new)
    monkeypatch.setattr(
        daemon._reloading, "begin", lambda settings, now: begun.append((settings, now))
    )
    old = daemon._settings
    daemon._load_anew()
    assert begun == [(new, old)]
    assert (daemon._settings, refreshed) == (old, []), "filters are fetched first"
    assert daemon._notifier.names() == ["reloading"]

    daemon._facts_at = math.inf
    monkeypatch.setattr(daemon._reloading, "begin", thrown(UsageError("no such volume")))
    daemon._load_anew()
    assert daemon._settings is old
    assert daemon._reload_refused == "no such volume"
    assert daemon._facts_at == 0.0
    assert daemon._notifier.names() == ["reloading", "reloading", "ready"]
    assert "reload refused, the old configuration stays: no such volume" in out.getvalue()
    daemon._load = thrown(UsageError("no YAML"))
    daemon._load_anew()
    assert daemon._reload_refused == "no YAML"
    monkeypatch.setattr(daemon._reloading, "take", thrown(FilterError("not fetched")))
    daemon._take_fetched()
    assert (daemon._settings, daemon._reload_refused) == (old, "not fetched")

    sync = daemon._sync = SimpleNamespace(closed=0)
    sync.close = lambda: setattr(sync, "closed", 1)
    used = []
    for name in ("housekeeping", "notices", "notice_rounds"):
        monkeypatch.setattr(getattr(daemon, f"_{name}"), "use", used.append)
    monkeypatch.setattr(daemon._reloading, "take", lambda: new)
    duty = daemon._duty = Session()
    daemon._facts_at = math.inf
    daemon._take_fetched()
    assert daemon._settings is new
    assert (daemon._duty, duty.closed) == (None, 1)
    assert (daemon._sync, sync.closed) == (None, 1)
    assert used == [new] * 3
    assert (daemon._reload_refused, daemon._facts_at) == ("", 0.0)
    assert refreshed == [("reload",)]
    assert daemon._refresh._interval == 3600.0, "the timers are those of the new one"
    assert daemon._notifier.names()[-1] == "ready"


# Start and end


def test_a_daemon_from_its_start_to_its_end(daemon, out, monkeypatch, written):
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    turns, closed = [], []
    monkeypatch.setattr(daemon, "_refresh_known", lambda: turns.append("refresh"))

    def turn():
        os.kill(os.getpid(), signal.SIGTERM)
        turns.append((daemon._is_ready, os.read(daemon._wake.fileno(), 9) != b""))

    monkeypatch.setattr(daemon, "_turn", turn)
    for name in ("reloading", "housekeeping", "notices", "notice_rounds"):
        part = getattr(daemon, f"_{name}")
        monkeypatch.setattr(part, "close", lambda name=name: closed.append(name))
    daemon._sync = SimpleNamespace(close=lambda: closed.append("sync"))
    assert daemon.run() == ExitCode.NOTHING_FOUND
    assert turns == ["refresh", (True, True)]
    assert closed == ["reloading", "housekeeping", "notices", "notice_rounds", "sync"]
    assert daemon._notifier.names() == ["ready", "stopping", "close"]
    assert written[-1]["stopped"] is True
    assert daemon._log.reported is not None
    assert {name: signal.getsignal(name) for name in before} == before
    assert signal.set_wakeup_fd(-1) == -1
    with daemon._state.lock():
        pass
    lines = out.getvalue()
    assert " starts, state " in lines
    assert "ended; what changes from now on is found by the scan of the next start" in lines


def test_an_interrupted_start_is_no_error_and_a_status_that_cannot_be_written_neither(
    daemon, monkeypatch
):
    monkeypatch.setattr(daemon, "_refresh_known", thrown(InterruptError("the daemon ends")))
    monkeypatch.setattr(module, "write_facts", thrown(OSError(errno.EROFS, "read-only")))
    assert daemon.run() == ExitCode.NOTHING_FOUND
    assert daemon._notifier.names() == ["stopping", "close"]
