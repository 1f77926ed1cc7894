"""The process that sends notifications, as the daemon keeps it: all replaced."""

import errno
import os
from types import SimpleNamespace

import pytest
from daemon_loop import thrown
from outside_of_daemon import told

from hashscan.audit.reader import read
from hashscan.config.settings import Settings
from hashscan.daemon import notification_process
from hashscan.daemon.log import Log
from hashscan.daemon.notification_process import NotificationProcess
from hashscan.errors import StateError
from hashscan.notify.dispatch import Line


def with_receiver(state, name="ops"):
    receiver = {"name": name, "kind": "command", "command": ["/bin/true"], "events": ["problem"]}
    return Settings.of(state=state.directory, notify=[receiver])


def telling_of(settings, state, machine):
    return NotificationProcess(settings, state, Log(machine.log, machine.log))


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


def test_a_damaged_audit_log_is_no_fault_of_the_daemons_start(state, machine, monkeypatch):
    monkeypatch.setattr(notification_process, "newest", thrown(StateError("damaged")))
    one = telling_of(with_receiver(state), state, machine)
    one.use(with_receiver(state, "noc"))
    one.step()
    (child,) = machine.started
    assert child.arguments[2] == 0


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
    monkeypatch.setattr(notification_process.Recorder, "of", lambda settings, *_: settings)
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
    assert second.arguments[3].notify[0].name == "noc", "its lines are those of the new settings"


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
    monkeypatch.setattr(notification_process, "read_daemon_status", lambda _directory: before)
    one = telling_of(Settings.of(state=state.directory), state, machine)
    one.step()
    one.step()
    lines = [(line.event, line.facts) for line in read(state.directory, 0)]
    facts = {"clean": False, "seen": "2023-11-14T22:13:20.000Z"}
    assert lines == ([("daemon-stopped", facts)] if is_noted else [])


def test_a_line_about_a_crash_that_cannot_be_written_is_logged(state, machine, monkeypatch):
    monkeypatch.setattr(
        notification_process, "read_daemon_status", lambda _directory: {"time": 1.0}
    )
    one = telling_of(with_receiver(state), state, machine)

    def write(*_a, **_k):
        raise StateError("disk full")

    monkeypatch.setattr(one._recorder, "write", write)
    one.step()
    assert "notify: disk full" in machine.lines()
    assert len(machine.started) == 1


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


@pytest.mark.parametrize("end", [True, BrokenPipeError(), EOFError()])
def test_a_process_goes_on_until_the_daemon_ends(monkeypatch, end):
    answers, given = [False, False, end], []

    def session(*arguments):
        given.append(arguments)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(notification_process, "_session", session)
    notification_process._main("connection", "receivers", "state", 7, "recorder")
    assert given == [("connection", "receivers", "state", 7, "recorder")] * 3
    assert answers == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EINVAL, "notify: [Errno 22] Invalid argument"),
        (errno.EMFILE, "notify: too many open files"),
    ],
)
def test_a_fault_of_the_machine_is_reported_and_tried_again(state, monkeypatch, number, words):
    outside = Outside(monkeypatch, False, True)
    outside.fault = OSError(number, os.strerror(number))
    assert outside.session(state) is True
    (line,) = outside.sent
    assert line.text.startswith(words)
    assert outside.waits == [1.0, 30.0]


def test_without_the_daemon_nobody_gets_a_report(state, monkeypatch):
    outside = Outside(monkeypatch, False)
    outside.fault = BrokenPipeError()
    with pytest.raises(BrokenPipeError):
        outside.session(state)
    assert (outside.sent, outside.calls[-1]) == ([], "stop")
