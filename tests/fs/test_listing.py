"""hashscan.fs.listing: every entry once, with its kind, names as bytes."""

import os
import socket

import pytest

from hashscan.fs.listing import (
    ListedDirectory,
    ListedFile,
    ListedGone,
    ListedName,
    ListedOther,
    Unchanged,
    listing,
    names_of,
)
from hashscan.model import Skipped


def listed(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return {entry.name: entry for entry in listing(fd)}
    finally:
        os.close(fd)


def test_kinds_and_names(tmp_path):
    names = [b".hidden", b"[x]", b"new\nline", b"caf\xe9\xff", b"-rf", b" ", b"\x01"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
    os.mkdir(tmp_path / "dir")
    os.symlink("/", tmp_path / "link")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        os.chdir(tmp_path)
        sock.bind("socket")
        found = listed(tmp_path)
    assert {name for name, entry in found.items() if isinstance(entry, ListedFile)} == set(names)
    assert isinstance(found[b"dir"], ListedDirectory)
    assert found[b"link"] == ListedOther(b"link", Skipped.SYMLINK)
    assert found[b"fifo"] == ListedOther(b"fifo", Skipped.FIFO)
    assert found[b"socket"] == ListedOther(b"socket", Skipped.SOCKET)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="making a device needs root")
def test_devices(tmp_path):
    os.mknod(tmp_path / "null", 0o20600, os.makedev(1, 3))
    assert listed(tmp_path)[b"null"] == ListedOther(b"null", Skipped.DEVICE)


def test_a_name_that_vanishes_is_said_to_have(tmp_path):
    for number in range(100):
        (tmp_path / str(number)).write_bytes(b"")
    fd = os.open(tmp_path, os.O_RDONLY)
    entries = listing(fd)
    next(entries)
    for number in range(100):
        (tmp_path / str(number)).unlink()
    rest = list(entries)
    os.close(fd)
    assert len(rest) == 99
    assert all(isinstance(entry, ListedGone) for entry in rest)


def test_names_of_inodes(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"")
    inode = (tmp_path / "b").stat().st_ino
    (tmp_path / "b").rename(tmp_path / "renamed")
    fd = os.open(tmp_path, os.O_RDONLY)
    assert names_of(fd, {inode, 1}) == {inode: b"renamed"}
    os.close(fd)


def test_names_alone(tmp_path):
    (tmp_path / "f").touch()
    (tmp_path / "d").mkdir()
    fd = os.open(tmp_path, os.O_RDONLY)
    found = {entry.name: entry for entry in listing(fd, names_only=True)}
    os.close(fd)
    assert found[b"f"] == ListedName(b"f", (tmp_path / "f").stat().st_ino)
    assert isinstance(found[b"d"], ListedDirectory)


def was(path, device, **changes):
    status = path.lstat()
    values = {
        "device": device, "inode": status.st_ino, "size": status.st_size,
        "mtime": status.st_mtime_ns, "ctime": status.st_ctime_ns, **changes,
    }  # fmt: skip
    return (*values.values(), 1)


def test_what_is_as_it_was_is_counted_and_not_told(tmp_path):
    names = ("same", "large", "size", "mtime", "ctime", "inode", "device", "gone", "directory")
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    number, device = -7, tmp_path.stat().st_dev
    files = {name.encode(): was(tmp_path / name, number) for name in names}
    files[b"large"] = was(
        tmp_path / "large", number, inode=(tmp_path / "large").stat().st_ino - (1 << 64)
    )
    for name in ("size", "mtime", "ctime", "inode"):
        files[name.encode()] = was(tmp_path / name, number, **{name: 5})
    files[b"large"] = (*files[b"large"][:-1], 3)
    files[b"device"] = was(tmp_path / "device", device)
    (tmp_path / "gone").unlink()
    (tmp_path / "directory").unlink()
    (tmp_path / "directory").mkdir()
    (tmp_path / "new").touch()
    unchanged = Unchanged(files, device, number)
    fd = os.open(tmp_path, os.O_RDONLY)
    told = {os.fsdecode(entry.name) for entry in listing(fd, unchanged=unchanged)}
    os.close(fd)
    assert told == {"size", "mtime", "ctime", "inode", "device", "directory", "new"}
    assert unchanged.met == [0, 1, 0, 1]
    assert set(unchanged.files) == {b"gone", b"directory"}, "these files are gone"


def test_a_pause_comes_now_and_then(tmp_path):
    for number in range(200):
        (tmp_path / str(number)).touch()
    pauses = []
    fd = os.open(tmp_path, os.O_RDONLY)
    list(listing(fd, pause=lambda: pauses.append(1)))
    os.close(fd)
    assert len(pauses) == 4
