"""hashscan.daemon.daemon: what comes by the clock, with the clock and all processes replaced."""

import errno
import math
import os
import signal
from contextlib import suppress
from types import SimpleNamespace

import pytest
from daemon_loop import Session, thrown

from hashscan.audit import events
from hashscan.audit.reader import read
from hashscan.daemon import daemon as module
from hashscan.errors import (
    ExitCode,
    FilterError,
    InterruptError,
    StateError,
    UsageError,
)

# What the service manager and ``status`` hear


@pytest.fixture
def written(monkeypatch):
    found = []
    monkeypatch.setattr(module, "write_facts", lambda _directory, facts: found.append(facts))
    return found


def test_status_is_written_every_five_seconds_and_sooner_if_there_is_news(daemon, clock, written):
    session = daemon._session = Session()
    daemon._ping_and_write()
    assert len(written) == 1
    for later, counted, news, count in (
        (0.4, True, False, 1),  # a count waits for half a second
        (0.1, True, False, 2),
        (0.1, False, True, 3),  # news waits for nothing
        (4.9, False, False, 3),
        (0.1, False, False, 4),
    ):
        clock.now += later
        session.facts.counted, session.facts.news = counted, news
        daemon._ping_and_write()
        assert len(written) == count
    assert daemon._notifier.names() == ["status"] * 4


def test_without_a_session_status_is_written_every_five_seconds(daemon, clock, written):
    daemon._ping_and_write()
    clock.now += 4.9
    daemon._ping_and_write()
    assert len(written) == 1
    clock.now += 0.1
    daemon._ping_and_write()
    assert len(written) == 2


def test_a_status_that_cannot_be_written_is_reported(daemon, clock, out, monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(module, "write_facts", thrown(full))
    for _ in range(2):
        daemon._ping_and_write()
        clock.now += 5
    assert "/state: the daemon's status cannot be written: No space left on device; free" in (
        out.getvalue()
    )
    monkeypatch.setattr(module, "write_facts", lambda *_: None)
    for _ in range(2):
        daemon._ping_and_write()
        clock.now += 5
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("/state: the daemon's status is written again")


def test_lines_that_wait_are_written_whenever_status_is(daemon, clock, written, monkeypatch):
    calls = []
    monkeypatch.setattr(daemon._log, "tick", lambda: calls.append("tick"))
    monkeypatch.setattr(daemon._log.record, "write_delayed", lambda: calls.append("delayed"))
    for later in (0, 4.9, 0.1):
        clock.now += later
        daemon._ping_and_write()
    assert calls == ["tick", "delayed"] * 2


def test_counts_go_on_in_the_next_session(daemon):
    for number in (3, 4):
        daemon._session = Session()
        daemon._session.events = number
        daemon._close_session()
    assert daemon._facts()["counters"]["events"] == 7


def test_the_watchdog_hears_as_often_as_it_wants_while_work_goes_on(
    daemon, clock, written, monkeypatch
):
    daemon._notifier.watchdog_interval = 10.0
    goes_on = [True]
    monkeypatch.setattr(daemon, "_goes_on", lambda _now: goes_on[0])
    for later, works, pings in (
        (0, True, 1),
        (9.5, True, 1),
        (0.5, True, 2),
        (10, False, 2),
        (1, True, 3),
    ):
        clock.now += later
        goes_on[0] = works
        daemon._ping_and_write()
        assert daemon._notifier.names().count("watchdog") == pings


def test_work_that_stands_still_for_a_quarter_of_an_hour_is_no_progress(daemon, clock):
    def now(later=0.0):
        clock.now += later
        return daemon._goes_on(clock.now)

    assert now()
    assert now(10_000), "without a session there is nothing to do"
    session = daemon._session = Session()
    assert now(10_000)
    session.changed_files.busy = True
    assert now(899)
    assert not now(1)
    session.turns += 1
    assert now()
    assert now(899.9)
    assert not now(0.1)
    session.changed_files.busy = False
    assert now()
    session.changed_files.busy = True
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
    monkeypatch.setattr(daemon, "_ping_and_write", lambda: told.append(daemon._in_turn))
    daemon._during_a_turn(False)
    assert told == [], "before the daemon is ready it says nothing"
    daemon._is_ready = True
    daemon._during_a_turn(False)
    assert told == [True]
    assert daemon._in_turn is False
    monkeypatch.setattr(daemon, "_ping_and_write", thrown(OSError()))
    with suppress(OSError):
        daemon._during_a_turn(False)
    assert daemon._in_turn is False
    daemon._stop = True
    with pytest.raises(InterruptError):
        daemon._during_a_turn(False)


def test_one_line_on_what_the_daemon_does(daemon):
    daemon._trouble = "the filter is damaged"
    assert daemon._status_line() == "nothing is scanned: the filter is damaged"
    session = daemon._session = Session()
    session.found.matches = 5678
    assert daemon._status_line() == "1,234 changes wait; 5,678 matches"
    session.running_scan = SimpleNamespace(kind="start", fraction=0.25, files=9012)
    session.retry.in_trouble = True
    assert daemon._status_line() == (
        "1,234 changes wait; scan (start) 25%, 9,012 files; 5,678 matches; "
        "the service does not answer"
    )
    session.retry.is_refused = True
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
    daemon._session = Session()
    assert daemon._facts()["events"] == 5
    daemon._limit = True
    assert daemon._facts()["limit"] is False, "the limit is gone with its trouble"
    daemon._trouble = "too many open files"
    assert daemon._facts()["limit"] is True
    daemon._session.facts.collect = thrown(StateError("busy"))
    assert daemon._facts()["pid"] == os.getpid()


# A turn

#: The parts of the daemon that have a process of their own, in the order of their turns.
PARTS = ("housekeeping", "notices", "notice_rounds", "exporting", "notifications")


class Wake:
    """The reading end of the pipe to which signals write."""

    def __init__(self, fd):
        self.fileno = lambda: fd


@pytest.fixture
def turning(daemon, monkeypatch):
    """The daemon with a session; ``done``: the parts of a turn."""
    done = []
    for name in (*PARTS, "reloading"):
        part = SimpleNamespace(connections=[name])
        part.take = lambda ready, name=name: done.append((name, list(ready)))
        setattr(daemon, f"_{name}", part)
    for name in ("_by_the_clock", "_ping_and_write", "_load_anew", "_take_fetched"):
        monkeypatch.setattr(daemon, name, lambda name=name: done.append(name))
    monkeypatch.setattr(daemon, "_take_sync", done.append)
    here, there = os.pipe2(os.O_NONBLOCK)
    daemon._wake = Wake(here)
    daemon._session = Session()
    yield done, there
    os.close(here)
    os.close(there)


def parts(ready):
    return [(name, ready) for name in PARTS]


def test_a_turn_hears_every_job_and_then_does_what_the_clock_brings(daemon, turning):
    done, _ = turning
    daemon._turn()
    assert daemon._session.listened == [
        [
            "housekeeping",
            "notices",
            "notice_rounds",
            "reloading",
            "exporting",
            "notifications",
            daemon._wake,
        ]
    ]
    assert done == [*parts([]), "_by_the_clock", "_ping_and_write"]
    done.clear()
    sync = daemon._sync = SimpleNamespace(connection="sync")
    daemon._session.ready = ["notices", "reloading", "sync"]
    daemon._reload = True
    daemon._turn()
    assert daemon._session.listened[1][4] == "sync"
    assert done == [
        sync, "_take_fetched", *parts(["notices", "reloading", "sync"]), "_load_anew",
        "_by_the_clock", "_ping_and_write",
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
    session = daemon._session
    session.fault = StateError("the catalog: no room")
    if is_limit:
        session.fault.__cause__ = OSError(errno.EMFILE, "Too many open files")
    daemon._turn()
    assert (daemon._session, session.closed, daemon._limit) == (None, 1, is_limit)
    assert done == [*parts([]), "_by_the_clock", "_ping_and_write"]


def test_without_a_session_a_turn_waits_for_the_jobs(daemon, turning, monkeypatch):
    done, _ = turning
    daemon._session = None
    waited = []
    monkeypatch.setattr(
        module,
        "wait",
        lambda listen, seconds: waited.append((list(listen), seconds)) or ["notices"],
    )
    daemon._turn()
    jobs = ["housekeeping", "notices", "notice_rounds", "reloading", "exporting", "notifications"]
    assert waited == [([*jobs, daemon._wake], 1.0)]
    assert done[: len(PARTS)] == parts(["notices"])


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
    for name in PARTS:
        monkeypatch.setattr(getattr(daemon, f"_{name}"), "use", used.append)
    monkeypatch.setattr(daemon._reloading, "take", lambda: new)
    session = daemon._session = Session()
    daemon._facts_at = math.inf
    daemon._take_fetched()
    assert daemon._settings is new
    assert (daemon._session, session.closed) == (None, 1)
    assert (daemon._sync, sync.closed) == (None, 1)
    assert used == [new] * len(PARTS)
    assert (daemon._reload_refused, daemon._facts_at) == ("", 0.0)
    assert refreshed == [("reload",)]
    assert daemon._refresh._interval == 3600.0, "the timers are those of the new one"
    assert daemon._notifier.names()[-1] == "ready"


# Start and end


def test_a_daemon_from_its_start_to_its_end(daemon, out, monkeypatch, written):
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    turns, closed, session = [], [], Session()

    def refresh():
        turns.append("refresh")
        daemon._session = session

    monkeypatch.setattr(daemon, "_refresh_known", refresh)
    monkeypatch.setattr(module, "raise_open_files", lambda: turns.append("limit"))
    monkeypatch.setattr(daemon._exporting, "step", lambda: turns.append("exporting"))

    def turn():
        os.kill(os.getpid(), signal.SIGTERM)
        turns.append((daemon._is_ready, os.read(daemon._wake.fileno(), 9) != b""))

    monkeypatch.setattr(daemon, "_turn", turn)
    for name in ("reloading", *PARTS):
        part = getattr(daemon, f"_{name}")
        monkeypatch.setattr(part, "close", lambda name=name: closed.append(name))
    daemon._sync = SimpleNamespace(close=lambda: closed.append("sync"))
    assert daemon.run() == ExitCode.NOTHING_FOUND
    assert turns == ["limit", "exporting", "refresh", (True, True)]
    assert (daemon._session, session.closed) == (None, 1)
    lines = [one.event for one in read(daemon._state.directory)]
    assert lines == [events.DAEMON_STARTED, events.DAEMON_STOPPED]
    assert closed == [
        "reloading", "housekeeping", "notices", "notice_rounds", "exporting", "sync", "notifications",
    ]  # fmt: skip
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
