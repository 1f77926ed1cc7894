"""hashscan.fs.private: a private directory that is renamed, replaced or cannot be opened."""

import contextlib
import errno
import os

import pytest
from faulty import break_os, open_descriptors, raising

from hashscan.errors import QuarantineError
from hashscan.fs import private
from hashscan.fs.beneath import closing

# private


def test_without_proc_a_mount_is_its_device(here, monkeypatch):
    kind, number = private.mount_of(here)
    assert kind == "mount"
    assert number >= 0
    monkeypatch.setattr(private, "open", raising(errno.ENOENT), raising=False)
    assert private.mount_of(here) == ("device", os.fstat(here).st_dev)
    monkeypatch.setattr(
        private, "open", lambda *_: contextlib.nullcontext([b"pos: 0\n"]), raising=False
    )
    assert private.mount_of(here) == ("device", os.fstat(here).st_dev)
    monkeypatch.setattr(
        private, "open", lambda *_: contextlib.nullcontext([b"mnt_id:\tx\n"]), raising=False
    )
    assert private.mount_of(here) == ("device", os.fstat(here).st_dev)


def test_the_top_of_the_root_itself_and_of_an_open_directory(here):
    os.makedirs(f"/proc/self/fd/{here}/a/b")
    inode = os.fstat(here).st_ino
    with closing(os.open("a/b", os.O_RDONLY, dir_fd=here)) as below:
        for directory, fd in ((b"", None), (b"a/b", below), (b"a/b", None)):
            found, path = private.open_top(here, directory, cross_mounts=False, fd=fd)
            with closing(found):
                assert (os.fstat(found).st_ino, path) == (inode, b"")


def test_the_top_of_an_open_directory_on_another_mount(here, monkeypatch):
    os.makedirs(f"/proc/self/fd/{here}/a/b")
    root = os.fstat(here).st_ino
    monkeypatch.setattr(private, "_renames_within", lambda fd: os.fstat(fd).st_ino == root)
    with closing(os.open("a/b", os.O_RDONLY, dir_fd=here)) as below:
        found, path = private.open_top(here, b"a/b", cross_mounts=True, fd=below)
        with closing(found):
            assert path == b"a"
            assert os.fstat(found).st_ino == os.stat("a", dir_fd=here).st_ino


def test_mounts_that_change_meanwhile_are_an_error(here, monkeypatch):
    os.makedirs(f"/proc/self/fd/{here}/a/b")
    seen = iter([1, 2, 2, 1])
    monkeypatch.setattr(private, "_renames_within", lambda _fd: next(seen))
    before = open_descriptors()
    with pytest.raises(OSError) as caught:
        private.open_top(here, b"a/b", cross_mounts=False)
    assert caught.value.errno == errno.EXDEV
    assert open_descriptors() == before


@pytest.mark.parametrize("number", [errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EIO])
def test_a_private_directory_that_cannot_be_opened(here, monkeypatch, number):
    break_os(monkeypatch, private, open=raising(number))
    with pytest.raises(OSError if number == errno.EIO else QuarantineError) as caught:
        private.open_private(here, b"/here", b"use")
    if number != errno.EIO:
        assert caught.value.reason == "private-directory"
        assert "/here/.hashscan-use: not used" in str(caught.value)


@pytest.mark.parametrize(
    "number", [errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EIO]
)
def test_a_private_directory_that_is_not_there_any_more(here, monkeypatch, number):
    os.mkdir(".hashscan", 0o700, dir_fd=here)
    break_os(monkeypatch, private, open=raising(number))
    if number == errno.EIO:
        with pytest.raises(OSError):
            private.open_existing(here)
    else:
        assert private.open_existing(here) is None


def test_an_existing_private_directory(here):
    assert private.open_existing(here) is None
    os.mkdir(".hashscan", 0o700, dir_fd=here)
    with closing(private.open_existing(here)) as fd:
        assert os.fstat(fd).st_ino == os.stat(".hashscan", dir_fd=here).st_ino
    os.chmod(f"/proc/self/fd/{here}/.hashscan", 0o750)
    before = open_descriptors()
    assert private.open_existing(here) is None
    assert open_descriptors() == before


def test_what_a_process_killed_early_left_is_removed(here):
    for name in (".hashscan", ".hashscan-use", ".hashscan-other"):
        os.mkdir(name, 0o700, dir_fd=here)
    before = open_descriptors()
    private.remove_empty(here, b"use")
    assert os.listdir(here) == [".hashscan-other"]
    assert open_descriptors() == before
    os.makedirs(f"/proc/self/fd/{here}/.hashscan-use/x", 0o700)
    private.remove_empty(here, b"use")
    assert sorted(os.listdir(here)) == [".hashscan-other", ".hashscan-use"]


def test_empty_folders_of_a_killed_run_do_not_keep_a_private_directory(here):
    fd, name = private.open_private(here, b"/here", b"use")
    with closing(fd):
        os.mkdir("a.folder", dir_fd=fd)
        os.mkdir("b.folder", dir_fd=fd)
        os.mkdir("b.folder/x", dir_fd=fd)
        private.remove_if_empty(here, fd, name)
        assert os.listdir(fd) == ["b.folder"], "one that holds something stays"
        os.rmdir("b.folder/x", dir_fd=fd)
        private.remove_if_empty(here, fd, name)
    assert os.listdir(here) == []


def test_a_private_directory_that_cannot_be_removed_now_stays_as_it_is(here, monkeypatch):
    fd, name = private.open_private(here, b"/here", b"use")
    with closing(fd):
        os.mkdir("a.folder", dir_fd=fd)
        break_os(monkeypatch, private, rmdir=raising(errno.EBUSY, os.rmdir, calls=1))
        private.remove_if_empty(here, fd, name)
        assert os.listdir(fd) == ["a.folder"]


def test_a_private_directory_that_is_renamed_all_the_time_is_given_up(here, monkeypatch):
    fd, _ = private.open_private(here, b"/here", b"use")
    os.close(fd)
    inode = os.stat(".hashscan", dir_fd=here).st_ino
    os.rename(".hashscan", "away", src_dir_fd=here, dst_dir_fd=here)
    monkeypatch.setattr(private, "_TICK", 0)
    changes = iter(range(1000))
    monkeypatch.setattr(private, "_ctime_of", lambda _top: next(changes))
    listed = []
    scandir = lambda top: (listed.append(top), os.scandir(top))[1]  # noqa: E731
    break_os(monkeypatch, private, scandir=scandir)
    with pytest.raises(OSError) as caught:
        private.Privates().find(here, inode, b"use")
    assert caught.value.errno == errno.EBUSY
    assert len(listed) == 8


def test_a_private_directory_is_found_again_after_each_of_its_names(here, monkeypatch):
    fd, _ = private.open_private(here, b"/here", b"use")
    os.close(fd)
    monkeypatch.setattr(private, "_TICK", 0)
    inode = os.stat(".hashscan", dir_fd=here).st_ino
    privates = private.Privates()
    listed = []
    real = private.Privates._list
    monkeypatch.setattr(
        private.Privates, "_list", lambda self, *a: (listed.append(1), real(self, *a))[1]
    )
    before = ".hashscan"
    for name in ("one", "two"):
        os.rename(before, name, src_dir_fd=here, dst_dir_fd=here)
        for _ in range(2):
            found, known = privates.find(here, inode, b"use")
            with closing(found):
                assert (os.fstat(found).st_ino, known) == (inode, name.encode())
        before = name
    assert len(listed) == 2, "once for each renaming"
    assert privates.find(here, 1, b"use") is None
    assert len(listed) == 2
    os.chmod(f"/proc/self/fd/{here}/two", 0o755)  # it is there, but others may enter it
    assert privates.find(here, inode, b"use") is None


def test_a_listing_in_the_middle_of_a_change_is_made_again(here, monkeypatch):
    fd, _ = private.open_private(here, b"/here", b"use")
    os.close(fd)
    inode = os.stat(".hashscan", dir_fd=here).st_ino
    os.rename(".hashscan", "away", src_dir_fd=here, dst_dir_fd=here)
    monkeypatch.setattr(private, "_TICK", 0)
    changes = iter([1, 2, 3, 3])
    monkeypatch.setattr(private, "_ctime_of", lambda _top: next(changes))
    found, name = private.Privates().find(here, inode, b"use")
    os.close(found)
    assert name == b"away"
