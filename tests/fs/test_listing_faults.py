"""hashscan.fs.listing: entries that change or fail while they are listed."""

import errno
import os

from faulty import break_os, raising

from hashscan.fs import listing
from hashscan.fs.beneath import closing
from hashscan.model import Skipped

# listing


class Entry:
    """An entry of a directory that changes while it is listed; it may be a link at any time."""

    def __init__(self, name, kind, status):
        self.name, self.kind, self.status = name, kind, status

    def is_file(self, *, follow_symlinks):
        assert follow_symlinks is False
        return self.kind == "file"

    def is_dir(self, *, follow_symlinks):
        assert follow_symlinks is False
        return self.kind == "directory"

    def is_symlink(self):
        return self.kind == "link"

    def inode(self):
        return 7

    def stat(self, *, follow_symlinks):
        assert follow_symlinks is False
        if isinstance(self.status, OSError):
            raise self.status
        return self.status


class Entries(list):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def list_with(monkeypatch, here, *entries):
    break_os(monkeypatch, listing, scandir=lambda _fd: Entries(entries))
    return list(listing.listing(here))


def test_what_the_directory_said_is_no_longer_true(here, file, monkeypatch):
    os.mkdir("directory", dir_fd=here)
    os.mkfifo("fifo", dir_fd=here)
    os.symlink("a", "link", dir_fd=here)
    directory, fifo, link = (
        os.lstat(name, dir_fd=here) for name in ("directory", "fifo", "link")
    )  # fmt: skip
    found = list_with(
        monkeypatch, here,
        Entry("directory", "file", directory), Entry("fifo", "file", fifo),
        Entry("link", "file", link), Entry("file", "unknown", os.fstat(file)),
        Entry("directory", "unknown", directory), Entry("link", "unknown", link),
        Entry("fifo", "unknown", fifo),
        Entry("none", "unknown", os.fstat(file)),
    )  # fmt: skip
    assert found == [
        listing.ListedDirectory(b"directory", 7),
        listing.ListedOther(b"fifo", Skipped.FIFO),
        listing.ListedOther(b"link", Skipped.SYMLINK),
        listing.ListedFile(b"file", os.fstat(file)),
        listing.ListedDirectory(b"directory", 7),
        listing.ListedOther(b"link", Skipped.SYMLINK),
        listing.ListedOther(b"fifo", Skipped.FIFO),
        listing.ListedGone(b"none", 7),
    ]


def test_an_entry_that_cannot_be_asked_hides_no_other(here, file, monkeypatch):
    error, gone = OSError(errno.EIO, "I/O"), FileNotFoundError(errno.ENOENT, "")
    found = list_with(
        monkeypatch, here,
        Entry("a", "file", error), Entry("b", "file", gone), Entry("c", "file", os.fstat(file)),
    )  # fmt: skip
    assert found == [
        listing.ListedError(b"a", error),
        listing.ListedGone(b"b", 7),
        listing.ListedFile(b"c", os.fstat(file)),
    ]


def test_one_entry_is_asked_again(here, file, monkeypatch):
    os.mkdir("directory", dir_fd=here)
    os.mkfifo("fifo", dir_fd=here)
    inode = os.stat("directory", dir_fd=here).st_ino
    assert listing.listed(here, b"file") == listing.ListedFile(b"file", os.fstat(file))
    assert listing.listed(here, b"directory") == listing.ListedDirectory(b"directory", inode)
    assert listing.listed(here, b"fifo") == listing.ListedOther(b"fifo", Skipped.FIFO)
    assert listing.listed(here, b"none") == listing.ListedGone(b"none", 0)
    break_os(monkeypatch, listing, lstat=raising(errno.EIO))
    found = listing.listed(here, b"file")
    assert isinstance(found, listing.ListedError)
    assert (found.name, found.error.errno) == (b"file", errno.EIO)


def test_names_of_directories_only(here, file):
    os.mkdir("directory", dir_fd=here)
    os.symlink("directory", "link", dir_fd=here)
    inodes = {os.fstat(file).st_ino, os.stat("directory", dir_fd=here).st_ino}
    linked = os.lstat("link", dir_fd=here).st_ino
    assert listing.names_of(here, {linked}) == {linked: b"link"}
    assert listing.names_of(here, {linked}, only_directories=True) == {}
    assert set(listing.names_of(here, inodes).values()) == {b"file", b"directory"}
    assert list(listing.names_of(here, inodes, only_directories=True).values()) == [b"directory"]


def follow(here, monkeypatch):
    """A follower, and the list of the listings that it makes."""
    made = []

    def scandir(fd):
        made.append(fd)
        return os.scandir(fd)

    break_os(monkeypatch, listing, scandir=scandir)
    return listing.Follower(), made


def test_one_listing_finds_all_files_that_were_renamed_in_a_directory(here, monkeypatch):
    inodes = []
    for number in range(3):
        os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        inodes.append(os.stat(f"f{number}", dir_fd=here).st_ino)
    follower, made = follow(here, monkeypatch)
    assert [follower.name_of(here, inode) for inode in inodes] == [b"f0", b"f1", b"f2"]
    assert len(made) == 1
    os.rename("f1", "moved", src_dir_fd=here, dst_dir_fd=here)
    assert follower.name_of(here, inodes[1]) == b"moved"
    assert len(made) == 2
    os.rename("f2", "f1", src_dir_fd=here, dst_dir_fd=here)
    os.rename("moved", "f2", src_dir_fd=here, dst_dir_fd=here)  # another file has the name now
    assert follower.name_of(here, inodes[1]) == b"f2"
    os.rename("f2", "f3", src_dir_fd=here, dst_dir_fd=here)
    os.symlink("f3", "f2", dir_fd=here)
    assert follower.name_of(here, inodes[1]) == b"f3", "a link is another file"
    os.unlink("f3", dir_fd=here)
    assert follower.name_of(here, inodes[1]) is None


def test_a_listing_is_of_one_directory(here, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "f").touch()
    inode = (tmp_path / "other" / "f").stat().st_ino
    follower, made = follow(here, monkeypatch)
    assert follower.name_of(here, inode) is None
    with closing(os.open(tmp_path / "other", os.O_RDONLY)) as other:
        assert follower.name_of(other, inode) == b"f"
    assert len(made) == 2


def test_listings_are_bounded_and_each_act_earns_some(here, monkeypatch):
    for number in range(3):
        os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    monkeypatch.setattr(listing.Follower, "FREE", 4)
    monkeypatch.setattr(listing.Follower, "EARNED", 2)
    monkeypatch.setattr(listing.Follower, "KEPT", 2)
    follower, made = follow(here, monkeypatch)
    for _ in range(3):  # 4, 1 and then -2 entries are free
        follower.name_of(here, 1)
    assert len(made) == 2
    follower.earn()  # 0
    assert follower.name_of(here, 1) is None
    assert len(made) == 2
    follower.earn()
    assert follower.name_of(here, 1) is None
    assert len(made) == 3
    assert len(follower._names) == 2, "the memory is bounded too"
    for _ in range(10):
        follower.earn()
    assert follower._credit == 4
