"""A file system whose server never answers: what a dead file server looks like from here."""

import contextlib
import ctypes
import os

import pytest

from hashscan.jobs import volume_probe

_libc = ctypes.CDLL(None, use_errno=True)
_DETACH = 2


def forks_hold_no_server(monkeypatch):
    """Keep forks that look at volumes from holding the servers of this test's file systems."""
    real = volume_probe._check_volume

    def check_volume(path, mounts):
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/self/fd/{name}") == "/dev/fuse":
                    os.close(int(name))
        return real(path, mounts)

    monkeypatch.setattr(volume_probe, "_check_volume", check_volume)


@contextlib.contextmanager
def silent(directory):
    """Mount it at ``directory``; whoever waits for it gets an error when the block ends."""
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"/dev/fuse: {error.strerror}")
    place = os.fsencode(directory)
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % server
    if _libc.mount(b"silent", place, b"fuse.silent", 0, options):
        os.close(server)
        pytest.skip(f"a FUSE file system cannot be mounted: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        os.close(server)
        _libc.umount2(place, _DETACH)
