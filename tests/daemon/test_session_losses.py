"""hashscan.daemon.session: changes that were not seen are counted, and ask for a scan."""

from types import SimpleNamespace

from hashscan.daemon.session import Duty
from hashscan.fs.volume import Volume
from hashscan.watch.source import Lost


def test_changes_that_were_not_seen_are_counted_and_ask_for_a_scan():
    logged, wanted = [], []
    duty = object.__new__(Duty)
    duty._lost_changes, duty.walk, duty._volumes = 0, None, (Volume(b"/v"), Volume(b"/w"))
    duty.watches = SimpleNamespace(deaths=2)
    duty._log = SimpleNamespace(limited=lambda *words: logged.append(words))
    duty._wants = SimpleNamespace(want=lambda *which, running: wanted.append((*which, running)))
    duty._heard(Lost(1, b"", "overflow", "the queue is full"))
    assert duty.lost == 3, "with the watching processes that died"
    assert wanted == [(1, "overflow", False)]
    assert logged == [("lost overflow", "warning", "/w: the queue is full; scanned anew")]
