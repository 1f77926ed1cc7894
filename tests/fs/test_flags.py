"""Inode flags: a copy gets them if possible; otherwise they are reported."""

import errno
import fcntl
import os

import pytest
from isolating import needs_root

from hashscan.fs import flags
from hashscan.fs.flags import (
    APPEND,
    IMMUTABLE,
    apply_flags,
    apply_seals,
    inode_flags,
    lacking_flags,
    prepare_flags,
)

NO_DUMP, NO_ATIME, SYNC, NO_COW, ENCRYPTED = 0x40, 0x80, 0x8, 0x800000, 0x800


@pytest.fixture
def fd(tmp_path):
    fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    flags._set(fd, (inode_flags(fd) or 0) | NO_DUMP)
    if not (inode_flags(fd) or 0) & NO_DUMP:
        pytest.skip("this file system has no inode flags")
    flags._set(fd, inode_flags(fd) & ~NO_DUMP)
    yield fd
    flags._set(fd, inode_flags(fd) & ~flags.SEALS)
    os.close(fd)


def test_flags_are_set_and_cleared(fd):
    layout = inode_flags(fd)
    apply_flags(fd, NO_DUMP | NO_ATIME | SYNC)
    assert inode_flags(fd) == layout | NO_DUMP | NO_ATIME | SYNC
    assert lacking_flags(fd, NO_DUMP | NO_ATIME | SYNC) == []
    # A flag that the new file inherits from its directory, and that is not recorded, is cleared.
    apply_flags(fd, NO_ATIME)
    assert inode_flags(fd) == layout | NO_ATIME
    apply_flags(fd, None)
    assert inode_flags(fd) == layout | NO_ATIME


@pytest.mark.root
@needs_root
def test_seals_are_apart(fd, tmp_path):
    apply_flags(fd, NO_DUMP | IMMUTABLE)
    assert inode_flags(fd) & flags.SEALS == 0
    (note,) = lacking_flags(fd, NO_DUMP | IMMUTABLE | APPEND)
    assert "flags ia (lsattr) could not be set" in note
    assert "chattr +ia" in note
    apply_seals(fd, NO_DUMP | APPEND)
    assert inode_flags(fd) & (flags.SEALS | NO_DUMP) == APPEND | NO_DUMP
    with pytest.raises(PermissionError):
        (tmp_path / "f").rename(tmp_path / "g")


def test_one_that_is_not_taken_holds_up_no_other(fd, monkeypatch):
    """Some file systems refuse the whole call because of one flag that they do not know."""
    real = fcntl.ioctl

    def refuses(fd, request, buffer):
        if request == flags._SET and buffer[0] & SYNC:
            raise OSError(errno.EOPNOTSUPP, "")
        return real(fd, request, buffer)

    monkeypatch.setattr(fcntl, "ioctl", refuses)
    apply_flags(fd, NO_DUMP | SYNC | NO_ATIME)
    assert inode_flags(fd) & (NO_DUMP | SYNC | NO_ATIME) == NO_DUMP | NO_ATIME
    (note,) = lacking_flags(fd, NO_DUMP | SYNC)
    assert "flags S (lsattr)" in note


def test_before_the_content_only_what_needs_it(fd, monkeypatch):
    asked = []
    monkeypatch.setattr(flags, "_set", lambda _fd, wanted: asked.append(wanted) or True)
    prepare_flags(fd, NO_DUMP)
    prepare_flags(fd, None)
    assert asked == []
    prepare_flags(fd, NO_DUMP | NO_COW)
    assert asked == [inode_flags(fd) | NO_COW]


def test_where_there_are_none_all_are_told():
    reading, writing = os.pipe()
    apply_flags(reading, NO_DUMP)
    encrypted, settable = lacking_flags(reading, NO_DUMP | ENCRYPTED)
    assert "encrypted" in encrypted
    assert "flags d (lsattr)" in settable
    assert lacking_flags(reading, None) == []
    # As chattr(1) names them; nothing of one flag is said of another.
    for flag, letter in ((0x1, "s"), (0x2, "u"), (0x4, "c"), (0x8, "S"), (0x80, "A"), (0x400, "m")):
        (note,) = lacking_flags(reading, flag)
        assert f"flags {letter} (lsattr)" in note
    os.close(reading)
    os.close(writing)
