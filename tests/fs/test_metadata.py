"""What a file is besides its content."""

import json
import os
import struct

import pytest
from isolating import needs_root

from hashscan.fs.copy import copy_content, digests_of
from hashscan.fs.flags import inode_flags
from hashscan.fs.metadata import (
    InodeMetadata,
    LeftOutAttributes,
    apply_ownership,
    apply_times,
    read_metadata,
)

CAPABILITY = struct.pack("<IIIII", 0x02000000, 1 << 10, 0, 0, 0)


@pytest.fixture
def pair(tmp_path):
    """Two files, open for writing."""
    fds = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT, 0o600) for name in ("one", "two")]
    yield fds
    for fd in fds:
        os.close(fd)


@pytest.mark.root
@needs_root
def test_everything_is_carried_over(pair):
    one, two = pair
    os.write(one, b"content")
    os.fchown(one, 1234, 5678)
    os.setxattr(one, "user.odd\udcff", b"\0\1")
    os.setxattr(one, "trusted.t", b"t")
    os.fchmod(one, 0o6755)
    os.setxattr(one, "security.capability", CAPABILITY)
    os.utime(one, ns=(1, 2_000_000_003))
    metadata = read_metadata(one)
    assert (metadata.size, metadata.uid, metadata.gid, metadata.links) == (7, 1234, 5678, 1)
    assert (metadata.atime_ns, metadata.mtime_ns) == (1, 2_000_000_003)
    assert InodeMetadata.from_dict(json.loads(json.dumps(metadata.as_dict()))) == metadata
    assert apply_ownership(two, metadata) == []
    apply_times(two, metadata)
    copied = read_metadata(two)
    for name in ("mode", "uid", "gid", "atime_ns", "mtime_ns", "xattrs"):
        assert getattr(copied, name) == getattr(metadata, name)
    assert copied.xattrs["security.capability"]
    assert copied.mode & 0o7777 == 0o6755


def test_an_attribute_that_is_not_taken_is_told(pair):
    from dataclasses import replace

    one, two = pair
    metadata = replace(read_metadata(one), xattrs={"nonsense.name": b"x"})
    (note,) = apply_ownership(two, metadata)
    assert "nonsense.name" in note


def test_attributes_are_kept_within_bounds_and_the_rest_is_counted(pair, monkeypatch):
    one, two = pair
    for name in "abc":
        os.setxattr(one, f"user.{name}", name.encode() * 900)
    monkeypatch.setattr("hashscan.fs.metadata._MAX_USER", 2000)
    metadata = read_metadata(one)
    assert len(metadata.xattrs) == 2
    assert metadata.left_out == LeftOutAttributes(1, 900)
    data = metadata.as_dict()
    assert InodeMetadata.from_dict(json.loads(json.dumps(data))) == metadata
    (note,) = apply_ownership(two, metadata)
    assert "1 extended attributes (900 bytes)" in note
    del data["xattrs_left_out"]  # as old versions wrote it
    assert InodeMetadata.from_dict(data).left_out is None


def test_names_are_for_people_only(pair):
    metadata = read_metadata(pair[0])
    assert metadata.uid == os.geteuid()
    if os.geteuid() == 0:
        assert (metadata.owner, metadata.group) == ("root", "root")
        os.fchown(pair[0], 3_999_999_999, 3_999_999_999)
        metadata = read_metadata(pair[0])
        assert (metadata.uid, metadata.owner, metadata.group) == (3_999_999_999, None, None)


def test_no_flags_where_there_are_none():
    reading, writing = os.pipe()
    assert inode_flags(reading) is None
    os.close(reading)
    os.close(writing)


def test_copy_ends_where_it_was_told(pair):
    one, two = pair
    os.write(one, b"a" * 3_000_000)
    copy_content(one, two, 2_500_000)
    assert os.fstat(two).st_size == 2_500_000
    assert digests_of(two, 1 << 40) == digests_of(one, 2_500_000) != digests_of(one, 3_000_000)
