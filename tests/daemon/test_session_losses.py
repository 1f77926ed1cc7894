"""hashscan.daemon.session: changes that were not seen are counted, and ask for a scan."""

from types import SimpleNamespace

from hashscan.daemon.session import Session
from hashscan.fs.volume import Volume
from hashscan.watch.source import Lost


def test_changes_that_were_not_seen_are_counted_and_ask_for_a_scan():
    logged, wanted = [], []
    session = object.__new__(Session)
    session._lost_changes, session.running_scan, session._volumes = (
        0,
        None,
        (Volume(b"/v"), Volume(b"/w")),
    )
    session.watches = SimpleNamespace(deaths=2)
    session._log = SimpleNamespace(limited=lambda *words: logged.append(words))
    session._queue = SimpleNamespace(
        request=lambda *which, running: wanted.append((*which, running))
    )
    session._take_change(Lost(1, b"", "overflow", "the queue is full"))
    assert session.lost == 3, "with the watching processes that died"
    assert wanted == [(1, "overflow", False)]
    assert logged == [("lost overflow", "warning", "/w: the queue is full; scanned anew")]
