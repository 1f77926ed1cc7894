# ruff: noqa: INP001 - a script, not a package
"""hashscan beside whatever does a part of its job on this machine: one table of ratios.

    python benchmarks/side_by_side.py --runs 5

All jobs of a round run in turn, warm cache, and a ratio is that of two jobs of the same round, so
that it holds where seconds do not. Corpora: files of log-normal sizes, random bytes; the same with
each distinct file in forty places. Peers that are not installed are left out, and named.

    python benchmarks/side_by_side.py --runs 1 --files 4000 --megabytes 110
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Directories have about so many files.
_A_DIRECTORY = 100
#: Spread of the sizes: the standard deviation of their logarithm.
_SIGMA = 1.8
_COPIES = 40
_HASHLOOKUP = "hashlookup-analyser.py"
_JOBS = str(len(os.sched_getaffinity(0)))


def corpus(place: Path, files: int, total: int, *, copies: int = 1) -> None:
    """Make ``files`` files of about ``total`` bytes; each content lies in ``copies`` places."""
    chance = random.Random(5)
    distinct = files // copies
    sizes = [chance.lognormvariate(0, _SIGMA) for _ in range(distinct)]
    scale = total / copies / sum(sizes)
    contents = None
    if copies > 1:
        contents = [os.urandom(int(size * scale)) for size in sizes]
    for copy in range(copies):
        for number, size in enumerate(sizes):
            directory = place / f"c{copy:03}" / f"d{number // _A_DIRECTORY:04}"
            if number % _A_DIRECTORY == 0:
                directory.mkdir(parents=True)
            content = contents[number] if contents else os.urandom(int(size * scale))
            (directory / f"file-{number:06}.jpg").write_bytes(content)


def _sizes(count: int, mean: int, *, seed: int) -> list[int]:
    """Sizes of known files, spread like those of the corpus."""
    chance = random.Random(seed)
    drawn = [chance.lognormvariate(0, _SIGMA) for _ in range(count)]
    return [max(1, int(one * mean * count / sum(drawn))) for one in drawn]


def dcso_filter(place: Path) -> Path:
    """A DCSO filter of a thousand random digests, as hashlookup-forensic-analyser reads them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    from dcso_writer import dcso  # noqa: PLC0415 - where this repository is

    path = place / "dcso.bloom"
    path.write_bytes(dcso([os.urandom(20).hex().upper() for _ in range(1000)]))
    return path


@dataclass
class Job:
    """One job: its name, what runs, what it is compared with; and its seconds, a round each.

    Attributes:
        per: what its ratio is taken to; ``None``: it is a yardstick itself.
        most_runs: so many rounds at the most, for what takes minutes.
    """

    name: str
    run: Callable[[], None]
    per: str | None = None
    most_runs: int = 1000
    seconds: list[float] = field(default_factory=list)


def shell(command: str) -> Callable[[], None]:
    """A pipeline, its output thrown away."""

    def run() -> None:
        subprocess.run(["/bin/bash", "-c", f"{command} >/dev/null"], check=True)  # noqa: S603

    return run


class Scans:
    """hashscan's own jobs, below one place."""

    def __init__(self, place: Path) -> None:
        """Lists of a thousand random digests: SHA-1 alone, both, and SHA-1 with tiers."""
        self._place = place
        self.sha1, self.both = place / "sha1.txt", place / "both.txt"
        self.sizes, self.heads = place / "sizes.csv", place / "heads.csv"
        sha1 = "".join(f"{os.urandom(20).hex()}\n" for _ in range(1000))
        self.sha1.write_text(sha1)
        self.both.write_text(sha1 + "".join(f"{os.urandom(16).hex()}\n" for _ in range(1000)))
        self._made = 0

    def make_tiers(self, sizes: list[int]) -> None:
        """The lists with tiers; ``sizes`` are those of the known files."""
        known = [(os.urandom(20).hex(), size, os.urandom(16).hex()) for size in sizes]
        self.sizes.write_text("sha1,size\n" + "".join(f"{a},{b}\n" for a, b, _ in known))
        self.heads.write_text("sha1,xxh3-4096\n" + "".join(f"{a},{c}\n" for a, _, c in known))

    def scan(self, volume: Path, known: Path, state: Path | None = None) -> dict[str, object]:
        """A scan of its own process; with a ``state`` it goes on from the one before."""
        if state is None:
            self._made += 1
            state = self._place / f"state-{self._made}"
        command = [sys.executable, "-m", "hashscan", "-q", "scan", str(volume), "--known",
                   str(known), "--state", str(state), "--json"]  # fmt: skip
        done = subprocess.run(  # noqa: S603
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        summary: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return summary

    def first(self, volume: Path, known: Path) -> Callable[[], None]:
        """A scan with nothing known of the volume."""
        return lambda: _check(self.scan(volume, known), "hashed")

    def again(self, volume: Path, known: Path) -> Callable[[], None]:
        """A scan after one of which nothing changed."""
        state = self._place / "state-again"
        self.scan(volume, known, state)
        time.sleep(0.2)
        self.scan(volume, known, state)  # what was too young for its stamp is read once more
        return lambda: _check(self.scan(volume, known, state), "unchanged")

    def first_tiered(self, volume: Path, known: Path, reason: str) -> Callable[[], None]:
        """The same, where a tier rules nearly all files out."""

        def run() -> None:
            summary = self.scan(volume, known)
            skipped = summary["skipped"]
            assert isinstance(skipped, dict)
            _check({"files": summary["files"], "ruled out": skipped[reason]}, "ruled out", 0.8)

        return run


def _check(summary: Mapping[str, object], outcome: str, share: float = 1.0) -> None:
    found, files = summary[outcome], summary["files"]
    assert isinstance(found, int)
    assert isinstance(files, int)
    if found < share * files:
        raise SystemExit(f"not every file was {outcome}: {summary}")


def jobs_of(place: Path, arguments: argparse.Namespace) -> tuple[list[Job], list[str]]:
    """What runs in each round; and the peers that are not there."""
    distinct, copied = place / "distinct", place / "copied"
    corpus(distinct, arguments.files, arguments.megabytes << 20)
    corpus(copied, arguments.files, arguments.megabytes << 20, copies=_COPIES)
    os.sync()
    scans = Scans(place)
    scans.make_tiers(_sizes(1000, arguments.megabytes * (1 << 20) // arguments.files, seed=6))
    database = place / "clam.hdb"
    database.write_text("".join(f"{os.urandom(16).hex()}:{n + 100}:known\n" for n in range(1000)))
    rclone = f"rclone hashsum sha1 {distinct} --config /dev/null"
    peers = [
        ("openssl", Job("find, xargs openssl sha1", shell(
            f"find {distinct} -type f -print0 | xargs -0 -P{_JOBS} -n512 openssl sha1"))),
        ("hashdeep", Job("hashdeep md5,sha1", shell(
            f"hashdeep -r -c md5,sha1 -j{_JOBS} {distinct}"))),
        ("clamscan", Job("clamscan, hashes only", shell(
            f"clamscan -r -i --no-summary -d {database} {distinct} || test $? = 1"),
            most_runs=1)),
        (_HASHLOOKUP, Job("hashlookup-analyser, DCSO filter", shell(
            f"{_HASHLOOKUP} --disable-progress --bloomfilters {dcso_filter(place)} -d {distinct}"),
            most_runs=1)),
        ("rclone", Job("rclone hashsum sha1", shell(rclone), most_runs=3)),
        ("find", Job("find, stat only", shell(f"find {distinct} -printf '%i %s %T@ %C@\\n'"))),
    ]  # fmt: skip
    left_out = arguments.without.split(",")
    missing = [
        program for program, _ in peers if program in left_out or shutil.which(program) is None
    ]
    found = [job for program, job in peers if program not in missing]
    (place / "empty").mkdir()
    ours = [
        Job("hashscan, an empty directory", lambda: _check(
            scans.scan(place / "empty", scans.sha1), "hashed")),
        Job("hashscan, SHA-1", scans.first(distinct, scans.sha1), "find, xargs openssl sha1"),
        Job("hashscan, MD5 + SHA-1", scans.first(distinct, scans.both), "hashdeep md5,sha1"),
        Job("hashscan, MD5 + SHA-1, copies", scans.first(copied, scans.both),
            "hashscan, MD5 + SHA-1"),
        Job("hashscan, SHA-1, sizes known", scans.first_tiered(
            distinct, scans.sizes, "unknown-size"), "hashscan, SHA-1"),
        Job("hashscan, SHA-1, first blocks known", scans.first_tiered(
            distinct, scans.heads, "unknown-head"), "hashscan, SHA-1"),
        Job("hashscan, nothing changed", scans.again(distinct, scans.sha1), "find, stat only"),
    ]  # fmt: skip
    return found + ours, missing


def machine() -> str:
    """What this ran on."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{_JOBS} x {model}, Linux {platform.release()}, Python {platform.python_version()}"


def version_of(program: str) -> str:
    """The first line of what a peer says of its version."""
    if program == _HASHLOOKUP:  # it does not say
        return program
    flag = "version" if program in {"openssl", "rclone"} else "--version"
    flag = "-V" if program == "hashdeep" else flag
    done = subprocess.run([program, flag], capture_output=True, text=True, check=False)  # noqa: S603
    return f"{program}: {(done.stdout or done.stderr).splitlines()[0]}"


def table(jobs: list[Job]) -> list[str]:
    """Rows of Markdown: seconds, and the ratio to what each is compared with."""
    by_name = {job.name: job for job in jobs}
    lines = ["| job | seconds (lowest to highest) | ratio | compared with |", "|---|---|---|---|"]
    for job in jobs:
        low, high = min(job.seconds), max(job.seconds)
        row = f"| {job.name} | {statistics.median(job.seconds):.2f} ({low:.2f} to {high:.2f}) |"
        other = by_name.get(job.per or "")
        if other is None:
            lines.append(row + " | |")
            continue
        ratios = [a / b for a, b in zip(other.seconds, job.seconds, strict=False)]
        middle = statistics.median(ratios)
        lines.append(
            f"{row} {middle:.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}) "
            f"| {other.name} |"
        )
    return lines


def main() -> None:
    """Make the corpora, run the rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="rounds; default: 5")
    parser.add_argument("--files", type=int, default=40_000)
    parser.add_argument("--megabytes", type=int, default=1100)
    parser.add_argument("--without", default="", help="peers to leave out, with commas between")
    parser.add_argument("--where", default=None, help="a directory on the disk to be measured")
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="hashscan-bench-", dir=arguments.where))
    try:
        jobs, missing = jobs_of(place, arguments)
        for number in range(-1, arguments.runs):
            for job in jobs:
                if number >= job.most_runs or (number < 0 and job.most_runs < 1000):
                    continue
                began = time.monotonic()
                job.run()
                if number >= 0:  # the first round warms the cache
                    job.seconds.append(time.monotonic() - began)
        peers = ["openssl", "hashdeep", "clamscan", _HASHLOOKUP, "rclone", "find"]
        print(f"{machine()}; {arguments.files:,} files, {arguments.megabytes:,} MiB")  # noqa: T201
        print("; ".join(version_of(one) for one in peers if one not in missing))  # noqa: T201
        if missing:
            print(f"left out: {', '.join(missing)}")  # noqa: T201
        print("\n".join(table(jobs)))  # noqa: T201
        print(  # noqa: T201
            "What an empty directory costs, the start, is in each row of hashscan's: with few files"
            " it is all of it."
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)  # noqa: TID251 - its own corpus


if __name__ == "__main__":
    main()
