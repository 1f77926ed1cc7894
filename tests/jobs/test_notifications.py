"""hashscan.jobs.notifications: what a scan sends, and what it leaves to other processes."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.errors import LockedError
from hashscan.jobs import (
    notifications,
)


@pytest.fixture
def sends(monkeypatch):
    """What a scan sends at its end; ``finished``: all of it in time."""
    one = SimpleNamespace(finished=True, daemon=None, locked=False, steps=[], lines=[])

    class Dispatcher:
        def __init__(self, *_given, alone):
            assert alone is True

        def finish(self, seconds):
            one.steps.append(("finish", seconds))
            return one.finished

        def stop(self):
            one.steps.append("stop")

        def take_lines(self):
            return one.lines

    class Outbox(nullcontext):
        def begin_at(self, number):
            one.steps.append(("begin", number))

        def __enter__(self):
            return self

    def lock(_path):
        if one.locked:
            raise LockedError("another scan")
        return nullcontext()

    for name, value in (
        ("Dispatcher", Dispatcher), ("Outbox", Outbox), ("Lock", lock), ("newest", lambda _path: 7),
        ("status_of_running_daemon", lambda _state: one.daemon), ("DispatchLog", lambda _path: None),
    ):  # fmt: skip
        monkeypatch.setattr(notifications, name, value)
    one.said = []
    receiver = {"name": "a", "kind": "command", "command": ["/bin/true"]}
    state = SimpleNamespace(directory="/s")

    def send(**sections):
        one.steps.clear()
        one.said.clear()
        settings = Settings.of(**{"notify": [receiver], **sections})
        notifications.send_now(settings, state, one.said.append)

    one.send = send
    return one


def test_a_scan_sends_what_waits_and_reports_what_went_wrong(sends):
    sends.send()
    assert sends.steps == [("begin", 7), ("finish", 20.0), "stop"]
    assert sends.said == []
    sends.finished = False
    sends.lines = [
        SimpleNamespace(level="info", text="sent"), SimpleNamespace(level="warning", text="no"),
    ]  # fmt: skip
    sends.send()
    assert sends.said == [
        "notify: not all messages were sent within 20 s; the next scan or the daemon sends them",
        "no",
    ]


@pytest.mark.parametrize("who", ["daemon", "another scan", "nobody to send to"])
def test_a_scan_sends_nothing_that_another_process_sends(sends, who):
    sends.daemon = 77 if who == "daemon" else None
    sends.locked = who == "another scan"
    sends.send(**({"notify": []} if who == "nobody to send to" else {}))
    assert (sends.steps, sends.said) == ([], [])


def test_the_audit_log_ends_here_for_a_scan_with_receivers(sends):
    notifications.begin_notifying(Settings.of(), SimpleNamespace(directory="/s"))
    assert sends.steps == []
