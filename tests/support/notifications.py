"""Messages, and a dispatcher with a clock that the test sets."""

import os
import time

import pytest
from audit_lines import AuditLines

from hashscan.notify.dispatch import Dispatcher
from hashscan.notify.message import Event, Message, new_id
from hashscan.notify.notifier import NotSentError
from hashscan.notify.open_notifier import open_notifier
from hashscan.notify.outbox import Outbox
from hashscan.notify.receiver_state import receiver_states


def message(recipient="oncall@host.example", **more):
    event = Event("match", "match", "2026-11-27T10:00:00Z", {"action": "quarantined", "size": 7})
    fields = {"counts": {"match": 3}, "events": (event,), "recipient": recipient, **more}
    return Message(new_id(), "web1.host.example", time.time(), **fields)


def secret(tmp_path, text="correct horse"):
    path = tmp_path / "password"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return str(path)


class Clock:
    def __init__(self):
        self.now = time.time()

    def __call__(self):
        return self.now


class Desk:
    """A dispatcher with a clock that the test sets."""

    def __init__(self, directory, *receivers, **more):
        self.clock = Clock()
        self.audit = AuditLines(self.clock)
        self.directory = str(directory)
        os.makedirs(self.directory, exist_ok=True)
        self.receivers, self._more = receivers, more
        self.outbox = Outbox(self.directory)
        self.outbox.begin_at(0)
        self.open()

    def open(self):
        self.dispatcher = Dispatcher(
            self.receivers, self.outbox, self.audit, "web1", clock=self.clock, **self._more
        )

    def settle(self, *, without=()):
        """Step until nothing is sent any more, except by receivers that hang."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            self.dispatcher.step()
            busy = [name for name, one in self.dispatcher._lanes.items() if one.is_busy]
            if not set(busy) - set(without):
                return
            time.sleep(0.005)
        raise AssertionError("still sending")

    def after(self, seconds, **more):
        self.clock.now += seconds
        self.settle(**more)

    def state(self, name):
        found = {one.name: one for one in receiver_states(self.directory, self.clock.now)}
        return found[name]

    def said(self):
        return [one.text for one in self.dispatcher.take_lines()]


def failure(settings):
    """The error of a message that a receiver does not get."""
    with pytest.raises(NotSentError) as caught:
        open_notifier(settings).send(message())
    return caught.value
