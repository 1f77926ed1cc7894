"""A configuration and its state, as scans and a daemon leave them, without either."""

import json
import os
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest
import ready

from hashscan.catalog import checksums
from hashscan.catalog.store import Catalog
from hashscan.config.loader import load
from hashscan.jobs.coverage_gaps import mark_of
from hashscan.jobs.status import status_of
from hashscan.jobs.status_complaints import complaints
from hashscan.model import Summary
from hashscan.state import State

DAY = 86400.0


class Place:
    """A configuration and its state, as a scan and a daemon have left it."""

    def __init__(self, directory):
        self.directory = directory
        self.volumes = [directory / "volume"]
        self.known = directory / "known.txt"
        self.known.write_text(f"{'0' * 40}\n")
        self.state = State(str(directory / "state"))
        self.extra = ""
        self.holder = None
        self.write()

    def write(self):
        for one in self.volumes:
            one.mkdir(exist_ok=True)
        paths = ", ".join(f"{{path: {one}}}" for one in self.volumes)
        self.config = self.directory / "config.yaml"
        self.config.write_text(
            f"state: {self.state.directory}\nvolumes: [{paths}]\n"
            f"service: {{kind: local, known: [{self.known}]}}\n"
            "quarantine: {action: quarantine}\n" + self.extra
        )
        self.settings = load(str(self.config), check_files=False)

    def scanned(self, age=0.0, *, ended=True, interrupted=False, files=10, volumes=None):
        """A scan that began ``age`` seconds ago."""
        catalog = Catalog(self.state.catalog)
        roots = [os.fsencode(one) for one in volumes or self.volumes]
        number, _ = catalog.begin_scan(roots, complete=False)
        if ended:
            summary = Summary(hashed=files, interrupted=interrupted)
            catalog.end_scan(number, files=files, interrupted=interrupted, summary=summary)
        catalog.close()
        began = time.time() - age
        self.change("UPDATE scan SET started = ?, ended = iif(ended IS NULL, NULL, ?)"
                    f" WHERE id = {number}", began, began)  # fmt: skip
        return self

    def change(self, statement, *values):
        """Change the catalog and make its checksums right again."""
        connection = sqlite3.connect(self.state.catalog)
        checksums.add_function(connection)
        with connection:
            connection.execute(statement, values)
            connection.execute(f"UPDATE scan SET checksum = {checksums.SCAN}")
            connection.execute(f"UPDATE candidate SET checksum = {checksums.CANDIDATE}")
        connection.close()

    def candidate(self, age, error=None):
        values = dict.fromkeys(("dir", "device", "inode", "size", "mtime_ns", "ctime_ns"), 1)
        values |= {"volume": b"/v", "path": b"x", "name": b"x", "links": 1, "uid": 0, "hits": "[]"}
        values |= {
            "found": time.time() - age,
            "seen": 1,
            "service": "s",
            "remote": 1,
            "state": "waiting",
        }
        values |= {"full_path": b"/v/x", "error": error, "checksum": 0}
        marks = ", ".join("?" for _ in values)
        self.change(f"INSERT INTO candidate ({', '.join(values)}) VALUES ({marks})",
                    *values.values())  # fmt: skip

    def daemon(self, *, alive=True, **facts):
        """Write a daemon's status file; ``alive``: a process holds the lock in its name."""
        pid = 1
        if alive and self.holder is None:
            code = "import sys,time; from hashscan.state import State; from contextlib import *\n"
            code += "with State(sys.argv[1]).lock(): print(1, flush=True); time.sleep(600)"
            self.holder = subprocess.Popen(
                [ready.sys.executable, "-c", code, self.state.directory], stdout=subprocess.PIPE
            )
            self.holder.stdout.readline()
        if alive:
            pid = self.holder.pid
        now = time.time()
        volume = {"path": str(self.volumes[0]), "backend": "fanotify", "starting": None,
                  "directories": 0, "unwatched": 0, "example": "", "message": "", "blind": "",
                  "away": None}  # fmt: skip
        volume |= facts.pop("volume", {})
        told = {"version": "1", "pid": pid, "started": now - 40 * DAY, "time": now,
                "stopped": False, "trouble": "", "settings": mark_of(self.settings),
                "reports_only": "", "reload_refused": "", "sync": {"next": now + 60},
                "next_scan": now + 3600, "scan_every": DAY, "volumes": [volume], **facts}  # fmt: skip
        with open(os.path.join(self.state.directory, "daemon.json"), "w") as file:
            json.dump(told, file)
        return self

    def complaints(self):
        return [(int(one.code), one.message) for one in complaints(status_of(self.settings))]

    def only(self, code, words, reason=None):
        found = complaints(status_of(self.settings))
        assert [one.code for one in found] == [code], found
        assert words in found[0].message
        assert reason in {None, found[0].reason}

    def run(self, *arguments):
        return ready.in_words(ready.hashscan("--config", str(self.config), "status", *arguments))

    def close(self):
        if self.holder is not None:
            self.holder.kill()
            self.holder.communicate()


@pytest.fixture
def place(tmp_path):
    with closing(Place(tmp_path)) as made:
        yield made
