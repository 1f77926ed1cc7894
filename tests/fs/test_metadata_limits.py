"""hashscan.fs.metadata and flags: what cannot be read, set or kept."""

import errno
import os
from dataclasses import replace

import pytest
from faulty import break_os, raising

from hashscan.fs import flags, metadata

# metadata


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("xattrs", []), ("xattrs", {"a": "no base64!"}), ("size", 1.0), ("size", True),
        ("size", -1), ("size", 2**63), ("mode", "8"), ("uid", 2**32 - 1), ("gid", 2**32 - 1),
        ("owner", 5), ("group", b"g"), ("links", "1"), ("atime_ns", 2**63 * 10**9 + 1),
        ("mtime_ns", -(2**63) * 10**9 - 1), ("flags", -(2**31) - 1), ("flags", "e"),
        ("xattrs_left_out", {"names": -1, "bytes": 0}), ("xattrs_left_out", {"names": 1}),
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_is_refused(file, field, value):
    data = {**metadata.read_metadata(file).as_dict(), field: value}
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        metadata.InodeMetadata.from_dict(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 0), ("size", 2**63 - 1), ("uid", 2**32 - 2), ("gid", 2**32 - 2), ("uid", 0),
        ("owner", None), ("group", "g"), ("atime_ns", 2**63 * 10**9),
        ("mtime_ns", -(2**63) * 10**9), ("flags", -(2**31)), ("flags", None),
    ],
)  # fmt: skip
def test_metadata_at_its_limits_is_read_back(file, field, value):
    data = {**metadata.read_metadata(file).as_dict(), field: value}
    found = metadata.InodeMetadata.from_dict(data)
    assert getattr(found, field) == value
    assert found.as_dict() == data


def test_too_many_attributes_to_list_are_asked_for_by_name(file, monkeypatch):
    values = {"security.selinux": b"label", "system.posix_acl_access": b"acl"}

    def getxattr(_fd, name):
        if name not in values:
            raise OSError(errno.ENODATA, "")
        return values[name]

    break_os(monkeypatch, metadata, listxattr=raising(errno.E2BIG), getxattr=getxattr)
    found = metadata.read_metadata(file)
    assert found.xattrs == values
    assert found.left_out == metadata.LeftOutAttributes(None, 0)
    assert found.as_dict()["xattrs_left_out"] == {"names": None, "bytes": 0}
    assert metadata.InodeMetadata.from_dict(found.as_dict()) == found
    assert str(found.left_out) == "extended attributes, too many for the kernel to list,"
    (note,) = metadata.apply_ownership(file, replace(found, xattrs={}))
    assert note == (
        "extended attributes, too many for the kernel to list, were left out of the record"
    )


READ = {errno.ENODATA, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EINVAL, errno.ERANGE}


@pytest.mark.parametrize("call", ["listxattr", "getxattr"])
@pytest.mark.parametrize("number", [*sorted(READ), errno.EIO, errno.ESTALE])
def test_attributes_that_cannot_be_read_are_none_unless_the_disk_fails(
    file, monkeypatch, call, number
):
    functions = {"listxattr": lambda _fd: ["user.a"], "getxattr": lambda *_: b"x"}
    break_os(monkeypatch, metadata, **{**functions, call: raising(number)})
    if number not in READ:
        with pytest.raises(OSError) as caught:
            metadata.read_metadata(file)
        assert caught.value.errno == number
        return
    found = metadata.read_metadata(file)
    assert (found.xattrs, found.left_out) == ({}, None)


@pytest.mark.parametrize("prefix", ["user.", "trusted."])
@pytest.mark.parametrize(("more", "kept"), [(-1, 1), (0, 1), (1, 0)])
def test_attributes_of_customers_and_of_others_have_room_of_their_own(
    file, monkeypatch, prefix, more, kept
):
    size = (metadata._MAX_USER if prefix == "user." else metadata._MAX_OTHER) + more
    assert (metadata._MAX_USER, metadata._MAX_OTHER) == (1 << 20, 8 << 20)
    values = {f"{prefix}a": bytes(size), "user.z" if prefix != "user." else "trusted.z": b"z"}
    break_os(
        monkeypatch, metadata,
        listxattr=lambda _fd: list(values), getxattr=lambda _fd, name: values[name],
    )  # fmt: skip
    found = metadata.read_metadata(file)
    assert len(found.xattrs) == 1 + kept
    assert found.left_out == (None if kept else metadata.LeftOutAttributes(1, size))


UNSET = {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EINVAL}


@pytest.mark.parametrize("number", [*sorted(UNSET), errno.ENOSPC])
@pytest.mark.parametrize("now", [b"x", b"y", None])
def test_an_attribute_that_a_copy_has_already_is_not_missed(file, monkeypatch, number, now):
    found = replace(metadata.read_metadata(file), xattrs={"security.selinux": b"x"})
    has = raising(errno.ENODATA) if now is None else lambda *_: now
    break_os(monkeypatch, metadata, setxattr=raising(number), getxattr=has)
    if number not in UNSET:
        with pytest.raises(OSError):
            metadata.apply_ownership(file, found)
    elif now == b"x":
        assert metadata.apply_ownership(file, found) == []
    else:
        why = os.strerror(number)
        assert metadata.apply_ownership(file, found) == [
            f"attribute 'security.selinux' could not be set: {why}"
        ]


# flags


def test_no_flags_are_no_change(file, monkeypatch):
    monkeypatch.setattr(flags, "_change", lambda *_: pytest.fail("nothing is to be changed"))
    for one in (flags.prepare_flags, flags.apply_flags, flags.apply_seals):
        one(file, None)
