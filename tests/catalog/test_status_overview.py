"""hashscan.catalog.status_overview and hashscan.state: a look from outside that disturbs nobody."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from hashscan.catalog.status_overview import overview
from hashscan.catalog.store import Catalog
from hashscan.errors import StateError
from hashscan.state import State, holder_of


def test_no_catalog_is_nothing_yet(tmp_path):
    assert overview(str(tmp_path / "catalog.sqlite3")) is None
    assert os.listdir(tmp_path) == []


def test_the_last_scan_running_whole_and_interrupted(tmp_path):
    path = str(tmp_path / "catalog.sqlite3")
    catalog = Catalog(path)
    assert overview(path).scan is None
    number, _ = catalog.begin_scan([b"/b", b"/a\xff"], complete=False)
    running = overview(path).scan
    assert running.volumes == (b"/a\xff", b"/b")
    assert (running.ended, running.files, running.interrupted) == (None, None, False)
    catalog.end_scan(number, files=3, interrupted=False)
    whole = overview(path).scan
    assert whole.ended >= whole.started
    assert (whole.files, whole.interrupted) == (3, False)
    number, _ = catalog.begin_scan([b"/b"], complete=False)
    catalog.end_scan(number, files=1, interrupted=True)
    assert overview(path).scan.interrupted
    assert (overview(path).pending, overview(path).oldest, overview(path).problems) == (0, None, 0)
    catalog.close()


def test_the_last_whole_scan_of_each_volume(tmp_path):
    path = str(tmp_path / "catalog.sqlite3")
    catalog = Catalog(path)
    for volumes, kind, interrupted in (
        ([b"/a", b"/b"], "start", False),
        ([b"/b"], "schedule", False),
        ([b"/a"], "schedule", True),
    ):
        number, _ = catalog.begin_scan(volumes, complete=False, kind=kind)
        catalog.end_scan(number, files=1, interrupted=interrupted)
    catalog.begin_watch()
    found = overview(path).by_volume
    assert {volume: one.kind for volume, one in found.items()} == {
        b"/a": "start",
        b"/b": "schedule",
    }
    assert overview(path).whole.kind == "schedule"
    catalog.close()


def test_what_is_no_catalog_is_told(tmp_path):
    path = str(tmp_path / "catalog.sqlite3")
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE x (y)")
    other.close()
    with pytest.raises(StateError, match="not a catalog of this hashscan"):
        overview(path)
    (tmp_path / "catalog.sqlite3").write_bytes(os.urandom(5000))
    with pytest.raises(StateError, match="cannot be used"):
        overview(path)


def test_the_holder_of_the_lock_is_seen_and_not_disturbed(tmp_path):
    state = State(str(tmp_path / "state"))
    assert holder_of(state.lock_file) is None
    script = (
        "import sys, time; from hashscan.state import State\n"
        "with State(sys.argv[1]).lock():\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, state.directory], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert holder_of(state.lock_file) == holder.pid
        holder.send_signal(signal.SIGKILL)
    assert holder_of(state.lock_file) is None
    with state.lock():
        pass


def test_who_only_looks_makes_nothing(tmp_path):
    State(str(tmp_path / "state"), make=False)
    assert os.listdir(tmp_path) == []
