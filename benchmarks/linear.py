"""What an adversary makes many of: is the time for each the same, however many there are?

    python benchmarks/linear.py

Measures three things with a quarter, a half and all of their number, each in a process of its own:
a scan of N volumes; a scan of a directory with N files and N subdirectories that are removed, or
renamed, once the scan has listed it; quarantine and recovery of ten matches beside N directories
whose names begin like hashscan's own. Prints one line of JSON for each measurement: seconds,
processor seconds of all processes, and processor microseconds for each of N.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[1] / "tests" / "support")]

from isolating import confirmed
from scanning import Scanner

from hashscan.quarantine import act
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.recover import recover
from hashscan.quarantine.store import Store
from hashscan.scan.worker import Worker

MATCHES = 10


class Clock:
    """Seconds, and processor seconds of this process and its children, since the start."""

    def __init__(self):
        self._began = time.monotonic(), self._processor()

    @staticmethod
    def _processor():
        used = [resource.getrusage(one) for one in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in used)

    def read(self):
        began, processor = self._began
        return time.monotonic() - began, self._processor() - processor


def volumes(number, where):
    """A scan of so many volumes of one file each."""
    roots = [where / "volumes" / str(one) for one in range(number)]
    for one in roots:
        one.mkdir(parents=True)
        (one / "file").write_bytes(b"%d" % len(roots))
    scanner = Scanner(where / "state")
    clock = Clock()
    summary = scanner.scan(*roots)
    taken = clock.read()
    assert summary.files == number, summary
    return taken


def removed(number, where):
    """A scan of a directory that loses all of its subdirectories once it is listed."""
    return lost(number, where, lambda path: path.rmdir())


def renamed(number, where):
    """A scan of a directory whose subdirectories are renamed once it is listed."""
    return lost(number, where, lambda path: path.rename(path.with_name("x" + path.name)))


def lost(number, where, fate):
    volume = where / "volume"
    volume.mkdir()
    for one in range(number):
        (volume / f"d{one}").mkdir()
        (volume / f"f{one}").touch()
    opened, done = Worker._open, []

    def interferes(self, root, path):
        if path and not done:
            done.append(True)
            for one in range(number):
                fate(volume / f"d{one}")
        return opened(self, root, path)

    Worker._open = interferes
    scanner = Scanner(where / "state")
    scanner.jobs = 1  # it lists the directory before it opens the first subdirectory
    clock = Clock()
    summary = scanner.scan(volume)
    taken = clock.read()
    assert summary.problems + summary.skipped.get("vanished", 0) == number, summary
    return taken


def foreign(number, where):
    """Quarantine of ten matches, and recovery after a kill, beside so many foreign names."""
    volume = where / "volume"
    volume.mkdir()
    (volume / ".hashscan").touch()  # hashscan's own name is taken
    for one in range(number):
        (volume / f".hashscan-{one:016x}").mkdir()
    for one in range(MATCHES):
        (volume / f"known{one}").write_bytes(b"%d" % one)
    matches = [confirmed(volume, f"known{one}") for one in range(MATCHES)]

    def killed(*_):
        raise KeyboardInterrupt

    # On another file system: content is copied by way of a directory in the volume.
    with tempfile.TemporaryDirectory(prefix="hashscan-", dir="/dev/shm") as store:
        path = os.fsencode(store + "/quarantine")
        clock = Clock()
        with closing(Quarantine.open(path)) as quarantine:
            for one in matches[1:]:
                assert quarantine.act(one).action == "quarantined"
            act._rename_to, real = killed, act._rename_to
            with suppress(KeyboardInterrupt):
                quarantine.act(matches[0])
            act._rename_to = real
        with Store.open(path) as opened, opened.lock():
            recover(opened)
        return clock.read()


MEASURED = {one.__name__: one for one in (volumes, removed, renamed, foreign)}


def main():
    """Run all, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--volumes", type=int, default=10_000)
    parser.add_argument("--removed", type=int, default=10_000)
    parser.add_argument("--renamed", type=int, default=10_000)
    parser.add_argument("--foreign", type=int, default=100_000)
    parser.add_argument("--where", help="not on /dev/shm; default: the temporary directory")
    parser.add_argument("--one", choices=MEASURED, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        number = getattr(options, options.one)
        with tempfile.TemporaryDirectory(prefix="hashscan-", dir=options.where) as where:
            seconds, processor = MEASURED[options.one](number, Path(where))
        each = round(1e6 * processor / number, 1)
        print(
            json.dumps(
                {"what": options.one, "number": number, "seconds": round(seconds, 2),
                 "processor": round(processor, 2), "microseconds_each": each}
            ),
            flush=True,
        )  # fmt: skip
        return
    for what in MEASURED:
        for part in (4, 2, 1):
            number = getattr(options, what) // part
            where = ["--where", options.where] if options.where else []
            command = [sys.executable, __file__, "--one", what, f"--{what}", str(number), *where]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
