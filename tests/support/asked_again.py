"""A quarantine whose digests a service is asked for again, with answers that a test sets."""

import hashlib
import os
from contextlib import contextmanager
from types import SimpleNamespace

from isolating import all_records, confirmed

from hashscan.jobs.known_set import KnownSet
from hashscan.jobs.recheck_verdicts import ask_again
from hashscan.model import Answer, Digest
from hashscan.quarantine import store as store_module
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.store import Store
from hashscan.state import State
from hashscan.text import rfc3339
from hashscan.timeline import Instant

SERVICE = "https://hcs.example"
DAY = 86400.0


def sha1(content):
    return Digest("sha1", hashlib.sha1(content).hexdigest())


class Clock:
    """The machine's clocks."""

    def __init__(self):
        self.boottime, self.wall = 1000.0, 1_800_000_000.0

    def __call__(self):
        return Instant(self.boottime, self.wall, "boot")

    def wait(self, seconds):
        self.boottime += seconds
        self.wall += seconds


class Filter:
    """Records the events in a list."""

    category, version, algorithms = "baseline", "7", frozenset({"sha1"})

    def __init__(self, digests, size=None):
        self.digests = {one.hex for one in digests}
        self.metadata = SimpleNamespace(digests=len(self.digests) if size is None else size)

    def __contains__(self, text):
        return text in self.digests


class Place:
    """A volume, a quarantine, a state, and a service whose answers the test sets."""

    def __init__(self, tmp_path, volume, clock):
        self.volume, self.clock = volume, clock
        self.state = State(str(tmp_path / "state"))
        self.directory = str(tmp_path / "state" / "quarantine")
        self.quarantine = Quarantine.open(os.fsencode(self.directory))
        self.known = set()
        self.size = 1000
        self.filtered = set()
        self.error = None
        self.questions = []
        self.events = []
        self.version = 1
        self.test = False
        self.service = SERVICE

    def isolate(self, name, content, **changes):
        (self.volume / name).write_bytes(content)
        match = confirmed(self.volume, name)
        values = {name: getattr(match, name) for name in match.__slots__} | changes
        acted = self.quarantine.act(type(match)(**values))
        assert acted.action == "quarantined", acted
        self.known.add(sha1(content))
        self.filtered.add(sha1(content))
        return acted.quarantine_id

    def known_set(self):
        def confirm(digest):
            self.questions.append(digest)
            if self.error is not None:
                raise self.error
            return Answer(digest in self.known)

        made = SimpleNamespace(confirm=confirm, close=lambda: None, name=SERVICE, remote=True)
        one = KnownSet(
            (Filter(self.filtered, self.size),), lambda: made, self.service, True, self.test
        )
        return SimpleNamespace(
            filters=one.filters, make_confirmer=one.make_confirmer, service=one.service,
            remote=True, test=self.test, name=f"filters {self.version}",
        )  # fmt: skip

    def write(self, event, **facts):
        self.events.append((event, facts))

    def ask(self, interval=DAY):
        self.questions.clear()
        return ask_again(
            self.directory, self.state, self.known_set(), interval, self, pause=lambda _s: None
        )

    def records(self):
        with Store.open(os.fsencode(self.directory)) as store:
            return {record.id: record for record in all_records(store)}

    def withdrawn(self):
        return {one.id for one in self.records().values() if one.withdrawn}

    def days(self, number, **given):
        """Rounds on so many days, the last one included."""
        for _ in range(number):
            self.clock.wait(DAY)
            found = self.ask(**given)
        return found


@contextmanager
def placed(tmp_path, volume, monkeypatch):
    """A ``Place`` whose clocks the test moves."""
    clock = Clock()
    monkeypatch.setattr(store_module, "instant", clock)
    monkeypatch.setattr("hashscan.quarantine.records.rfc3339", lambda *_: rfc3339(clock.wall))
    made = Place(tmp_path, volume, clock)
    yield made
    made.quarantine.close()


def with_one_wrong(place, files=3):
    """Files with a digest that was wrong, and one that stays known; their ids."""
    ids = {place.isolate(f"wrong{number}", b"wordpress") for number in range(files)}
    place.isolate("right", b"material")
    place.known.discard(sha1(b"wordpress"))
    return ids
