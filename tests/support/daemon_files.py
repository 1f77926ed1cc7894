"""Files and processes of a daemon that runs, as tests check them."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest


def gone(daemon, *paths):
    daemon.wait(lambda: not any(os.path.lexists(path) for path in paths))
    wanted = {os.fsencode(path) for path in paths}
    daemon.wait(lambda: wanted <= {os.fsencode(m["path"]) for m in daemon.quarantined()})


def processes_of(daemon):
    """The daemon's children by what they do; only the watching one has threads and an inotify or
    fanotify descriptor."""
    found = {}
    for pid in daemon.children():
        try:
            descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            continue
        links = []
        for link in descriptors:
            with suppress(OSError):  # closed meanwhile
                links.append(os.readlink(link))
        kind = "watch" if any("notify" in link for link in links) else "other"
        found.setdefault(kind, []).append(pid)
    return found


def chattr(flag, path):
    done = subprocess.run(["chattr", flag, path], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"chattr {flag}: {done.stderr.decode().strip()}")
