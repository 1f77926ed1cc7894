"""hashscan.fs.copy: holes, digests and partial writes of a copy."""

import errno
import hashlib
import os

import pytest
from faulty import break_os, raising

from hashscan.fs import copy
from hashscan.fs.beneath import closing
from hashscan.model import FileDigests


@pytest.mark.parametrize("size", [0, 1, 2, 1 << 20, (1 << 20) + 1])
@pytest.mark.parametrize("less", [0, 1])
def test_digests_are_of_the_bytes_up_to_a_size_or_the_end(file, size, less):
    content = os.urandom(size)
    os.write(file, content)
    expected = FileDigests(
        *(hashlib.new(name, content).digest() for name in ("md5", "sha1", "sha256"))
    )
    assert copy.digests_of(file, size + 3 * less) == expected
    os.write(file, b"more")
    assert copy.digests_of(file, size) == expected


def test_a_stream_hashes_what_was_read(file):

    content = os.urandom(3_000_000)
    os.write(file, content)
    stream = copy.HashedStream(file, 2_500_000)
    first = stream.read(10)
    assert first == content[:10]
    assert stream.digests.sha1 == hashlib.sha1(content[:10]).digest()
    rest = b"".join(iter(lambda: stream.read(1 << 20), b""))
    assert first + rest == content[:2_500_000]
    whole = content[:2_500_000]
    assert stream.digests == FileDigests(
        *(getattr(hashlib, name)(whole).digest() for name in ("md5", "sha1", "sha256"))
    )
    assert copy.digests_of(file, 2_500_000) == stream.digests


@pytest.mark.parametrize("number", [None, errno.ENXIO, errno.EINVAL])
def test_holes_stay_holes_where_the_file_system_says_where_they_are(
    here, file, monkeypatch, number
):
    content = b"a" * 4096 + b"\0" * (1 << 20) + b"b" * 5000
    os.pwrite(file, content[:4096], 0)
    os.pwrite(file, content[-5000:], len(content) - 5000)
    os.ftruncate(file, len(content) + (1 << 20))
    size = len(content) + (1 << 20)
    if number is not None:
        # ENXIO: only a hole follows. EINVAL: the file system does not know SEEK_DATA.
        break_os(monkeypatch, copy, lseek=raising(number, os.lseek))
    with closing(os.open("copy", os.O_RDWR | os.O_CREAT, 0o600, dir_fd=here)) as target:
        copy.copy_content(file, target, size)
        found = os.pread(target, size + 1, 0)
        if number == errno.ENXIO:
            assert found == bytes(size)
        else:
            assert found == content + bytes(1 << 20)
        if number is None and os.fstat(file).st_blocks * 512 < 1 << 20:
            assert os.fstat(target).st_blocks * 512 < 1 << 20


def test_a_write_that_takes_a_part_is_continued(here, file, monkeypatch):
    os.write(file, content := os.urandom(10_000))
    break_os(
        monkeypatch, copy,
        pwrite=lambda fd, block, at: os.pwrite(fd, bytes(block[:999]), at),
    )  # fmt: skip
    with closing(os.open("copy", os.O_RDWR | os.O_CREAT, 0o600, dir_fd=here)) as target:
        copy.copy_content(file, target, 9_000)
        assert os.pread(target, 20_000, 0) == content[:9_000]
