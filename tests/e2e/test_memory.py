"""Memory of a scan does not grow with the size of a directory, nor if its files are gone."""

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from commandline import Agent, started

# A worker's cache and buffers are full from about 8,000 files on: a smaller directory needs less.
SMALL, LARGE = 8_000, 30_000
NAME = b"n" * 248  # a list or set of all names would show


def fill(directory, names):
    os.mkdir(directory)
    here = os.open(directory, os.O_RDONLY)
    for number in names:
        os.close(os.open(NAME + b"%d" % number, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=here))
    os.close(here)


def own_memory(pid):
    """Bytes of a process's own (anonymous) memory, and its parent."""
    with suppress(OSError, KeyError):
        lines = Path("/proc", str(pid), "status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return int(fields["RssAnon"].split()[0]) << 10, int(fields["PPid"])
    return 0, 0


def peaks(agent, *more):
    """Highest memory of the engine and of any of its children, in bytes."""
    engine = child = 0
    with started(*agent.arguments("--json", *more)) as process:
        while process.poll() is None:
            engine = max(engine, own_memory(process.pid)[0])
            with suppress(OSError):
                children = Path("/proc", str(process.pid), "task", str(process.pid), "children")
                for pid in children.read_text().split():
                    child = max(child, own_memory(pid)[0])
            time.sleep(0.02)
        assert process.returncode == 0, process.stderr.read()
    return engine, child


@pytest.mark.xdist_group("heavy")
def test_memory_is_flat(memory):
    """In the first scan of a directory, in the second one, and in one that misses its files."""
    volumes = {}
    for count in (SMALL, LARGE):
        volume = memory / f"volume{count}"
        fill(volume, range(count))
        agent = Agent(memory / f"state{count}", volume)
        volumes[count] = [peaks(agent), peaks(agent)]
        here = os.open(volume, os.O_RDONLY)
        for number in range(count - 100):
            os.unlink(NAME + b"%d" % number, dir_fd=here)
        os.close(here)
        volumes[count].append(peaks(agent))
    for small, large in zip(volumes[SMALL], volumes[LARGE], strict=True):
        assert large[0] > 8 << 20, "it was measured"
        # The engine's part of the catalog's cache is bounded by 16 MiB.
        assert large[0] - small[0] < 20 << 20, volumes
        # A worker's by 4 MiB; all names of the large directory are 10 MiB as a set.
        assert large[1] - small[1] < 8 << 20, volumes
