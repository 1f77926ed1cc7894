"""The processes that send notifications and export metrics, as the daemon keeps them: all replaced."""

import errno
import io
from types import SimpleNamespace

import pytest

from hashscan.audit.reader import read
from hashscan.config.settings import Settings
from hashscan.daemon import metrics_process, notification_process
from hashscan.daemon.log import Log
from hashscan.daemon.metrics_process import Exporting
from hashscan.daemon.notification_process import Telling
from hashscan.daemon.timers import Every
from hashscan.errors import StateError, UsageError
from hashscan.notify.dispatch import Line
from hashscan.state import State


class Connection:
    """One end of a pipe: ``waiting`` are its messages; an empty one has ended."""

    def __init__(self):
        self.waiting, self.sent, self.closed = [], [], False

    def poll(self, _seconds=0.0):
        return True

    def recv(self):
        if not self.waiting:
            raise EOFError
        return self.waiting.pop(0)

    def send(self, message):
        self.sent.append(message)

    def close(self):
        self.closed = True


class Machine:
    """Children that are not started, their pipes, a clock, and the log."""

    def __init__(self, patch):
        self.now, self.fault = 1000.0, None
        self.started, self.joined, self.ended = [], [], []
        self.log = io.StringIO()
        for module in (notification_process, metrics_process):
            patch.setattr(module, "Child", self.start)
            patch.setattr(module, "Every", self.every)

    def every(self, interval, *, at_once=False):
        return Every(interval, at_once=at_once, clock=lambda: self.now, jitter=lambda *_: 1.0)

    def start(self, main, *arguments):
        if self.fault is not None:
            raise self.fault
        child = SimpleNamespace(main=main, arguments=arguments, connection=Connection())
        child.wait = self.joined.append
        child.end = lambda: (child.connection.close(), self.ended.append(child))
        self.started.append(child)
        return child

    def lines(self):
        return self.log.getvalue()


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


@pytest.fixture
def state(tmp_path):
    one = State(str(tmp_path / "state"))
    with one.lock():
        pass
    return one


def with_receiver(state, name="ops"):
    receiver = {"name": name, "kind": "command", "command": ["/bin/true"], "events": ["problem"]}
    return Settings.of(state=state.directory, notify=[receiver])


def telling_of(settings, state, machine):
    return Telling(settings, state, Log(machine.log, machine.log))


def told(one):
    one.take(one.connections)


# Notifications


def test_without_a_receiver_no_process_starts(state, machine):
    one = telling_of(Settings.of(state=state.directory), state, machine)
    one.step()
    assert machine.started == one.connections == []


def test_one_process_sends_notifications_from_the_newest_line_on(state, machine, monkeypatch):
    monkeypatch.setattr(
        notification_process, "newest", lambda directory: {state.directory: 17}[directory]
    )
    settings = with_receiver(state)
    one = telling_of(settings, state, machine)
    one.step()
    one.step()
    (child,) = machine.started
    assert child.arguments[:3] == (settings.notify, state, 17)
    assert one.connections == [child.connection]


def test_what_it_reports_is_logged_by_its_level(state, machine):
    one = telling_of(with_receiver(state), state, machine)
    one.step()
    ours = machine.started[0].connection
    ours.waiting = [Line("warning", "ops", "ops: late"), Line("error", "outbox", "full")]
    ours.poll = lambda: bool(ours.waiting)
    one.take([])
    assert machine.lines() == ""
    told(one)
    first, second = machine.lines().splitlines()
    assert "ops: late" in first
    assert "full" in second
    assert one.connections == [ours]


def test_a_process_that_has_ended_starts_again_after_half_a_minute(state, machine):
    one = telling_of(with_receiver(state), state, machine)
    one.step()
    machine.now += 100.0
    told(one)
    assert "the process that sends notifications has ended; it starts again in 30 s" in (
        machine.lines()
    )
    assert one.connections == []
    assert machine.ended == machine.started
    assert machine.joined == [], "nobody waits for a dead process"
    for seconds, starts in ((29.0, 1), (1.0, 2)):
        machine.now += seconds
        one.step()
        assert len(machine.started) == starts


def test_a_limit_of_the_system_is_tried_again_and_another_error_is_raised(state, machine):
    one = telling_of(with_receiver(state), state, machine)
    machine.fault = OSError(errno.EAGAIN, "no process")
    one.step()
    assert "tried again in 30 s" in machine.lines()
    assert one.connections == []
    machine.fault = None
    machine.now += 29.0
    one.step()
    assert machine.started == []
    machine.now += 1.0
    machine.fault = OSError(errno.EPERM, "forbidden")
    with pytest.raises(PermissionError):
        one.step()


def test_the_end_gives_the_process_time_to_send_what_waits(state, machine):
    one = telling_of(with_receiver(state), state, machine)
    one.step()
    one.close()
    ours = machine.started[0].connection
    assert (ours.sent, ours.closed) == (["end"], True)
    assert machine.joined == [7.0]
    assert machine.ended == machine.started
    one.close()
    assert len(machine.ended) == 1


def test_a_reload_starts_another_process_only_for_other_receivers(state, machine, monkeypatch):
    monkeypatch.setattr(notification_process, "newest", lambda _directory: 5)
    one = telling_of(with_receiver(state), state, machine)
    one.step()
    one.use(with_receiver(state))
    assert machine.ended == []
    monkeypatch.setattr(notification_process, "newest", lambda _directory: 9)
    one.use(with_receiver(state, "noc"))
    assert len(machine.ended) == 1
    one.step()
    first, second = machine.started
    assert [first.arguments[2], second.arguments[2]] == [5, 9]
    assert second.arguments[0][0].name == "noc"


@pytest.mark.parametrize(
    ("before", "is_noted"),
    [
        ({"time": 1_700_000_000.0}, True),
        ({"time": 1_700_000_000.0, "stopped": False}, True),
        ({"time": 1_700_000_000.0, "stopped": True}, False),
        ({"time": "yesterday"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_a_daemon_that_did_not_end_on_request_has_one_line(
    state, machine, monkeypatch, before, is_noted
):
    monkeypatch.setattr(notification_process, "read_daemon_file", lambda _directory: before)
    one = telling_of(Settings.of(state=state.directory), state, machine)
    one.step()
    one.step()
    lines = [(line.event, line.facts) for line in read(state.directory, 0)]
    facts = {"clean": False, "seen": "2023-11-14T22:13:20.000Z"}
    assert lines == ([("daemon-stopped", facts)] if is_noted else [])


def test_a_line_about_a_crash_that_cannot_be_written_is_logged(state, machine, monkeypatch):
    monkeypatch.setattr(notification_process, "read_daemon_file", lambda _directory: {"time": 1.0})
    one = telling_of(with_receiver(state), state, machine)

    def write(*_a, **_k):
        raise StateError("disk full")

    monkeypatch.setattr(one._recorder, "write", write)
    one.step()
    assert "notify: disk full" in machine.lines()
    assert len(machine.started) == 1


# What the process does


class Outside:
    """Stands for all that a session uses; ``polls``: its answers."""

    def __init__(self, patch, *polls):
        self.polls, self.waits, self.calls, self.sent = list(polls), [], [], []
        self.fault = None
        outbox = SimpleNamespace(begin_at=lambda number: self.calls.append(("begin", number)))

        class Held:
            def __init__(self, *_given):
                pass

            def __enter__(self):
                return outbox

            def __exit__(self, *_why):
                pass

        for name in ("Lock", "Outbox"):
            patch.setattr(notification_process, name, Held)
        patch.setattr(
            notification_process, "Daily", lambda _directory, times, _recorder: self._daily(times)
        )
        patch.setattr(notification_process, "Dispatcher", lambda *_given: self)
        patch.setattr(notification_process.time, "monotonic", lambda: 50.0 + sum(self.waits))

    def _daily(self, times):
        self.times = times
        return SimpleNamespace(step=lambda: self.calls.append("daily"))

    def step(self):
        self.calls.append("step")
        if self.fault is not None:
            raise self.fault

    def take_lines(self):
        return ["a line"]

    def finish(self, seconds):
        self.calls.append(("finish", seconds))

    def stop(self):
        self.calls.append("stop")

    def poll(self, seconds):
        self.waits.append(seconds)
        return self.polls.pop(0)

    def send(self, line):
        self.sent.append(line)

    def session(self, state, *receivers):
        return notification_process._session(self, receivers, state, 17, None)


def test_a_session_sends_until_the_daemon_ends(state, monkeypatch):
    outside = Outside(monkeypatch, False, True)
    daily = SimpleNamespace(events=("daily",), daily=7)
    other = SimpleNamespace(events=("problem",), daily=9)
    assert outside.session(state, daily, other) is True
    assert outside.calls == [("begin", 17), "daily", "step", ("finish", 4.0), "stop"]
    assert outside.waits == [1.0, 1.0]
    assert outside.sent == ["a line"]
    assert outside.times == {7}, "a receiver without the daily message has no time"


@pytest.mark.parametrize("ends", [True, False])
def test_an_outbox_that_cannot_be_used_is_tried_again_after_half_a_minute(state, monkeypatch, ends):
    outside = Outside(monkeypatch, False, *([False, True] if ends else [False, False, False]))
    outside.fault = StateError("disk full")
    real = outside.poll
    outside.poll = lambda seconds: real(min(seconds, 15.0))
    assert outside.session(state) is ends
    assert outside.calls[-1] == "stop"
    assert outside.sent == [Line("error", "outbox", "notify: disk full")]
    assert outside.waits[1:] == [15.0, 15.0][: len(outside.waits) - 1]


# Metrics


def exporting_of(state, machine, **metrics):
    settings = Settings.of(state=state.directory, metrics=metrics)
    return Exporting(settings, Log(machine.log, machine.log)), settings


TEXTFILE = {"textfile": "/var/lib/node_exporter/hashscan.prom"}


@pytest.mark.parametrize(
    ("metrics", "starts"), [({}, 0), (TEXTFILE, 1), ({"listen": "127.0.0.1:9"}, 1)]
)
def test_metrics_are_exported_if_somebody_wants_them(state, machine, metrics, starts):
    one, settings = exporting_of(state, machine, **metrics)
    one.step()
    one.step()
    assert len(machine.started) == starts
    assert len(one.connections) == starts
    if starts:
        assert machine.started[0].arguments == (settings,)


def test_a_message_of_the_exporter_is_logged_and_its_end_starts_it_again(state, machine):
    one, _ = exporting_of(state, machine, **TEXTFILE)
    one.step()
    ours = machine.started[0].connection
    ours.waiting = ["metrics: no such directory"]
    one.take([])
    assert machine.lines() == ""
    told(one)
    assert "no such directory" in machine.lines()
    assert one.connections == [ours]
    machine.now += 100.0
    told(one)
    assert "their process has ended; it is started again in 30 s" in machine.lines()
    assert (one.connections, ours.closed) == ([], True)
    assert machine.ended == machine.started
    for seconds, starts in ((29.0, 1), (1.0, 2)):
        machine.now += seconds
        one.step()
        assert len(machine.started) == starts


@pytest.mark.parametrize(
    ("fault", "words"),
    [(OSError(errno.EAGAIN, "x"), "limit"), (OSError(errno.EPERM, "forbidden"), "forbidden")],
)
def test_an_exporter_that_cannot_start_is_tried_again(state, machine, fault, words):
    one, _ = exporting_of(state, machine, **TEXTFILE)
    machine.fault = fault
    one.step()
    assert words in machine.lines()
    assert "tried again in 30 s" in machine.lines()
    machine.fault = None
    machine.now += 30.0
    one.step()
    assert len(machine.started) == 1


def test_a_reload_ends_the_exporter_and_starts_another(state, machine):
    one, settings = exporting_of(state, machine, **TEXTFILE)
    one.step()
    one.use(settings)
    assert machine.ended == machine.started
    one.step()
    assert len(machine.started) == 2
    one.use(Settings.of(state=state.directory))
    one.step()
    assert len(machine.started) == 2


@pytest.mark.parametrize("fault", [None, UsageError("the address is in use"), BrokenPipeError()])
def test_the_exporter_reports_why_it_ends(state, monkeypatch, fault):
    calls, pipe = [], Connection()

    def export(settings, say):
        calls.append(settings)
        if fault is not None:
            raise fault
        say("a message")

    monkeypatch.setattr("hashscan.metrics.exporter.export", export)
    metrics_process._main(pipe, "settings")
    assert calls == ["settings"]
    assert pipe.sent == {None: ["a message"], "UsageError": ["the address is in use"]}.get(
        fault and type(fault).__name__, []
    )
