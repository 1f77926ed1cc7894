"""hashscan.fs.beneath: nothing outside the root is opened, at any depth, on either way."""

import errno
import os
import subprocess
import sys

import namespaces
import pytest

from hashscan.fs import beneath
from hashscan.fs.beneath import (
    CrossesMountError,
    closing,
    components,
    open_directory,
    open_file,
    open_parent,
    open_root,
)


@pytest.fixture(params=["openat2", "steps"])
def way(request, monkeypatch):
    if request.param == "steps":
        monkeypatch.setattr(beneath, "_known", False)
    elif not beneath.has_openat2():
        pytest.skip("this kernel has no openat2")
    return request.param


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    fd = open_root(os.fsencode(tmp_path / "root"))
    yield fd
    os.close(fd)
    subprocess.run(["rm", "-rf", str(tmp_path / "root")], check=False)


def make_deep(root, name, depth):
    """A chain of ``depth`` directories below ``root``; returns the path."""
    fd = os.dup(root)
    for _ in range(depth):
        os.mkdir(name, dir_fd=fd)
        following = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = following
    os.close(fd)
    return b"/".join([name] * depth)


@pytest.mark.parametrize("where", ["parent", "root"])
def test_a_link_to_or_above_the_root_is_not_followed(way, tmp_path, where):
    (tmp_path / "site" / "volume").mkdir(parents=True)
    (tmp_path / "outside" / "volume").mkdir(parents=True)
    root = os.fsencode(tmp_path / "site" / "volume")
    with closing(open_root(root)) as fd:
        assert os.fstat(fd).st_ino == os.stat(root).st_ino
        os.listdir(fd)
    away = tmp_path / "site" if where == "parent" else tmp_path / "site" / "volume"
    away.rename(tmp_path / "away")
    away.symlink_to(tmp_path / "outside" / ("" if where == "parent" else "volume"))
    with pytest.raises(OSError) as caught:
        open_root(root)
    assert caught.value.errno in {errno.ELOOP, errno.ENOTDIR}


def test_a_root_is_absolute_and_may_lie_behind_mounts(way, tmp_path):
    with closing(open_root(b"/")) as fd:
        assert os.fstat(fd).st_ino == os.stat("/").st_ino
    with closing(open_root(b"//proc/")) as fd:  # another file system
        assert os.fstat(fd).st_dev == os.stat("/proc").st_dev
    with pytest.raises(OSError):
        open_root(b"/proc/self/cwd")  # a link that the kernel makes
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        open_root(os.fsencode(tmp_path / "file"))
    with pytest.raises(FileNotFoundError):
        open_root(os.fsencode(tmp_path / "none"))
    with pytest.raises(ValueError, match="not an absolute path"):
        open_root(b"proc")


def test_a_root_beyond_path_max(way, root, tmp_path):
    path = make_deep(root, b"x" * 200, 30)
    with closing(open_root(os.fsencode(tmp_path / "root") + b"/" + path)) as fd:
        assert os.listdir(fd) == []


@pytest.mark.parametrize("length", [4094, 4095, 4096, 4097])
def test_a_root_at_path_max(way, root, tmp_path, length):
    top = os.fsencode(tmp_path / "root")
    above = make_deep(root, b"x" * 200, (length - len(top) - 2) // 201)
    rest = b"y" * (length - len(top) - len(above) - 2)
    with closing(open_directory(root, above)) as fd:
        os.mkdir(rest, dir_fd=fd)
        inode = os.stat(rest, dir_fd=fd).st_ino
    path = b"/".join((top, above, rest))
    assert len(path) == length
    with closing(open_root(path)) as fd:
        assert os.fstat(fd).st_ino == inode


def test_opens_the_root_itself(way, root):
    with closing(open_directory(root, b"")) as fd:
        assert os.path.sameopenfile(fd, root)


@pytest.mark.parametrize(
    ("name", "depth"), [(b"d", 10), (b"x" * 200, 60), (b"y" * 255, 16), (b"z", 3000)]
)
def test_any_depth(way, root, name, depth):
    path = make_deep(root, name, depth)
    with closing(open_directory(root, path)) as fd:
        os.mkdir(b"bottom", dir_fd=fd)
    with closing(open_directory(root, path + b"/bottom")) as fd:
        assert os.listdir(fd) == []


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_link_is_never_followed(way, root, tmp_path, where):
    outside = tmp_path / "outside"
    (outside / "b" / "c").mkdir(parents=True)
    inside = tmp_path / "root"
    (inside / "a" / "b" / "c").mkdir(parents=True)
    target = {
        "first": inside / "a",
        "middle": inside / "a" / "b",
        "last": inside / "a" / "b" / "c",
    }[where]
    target.rename(inside / "moved")
    target.symlink_to(
        {"first": outside, "middle": outside / "b", "last": outside / "b" / "c"}[where]
    )
    with pytest.raises(OSError) as caught:
        open_directory(root, b"a/b/c")
    assert caught.value.errno in {errno.ELOOP, errno.ENOTDIR}


@pytest.mark.parametrize("path", [b"..", b"a/../b", b"/a", b"a//b", b"a/", b".", b"a\0b"])
def test_paths_that_could_leave_are_refused(path):
    with pytest.raises(ValueError):
        components(path)


def test_a_missing_directory_leaks_no_descriptor(way, root):
    make_deep(root, b"d", 3)
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(FileNotFoundError):
            open_directory(root, b"d/d/missing/d")
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_mounts_are_crossed_only_when_asked(tmp_path):
    script = f"""
import os
from hashscan.fs import beneath
from hashscan.fs.beneath import *
root = open_root({os.fsencode(tmp_path)!r})
for known in (None, False):
    beneath._known = known
    try:
        open_directory(root, b"mnt/in")
    except CrossesMountError:
        pass
    else:
        raise SystemExit("crossed")
    os.close(open_directory(root, b"mnt/in", cross_mounts=True))
try:
    open_directory(root, b"loop/loop", cross_mounts=True)
except LoopError:
    pass
else:
    raise SystemExit("looped")
beneath._known = None
try:
    open_directory(root, b"loop")
except CrossesMountError:
    print("ok")
"""
    (tmp_path / "script").write_text(script)
    (tmp_path / "mnt").mkdir()
    (tmp_path / "loop").mkdir()
    shell = (
        f"mount -t tmpfs none {tmp_path}/mnt && mkdir {tmp_path}/mnt/in && "
        f"mount --bind {tmp_path} {tmp_path}/loop && exec {sys.executable} {tmp_path}/script"
    )
    done = namespaces.in_shell(shell)
    assert done.stdout == "ok\n", done.stderr


def test_open_file_does_not_wait_or_follow(root, tmp_path):
    os.mkfifo(b"fifo", dir_fd=root)
    os.symlink("/etc/passwd", b"link", dir_fd=root)
    with closing(open_file(root, b"fifo")) as fd:
        assert not os.get_blocking(fd)
    with pytest.raises(OSError) as caught:
        open_file(root, b"link")
    assert caught.value.errno == errno.ELOOP


def test_open_file_leaves_the_access_time(root, tmp_path):
    path = tmp_path / "root" / "f"
    path.write_bytes(b"x")
    os.utime(path, (1, 1))
    with closing(open_file(root, b"f")) as fd:
        assert os.read(fd, 1) == b"x"
    assert path.stat().st_atime == 1


def test_open_parent(way, root):
    path = make_deep(root, b"p" * 100, 50)
    parent, name = open_parent(root, path + b"/file")
    os.close(parent)
    assert name == b"file"
    with pytest.raises(ValueError):
        open_parent(root, b"a/..")


def test_error_for_a_mount_is_an_oserror():
    assert issubclass(CrossesMountError, OSError)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user: needs root")
def test_who_may_not_keep_the_access_time_opens_another_users_directory_all_the_same(way, tmp_path):
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "closed").mkdir(mode=0o700)
    inode = (tmp_path / "root" / "a" / "b").stat().st_ino
    with closing(os.open(tmp_path / "root", os.O_RDONLY)) as root:
        os.seteuid(4711)
        try:
            with closing(open_directory(root, b"a/b")) as fd:
                assert os.fstat(fd).st_ino == inode
            with pytest.raises(PermissionError) as error:
                open_directory(root, b"closed")
        finally:
            os.seteuid(0)
    assert error.value.errno == errno.EACCES


def test_whether_there_is_openat2_is_asked_once_and_known(monkeypatch):
    monkeypatch.setattr(beneath, "_known", None)
    asked = []
    real = beneath._openat2
    monkeypatch.setattr(beneath, "_openat2", lambda *a: (asked.append(1), real(*a))[1])
    assert beneath.has_openat2() in {True, False}
    assert beneath.has_openat2() is beneath._known
    assert len(asked) == 1


def test_a_step_whose_file_system_cannot_be_asked_leaks_no_descriptor(root, tmp_path, monkeypatch):
    (tmp_path / "root" / "a").mkdir()
    monkeypatch.setattr(beneath, "_known", False)

    def fails(_fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(beneath, "identity_of", fails)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="Input/output error"):
        beneath.open_step(root, b"a")
    assert len(os.listdir("/proc/self/fd")) == before
