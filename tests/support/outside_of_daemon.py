"""Replaced processes beside the daemon: their ends, their messages, and a clock."""

import io
from types import SimpleNamespace

from hashscan.daemon import metrics_process, notification_process
from hashscan.daemon.timers import Every


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


def told(one):
    one.take(one.connections)
