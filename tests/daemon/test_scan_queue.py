"""Which scans are to come: losses are made good, and keep nothing from its begin."""

import time

from hashscan.daemon.scan_queue import ScanQueue


def test_losses_without_end_do_not_make_every_look_at_a_volume_too_old():
    wants = ScanQueue()
    wants.request(0, "unplaced")
    looked = time.monotonic()
    assert wants.since(0) <= looked
    for _ in range(3):
        time.sleep(0.01)
        wants.request(0, "unplaced")
    assert wants.since(0) <= looked
    assert wants.due() == [0]
    # What is mounted there may be something else now.
    wants.request(0, "mount")
    assert wants.since(0) > looked


def test_a_look_from_before_a_scan_was_due_is_none():
    wants = ScanQueue()
    wants.request(0, "overflow", running=True)
    assert wants.due() == []
    assert wants.since(0) > time.monotonic() + 1


def test_a_scan_is_called_by_what_first_asked_for_it():
    wants = ScanQueue()
    wants.request(1, "schedule")
    wants.request(1, "overflow")
    wants.request(0, "unplaced")
    assert wants.begun([1, 0]) == "schedule"
    assert wants.due() == []
    assert wants.begun([0]) == "start"
