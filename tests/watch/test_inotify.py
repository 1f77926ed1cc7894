"""hashscan.watch.inotify: overflows, limits, and directories that move while they are watched."""

import ctypes
import os
import subprocess
import sys
import time

import namespaces
import pytest
from watched_changes import changed, write

from hashscan.fs.volume import Volume
from hashscan.watch.inotify import InotifySource
from hashscan.watch.source import Changed, Lost


def test_an_overflow_is_told_and_the_watches_are_made_whole(top):
    source = InotifySource([Volume(os.fsencode(top))])
    try:
        source.start()
        with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
            limit = int(file.read())
        (top / "d").mkdir()
        for number in range(limit + 100):  # the kernel merges what follows its like
            os.close(os.open(top / f"f{number % 2}", os.O_WRONLY | os.O_CREAT))
        (top / "late" / "er").mkdir(parents=True)
        found, until = [], time.monotonic() + 60
        while not any(isinstance(one, Lost) for one in found):
            assert time.monotonic() < until
            found += source.read()
        assert [one.reason for one in found if isinstance(one, Lost)] == ["overflow"]
        write(top / "late" / "er" / "now")
        assert Changed(0, b"late/er", b"now") in source.read()
    finally:
        source.close()


def test_what_happens_while_watches_are_set_does_not_overflow(top, monkeypatch):
    """Setting the watches of a large volume takes seconds, in which customers go on."""
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
        limit = int(file.read())
    for number in range(400):
        (top / f"d{number}").mkdir()
    source = InotifySource([Volume(os.fsencode(top))])
    each = limit // 300
    written, made = set(), []
    real = source._directories

    def busy(one, directory, path):
        if path == b"":
            return real(one, directory, path)
        for number in range(each):  # two in turn: the kernel merges what follows its like
            made.append(f"{os.fsdecode(path)}-{number % 2}")
            os.close(os.open(top / made[-1], os.O_WRONLY | os.O_CREAT))
            written.add(os.fsencode(made[-1]))
        return real(one, directory, path)

    monkeypatch.setattr(source, "_directories", busy)
    source.start()
    assert len(made) > limit, "each is closed"
    told = set()
    while source.has_more:
        told |= {name for _, name in changed(source)}
    told |= {name for _, name in changed(source)}
    assert written <= told
    source.close()


_LIMITED = """
import os, sys
sys.path[:0] = [%r]
with open("/proc/sys/user/max_inotify_watches", "w") as file:
    file.write("10")
from hashscan.fs.volume import Volume
from hashscan.watch.inotify import InotifySource
source = InotifySource([Volume(os.fsencode(sys.argv[1]))])
(said,) = source.start()
assert (said.directories, said.unwatched) == (10, 21), said
assert "sysctl fs.inotify.max_user_watches" in said.message
assert said.example
with open("/proc/sys/user/max_inotify_watches", "w") as file:
    file.write("1000")
source._try_again = 0
again, lost = source.read()
assert (lost.directory, lost.reason) == (b"", "unwatched"), "what changed there meanwhile"
assert (again.directories, again.unwatched, again.message) == (31, 0, ""), again
"""


def test_the_limit_of_watches(top):
    for number in range(30):
        (top / f"d{number}").mkdir()
    namespaces.needed(namespaces.why_no_users)
    code = _LIMITED % os.getcwd()
    ran = subprocess.run(
        ["unshare", "-U", "-r", sys.executable, "-c", code, str(top)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def test_directories_that_were_turned_round_between_a_walk_and_its_events(top):
    """x/y becomes y/x: a walk sees that before the events of it are read."""
    (top / "x" / "y").mkdir(parents=True)
    source = InotifySource([Volume(os.fsencode(top))])
    source.start()
    (top / "x" / "y").rename(top / "y")
    (top / "x").rename(top / "y" / "x")
    source.rewatch(0)
    write(top / "y" / "x" / "new")
    found = []
    for _ in range(3):
        found += source.read()
    assert Changed(0, b"y/x", b"new") in found or any(
        isinstance(one, Lost) and one.directory == b"" for one in found
    )
    write(top / "y" / "x" / "newer")
    assert Changed(0, b"y/x", b"newer") in source.read(), "the events put it right"
    source.close()


@pytest.mark.parametrize("where", ["outside", "excluded"])
def test_a_directory_that_is_moved_away_and_back_stays_watched(top, tmp_path, where):
    (top / "d" / "sub").mkdir(parents=True)
    (top / "cache").mkdir()
    (tmp_path / "out").mkdir()
    source = InotifySource([Volume(os.fsencode(top), exclude=("cache/*",))])
    source.start()
    away = (tmp_path / "out" if where == "outside" else top / "cache") / "d"
    (top / "d").rename(away)
    away.rename(top / "d")
    for _ in range(3):
        source.read()
    write(top / "d" / "sub" / "new")
    assert Changed(0, b"d/sub", b"new") in source.read()
    source.close()


def test_two_directories_that_are_exchanged(top):
    """renameat2(RENAME_EXCHANGE): one call, four events."""
    for name in "ab":
        (top / name / "sub").mkdir(parents=True)
    source = InotifySource([Volume(os.fsencode(top))])
    source.start()
    libc = ctypes.CDLL(None, use_errno=True)
    for _ in range(3):
        done = libc.renameat2(-100, bytes(top / "a"), -100, bytes(top / "b"), 2)
        assert done == 0, os.strerror(ctypes.get_errno())
        changed(source)
        for name in ("a", "b"):
            write(top / name / "in")
            write(top / name / "sub" / "in")
        told = changed(source)
        assert told == {(b"a", b"in"), (b"b", b"in"), (b"a/sub", b"in"), (b"b/sub", b"in")}
    assert source.rewatch(0)[0].directories == 5
    source.close()


def test_the_top_of_a_large_tree_is_renamed_all_the_time(top, monkeypatch):
    """Each rename costs the customer one call; it must not cost a walk of all that lies below."""
    for number in range(300):
        (top / "tree0" / f"d{number}").mkdir(parents=True)
    source = InotifySource([Volume(os.fsencode(top))])
    source.start()
    listed = []
    real = source._directories
    monkeypatch.setattr(
        source, "_directories", lambda *given: listed.append(given[2]) or real(*given)
    )
    for number in range(100):
        (top / f"tree{number}").rename(top / f"tree{number + 1}")
    assert (b"", b"tree100") in changed(source)
    assert len(listed) == 301, "once, whatever the number of renames"
    write(top / "tree100" / "d7" / "new")
    assert changed(source) == {(b"tree100/d7", b"new")}
    assert source.rewatch(0)[0].directories == 302
    source.close()


def test_memory_of_a_directory(top):
    code = (
        "import os, sys\n"
        "from hashscan.fs.volume import Volume\n"
        "from hashscan.watch.inotify import InotifySource\n"
        "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "source = InotifySource([Volume(os.fsencode(sys.argv[1]))])\n"
        "before = resident()\n"
        "(said,) = source.start()\n"
        "print(said.directories, resident() - before)\n"
    )
    for first in range(16):
        for second in range(250):
            (top / f"d{first}" / f"e{second}").mkdir(parents=True)
    ran = subprocess.run(
        [sys.executable, "-c", code, str(top)], capture_output=True, text=True, check=True
    )
    directories, grown = map(int, ran.stdout.split())
    assert directories == 4017
    assert grown / directories < 800
