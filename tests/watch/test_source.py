"""Both back-ends against one suite: whatever brings or changes a file is told, or told as lost."""

import os
import shutil
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from namespaces import why_no_root
from watched_changes import changed, write

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
def watched(make, top):
    (top / "a" / "b").mkdir(parents=True)
    source = make(Volume(os.fsencode(top)))
    (said,) = source.start()
    assert (said.unwatched, said.message) == (0, "")
    return source


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
    told, deadline = set(), time.monotonic() + 60
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
    end = time.monotonic() + 60
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
