"""A match that cannot be moved is not forgotten until the next scan."""

import json
import os
import subprocess
import sys
import time

import pytest
from commandline import needs_root
from running_daemon import Daemon

KNOWN = os.urandom(3000)


def status(daemon, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "hashscan", "--config", str(daemon.config), "status", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def chattr(flag, path):
    done = subprocess.run(["chattr", flag, path], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"chattr {flag}: {done.stderr.decode().strip()}")


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
            told = status(daemon)
            assert told.returncode == 1, told.stdout
            assert f"1 matches could not be moved, e.g. {path}" in told.stdout
            assert "immutable" in told.stdout
            found = json.loads(status(daemon, "--json").stdout)
            assert (found["unmoved"], found["pending"], found["well"]) == (1, 0, False)
            time.sleep(6)
            assert len(daemon.matches) == 1, "one fact, told once"
        finally:
            chattr("-i", path)
        daemon.wait(lambda: not path.exists(), timeout=60)
        daemon.wait(lambda: daemon.quarantined())
        assert len(daemon.summaries) == 1, "no scan was needed"
        daemon.wait(lambda: status(daemon).returncode == 0)
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
        daemon.wait(lambda: status(daemon).returncode == 0, timeout=40)
        assert daemon.end() == 0
