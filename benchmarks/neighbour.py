"""What a neighbour on the same disk and processors notices of a full scan: a table.

    python benchmarks/neighbour.py --rounds 3

A reader reads 4 KiB at random places of a large file, past the page cache, and after each read works
for a moment, as a web server would. Its latencies are taken alone, beside a one-off full scan, and
beside the daemon's full scan with and without bounds, in turn, several rounds. Milliseconds.
"""

import argparse
import json
import mmap
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from running_daemon import Daemon

FILES, SIZE, LARGE = 3000, 512 << 10, 1 << 30
CASES = {
    "alone": None,
    "scan --full": "command",
    "daemon": "scan: {pause_above_io_pressure: none}",
    "daemon, pauses above 20%": "scan: {pause_above_io_pressure: 20%}",
    "daemon, 50 MiB/s": "scan: {pause_above_io_pressure: none, max_rate: 50MiB}",
}


def prepare(place):
    """A volume and the reader's file, none of it cached."""
    volume = place / "files"
    block = os.urandom(SIZE)
    for number in range(FILES):
        directory = volume / f"d{number % 50}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"f{number}").write_bytes(number.to_bytes(8, "big") + block[8:])
    with open(place / "large", "wb") as file:
        file.writelines(os.urandom(SIZE) for _ in range(LARGE // SIZE))
    os.sync()


def forget(place):
    """Drop what is cached of the volume."""
    for directory in (place / "files").iterdir():
        for path in directory.iterdir():
            fd = os.open(path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def read(place, goes_on, longest=8.0):
    """Latencies of the reader, in seconds, as long as ``goes_on`` says."""
    fd = os.open(place / "large", os.O_RDONLY | os.O_DIRECT)
    page = mmap.mmap(-1, 4096)
    found = []
    until = time.monotonic() + longest
    while time.monotonic() < until and goes_on():
        at = random.randrange(LARGE // 4096) * 4096
        began = time.perf_counter()
        os.preadv(fd, [page], at)
        sum(range(20_000))  # a page is made of it
        found.append(time.perf_counter() - began)
        time.sleep(0.002)
    os.close(fd)
    return found


def beside(case, place):
    """The reader's latencies beside one case, and the seconds that the scan took."""
    forget(place)
    extra = CASES[case]
    if extra is None:
        return read(place, lambda: True, 5.0), None
    state = tempfile.mkdtemp(dir=place)
    try:
        if extra == "command":
            known = Path(state) / "known"
            known.write_text("0" * 40 + "\n")
            began = time.monotonic()
            scan = subprocess.Popen(
                [sys.executable, "-m", "hashscan", "scan", place / "files", "--full", "--known",
                 known, "--state", Path(state) / "s"],
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            time.sleep(0.5)
            found = read(place, lambda: scan.poll() is None, 60)
            return found, time.monotonic() - began
        with Daemon(state, extra=extra, watch="off", fresh=True) as daemon:
            daemon.volume.rmdir()
            daemon.volume = place / "files"
            daemon.write_config()
            began = time.monotonic()
            daemon.start(until=None)
            daemon.wait(lambda: daemon.logged("scan (start)"))
            found = read(place, lambda: not daemon.summaries, 60)
            return found, time.monotonic() - began
    finally:
        shutil.rmtree(state, ignore_errors=True)


def main():
    """Print the table as JSON, a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="hashscan-neighbour-", dir="/var/tmp"))
    try:
        prepare(place)
        rounds = {case: [] for case in CASES}
        for _ in range(arguments.rounds):
            for case in CASES:
                found, seconds = beside(case, place)
                ordered = sorted(found)
                rounds[case].append(
                    (
                        statistics.median(ordered) * 1000,
                        ordered[int(len(ordered) * 0.99)] * 1000,
                        seconds,
                        len(ordered),
                    )
                )
        for case, figures in rounds.items():
            print(
                json.dumps(
                    {
                        "case": case,
                        "median_ms": round(statistics.median(one[0] for one in figures), 2),
                        "p99_ms": round(statistics.median(one[1] for one in figures), 2),
                        "p99_of_each": [round(one[1], 2) for one in figures],
                        "scan_seconds": [one[2] and round(one[2], 1) for one in figures],
                        "reads": [one[3] for one in figures],
                    }
                )
            )
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
