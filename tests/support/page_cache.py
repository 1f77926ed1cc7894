"""Which pages of a file the kernel keeps, and files of which it keeps just those that a test wants."""

import ctypes
import mmap
import os
import tempfile
from contextlib import contextmanager

import pytest
import unsynced

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def disk_directory(*parents):
    """A directory below one of ``parents`` whose files' pages can be dropped (tmpfs drops none)."""
    for parent in parents:
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            probe = os.path.join(folder, "probe")
            write_cold(probe, b"x" * PAGE)
            if not any(cached(probe)):
                os.unlink(probe)
                yield folder
                return
    pytest.skip("no file system here whose page cache can be dropped")


def cached(path):
    """Which pages of a file are in the page cache, by mincore(2)."""
    size = os.path.getsize(path)
    pages = -(-size // PAGE)
    with open(path, "rb") as file:
        mapped = mmap.mmap(
            file.fileno(), size, prot=mmap.PROT_READ | mmap.PROT_WRITE, flags=mmap.MAP_PRIVATE
        )
        vector = (ctypes.c_ubyte * pages)()
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        assert _libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), vector) == 0
    return [bool(page & 1) for page in vector]


def write_cold(path, content, warm=()):
    """A file of which the page cache has the pages ``warm``, by their numbers, and no other."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        unsynced.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for page in warm:
            os.pread(file.fileno(), 1, page * PAGE)
