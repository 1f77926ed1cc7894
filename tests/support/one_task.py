"""One task of a worker in this process: a volume of one directory, its catalog, and the findings."""

import math
import mmap
import os
from unittest.mock import patch

from catalog_rows import row_of
from scanning import Scanner, options_of, settle

from hashscan.catalog.store import Catalog
from hashscan.fs.volume import Volume
from hashscan.known.filters.filter_file import load
from hashscan.model import Tiers, filterset_of
from hashscan.scan import outbox
from hashscan.scan.hard_links import LinkTable
from hashscan.scan.messages import Task, WorkerSettings
from hashscan.scan.worker import Worker

KNOWN = os.urandom(20)


class NoSizes:
    """A filter that knows no size, so that every file is skipped by its size."""

    algorithms = ("sha1",)
    tiers = Tiers(sizes=frozenset(), heads=None)

    def among(self, digests):
        assert None not in digests, "such files have no digest"
        return []


class Place:
    """A volume with a catalog, and a worker that does one task in it.

    ``settles``: files are old enough to be believed (racy time stamps); this waits.
    """

    def __init__(self, path, state, known=KNOWN, *, settles=True):
        self.path, self.settles = path, settles
        path.mkdir()
        self.filter = load(Scanner(state, known=[known.hex()]).filter)
        self.filters = (self.filter,)
        self.catalog = Catalog(str(state / "catalog.sqlite3"))
        self.scan = self.catalog.begin_watch()
        (self.root,) = self.catalog.queue_directories(self.scan, 0, b"", [(os.fsencode(path), 0)])
        self.judged = self.catalog.filterset(filterset_of([self.filter]))

    def do(self, *, bound=None, exclude=(), path=b"", options=(), **task):
        """What the worker finds in the directory ``path``."""
        if self.settles:
            settle(self.path)
        self.catalog.commit()
        sent = []
        volume = Volume(os.fsencode(self.path), exclude)
        options = options_of((volume,), self.filters, large_apart=bound, **dict(options))
        settings = WorkerSettings(
            options, (self.root.number,), self.catalog.path, self.judged, self.scan
        )
        links = LinkTable()
        worker = Worker(settings, links, None, mmap.mmap(-1, 4096), sent.append)
        # On a slow machine, signs of life would divide the findings.
        with patch.object(outbox, "_ALIVE_AFTER", math.inf):
            worker.do(Task(1, 0, self.root.number, path, **{"fresh": False, **task}))
        worker.flush()
        worker.rest()
        links.close()
        self.sent = sent
        return [part for message in sent if isinstance(message, list) for part in message]

    def row(self, name, **fields):
        """The row that a scan makes of the file ``name``, but for ``fields``."""
        status = (self.path / os.fsdecode(name)).lstat()
        values = {"device": -self.root.number, "sha1": None}
        values |= {"judged": self.judged, "scan": self.scan}
        return row_of(name, status, **{**values, **fields})
