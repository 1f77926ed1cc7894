"""Run scans in a test: a known set by digest, and everything that the scan told."""

import hashlib
import os
import random
import subprocess
import time
from dataclasses import dataclass, field, replace

from hashscan.catalog.store import Catalog
from hashscan.errors import ServiceUnavailableError
from hashscan.fs.volume import Volume
from hashscan.known.filters.filter_file import load
from hashscan.known.filters.writer import FilterWriter
from hashscan.model import Acted, Answer, filterset_of
from hashscan.scan.asker import Asker
from hashscan.scan.engine import Engine
from hashscan.scan.options import ScanOptions


def sha1(content):
    return hashlib.sha1(content).hexdigest()


@dataclass
class Told:
    """A reporter that remembers."""

    matches: list = field(default_factory=list)
    problems: list = field(default_factory=list)
    pendings: list = field(default_factory=list)
    notices: list = field(default_factory=list)
    skippeds: list = field(default_factory=list)
    progresses: list = field(default_factory=list)

    def match(self, event):
        self.matches.append(event)

    def problem(self, event):
        self.problems.append(event)

    def pending(self, event):
        self.pendings.append(event)

    def skipped(self, event):
        self.skippeds.append(event)

    def notice(self, message):
        self.notices.append(message)

    def progress(self, progress):
        self.progresses.append(progress)

    def summary(self, summary):
        pass

    @property
    def paths(self):
        return sorted(event.match.candidate.path for event in self.matches)


class Knows:
    """A confirmer over a set of digests; runs in the asking process."""

    name = "test"
    remote = False

    def __init__(self, digests, error=None):
        self.digests = digests
        self.error = error

    def confirm(self, digest):
        if self.error:
            raise self.error
        return Answer(digest.hex in self.digests)

    def close(self):
        pass


class Down(Knows):
    def __init__(self):
        super().__init__(set(), ServiceUnavailableError("the service is down; start it"))


class Reports:
    def act(self, match):
        return Acted("reported")


def make_filter(path, digests, algorithms=("sha1",)):
    writer = FilterWriter(capacity=max(1000, 2 * len(digests)))
    writer.add(sorted(digests | {sha1(b"a digest that no file of the tests has")}))
    writer.write(str(path), category="baseline", algorithms=algorithms)
    return str(path)


class Scanner:
    """Scans of one state directory."""

    def __init__(self, directory, known=(), algorithms=("sha1",)):
        os.makedirs(directory, exist_ok=True)
        self.directory = str(directory)
        self.known = set(known)
        self.algorithms = algorithms
        self.filter = make_filter(os.path.join(self.directory, "filter"), self.known, algorithms)
        self.actor = Reports()
        self.confirmer = lambda: Knows(self.known)
        self.remote = False
        self.service = "test"
        self.told = Told()
        self.jobs = 2

    @property
    def catalog(self):
        return os.path.join(self.directory, "catalog.sqlite3")

    def scan(self, *roots, exclude=(), one_file_system=True, **options):
        self.told = Told()
        volumes = tuple(
            Volume(os.fsencode(root), tuple(exclude), one_file_system) for root in roots
        )
        one = load(self.filter)
        base = options_of(
            volumes,
            (one,),
            filterset=filterset_of([one]),
            jobs=self.jobs,
            algorithms=frozenset(self.algorithms),
            service=self.service,
            remote=self.remote,
        )
        catalog = Catalog(self.catalog)
        asker = Asker(self.confirmer)
        try:
            summary = Engine(replace(base, **options), catalog, asker, self.actor, self.told).run()
        except BaseException:
            catalog.abandon()
            raise
        finally:
            asker.close()
        catalog.close()
        return summary


def options_of(volumes=(), filters=(), **options):
    """Options of a scan by one worker process, but for ``options``."""
    base = ScanOptions(
        volumes=volumes,
        jobs=1,
        filters=filters,
        filterset="test",
        algorithms=frozenset({"sha1"}),
        service="test",
        remote=False,
    )
    return replace(base, **options)


def settle(root):
    """Let every stamp below ``root`` be old enough to be believed (racy time stamps)."""
    found = subprocess.run(
        ["find", os.fsencode(root), "-type", "f", "-printf", "%C@\n"],
        capture_output=True,
        check=True,
    )
    newest = max(map(float, found.stdout.split()), default=0.0)
    time.sleep(max(0.0, newest + 0.11 - time.time()))


def count_entries(root):
    """Everything below ``root`` that is no directory: what a scan must account for."""
    found = subprocess.run(
        ["find", os.fsencode(root), "!", "-type", "d", "-printf", "."],
        capture_output=True,
        check=True,
    )
    return len(found.stdout)


def fill(root, count=40, seed=1):
    """Files of random content in a few directories; returns path to content."""
    rng = random.Random(seed)
    contents = {}
    for number in range(count):
        folder = root / f"d{number % 5}" / f"e{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        content = rng.randbytes(rng.randrange(1, 20000))
        (folder / f"f{number}").write_bytes(content)
        contents[folder / f"f{number}"] = content
    return contents


def one_by_one(monkeypatch, hash_one):
    """Have ``hash_one(hasher, directory, name)`` hash every file, so that a test can interfere."""
    from hashscan.scan.fast_path import FastPath
    from hashscan.scan.file_hasher import FileHasher

    monkeypatch.setattr(FastPath, "run", lambda _self, _fd, _names, start, **_options: (start, 0))
    monkeypatch.setattr(FileHasher, "hash", hash_one)
    monkeypatch.setattr(FileHasher, "hash_single", hash_one)


def nothing_is_hashed(monkeypatch):
    """A file that is hashed fails the scan."""
    from hashscan.scan.fast_path import FastPath
    from hashscan.scan.hashing import Hasher

    monkeypatch.setattr(FastPath, "run", None)
    monkeypatch.setattr(Hasher, "_hash", None)
