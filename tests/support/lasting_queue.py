"""The queue of a daemon's candidates, with an actor and a service that do what the test says."""

from dataclasses import replace

from catalog_rows import found, row
from scanning import Told

from hashscan.model import (
    Acted,
    Answer,
    Digest,
    FileDigests,
    FilterHit,
    Identity,
    Summary,
)
from hashscan.scan.confirmation import Confirmation

DIGEST = Digest("sha1", "ab" * 20)
FOUND = found(b"x")._replace(digests=FileDigests(sha1=b"\xab" * 20))
ROW = row(b"x", sha1=b"\xab" * 20, hit=True)


class Asks:
    """Whose questions are answered by the test."""

    def __init__(self):
        self.asked = []

    def ask(self, digest):
        self.asked.append(digest)


class Acts:
    """An actor; ``remaining``: names that are left after each act in turn."""

    def __init__(self):
        self.came_to = Acted("quarantined", "id")
        self.count = 0
        self.remaining = []

    def act(self, _match):
        self.count += 1
        if self.remaining:
            return replace(self.came_to, remaining_links=self.remaining.pop(0))
        return self.came_to


class Lasting:
    """A queue, and what a watch finds."""

    def __init__(self, catalog):
        self.catalog = catalog
        self.scan = catalog.begin_watch()
        (self.directory,) = catalog.queue_directories(self.scan, 0, b"", [(b"/srv", 0)])
        catalog.put_files(self.directory.number, [ROW])
        self.asker, self.actor, self.told, self.found = Asks(), Acts(), Told(), Summary()
        self.confirmation = Confirmation(
            catalog, self.asker, self.actor, self.told, self.found,
            scan=self.scan, filterset=1, service="s", remote=True,
            devices_of=lambda _candidate: [1], lasting=True,
        )  # fmt: skip

    def find(self, name, digest=DIGEST, inode=5):
        """Another file is listed; no question about it is put yet."""
        hits = (FilterHit(digest, "baseline", "v1"),)
        digests = FileDigests(sha1=bytes.fromhex(digest.hex))
        found = FOUND._replace(name=name, identity=Identity(1, inode), digests=digests, hits=hits)
        self.catalog.put_candidate(self.scan, b"/srv", self.directory, found)

    def meet(self):
        """The file is listed, as its row has it."""
        if self.catalog.put_candidate(self.scan, b"/srv", self.directory, FOUND):
            self.confirmation.more = True
        self.confirmation.ask_more()
        asked, self.asker.asked = self.asker.asked, []
        self.confirmation.take([(digest, Answer(known=True)) for digest in asked])
