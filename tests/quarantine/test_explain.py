"""hashscan.quarantine.explain: the reason of an error of the kernel, and how to mend it."""

import errno
import os

import pytest

from hashscan.fs.beneath import CrossesMountError, closing
from hashscan.quarantine import explain


@pytest.mark.parametrize(
    ("number", "reason", "fix"),
    [
        (errno.EROFS, "read-only", "remount"),
        (errno.EACCES, "denied", "run hashscan as root"),
        (errno.EPERM, "denied", "security module"),
        (errno.ENOSPC, "no-space", "free some space"),
        (errno.EDQUOT, "no-space", "raise the quota"),
        (errno.ENOENT, "vanished", "removed or renamed"),
        (errno.ELOOP, "swapped", "a link has replaced"),
        (errno.ENOTDIR, "swapped", "a file has replaced"),
        (errno.EXDEV, "other-filesystem", "one_file_system: false"),
        (errno.ESTALE, "stale", "network file system"),
        (errno.EIO, "io-error", "disk may be failing"),
        (errno.EBUSY, "busy", "mount point"),
        (errno.EEXIST, "taken", "not overwritten"),
        (errno.ENAMETOOLONG, "other", "kernel's log"),
    ],
)
def test_each_error_of_the_kernel_has_a_reason_and_a_fix(number, reason, fix):
    found = explain.explained(OSError(number, ""), b"/v/f\n", "could not be moved")
    assert found.reason == reason
    assert str(found).startswith(f"/v/f\\n: could not be moved: {os.strerror(number)}; ")
    assert fix in str(found)


def test_a_mount_on_the_way_and_errors_without_a_number():
    found = explain.explained(CrossesMountError(errno.EXDEV, ""), b"/v", "x")
    assert found.reason == "other-filesystem"
    found = explain.explained(OSError("strange"), b"/v", "x")
    assert (found.reason, str(found)) == ("other", "/v: x: strange; check the kernel's log")


def test_a_limit_of_this_process_is_named():
    found = explain.explained(OSError(errno.EMFILE, "Too many"), b"/v", "x")
    assert found.reason == "other"
    assert "kernel's log" not in str(found)
    assert "LimitNOFILE" in str(found) or "ulimit" in str(found)


@pytest.mark.parametrize(
    ("file", "directory", "reason"),
    [
        (explain.IMMUTABLE, 0, "immutable"),
        (explain.APPEND, 0, "append-only"),
        (0, explain.IMMUTABLE, "immutable"),
        (0, explain.APPEND, "append-only"),
        (None, None, "denied"),
        (0, 0, "denied"),
    ],
)
def test_what_forbids_a_move(monkeypatch, file, directory, reason):
    monkeypatch.setattr(explain, "_flags_of", lambda *_: file)
    monkeypatch.setattr(explain, "inode_flags", lambda _fd: directory)
    found = explain.explained_move(OSError(errno.EPERM, ""), 5, b"f", b"/v/d/f")
    assert found.reason == reason
    if file:
        assert f"the file is {reason}" in str(found)
        assert "/v/d/f` and scan again" in str(found)
    elif directory:
        assert f"its directory is {reason}" in str(found)
        assert " /v/d` and scan again" in str(found)
    other = explain.explained_move(OSError(errno.EBUSY, ""), 5, b"f", b"/v/d/f")
    assert other.reason == "busy"


def test_flags_of_what_cannot_be_opened_are_unknown(tmp_path):
    with closing(os.open(tmp_path, os.O_RDONLY)) as fd:
        assert explain._flags_of(fd, b"none") is None
