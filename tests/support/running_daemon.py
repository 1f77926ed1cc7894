"""A real daemon in a test: started by the command line, heard by its JSON lines, ended or killed."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import ready


def sha1(content):
    return hashlib.sha1(content).hexdigest()


class Daemon:
    """One state, one volume, and the daemon that works with them."""

    def __init__(
        self, directory, *, watch="auto", known=(), service="", extra="", volume_extra="",
        fresh=False,
    ):  # fmt: skip
        """``fresh``: a Python of its own, as where it is measured; else it is forked (``ready``)."""
        self.directory = Path(directory)
        self.volume = self.directory / "volume"
        self.state = self.directory / "state"
        self.config = self.directory / "config.yaml"
        self.list = self.directory / "known.txt"
        self.volume.mkdir(exist_ok=True)
        self.list.write_text("".join(f"{sha1(content)}\n" for content in known) or f"{'0' * 40}\n")
        self.watch, self.service = watch, service
        self.extra, self.volume_extra = extra, volume_extra
        self.write_config()
        self.events = []
        self.logs = []
        self._there = threading.Condition()
        self.process = None
        self.wrap, self.fresh = [], fresh
        #: Other values of hashscan's constants, e.g. of what takes minutes.
        self.values = {}

    def write_config(self):
        service = self.service or f"service: {{kind: local, known: [{self.list}]}}"
        self.config.write_text(
            f"state: {self.state}\n"
            f"volumes: [{{path: {self.volume}, watch: {self.watch}{self.volume_extra}}}]\n"
            f"{service}\n"
            "quarantine: {action: quarantine}\n"
            f"{self.extra or 'scan: {pause_above_io_pressure: none}'}\n"
        )

    def start(self, *arguments, env=None, until="scan"):
        env = {**os.environ, **(env or {})}
        words = ["--config", str(self.config), "-v", "daemon", "--json", *arguments]
        if self.wrap or self.fresh:
            self.process = subprocess.Popen(
                [*self.wrap, *ready.COMMAND, *words],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
            )  # fmt: skip
        else:
            within = ("with_values", self.values) if self.values else None
            self.process = ready.start(*words, env=env, within=within)
        self.readers = [
            threading.Thread(target=self._read, args=(stream, into), daemon=True)
            for stream, into in (
                (self.process.stdout, self.events),
                (self.process.stderr, self.logs),
            )
        ]
        for reader in self.readers:
            reader.start()
        if until == "scan":
            self.wait(lambda: any(e["event"] == "summary" for e in self.events))
        return self

    def _read(self, stream, into):
        for line in stream:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "raw", "message": line.decode(errors="replace")}
            event["heard"] = time.time()
            with self._there:
                into.append(event)
                self._there.notify_all()
        stream.close()

    def wait(self, condition, timeout=90.0):
        """Wait until a condition over what was heard, or over the disk, holds."""
        until = time.monotonic() + timeout
        with self._there:
            while True:
                began = time.monotonic()
                if condition():
                    return
                left = until - time.monotonic()
                assert left > 0, f"not within {timeout} s\n" + self.told()
                # A condition that runs a command does not run it all the time.
                self._there.wait(min(left, max(0.1, 4 * (time.monotonic() - began))))

    def told(self):
        return "\n".join(
            str(one.get("message", one)) for one in [*self.logs[-40:], *self.events[-10:]]
        )

    def logged(self, words):
        return any(words in one.get("message", "") for one in self.logs)

    @property
    def matches(self):
        return [event for event in self.events if event["event"] == "match"]

    @property
    def summaries(self):
        return [event for event in self.events if event["event"] == "summary"]

    def quarantined(self):
        return [event for event in self.matches if event["action"] == "quarantined"]

    def end(self, number=signal.SIGTERM, timeout=60.0):
        """End it, and look that it did so cleanly; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout)
        for reader in self.readers:
            reader.join(60)
        if number != signal.SIGKILL:
            assert "Traceback" not in self.told(), self.told()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def hashscan(self, *arguments):
        """Another command with the daemon's configuration."""
        return ready.in_words(ready.hashscan("--config", str(self.config), *map(str, arguments)))

    # What it left

    def children(self):
        """The ids of its processes; without pgrep, which a minimal Debian lacks."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                status = (place / "status").read_text()
                if int(status.split("PPid:")[1].split()[0]) == self.process.pid:
                    found.append(int(place.name))
        return found

    def facts(self):
        with suppress(OSError, ValueError):
            return json.loads((self.state / "daemon.json").read_text())
        return {}

    def rows(self):
        """Every file that the catalog holds, by its path below the volume."""
        catalog = sqlite3.connect(
            f"file:{self.state}/catalog.sqlite3?mode=ro", uri=True, timeout=30
        )
        try:
            names = {row[0]: row[1:] for row in catalog.execute("SELECT id, parent, name FROM dir")}
            files = catalog.execute("SELECT dir, name FROM file").fetchall()
        finally:
            catalog.close()
        paths = {}

        def path(number):
            if number not in paths:
                parent, name = names[number]
                paths[number] = b"" if parent == 0 else path(parent) + name + b"/"
            return paths[number]

        return {path(number) + name for number, name in files if number in names}

    def files(self):
        """Every file of the volume, by its path below it."""
        top = os.fsencode(self.volume)
        found = set()
        for directory, _, names in os.walk(top):
            prefix = os.path.relpath(directory, top)
            prefix = b"" if prefix == b"." else prefix + b"/"
            found.update(prefix + name for name in names)
        return found

    def wait_accounted(self, timeout=60.0):
        """Wait until every file that is there is in the catalog."""
        until = time.monotonic() + timeout
        while missing := self.files() - self.rows():
            assert time.monotonic() < until, (len(missing), sorted(missing)[:5], self.told())
            time.sleep(0.25)
