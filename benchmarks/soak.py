"""A soak: files come, change, move and go for a long time; is memory flat, and is anything missed?

    python benchmarks/soak.py --minutes 60

Every quarter of a minute the memory (PSS) and the descriptors of the daemon and its children are
noted. Prints one line of JSON: the medians of the second and the last quarter of the time, how many
known files were made and quarantined, and how many files are not in the catalog at the end.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from running_daemon import Daemon

#: Files that come and go, once so many are there.
_FILES = 2000


def processes(parent):
    """A process and its children."""
    found = [parent]
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"\nPPid:\t{parent}\n" in status.read_text():
                found.append(int(status.parent.name))
        except OSError:
            continue
    return found


def measure(parent):
    """Memory in MiB and descriptors, of all of them; and the memory of each, the parent's first."""
    each = []
    descriptors = 0
    for process in processes(parent):
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
            each.append(int(rollup.split("\nPss:")[1].split()[0]) / 1024)
            descriptors += len(os.listdir(f"/proc/{process}/fd"))
        except (OSError, IndexError):
            continue
    return sum(each), descriptors, each


def churn(volume, known, stop, rate, made):
    """Files come, change, move, go; each second one of them is known.

    As many go as come once there are ``_FILES``, and directories that came go after a while: a
    volume that grows is no soak.
    """
    chance = random.Random(7)
    directories = []
    for number in range(200):
        path = os.path.join(volume, f"d{number % 20}", f"e{number}")
        os.makedirs(path)
        directories.append(path)
    files, came = [], []
    tick = 0
    while not stop.wait(1.0):
        tick += 1
        for _ in range(rate):
            what = chance.random()
            if (what < 0.6 and len(files) < _FILES) or len(files) < 100:
                path = os.path.join(chance.choice(directories), f"f{tick}-{chance.random()}")
                Path(path).write_bytes(os.urandom(chance.randrange(10, 5000)))
                files.append(path)
            else:
                at = chance.randrange(len(files))
                path = files[at]
                if what < 0.3 or 0.6 <= what < 0.7:
                    with open(path, "ab") as file:
                        file.write(b"more")
                elif what < 0.4 or 0.7 <= what < 0.8:
                    files[at] = os.path.join(
                        chance.choice(directories), f"m{tick}-{chance.random()}"
                    )
                    Path(path).rename(files[at])
                else:
                    files.pop(at)
                    os.unlink(path)
        if tick % 10 == 0:
            # a directory that comes, is filled, and is moved
            path = os.path.join(volume, f"new{tick}")
            os.makedirs(os.path.join(path, "sub"))
            Path(path, "sub", "f").write_bytes(b"%d" % tick)
            old = chance.randrange(len(directories))
            path = Path(path).rename(os.path.join(directories[old], f"moved{tick}"))
            came.append(path)
            if len(came) > 30:
                shutil.rmtree(came.pop(0))
        path = os.path.join(chance.choice(directories), f"known{tick}")
        Path(path).write_bytes(known)
        made.append(path)


def fill(place, files):
    """Files that were there before, so that the catalog is as large as it will be."""
    for number in range(files):
        if number % 100 == 0:
            directory = place / f"d{number // 100}"
            directory.mkdir(parents=True)
        (directory / f"f{number}").write_bytes(b"%d" % number)


def main():
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=int, default=30, help="changes a second")
    parser.add_argument("--files", type=int, default=0, help="that are there from the start")
    parser.add_argument("--watch", default="auto")
    arguments = parser.parse_args()
    place = tempfile.mkdtemp(prefix="hashscan-soak-")
    try:
        print(json.dumps(soak(arguments, place)))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def soak(arguments, place):
    """The run itself."""
    known = os.urandom(3000)
    extra = "scan: {pause_above_io_pressure: none, schedule: '*/5 * * * *'}"
    stop, made, samples = threading.Event(), [], []
    with Daemon(place, watch=arguments.watch, known=[known], extra=extra, fresh=True) as daemon:
        fill(daemon.volume / "old", arguments.files)
        daemon.start()
        writer = threading.Thread(
            target=churn, args=(str(daemon.volume), known, stop, arguments.rate, made)
        )
        writer.start()
        until = time.monotonic() + arguments.minutes * 60
        while time.monotonic() < until:
            time.sleep(min(15, arguments.minutes * 2))
            samples.append(measure(daemon.process.pid))
        stop.set()
        writer.join()
        daemon.wait(lambda: not any(os.path.exists(path) for path in made), 60)
        daemon.wait_accounted()
        quarter = len(samples) // 4
        second, last = samples[quarter : 2 * quarter], samples[-quarter:]
        stored = sum(1 for _ in (daemon.state / "quarantine").glob("2*/content"))
        return {
            "minutes": arguments.minutes,
            "samples": len(samples),
            "memory_mib": [
                round(statistics.median(one[0] for one in part), 1) for part in (second, last)
            ],
            "descriptors": [statistics.median(one[1] for one in part) for part in (second, last)],
            "highest": [round(max(one[0] for one in samples), 1), max(one[1] for one in samples)],
            "known": len(made),
            "quarantined": stored,
            "unaccounted": len(daemon.files() - daemon.rows()),
            "events": daemon.facts().get("events"),
            "lost": daemon.facts().get("lost"),
            "losses": [one["message"] for one in daemon.logs if "scanned anew" in str(one)][:5],
            "memory_each_tenth": [
                round(one[0], 1) for one in samples[:: max(1, len(samples) // 10)]
            ],
            "memory_each_process": [
                [round(one, 1) for one in samples[at][2]] for at in (quarter, -1)
            ],
            "scans": len(daemon.summaries),
            "problems": daemon.facts().get("problems"),
            "exit": daemon.end(),
        }


if __name__ == "__main__":
    main()
