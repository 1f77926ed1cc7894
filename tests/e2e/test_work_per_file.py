"""Speed without a clock: how many calls into the kernel, and rows, a file costs.

A gross regression shows here on any machine, however busy; seconds are for ``make bench``.
"""

import collections
import os
import re
import shutil
import sqlite3
import subprocess

import pytest
from commandline import environment
from scanning import settle

from hashscan import interpreter

FILES = 1000


@pytest.fixture
def counted(volume, tmp_path):
    """Scans the volume; returns how often each call was made for each file."""
    strace = shutil.which("strace")
    if not strace:
        pytest.skip("no strace on this machine")
    for number in range(FILES):
        if number % 100 == 0:
            directory = volume / f"d{number // 100}"
            directory.mkdir()
        (directory / f"f{number}").write_bytes(os.urandom(number % 5000 + 1))
    settle(volume)
    (tmp_path / "list").write_text("ab" * 20 + "\n")
    told = tmp_path / "calls"

    def scan(where, state="state"):
        command = [strace, "-f", "-qq", "-o", told, "-e", "trace=%file,%desc,getdents64",
                   "-e", "signal=none", *interpreter.command(), "scan", where,
                   "--known", tmp_path / "list", "--state", tmp_path / state, "--jobs", "2"]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, env=environment(), timeout=100)
        calls = collections.Counter()
        for line in told.read_text(errors="replace").splitlines():
            found = re.match(r"\d+ +(?:<\.\.\. )?(\w+)", line)
            if found and "<unfinished" not in line:
                calls[found[1]] += 1
        return calls

    return scan


def rows(state):
    with sqlite3.connect(state / "catalog.sqlite3") as catalog:
        return catalog.execute("SELECT count(*) FROM file").fetchone()[0]


@pytest.mark.timeout(200)
def test_what_a_file_costs(counted, volume, tmp_path):
    (tmp_path / "empty").mkdir()
    start = counted(tmp_path / "empty")  # what a scan costs without a file
    first = counted(volume)
    assert rows(tmp_path / "state") == FILES
    each = {name: (first[name] - start[name]) / FILES for name in first}
    # opened once, read once, looked at before and after; a lease tried and given back
    assert each["openat"] < 1.1, each
    assert (
        sum(each[name] for name in ("preadv2", "preadv", "pread64", "read") if name in each) < 2.3
    )
    assert each.get("newfstatat", 0) + each.get("fstat", 0) < 3.2, each
    assert each.get("fcntl", 0) < 2.2, each
    assert sum(each.values()) < 8.5, each

    second = counted(volume)
    each = {name: (second[name] - start[name]) / FILES for name in second}
    assert each.get("openat", 0) < 0.1, each
    assert each.get("newfstatat", 0) + each.get("lstat", 0) < 1.2, each
    assert sum(each.values()) < 1.5, each


@pytest.mark.timeout(200)
def test_what_a_file_costs_that_a_tier_rules_out(counted, volume, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "file").write_bytes(b"x" * 10_000)

    (tmp_path / "list").write_text(f"sha1,xxh3-4096\n{'ab' * 20},{'ab' * 16}\n")
    start = counted(tmp_path / "one", "state-of-one")  # with the imports for such a list

    def scanned(header, key):
        (tmp_path / "list").write_text(f"sha1,{header}\n{'ab' * 20},{key}\n")
        calls = counted(volume, header)
        assert rows(tmp_path / header) == FILES
        return {name: (calls[name] - start[name]) / FILES for name in calls}

    # A Bloom filter of a tier errs once in 256 times; then the file is read as ever.
    sizes = scanned("size", 999_999)
    assert sizes.get("openat", 0) < 0.1, sizes
    assert sizes.get("newfstatat", 0) + sizes.get("lstat", 0) < 1.2, sizes
    assert sum(sizes.values()) < 1.8, sizes

    heads = scanned("xxh3-4096", "ab" * 16)
    assert heads["openat"] < 1.1, heads
    assert sum(heads.get(name, 0) for name in ("preadv2", "preadv", "pread64", "read")) < 2.3, heads
    assert sum(heads.values()) < 10.5, heads
