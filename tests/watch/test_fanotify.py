"""Files that are opened by a handle, as a server of NFS opens them, on a file system of our own."""

import ctypes
import os
import subprocess
import sys
import time

import pytest

from hashscan.fs.volume import Volume
from hashscan.watch import fanotify
from hashscan.watch.fanotify import FanotifySource, why_not
from hashscan.watch.source import Changed, Lost

_libc = ctypes.CDLL(None, use_errno=True)


def run(*command):
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        pytest.skip(f"{command[0]}: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """Mount and unmount an ext4 of our own: what the kernel remembers of its names is gone then."""
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    run("mkfs.ext4", "-q", "-F", str(image))
    mounted = []

    def mount():
        if mounted:
            run("umount", str(mounted.pop()))
        run("mount", "-o", "loop", str(image), str(place))
        mounted.append(place)
        return place

    yield mount
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


def handle_of(path):
    buffer = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(4), 8 + 128)
    number = ctypes.c_int()
    place = os.fsencode(path)
    assert _libc.name_to_handle_at(-100, place, buffer, ctypes.byref(number), 0) == 0
    return buffer.raw


def write_by_handle(place, handle):
    root = os.open(place, os.O_RDONLY)
    fd = _libc.open_by_handle_at(root, handle, os.O_WRONLY)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    os.write(fd, b"changed")
    os.close(fd)
    os.close(root)


def test_a_file_whose_directory_the_kernel_does_not_know_is_a_loss(disk):
    place = disk()
    if why := why_not([Volume(os.fsencode(place))]):
        pytest.skip(f"fanotify: {why}")
    directory = place / "a" / "b"
    directory.mkdir(parents=True)
    path = directory / "file"
    path.write_bytes(b"as it was")
    handle = handle_of(path)
    disk()
    source = FanotifySource([Volume(os.fsencode(place))])
    try:
        source.start()
        write_by_handle(place, handle)
        (told,) = source.read()
        assert isinstance(told, Lost), told
        assert "by a handle" in told.message
        # as soon as it has a name for the kernel, it is told as ever
        os.stat(path)
        write_by_handle(place, handle)
        assert source.read() == [Changed(0, b"a/b", b"file")]
    finally:
        source.close()


def test_a_directory_whose_inode_is_given_to_another_at_once_is_no_loss(tmp_path, monkeypatch):
    top = tmp_path / "volume"
    top.mkdir()
    if why := why_not([Volume(os.fsencode(top))]):
        pytest.skip(f"fanotify: {why}")
    source = FanotifySource([Volume(os.fsencode(top))])
    come_and_go = (
        "import os, shutil, sys\n"
        "while True:\n"
        "    top = f'{sys.argv[1]}/{os.getpid()}'\n"
        "    os.makedirs(f'{top}/x/y')\n"
        "    open(f'{top}/x/y/f', 'w').close()\n"
        "    shutil.rmtree(top)\n"
    )
    busy = []
    try:
        source.start()
        busy += [subprocess.Popen([sys.executable, "-c", come_and_go, top]) for _ in range(3)]
        pauses = []
        pause = time.sleep
        monkeypatch.setattr(fanotify.time, "sleep", lambda one: (pauses.append(one), pause(one)))
        until = time.monotonic() + 20
        told = []
        while len(pauses) < 5 or len(told) < 100:  # it happened that often
            told += source.read()
            if time.monotonic() > until:
                break
        assert not [one for one in told if isinstance(one, Lost)]
        if not pauses:
            pytest.skip("this kernel never meets an inode that is just being made")
    finally:
        for one in busy:
            one.kill()
            one.wait()
        source.close()
