"""hashscan.daemon.coverage: no scan before the watch has said what it watches."""

import io

from hashscan.daemon.coverage import Coverages
from hashscan.daemon.log import Log
from hashscan.fs.volume import Volume
from hashscan.watch.source import Coverage


def test_a_scan_waits_for_each_watch_that_was_started():
    volumes = [Volume(b"/a"), Volume(b"/b")]
    coverage = Coverages(volumes, None, Log(io.StringIO(), io.StringIO()))
    coverage.awaits(range(2))
    coverage.heard(Coverage(0, "inotify"))
    assert coverage.is_told(0)
    assert not coverage.is_told(1)
    assert coverage.facts()[1]["backend"] == "starting"
    coverage.heard(Coverage(1, "inotify"))
    assert coverage.is_told(1)
    coverage.awaits([1])  # it died, and was started again
    assert not coverage.is_told(1), "what changes until it is set would be missed by both"
    coverage.awaits_no_more([1])  # it is not started again for a while: scans are all there is
    assert coverage.is_told(1)
