"""btrfs: a subvolume is on its volume's mount, but nothing can be renamed out of it."""

import fcntl
import os
import shutil
import subprocess

import pytest
from commandline import needs_root
from running_daemon import Daemon

KNOWN = os.urandom(3000)
_SUBVOL_CREATE = 0x5000940E  # BTRFS_IOC_SUBVOL_CREATE of <linux/btrfs.h>


@pytest.fixture
def disk(tmp_path):
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("there is no mkfs.btrfs")
    place, image = tmp_path / "volume", tmp_path / "image"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(128 << 20)
    for command in (["mkfs.btrfs", "-q", image], ["mount", "-o", "loop", image, place]):
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        if done.returncode:
            pytest.skip(f"{command[0]}: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def make_subvolume(above, name):
    fd = os.open(above, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, _SUBVOL_CREATE, bytearray(bytes(8) + name.encode().ljust(4088, b"\0")))
    finally:
        os.close(fd)


@needs_root
def test_files_in_subvolumes_are_watched_and_moved(tmp_path, disk):
    make_subvolume(disk, "before")
    (disk / "before" / "d").mkdir()
    with Daemon(tmp_path, watch="inotify", known=[KNOWN]) as daemon:
        there = disk / "before" / "d" / "there"
        there.write_bytes(KNOWN)
        daemon.start()
        daemon.wait(lambda: not there.exists())
        make_subvolume(disk, "later")
        for path in (disk / "before" / "x", disk / "before" / "d" / "y", disk / "later" / "z"):
            path.write_bytes(KNOWN)
            daemon.wait(lambda path=path: not path.exists())
        assert {one["action"] for one in daemon.matches} == {"quarantined"}
        assert len(daemon.summaries) == 1, "no scan was needed"
        assert sorted(os.listdir(disk / "before")) == ["d"]
        assert daemon.end() == 0
