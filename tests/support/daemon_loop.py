"""What the daemon sees in the tests of its loop: a service manager, a session, errors."""

from types import SimpleNamespace

from hashscan.daemon.counters import Counters
from hashscan.model import Summary
from hashscan.scan.messages import Tally


class Notifier:
    """The service manager; ``said`` is what it hears."""

    watchdog_interval = None

    def __init__(self):
        self.said = []

    def __getattr__(self, name):
        return lambda *words: self.said.append((name, *words))

    def names(self):
        return [name for name, *_ in self.said]


class Session:
    """``Session``, as far as the daemon sees it."""

    def __init__(self, name="old"):
        self.known, self.checked = SimpleNamespace(name=name), None
        self.turns, self.running_scan, self.found = 0, None, Summary()
        self.changed_files = SimpleNamespace(busy=False, backlog=1234, tally=Tally())
        self.ended, self.events, self.lost = Counters(), 0, 0
        self.retry = SimpleNamespace(in_trouble=False, is_refused=False)
        self.facts = SimpleNamespace(news=False, counted=False, collect=lambda: {"events": 5})
        self.facts.has_news = lambda: self.facts.news
        self.facts.has_counted = lambda: self.facts.counted
        self.wanted, self.swapped, self.closed, self.listened = [], [], 0, []
        self.request_all, self.swap = self.wanted.append, self.swapped.append
        self.fault, self.ready = None, []

    @property
    def newest(self):
        return self.checked or self.known

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
