"""Paths below a document root: links that stay below it are followed, others never."""

import os

import pytest
from faulty import open_descriptors

from hashscan.fs.served import ServedKind, look_up


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "root"
    (place / "a" / "b").mkdir(parents=True)
    (place / "a" / "file").touch()
    (tmp_path / "outside").touch()
    fd = os.open(place, os.O_PATH)
    yield place, fd
    os.close(fd)


def found(root, path):
    served = look_up(root[1], path, os.fsencode(root[0]))
    return served.entry, served.path, served.rest


def test_plain_paths(root):
    assert found(root, b"") == (ServedKind.DIRECTORY, b"", b"")
    assert found(root, b"/a//./b/") == (ServedKind.DIRECTORY, b"a/b", b"")
    assert found(root, b"a/file") == (ServedKind.FILE, b"a/file", b"")
    assert found(root, b"a/file/x/y") == (ServedKind.FILE, b"a/file", b"x/y")
    assert found(root, b"a/none/x") == (ServedKind.ABSENT, b"a", b"none/x")
    assert found(root, b"n" * 300) == (ServedKind.BARRED, b"", b"n" * 300)
    os.mkfifo(root[0] / "fifo")
    assert found(root, b"fifo") == (ServedKind.OTHER, b"fifo", b"")


def test_links_that_stay_below_the_root(root):
    place = root[0]
    (place / "one").symlink_to("a")
    (place / "a" / "up").symlink_to("../a/b/..")
    (place / "full").symlink_to(f"{place}/a/file")
    (place / "itself").symlink_to(f"{place}")
    assert found(root, b"one/file") == (ServedKind.FILE, b"a/file", b"")
    assert found(root, b"a/up/up/up/file") == (ServedKind.FILE, b"a/file", b"")
    assert found(root, b"full") == (ServedKind.FILE, b"a/file", b"")
    assert found(root, b"a/b/../up/../full") == (ServedKind.FILE, b"a/file", b"")
    assert found(root, b"itself/itself/a") == (ServedKind.DIRECTORY, b"a", b"")
    assert look_up(root[1], b"one/up/file", os.fsencode(place)).links == (b"one", b"a/up")


@pytest.mark.parametrize(
    "target",
    ["../outside", "/etc/passwd", "a/../../outside", "/", "..", "{root}-other", "{root}/.."],
)
def test_links_that_leave_the_root(root, target):
    place = root[0]
    os.mkdir(f"{place}-other")
    target = target.format(root=place)
    os.symlink(target, place / "link")
    served = look_up(root[1], b"link/outside", os.fsencode(place))
    assert (served.entry, served.target) == (ServedKind.OUTSIDE, os.fsencode(target))


def test_dots_leave_the_root(root):
    assert found(root, b"a/../../outside")[0] is ServedKind.OUTSIDE


def test_a_link_to_nothing_is_barred(root):
    (root[0] / "dangling").symlink_to("a/none")
    (root[0] / "good").symlink_to("a")
    assert found(root, b"dangling") == (ServedKind.BARRED, b"a", b"none")
    assert found(root, b"dangling/x")[0] is ServedKind.BARRED
    assert found(root, b"good/none/x") == (ServedKind.ABSENT, b"a", b"none/x")


def test_a_loop_is_barred(root):
    (root[0] / "loop").symlink_to("loop")
    assert found(root, b"loop/x")[0] is ServedKind.BARRED


def test_a_nul_is_an_error(root):
    with pytest.raises(ValueError, match="null"):
        found(root, b"a\0b")


def test_a_link_to_the_root_of_all(tmp_path):
    fd = os.open("/", os.O_PATH)
    (tmp_path / "link").symlink_to("/etc")
    served = look_up(fd, os.fsencode(tmp_path) + b"/link", b"/")
    os.close(fd)
    assert (served.entry, served.path) == (ServedKind.DIRECTORY, b"etc")


def test_no_descriptor_is_left_open(root):
    before = os.listdir("/proc/self/fd")
    (root[0] / "link").symlink_to("a/b")
    for path in (b"link/x", b"a/file/x", b"link/../../..", b"a/b/../b"):
        found(root, path)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(("count", "entry"), [(40, ServedKind.DIRECTORY), (41, ServedKind.BARRED)])
def test_as_many_links_as_the_kernel_follows(root, count, entry):
    above = "a"
    for number in range(count):
        os.symlink(above, root[0] / f"l{number}")
        above = f"l{number}"
    assert found(root, above.encode())[0] is entry


def test_an_absolute_link_far_below_leaves_no_descriptor(root):
    (root[0] / "a" / "b" / "c").mkdir()
    os.symlink(root[0] / "a", root[0] / "a" / "b" / "c" / "link")
    before = open_descriptors()
    assert found(root, b"a/b/c/link/b") == (ServedKind.DIRECTORY, b"a/b", b"")
    assert open_descriptors() == before
