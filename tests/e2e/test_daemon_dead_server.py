"""Volumes on a dead file server hold up nothing else."""

import os
import time

import pytest
from commandline import needs_root
from daemon_files import chattr
from running_daemon import Daemon
from silent_fs import silent

KNOWN = os.urandom(3000)


@pytest.mark.timeout(240)
@needs_root
def test_a_dead_server_holds_up_nothing_else(tmp_path):
    dead = tmp_path / "dead"
    dead.mkdir()
    other = f"}}, {{path: {dead}"
    # A match there that cannot be moved, and is tried again and again
    stays = dead / "stays"
    stays.write_bytes(KNOWN)
    chattr("+i", stays)
    try:
        with Daemon(tmp_path, watch="inotify", known=[KNOWN], volume_extra=other) as daemon:
            daemon.start()
            daemon.wait(lambda: daemon.matches)
            assert daemon.end() == 0
    finally:
        chattr("-i", stays)
    many = other + "".join(f"}}, {{path: {dead}/{number}" for number in range(60))
    with (
        Daemon(tmp_path, watch="inotify", known=[KNOWN], volume_extra=many) as daemon,
        silent(dead),
    ):
        there = daemon.volume / "there"
        there.write_bytes(KNOWN)
        daemon.start()
        daemon.wait(lambda: not there.exists())
        began = time.monotonic()
        later = daemon.volume / "later"
        later.write_bytes(KNOWN)
        daemon.wait(lambda: not later.exists())
        assert time.monotonic() - began < 60
        daemon.wait(lambda: daemon.facts()["volumes"][1]["away"], timeout=60)
        told = daemon.hashscan("status")
        assert told.returncode == 70, told.stdout
        assert f"{dead}: not scanned: its file system does not answer" in told.stdout
        assert 0 < len(daemon.children()) < 15, "one process waits for the server, not 61"
        assert sum("not scanned" in one.get("message", "") for one in daemon.logs) < 30
        began = time.monotonic()
        assert daemon.end() == 0
        assert time.monotonic() - began < 60
    # it is there again with the next start, and scanned
    daemon.volume_extra = other
    daemon.write_config()
    (dead / "x").write_bytes(KNOWN)
    with daemon:
        daemon.start()
        daemon.wait(lambda: not (dead / "x").exists() and not stays.exists())
        assert daemon.end() == 0


@pytest.mark.timeout(240)
@pytest.mark.skipif("HASHSCAN_LONG" not in os.environ, reason="a minute and a half: make test-long")
@needs_root
def test_a_server_that_dies_later_holds_up_nothing_else_for_long(tmp_path):
    dead = tmp_path / "dead"
    dead.mkdir()
    (dead / "kept").write_bytes(b"harmless")
    other = f"}}, {{path: {dead}, watch: inotify"
    with Daemon(tmp_path, watch="inotify", known=[KNOWN], volume_extra=other) as daemon:
        daemon.start()
        daemon.wait_accounted()
        with silent(dead):
            daemon.wait(lambda: daemon.facts()["volumes"][1]["away"], timeout=120)
            path = daemon.volume / "x"
            path.write_bytes(KNOWN)
            daemon.wait(lambda: not path.exists(), timeout=120)
            daemon.wait(lambda: daemon.facts()["volumes"][0]["backend"] == "inotify")
            began = time.monotonic()
            path.write_bytes(KNOWN)
            daemon.wait(lambda: not path.exists())
            assert time.monotonic() - began < 60
        (dead / "back").write_bytes(KNOWN)
        daemon.wait(lambda: not (dead / "back").exists(), timeout=90)
        assert b"kept" in daemon.rows(), "what is known of its files is kept"
        assert daemon.end() == 0
