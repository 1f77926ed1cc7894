"""Fakes of what a scan and the check of changed files hand work to: they note each call."""

from types import SimpleNamespace

from hashscan.catalog.rows import QueuedDirectory
from hashscan.scan.messages import Tally


class Dispatch:
    """What waits for the workers."""

    def __init__(self):
        self.length, self.ahead, self.under_way, self.scan = 0, 0, False, 9
        self.waits_since = None
        self.looks, self.calls, self.tally, self.early = [], [], Tally(), Tally()
        self.fraction = 0.5
        self.unseen = SimpleNamespace(roots={b"/gone"}, vanished=[1])

    def __len__(self):
        return self.length

    def look(self, volume, directory, names, *, final):
        self.looks.append((volume, directory, list(names), final))

    def held(self):
        return {3}

    def __getattr__(self, name):
        return lambda *given, **named: self.calls.append((name, *given, *named.items()))


class Pool:
    def __init__(self):
        self.said, self.calls, self.asked = [], [], []
        self.workers = [SimpleNamespace(connection="one"), SimpleNamespace(connection="two")]

    def receive(self, others, timeout):
        self.asked.append((list(others), timeout))
        return self.said

    def __getattr__(self, name):
        return lambda *given: self.calls.append((name, *given))


class Catalog:
    """Directories by their ids."""

    def __init__(self):
        self.found, self.begun, self.ended = [], 20, []

    def find_directory(self, scan, root, path):
        self.found.append((scan, root, path))
        return QueuedDirectory(50 + len(self.found), path, False)

    def directory_path(self, number):
        return b"path/%d" % number

    def volume_of(self, number):
        return {5: b"/a", 6: b"/b"}.get(number)

    def begin_watch(self):
        self.begun += 1
        return self.begun

    def pending_of(self, scan):
        return scan + 100

    def end_scan(self, *given, **named):
        self.ended.append((given, named))
