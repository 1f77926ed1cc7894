# ruff: noqa: INP001 - a script, not a package
"""Time and memory of a filter and of a local known set, with random digests.

Usage: python benchmarks/build_filter.py [DIGESTS] [DIRECTORY]

Memory is the greatest resident set of this process, and of the largest of its worker processes.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time

from hashscan.known.confirmers.local_list import open_local
from hashscan.known.filters.build import build
from hashscan.known.filters.filter_file import load
from hashscan.model import Digest


def peak() -> str:
    """Peak memory of this process and of the largest child so far."""
    own, child = (
        resource.getrusage(who).ru_maxrss // 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return f"peak {own} MiB" + (f", worker {child} MiB" if child else "")


def say(what: str, started: float) -> None:
    """One line of the result."""
    print(f"{what:<40} {time.monotonic() - started:8.2f} s  {peak()}", flush=True)  # noqa: T201


def main(count: int, parent: str | None) -> None:
    """Build, load, ask; then the same as a local known set."""
    with tempfile.TemporaryDirectory(dir=parent) as directory:
        path = os.path.join(directory, "list")
        with open(path, "w", encoding="ascii") as file:
            file.writelines(os.urandom(20).hex() + "\n" for _ in range(count))
        with open(path, encoding="ascii") as file:
            known = [file.readline().strip() for _ in range(10_000)]
        asked = [os.urandom(20).hex() for _ in range(200_000)]

        for jobs in (1, len(os.sched_getaffinity(0))):
            started = time.monotonic()
            build([path], os.path.join(directory, "filter"), jobs=jobs, force=True)
            say(f"filter build, {count:,} digests, {jobs} processes", started)

        started = time.monotonic()
        one = load(os.path.join(directory, "filter"))
        say("load with every check", started)

        started = time.monotonic()
        hits = sum(digest in one for digest in asked)
        say(f"200,000 look-ups ({hits} hits)", started)

        for what in ("made", "kept"):
            started = time.monotonic()
            local = open_local([path], os.path.join(directory, "state"))
            say(f"local known set, {what}", started)
            started = time.monotonic()
            assert all(local.confirmer.confirm(Digest("sha1", digest)).known for digest in known)
            say("10,000 verdicts", started)
            local.confirmer.close()


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 3_000_000,
        sys.argv[2] if len(sys.argv) > 2 else None,
    )
