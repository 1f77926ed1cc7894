"""The engine is killed between a file's move to quarantine and the catalog's note of it."""

import os
import signal

import pytest
from scanning import Scanner, sha1

from hashscan.quarantine.act import Quarantine


@pytest.mark.parametrize("names", [1, 2])
def test_the_next_scan_tells_of_what_was_moved(volume, tmp_path, names):
    (volume / "known").write_bytes(b"known")
    if names == 2:
        os.link(volume / "known", volume / "other name")
    scanner = Scanner(tmp_path / "state", {sha1(b"known")})

    class Killed(Quarantine):
        def act(self, match):
            super().act(match)
            os.kill(os.getpid(), signal.SIGKILL)

    store = os.fsencode(tmp_path / "quarantine")
    child = os.fork()
    if child == 0:
        try:
            scanner.actor = Killed.open(store)
            scanner.scan(volume)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert len(list(volume.iterdir())) == names - 1

    scanner.actor = Quarantine.open(store)
    scanner.service = "another known set"
    summary = scanner.scan(volume)
    scanner.actor.close()
    assert (summary.matches, summary.quarantined, summary.pending) == (names, names, 0)
    assert len({event.acted.quarantine_id for event in scanner.told.matches}) == names
    assert list(volume.iterdir()) == []
    first = scanner.told.matches[0].match
    assert first.service == "test", "the verdict was that service's"
