"""The private directory: ours alone, or not used."""

import os

import pytest
from isolating import in_mount_namespace, mount, needs_root

from hashscan.fs.private import (
    QUARANTINE_MARK,
    Privates,
    is_quarantine,
    mark_quarantine,
    open_private,
    open_top,
    remove_if_empty,
)


@pytest.fixture
def top(tmp_path):
    (tmp_path / "top").mkdir()
    fd = os.open(tmp_path / "top", os.O_RDONLY)
    yield fd
    os.close(fd)


def test_made_used_and_removed(top):
    fd, name = open_private(top, b"/top", b"use")
    assert os.fstat(fd).st_mode & 0o7777 == 0o700
    os.close(os.open("inner", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    remove_if_empty(top, fd, name)
    assert os.listdir(top) == [".hashscan"]
    os.unlink("inner", dir_fd=fd)
    # Somebody may have put an empty directory in a match's place: it is moved, and is not ours.
    os.mkdir("inner", dir_fd=fd)
    remove_if_empty(top, fd, name)
    assert os.listdir(fd) == ["inner"]
    os.rmdir("inner", dir_fd=fd)
    remove_if_empty(top, fd, name)
    assert os.listdir(top) == []
    os.close(fd)


def test_another_one_of_that_name_is_not_removed(top):
    fd, name = open_private(top, b"/top", b"use")
    os.replace(".hashscan", "away", src_dir_fd=top, dst_dir_fd=top)
    os.mkdir(".hashscan", dir_fd=top)
    remove_if_empty(top, fd, name)
    assert sorted(os.listdir(top)) == [".hashscan", "away"]
    inode = os.fstat(fd).st_ino
    found, name = Privates().find(top, inode, b"use")
    assert (os.fstat(found).st_ino, name) == (inode, b"away")
    os.close(found)
    os.rmdir("away", dir_fd=top)
    assert Privates().find(top, inode, b"use") is None
    os.close(fd)


@pytest.mark.parametrize("what", ["file", "link", "open", "foreign"])
def test_where_anything_else_stands_it_gets_another_name(top, tmp_path, what):
    path = tmp_path / "top" / ".hashscan"
    if what == "file":
        path.write_bytes(b"")
    elif what == "link":
        (tmp_path / "else").mkdir(mode=0o700)
        path.symlink_to(tmp_path / "else")
    else:
        path.mkdir(mode=0o700)
        if what == "open":
            os.chmod(path, 0o770)
        elif os.geteuid() == 0:
            os.chown(path, 4711, 4711)
        else:
            pytest.skip("needs root")
    before = os.lstat(path)
    fd, name = open_private(top, b"/top", b"use")
    assert name == b".hashscan-use"
    assert os.fstat(fd).st_ino == os.stat(name, dir_fd=top).st_ino
    assert os.fstat(fd).st_mode & 0o7777 == 0o700
    found = Privates().find(top, os.fstat(fd).st_ino, b"use")
    assert found is not None
    os.close(found[0])
    remove_if_empty(top, fd, name)
    os.close(fd)
    assert os.listdir(top) == [".hashscan"]
    after = os.lstat(path)
    assert (after.st_ino, after.st_mode, after.st_uid) == (
        before.st_ino, before.st_mode, before.st_uid,
    )  # fmt: skip
    if what == "link":
        assert os.listdir(tmp_path / "else") == []


@pytest.mark.root
@needs_root
def test_top_is_the_highest_directory_of_the_mount(tmp_path):
    def run():
        (tmp_path / "a" / "m").mkdir(parents=True)
        mount("tmpfs", tmp_path / "a" / "m", "tmpfs")
        (tmp_path / "a" / "m" / "b" / "c").mkdir(parents=True)
        root = os.open(tmp_path, os.O_RDONLY)
        fd, path = open_top(root, b"a/m/b/c", cross_mounts=True)
        assert path == b"a/m"
        assert os.fstat(fd).st_ino == os.stat(tmp_path / "a" / "m").st_ino
        fd, path = open_top(root, b"a", cross_mounts=True)
        assert path == b""
        # a mount over the private directory itself
        os.close(open_private(fd, b"/", b"use")[0])
        mount("tmpfs", tmp_path / ".hashscan", "tmpfs", options="mode=0700")
        other, name = open_private(fd, b"/", b"use")
        assert name == b".hashscan-use"
        assert os.fstat(other).st_dev == os.fstat(fd).st_dev

    in_mount_namespace(run)


def test_a_quarantine_is_told_from_any_other_directory(top, tmp_path):
    mark = tmp_path / "top" / os.fsdecode(QUARANTINE_MARK)
    os.fchmod(top, 0o700)
    assert not is_quarantine(top)
    mark_quarantine(top)
    mark_quarantine(top)
    assert is_quarantine(top)
    for mode in (0o750, 0o701, 0o702):
        os.fchmod(top, mode)
        assert not is_quarantine(top), f"{mode:o}: others can enter it"
    os.fchmod(top, 0o700)
    mark.unlink()
    mark.symlink_to("/etc/passwd")
    assert not is_quarantine(top)
    with pytest.raises(OSError):
        mark_quarantine(top)
    mark.unlink()
    mark.mkdir()
    assert not is_quarantine(top)


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("what", ["directory", "mark"])
def test_a_customer_cannot_hide_files_in_a_false_quarantine(top, tmp_path, what):
    os.fchmod(top, 0o700)
    mark_quarantine(top)
    path = tmp_path / "top"
    os.chown(path if what == "directory" else path / os.fsdecode(QUARANTINE_MARK), 4711, 4711)
    assert not is_quarantine(top)
