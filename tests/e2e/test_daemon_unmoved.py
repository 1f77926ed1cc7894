"""A match that cannot be moved is not forgotten until the next scan."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from commandline import needs_root
from daemon_files import chattr
from running_daemon import Daemon

KNOWN = os.urandom(3000)


@needs_root
def test_what_could_not_be_moved_is_moved_as_soon_as_it_can_be(tmp_path):
    with Daemon(tmp_path, watch="inotify", known=[KNOWN]) as daemon:
        path = daemon.volume / "immutable"
        path.write_bytes(KNOWN)
        chattr("+i", path)
        try:
            daemon.start()
            daemon.wait(lambda: daemon.matches and daemon.facts().get("next_move") is not None)
            assert daemon.matches[0]["action"] == "reported"
            told = daemon.hashscan("status")
            assert told.returncode == 1, told.stdout
            assert f"1 match could not be moved, e.g. {path}" in told.stdout
            assert "immutable" in told.stdout
            found = json.loads(daemon.hashscan("status", "--json").stdout)
            assert (found["unmoved"], found["pending"], found["well"]) == (1, 0, False)
            first = daemon.facts()["next_move"]
            daemon.wait(lambda: daemon.facts()["next_move"] != first)  # it was tried again
            assert len(daemon.matches) == 1, "one fact, told once"
        finally:
            chattr("-i", path)
        daemon.wait(lambda: not path.exists(), timeout=60)
        daemon.wait(daemon.quarantined)
        assert len(daemon.summaries) == 1, "no scan was needed"
        daemon.wait(lambda: daemon.hashscan("status").returncode == 0)
        assert daemon.end() == 0


@needs_root
def test_what_could_not_be_moved_and_is_gone_is_forgotten(tmp_path):
    with Daemon(tmp_path, watch="inotify", known=[KNOWN]) as daemon:
        path = daemon.volume / "immutable"
        path.write_bytes(KNOWN)
        chattr("+i", path)
        try:
            daemon.start()
            daemon.wait(lambda: daemon.matches)
        finally:
            chattr("-i", path)
        path.unlink()
        daemon.wait(lambda: daemon.hashscan("status").returncode == 0, timeout=40)
        assert daemon.end() == 0


@needs_root
def test_it_answers_and_ends_while_a_large_match_is_moved(tmp_path):
    # To another file system: it hashes and copies for longer than the test needs to end it.
    size = 256 << 20
    if shutil.disk_usage("/dev/shm").free < 2 * size:
        pytest.skip("there is no room for a large file in /dev/shm here")
    with Daemon(tmp_path, watch="inotify") as daemon:
        path = daemon.volume / "large"
        block = os.urandom(1 << 20)
        digest = hashlib.sha1()
        with open(path, "wb") as file:
            for _ in range(size >> 20):
                file.write(block)
                digest.update(block)
        daemon.list.write_text(digest.hexdigest() + "\n")
        store = tempfile.mkdtemp(dir="/dev/shm")
        try:
            if os.stat(store).st_dev == os.stat(path).st_dev:
                pytest.skip("/dev/shm is no other file system here")
            daemon.extra = (
                f"quarantine: {{action: quarantine, directory: {store}/quarantine}}\n"
                "scan: {pause_above_io_pressure: none}"
            )
            daemon.config.write_text(
                "\n".join(
                    line
                    for line in _config(daemon).splitlines()
                    if line != "quarantine: {action: quarantine}"
                )
            )
            daemon.start(until=None)
            staged = daemon.volume / ".hashscan"
            daemon.wait(lambda: staged.exists() and any(staged.iterdir()))
            began = time.monotonic()
            assert daemon.end() == 0
            assert time.monotonic() - began < 60
            # in one place, and the next start finishes what was begun
            assert path.exists() != (staged.exists() and any(staged.iterdir()))
            daemon.start(until=None)
            daemon.wait(lambda: not path.exists() and not staged.exists(), timeout=90)
            kept = [one for one in Path(store).rglob("content") if one.stat().st_size == size]
            assert len(kept) == 1
            assert daemon.end() == 0
        finally:
            shutil.rmtree(store)


def _config(daemon):
    daemon.write_config()
    return daemon.config.read_text()
