"""Both back-ends against one suite: whatever brings or changes a file is told, or told as lost."""

import ctypes
import os
import shutil
import subprocess
import sys
import time

import namespaces
import pytest
from hypothesis import given
from hypothesis import strategies as st
from namespaces import why_no_root

from hashscan.fs.volume import Volume
from hashscan.watch import fanotify
from hashscan.watch.fanotify import FanotifySource, why_not
from hashscan.watch.inotify import InotifySource
from hashscan.watch.source import Changed, Coverage, Lost

needs_root = pytest.mark.skipif(bool(why_no_root()), reason=why_no_root())


@pytest.fixture(params=["inotify", "fanotify"])
def make(request, tmp_path):
    if request.param == "fanotify" and (why := why_not([Volume(os.fsencode(tmp_path))])):
        pytest.skip(f"fanotify: {why}")
    made = []

    def _make(*volumes):
        kind = InotifySource if request.param == "inotify" else FanotifySource
        made.append(kind(volumes))
        return made[-1]

    yield _make
    for one in made:
        one.close()


@pytest.fixture
def top(tmp_path):
    path = tmp_path / "volume"
    path.mkdir()
    return path


@pytest.fixture
def watched(make, top):
    (top / "a" / "b").mkdir(parents=True)
    source = make(Volume(os.fsencode(top)))
    (said,) = source.start()
    assert (said.unwatched, said.message) == (0, "")
    return source


def changed(source, *, tries=1):
    found = []
    for _ in range(tries):
        found += source.read()
    assert not [one for one in found if isinstance(one, Lost)], found
    return {(one.directory, one.name) for one in found if isinstance(one, Changed)}


def write(path, content=b"x"):
    with open(path, "wb") as file:
        file.write(content)


def test_written_linked_and_moved(watched, top, tmp_path):
    write(top / "f")
    write(top / "a" / "b" / "g")
    write(tmp_path / "outside")
    os.link(tmp_path / "outside", top / "a" / "linked")
    (tmp_path / "outside").rename(top / "a" / "moved")
    assert changed(watched) == {
        (b"", b"f"), (b"a/b", b"g"), (b"a", b"linked"), (b"a", b"moved"),
    }  # fmt: skip
    assert changed(watched) == set()
    assert (top / "f").read_bytes() == b"x"
    assert changed(watched) == set(), "reading is no change"


def test_what_is_outside_is_not_told(watched, top, tmp_path):
    beside = tmp_path / "volume-beside"
    beside.mkdir()
    write(beside / "f")
    (top / "a").rename(beside / "a")
    changed(watched, tries=3)
    write(beside / "a" / "b" / "g")
    assert changed(watched) == set()


def test_a_renamed_directory_and_what_comes_later(watched, top):
    (top / "a").rename(top / "z")
    write(top / "z" / "b" / "later")
    assert {(b"", b"z"), (b"z/b", b"later")} <= changed(watched)
    (top / "z" / "b").rename(top / "y")
    write(top / "y" / "still")
    assert {(b"", b"y"), (b"y", b"still")} <= changed(watched)


def test_a_tree_that_is_moved_in(watched, top, tmp_path):
    (tmp_path / "t" / "u" / "v").mkdir(parents=True)
    write(tmp_path / "t" / "u" / "v" / "before")
    (tmp_path / "t").rename(top / "a" / "t")
    assert (b"a", b"t") in changed(watched)
    write(top / "a" / "t" / "u" / "v" / "after")
    assert (b"a/t/u/v", b"after") in changed(watched)


def test_names_of_any_bytes(watched, top):
    name = b"a\nb\xff\xfe'\x1b"
    os.mkdir(os.path.join(os.fsencode(top), name))
    assert (b"", name) in changed(watched)
    write(os.path.join(os.fsencode(top), name, name))
    assert (name, name) in changed(watched)


def test_excluded_entries_are_not_told(make, top):
    (top / "cache").mkdir()
    source = make(Volume(os.fsencode(top), ("cache/*", "*.tmp")))
    (said,) = source.start()
    assert said.directories in {0, 1}, "an excluded directory has no watch"
    write(top / "x.tmp")
    write(top / "cache" / "y")
    write(top / "told")
    assert changed(source) == {(b"", b"told")}


def test_nobody_hides_behind_a_name_of_hashscans(watched, top):
    (top / ".hashscan").mkdir()
    assert (b"", b".hashscan") in changed(watched)
    write(top / ".hashscan" / "z")
    assert (b".hashscan", b"z") in changed(watched)


def test_nested_volumes(make, top):
    (top / "inner" / "d").mkdir(parents=True)
    volumes = [Volume(os.fsencode(top)), Volume(os.fsencode(top / "inner"))]
    source = make(*volumes)
    source.start()
    write(top / "f")
    write(top / "inner" / "d" / "g")
    found = {tuple(one) for one in source.read() if isinstance(one, Changed)}
    assert found == {(0, b"", b"f"), (1, b"d", b"g")}


_MAKER = """
import os, sys
os.chdir(sys.argv[1])
for number in range(200):
    os.mkdir(f"n{number % 7}") if not os.path.isdir(f"n{number % 7}") else None
    os.chdir(f"n{number % 7}")
    open(f"f{number}", "w").close()
    if number % 20 == 19:
        os.chdir(sys.argv[1])
        os.mkdir(f"top{number}")
        os.chdir(f"top{number}")
"""


def test_directories_made_as_fast_as_can_be(watched, top):
    """Every file is told, or lies below a directory that is told of after it was watched."""
    maker = subprocess.Popen([sys.executable, "-c", _MAKER, str(top)])
    told, deadline = set(), time.monotonic() + 20
    rest = None
    while rest is None or time.monotonic() < rest:
        assert time.monotonic() < deadline
        for one in watched.read():
            if isinstance(one, Lost):
                directory = os.path.join(os.fsencode(top), one.directory)
            elif isinstance(one, Changed):
                directory = os.path.join(os.fsencode(top), one.directory, one.name)
                if not os.path.isdir(directory):
                    told.add(directory)
                    continue
            else:
                continue
            for here, _, names in os.walk(directory):
                told.update(os.path.join(here, name) for name in names)
        if rest is None and maker.poll() is not None:
            rest = time.monotonic() + 0.5
    every = {
        os.path.join(here, name) for here, _, names in os.walk(os.fsencode(top)) for name in names
    }
    assert len(every) == 200
    assert every - told == set()


def test_a_burst_within_the_queue_loses_nothing(watched, top):
    for number in range(1500):
        write(top / "a" / "b" / f"f{number}")
    wanted = {(b"a/b", b"f%d" % number) for number in range(1500)}
    found = set()
    end = time.monotonic() + 20
    while found != wanted and time.monotonic() < end:
        found |= changed(watched)
    assert found == wanted


def test_a_directory_that_is_gone_is_no_error(watched, top):
    (top / "n").mkdir()
    write(top / "n" / "f")
    shutil.rmtree(top / "n")
    assert changed(watched) <= {(b"", b"n"), (b"n", b"f")}


def test_a_very_deep_directory_is_told_or_told_as_lost(watched, top):
    fd = deep(top)
    found = watched.read()
    os.close(os.open(b"f", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)
    found += watched.read()
    path = b"/".join([b"d" * 200] * 30)
    lost = [one for one in found if isinstance(one, Lost)]
    assert Changed(0, path, b"f") in found or Changed(0, b"", b"d" * 200) in found or lost


def deep(directory):
    """A directory whose path is longer than PATH_MAX; an open descriptor of it."""
    fd = os.open(directory, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(b"d" * 200, dir_fd=fd)
        following = os.open(b"d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = following
    return fd


def test_a_very_deep_directory_elsewhere_concerns_nobody(watched, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    fd = deep(tmp_path / "elsewhere")
    os.close(os.open(b"f", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)
    assert changed(watched, tries=3) == set()


@needs_root
def test_unmounting_is_possible_and_what_is_mounted_again_is_watched(make, top):
    mount = ["mount", "-t", "tmpfs", "none", str(top)]
    subprocess.run(mount, check=True)
    try:
        source = make(Volume(os.fsencode(top)))
        source.start()
        write(top / "f")
        assert changed(source) == {(b"", b"f")}
        subprocess.run(["umount", str(top)], check=True)
        source.read()
        subprocess.run(mount, check=True)
        said = source.rewatch(0)
        assert [one.unwatched for one in said if isinstance(one, Coverage)] == [0]
        write(top / "g")
        assert (b"", b"g") in changed(source)
    finally:
        subprocess.run(["umount", "-l", str(top)], check=False, capture_output=True)


@needs_root
def test_a_bind_mount_of_a_volume(make, top, tmp_path):
    """A change by another path of the same file system is a change of the volume."""
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["mount", "--bind", str(top), str(other)], check=True)
    try:
        source = make(Volume(os.fsencode(top)))
        source.start()
        write(other / "f")
        assert changed(source) == {(b"", b"f")}
    finally:
        subprocess.run(["umount", "-l", str(other)], check=False)


# inotify alone


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
        found, until = [], time.monotonic() + 15
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


# fanotify alone


@needs_root
def test_directories_whose_path_is_too_long_are_climbed_from_once(top, monkeypatch):
    """Each climb costs the depth, and who makes such directories makes thousands."""
    source = FanotifySource([Volume(os.fsencode(top))])
    if why := why_not([Volume(os.fsencode(top))]):
        pytest.skip(f"fanotify: {why}")
    climbed = []
    real = fanotify._is_outside
    monkeypatch.setattr(
        fanotify, "_is_outside", lambda *given: climbed.append(given) or real(*given)
    )
    try:
        source.start()
        os.close(deep(top))
        assert [one for one in source.read() if isinstance(one, Lost)]
        assert len(climbed) == 1
    finally:
        source.close()


@needs_root
def test_without_the_right_it_says_so(top):
    code = (
        "import os\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from hashscan.fs.volume import Volume\n"
        "from hashscan.watch.fanotify import why_not\n"
        "print(why_not([Volume(b'/')]))\n"
    )
    imported = "import hashscan.watch.fanotify, encodings.idna\n"
    ran = subprocess.run(
        [sys.executable, "-c", imported + code], capture_output=True, text=True, check=True
    )
    assert "CAP_SYS_ADMIN" in ran.stdout


@given(st.binary(max_size=300))
def test_whatever_is_read_is_parsed_or_refused(data):
    for read in (data, len(data).to_bytes(4, "little") + b"\x03\x00\x18\x00" + data):
        try:
            found = list(fanotify.parse(read))
        except ValueError:
            continue
        assert all(len(event.name) <= len(read) for event in found)
