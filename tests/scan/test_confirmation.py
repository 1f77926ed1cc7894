"""hashscan.scan.confirmation: the queue of a daemon, which outlives its scans."""

import pytest
from scanning import Told

from hashscan.catalog.rows import FileRow, FoundCandidate
from hashscan.catalog.store import Catalog
from hashscan.model import (
    Acted,
    Answer,
    Digest,
    FileDigests,
    FilterHit,
    Identity,
    Stamp,
    Summary,
)
from hashscan.scan.confirmation import Confirmation

DIGEST = Digest("sha1", "ab" * 20)
FOUND = FoundCandidate(
    b"x",
    Identity(1, 5),
    Stamp(10, 20, 30),
    FileDigests(sha1=b"\xab" * 20),
    1,
    1000,
    (FilterHit(DIGEST, "baseline", "v1"),),
)
ROW = FileRow(
    *(b"x", 0, 5, 10, 20, 30, None, b"\xab" * 20, None),
    linked=False, hit=True, racy=False, judged=1, scan=1,
)  # fmt: skip


class Asks:
    """Whose questions are answered by the test."""

    def __init__(self):
        self.asked = []

    def ask(self, digest):
        self.asked.append(digest)


class Acts:
    def __init__(self):
        self.came_to = Acted("quarantined", "id")
        self.count = 0

    def act(self, _match):
        self.count += 1
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

    def meet(self):
        """The file is listed, as its row has it."""
        if self.catalog.put_candidate(self.scan, b"/srv", self.directory, FOUND):
            self.confirmation.more = True
        self.confirmation.ask_more()
        asked, self.asker.asked = self.asker.asked, []
        self.confirmation.take([(digest, Answer(known=True)) for digest in asked])


@pytest.fixture
def lasting(tmp_path):
    catalog = Catalog(str(tmp_path / "c.sqlite3"))
    catalog.service = ("s", True)
    yield Lasting(catalog)
    catalog.close()


def test_a_match_that_was_away_is_acted_on_as_soon_as_it_is_met_again(lasting):
    lasting.actor.came_to = Acted("reported", message="not there", problem="vanished")
    for turn in range(3):
        lasting.meet()
        lasting.confirmation.ask_more()
        assert lasting.actor.count == turn + 1, "once each time that it is met"
    assert [event.acted.problem for event in lasting.told.matches] == ["vanished"], "told once"
    assert lasting.found.matches == 1
    lasting.actor.came_to = Acted("quarantined", "id")
    lasting.meet()
    assert lasting.told.matches[-1].acted.action == "quarantined"
    lasting.meet()
    assert lasting.actor.count == 4, "what was moved is done"


def test_what_is_not_the_file_that_was_hashed_is_hashed_anew(lasting):
    lasting.actor.came_to = Acted("reported", message="put back", problem="changed")
    lasting.meet()
    count = lasting.catalog._connection.execute("SELECT count(*) FROM file").fetchone()
    assert count == (0,), "or it would be taken for that file again, and moved, and put back..."
