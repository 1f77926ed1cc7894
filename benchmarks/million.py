# ruff: noqa: INP001 - a script, not a package
"""Many files, a large filter: memory, the catalog's size, and a scan where nothing changed.

    python benchmarks/million.py --files 1000000 --digests 3200000 --where /dev/shm

Makes the files and, with ``hashscan filter build``, a filter of random digests, and a service on
this machine that knows none of them. Then a first scan, with the memory of all its processes added
up ten times a second; a second one; and in turn, three times, find and a scan where nothing
changed. Prints one table; MB are millions of bytes.

Each file has a few bytes of its own, so a file system in memory needs 5 KiB for it. With
``--holes`` files have a size but no content, and need 1 KiB; a tmpfs has a limit of inodes, too:

    mount -t tmpfs -o size=16g,nr_inodes=11m none /mnt
    python benchmarks/million.py --files 10000000 --holes --where /mnt
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_A_DIRECTORY = 1000
#: Sizes of files without content go up to this, and start again.
_LARGEST_HOLE = 8000
_CORES = len(os.sched_getaffinity(0))
#: Seconds between two looks at the memory, and at where the filter lies in it.
_EVERY, _FILTER_EVERY = 0.1, 2.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MB = 1e6


def make_files(volume: Path, numbers: range, *, holes: bool) -> None:
    """The directories that begin within ``numbers``, with their files."""
    for begin in numbers:
        directory = volume / f"directory-{begin // _A_DIRECTORY:05}"
        directory.mkdir()
        here = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        for number in range(begin, min(begin + _A_DIRECTORY, numbers.stop)):
            name = f"file-{number:08}.jpg"
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=here)
            if holes:
                os.ftruncate(fd, 1 + number % _LARGEST_HOLE)
            else:
                os.write(fd, b"file %d\n" % number)
            os.close(fd)
        os.close(here)


def corpus(volume: Path, files: int, *, holes: bool) -> None:
    """Files in directories of a thousand, made by as many processes as there are cores."""
    volume.mkdir()
    each = -(-files // _CORES // _A_DIRECTORY) * _A_DIRECTORY
    context = multiprocessing.get_context("fork")
    makers = [
        context.Process(
            target=make_files,
            args=(volume, range(begin, min(begin + each, files), _A_DIRECTORY)),
            kwargs={"holes": holes},
        )
        for begin in range(0, files, each)
    ]
    try:
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
    finally:  # interrupted: what is made after this would not be taken away
        for maker in makers:
            if maker.is_alive():
                maker.kill()
                maker.join()
    if any(maker.exitcode for maker in makers):
        raise SystemExit("the files could not be made: no room, or too few inodes; see --where")


class _KnowsNone(BaseHTTPRequestHandler):
    """The service's answer to every digest: not known."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"false")

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextmanager
def service() -> Iterator[str]:
    """A service that knows nothing; its URL. One digest in a million hits the filter by chance."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _KnowsNone)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def pss_of(process: int) -> tuple[int, int]:
    """Proportional set size of a process in bytes, and how much of it is no file's."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
    return tuple(int(fields[name].split()[0]) << 10 for name in ("Pss", "Pss_Anon"))  # type: ignore[return-value]


class Held(NamedTuple):
    """Where a process has the filter.

    Attributes:
        mapped: mappings of a file that begins as the filter does.
        copies: mappings without a file that hold its content.
        pss: of those mappings, in bytes; a small filter lies in one with other things.
        own: bytes of a copy that no other process shares.
    """

    mapped: int
    copies: int
    pss: int
    own: int


def held_by(process: int, length: int, content: bytes) -> Held:
    """Look for the filter in a process, by its first bytes."""
    mapped = copies = pss = own = 0
    areas: list[tuple[int, int, str, int]] = []
    for line in Path(f"/proc/{process}/smaps").read_text(encoding="utf-8").splitlines():
        first, *rest = line.split(maxsplit=5)
        if not first.endswith(":"):
            start, end = (int(one, 16) for one in first.split("-"))
            areas.append((start, end, rest[4] if len(rest) > 4 else "", 0))
        elif first == "Pss:":
            areas[-1] = (*areas[-1][:3], int(rest[0]) << 10)
    with (
        open(f"/proc/{process}/mem", "rb", buffering=0) as memory,
        open(f"/proc/{process}/pagemap", "rb", buffering=0) as pages,
    ):
        for start, end, name, proportional in areas:
            if end - start < length:
                continue
            if name and name != "[heap]":
                # Only its start: a page of a file is in the process once it was read.
                found = os.pread(memory.fileno(), len(content), start) == content
                mapped += found
                pss += proportional * found
            elif (at := os.pread(memory.fileno(), end - start, start).find(content)) >= 0:
                copies += 1
                pss += proportional
                first_page, last_page = (start + at) // _PAGE, (start + at + length) // _PAGE
                # Whole pages only: at both ends there is something else, too.
                count = last_page - first_page - 1
                entries = os.pread(pages.fileno(), 8 * count, 8 * (first_page + 1))
                # Present, and mapped by nobody else: bits 63 and 56, see pagemap in proc(5).
                alone = 1 << 63 | 1 << 56
                own += _PAGE * sum(
                    entry & alone == alone for (entry,) in struct.iter_unpack("Q", entries)
                )
    return Held(mapped, copies, pss, own)


def members(group: int) -> list[int]:
    """Processes of a process group that live, the oldest first."""
    found = []
    for name in os.listdir("/proc"):
        with suppress(OSError, ValueError, IndexError):
            stat = Path(f"/proc/{int(name)}/stat").read_text(encoding="utf-8", errors="replace")
            fields = stat.rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                found.append((int(fields[19]), int(name)))
    return [process for _, process in sorted(found)]


@dataclass
class Memory:
    """What was seen of the memory of a scan.

    Attributes:
        peak: of all processes together, in bytes.
        each: of each process at that moment, the engine's first: all, and what is no file's.
        looks: how often it was looked at.
        held: of each process, when most of them had the filter.
    """

    peak: int = 0
    each: list[tuple[int, int]] = field(default_factory=list)
    looks: int = 0
    held: list[Held] = field(default_factory=list)

    def look(self, group: int) -> None:
        """Add up the processes of a group."""
        each = []
        for process in members(group):
            with suppress(OSError, KeyError, IndexError):  # it has just ended
                each.append(pss_of(process))
        self.looks += 1
        if (total := sum(pss for pss, _ in each)) > self.peak:
            self.peak, self.each = total, each

    def look_for(self, group: int, length: int, content: bytes) -> None:
        """Look where the filter is in the processes of a group."""
        held = []
        for process in members(group):
            with suppress(OSError, IndexError):
                held.append(held_by(process, length, content))
        if sum(bool(one.pss) for one in held) >= sum(bool(one.pss) for one in self.held):
            self.held = held


class Scans:
    """Scans of one volume with one state.

    Attributes:
        state: the state directory.
        length: of the filter, in bytes.
    """

    def __init__(self, place: Path, volume: Path, url: str, digests: int) -> None:
        """Make the filter, as somebody who has lists does, and the agent's configuration."""
        made = place / "filter"
        self.state = place / "state"
        self._config = place / "config.yaml"
        password = place / "password"
        digest_list = place / "list.txt"
        with open(digest_list, "w", encoding="ascii") as file:
            file.writelines(f"{os.urandom(20).hex()}\n" for _ in range(digests))
        built = [*self._program(), "filter", "build", str(digest_list), "-o", str(made)]
        subprocess.run(built, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        digest_list.unlink()
        self.length = made.stat().st_size
        with open(made, "rb") as file:
            self._content = file.read(256)
        password.write_text("x\n", encoding="ascii")
        password.chmod(0o600)
        self._config.write_text(
            f"state: {self.state}\n"
            f"volumes: [{{path: {volume}}}]\n"
            f"service: {{kind: hashcheckservice, url: '{url}', username: x,"
            f" password_file: {password}}}\n"
            f"filter: {{source: {made}}}\n"
            "scan: {pause_above_io_pressure: none}\n",
            encoding="utf-8",
        )

    @staticmethod
    def _program() -> list[str]:
        return [sys.executable, "-m", "hashscan", "-q"]

    def run(self, outcome: str, memory: Memory | None = None) -> float:
        """A scan of which every file has this outcome; how many seconds it took."""
        command = [*self._program(), "--config", str(self._config), "scan", "--json"]
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, start_new_session=True
        )
        try:
            if memory is not None:
                self._watch(process, memory)
            out, _ = process.communicate()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - began
        if process.returncode:
            raise SystemExit(f"the scan ended with exit code {process.returncode}")
        summary = json.loads(out.splitlines()[-1])
        if summary[outcome] != summary["files"]:
            raise SystemExit(f"not every file was {outcome}: {summary}")
        return seconds

    def _watch(self, process: subprocess.Popen[bytes], memory: Memory) -> None:
        looked = time.monotonic()
        while process.poll() is None:
            memory.look(process.pid)
            if time.monotonic() - looked > _FILTER_EVERY:
                memory.look_for(process.pid, self.length, self._content)
                looked = time.monotonic()
            time.sleep(_EVERY)

    def catalog(self) -> int:
        """Bytes of the catalog on the disk, with whatever SQLite keeps beside it."""
        return sum(one.stat().st_size for one in self.state.glob("*.sqlite3*"))


def find(volume: Path) -> float:
    """Seconds that find takes for a look at each file."""
    began = time.monotonic()
    subprocess.run(  # noqa: S603
        ["find", str(volume), "-printf", r"%i %s %T@ %C@\n"],  # noqa: S607
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - began


def shared(held: list[Held], length: int) -> str:
    """Where the filter is, in words."""
    having = [one for one in held if one.pss]
    if not having:
        return "not seen: the scan was too short, or its memory may not be read"
    mapped, copies = (sum(one[which] for one in having) for which in (0, 1))
    having_it = f"{len(having)} processes have it in {mapped + copies} mappings"
    words = [f"{length / _MB:.1f} MB; {having_it}, {mapped} of a file"]
    if copies:
        words.append(f"not shared: {sum(one.own for one in having) / _MB:.1f} MB")
    words.append(f"their PSS: {sum(one.pss for one in having) / _MB:.1f} MB")
    return "; ".join(words)


def row(what: str, measured: str, asked: str = "") -> str:
    """One row of the table."""
    return f"| {what} | {measured} | {asked} |"


def memory_rows(what: str, memory: Memory, asked: str) -> list[str]:
    """The peak of one scan, and whose it is."""
    each = " + ".join(f"{pss / _MB:.1f}" for pss, _ in memory.each)
    without = " + ".join(f"{anonymous / _MB:.1f}" for _, anonymous in memory.each)
    return [
        row(f"{what}: peak of all processes (PSS)", f"{memory.peak / _MB:.1f} MB", asked),
        row("- engine, who asks, workers", f"{each} MB"),
        row("- of it no file's", f"{without} MB, {memory.looks} looks"),
    ]


def measure(place: Path, arguments: argparse.Namespace) -> list[str]:
    """Run all of it; the rows of the table."""
    volume = place / "volume"
    files = arguments.files
    corpus(volume, files, holes=arguments.holes)
    with service() as url:
        scans = Scans(place, volume, url, arguments.digests)
        first, second = Memory(), Memory()
        time.sleep(0.5)  # stamps that are too young are not believed
        first_seconds = scans.run("hashed", first)
        scans.run("unchanged", second)
        catalog = scans.catalog()
        finds, agains = [], []
        find(volume)  # warm
        for _ in range(arguments.runs):
            finds.append(find(volume))
            agains.append(scans.run("unchanged"))
    again = statistics.median(agains)
    ratios = [one / other for one, other in zip(agains, finds, strict=True)]
    name = len(os.fsencode(f"directory-{0:05}/file-{0:08}.jpg"))
    return [
        "| what | measured | goal |",
        "|---|---|---|",
        *memory_rows("first scan", first, "at most 250 MB"),
        row("- the filter", shared(first.held, scans.length), "shared, once"),
        row("first scan, while its memory is looked at",
            f"{first_seconds:.1f} s, {files / first_seconds:,.0f} files a second"),
        *memory_rows("nothing changed", second, ""),
        row(f"catalog, a file (its path has {name} bytes)", f"{catalog / files:.1f} bytes",
            "at most 130"),
        row("find, a look at each file",
            f"{statistics.median(finds):.2f} s ({min(finds):.2f} to {max(finds):.2f})"),
        row("nothing changed", f"{again:.2f} s ({min(agains):.2f} to {max(agains):.2f})"),
        row("- the time of find", f"{statistics.median(ratios):.2f} times"
            f" ({min(ratios):.2f} to {max(ratios):.2f})", "at most 2 times"),
        row("- files a second", f"{files / again:,.0f}", "200,000"),
    ]  # fmt: skip


def main() -> None:
    """Measure, print the table, and leave nothing behind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--digests", type=int, default=3_200_000, help="in the filter")
    parser.add_argument("--holes", action="store_true", help="files with a size but no content")
    parser.add_argument("--runs", type=int, default=3, help="rounds of find and a scan")
    parser.add_argument("--where", default=None, help="a directory on the file system to measure")
    arguments = parser.parse_args()
    # Ended by a signal, it still has to take its files away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = Path(tempfile.mkdtemp(prefix="hashscan-million-", dir=arguments.where))
    try:
        rows = measure(place, arguments)
        load = os.getloadavg()[0]
        print(  # noqa: T201
            f"{arguments.files:,} files, {arguments.digests:,} digests; {_CORES} cores, "
            f"Linux {platform.release()}, Python {platform.python_version()}, load {load:.1f}\n"
        )
        print("\n".join(rows))  # noqa: T201
    finally:
        shutil.rmtree(place, ignore_errors=True)  # noqa: TID251 - its own corpus


if __name__ == "__main__":
    main()
