"""The metadata of a file: owner, mode, times, extended attributes, inode flags."""

from __future__ import annotations

import base64
import errno
import grp
import os
import pwd
from dataclasses import dataclass
from typing import Any

from hashscan.fs.flags import inode_flags

_CAPABILITY = "security.capability"
#: Extended attributes that are read by name if the kernel cannot list all names (more than 64 KiB
#: of names).
_ALWAYS = (
    "system.posix_acl_access",
    _CAPABILITY,
    "security.selinux",
    "security.ima",
    "security.evm",
    "security.SMACK64",
)
# Maximum number of bytes of attribute values that are saved. A file's owner can make hundreds of
# megabytes of ``user.`` attributes on some file systems; only the kernel and the administrator make
# other attributes.
_MAX_USER = 1 << 20
_MAX_OTHER = 8 << 20
_UNREADABLE = frozenset(
    {errno.ENODATA, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EINVAL, errno.ERANGE}
)
_UNSETTABLE = frozenset({errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class LeftOutAttributes:
    """The extended attributes of a file that were not saved, because the file has too many.

    Attributes:
        names: number of attributes that were not saved; ``None``: the file has so many attributes
            that the kernel cannot list them.
        size: bytes of the values of the attributes that were not saved, as far as the values could
            be read.
    """

    names: int | None
    size: int

    def __str__(self) -> str:
        if self.names is None:
            return "extended attributes, too many for the kernel to list,"
        return f"{self.names} extended attributes ({self.size} bytes)"


@dataclass(frozen=True, slots=True)
class InodeMetadata:
    """The metadata of a file that a restore sets again, and the names of its owner and group.

    Attributes:
        mode: ``st_mode`` of the file, with the type bits.
        owner: user name of ``uid`` on this host when the metadata was read; ``None``: no name.
        group: group name of ``gid`` on this host when the metadata was read; ``None``: no name.
        links: ``st_nlink`` of the file when the metadata was read.
        xattrs: the extended attributes that could be read, including POSIX ACLs
            (``system.posix_acl_access``). At most 1 MiB of ``user.`` attributes and 8 MiB of all
            other attributes are saved.
        flags: inode flags, see lsattr(1); ``None``: the file system has no inode flags.
        left_out: the attributes that exceed the limits of ``xattrs``; the inode still has these
            attributes.
    """

    size: int
    mode: int
    uid: int
    gid: int
    owner: str | None
    group: str | None
    links: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    xattrs: dict[str, bytes]
    flags: int | None
    left_out: LeftOutAttributes | None = None

    def as_dict(self) -> dict[str, Any]:
        """The metadata for JSON: the mode as octal text, attributes as base64."""
        return {
            "size": self.size,
            "mode": f"{self.mode:07o}",
            "uid": self.uid,
            "gid": self.gid,
            "owner": self.owner,
            "group": self.group,
            "links": self.links,
            "atime_ns": self.atime_ns,
            "mtime_ns": self.mtime_ns,
            "ctime_ns": self.ctime_ns,
            "xattrs": {
                name: base64.b64encode(value).decode() for name, value in self.xattrs.items()
            },
            "xattrs_left_out": None
            if self.left_out is None
            else {"names": self.left_out.names, "bytes": self.left_out.size},
            "flags": self.flags,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> InodeMetadata:
        """The metadata from the result of ``as_dict``.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: ``data`` is not a result of
                ``as_dict``.
        """
        xattrs = data["xattrs"]
        if not isinstance(xattrs, dict):
            raise TypeError("xattrs is no object")
        return cls(
            size=whole(data["size"]),
            mode=whole(int(data["mode"], 8)),
            uid=whole(data["uid"], high=2**32 - 2),  # chown takes 2**32 - 1 as "no change"
            gid=whole(data["gid"], high=2**32 - 2),
            owner=_name(data["owner"]),
            group=_name(data["group"]),
            links=whole(data["links"]),
            atime_ns=_time(data["atime_ns"]),
            mtime_ns=_time(data["mtime_ns"]),
            ctime_ns=_time(data["ctime_ns"]),
            xattrs={name: base64.b64decode(xattrs[name], validate=True) for name in xattrs},
            flags=None if data["flags"] is None else whole(data["flags"], low=-(2**31)),
            left_out=_left_out(data.get("xattrs_left_out")),  # missing in old records
        )


def whole(value: Any, *, low: int = 0, high: int = 2**63 - 1) -> int:
    """A value from JSON, if the value is a whole number within the bounds.

    Raises:
        TypeError, ValueError: the value is not a whole number, or not within the bounds.
    """
    if type(value) is not int:
        raise TypeError(f"not a whole number: {value!a:.40}")
    if not low <= value <= high:
        raise ValueError(f"out of bounds: {value}")
    return value


def _time(value: Any) -> int:
    # On tmpfs, any user may set a time of any 64-bit number of seconds.
    return whole(value, low=-(2**63) * 10**9, high=2**63 * 10**9)


def _left_out(value: Any) -> LeftOutAttributes | None:
    if value is None:
        return None
    names = value["names"]
    return LeftOutAttributes(None if names is None else whole(names), whole(value["bytes"]))


def _name(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"not a name: {value!a:.40}")
    return value


def read_metadata(fd: int) -> InodeMetadata:
    """Read an open file's metadata; call this before the content is read: reading sets the atime.

    Raises:
        OSError: fstat failed, or the list of attributes could not be read because of an I/O error.
    """
    status = os.fstat(fd)
    xattrs, left_out = _read_xattrs(fd)
    return InodeMetadata(
        size=status.st_size,
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        owner=user_name(status.st_uid),
        group=group_name(status.st_gid),
        links=status.st_nlink,
        atime_ns=status.st_atime_ns,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        xattrs=xattrs,
        flags=inode_flags(fd),
        left_out=left_out,
    )


def user_name(uid: int) -> str | None:
    """The name of a user id on this host; ``None``: the host has no name for the user id."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def group_name(gid: int) -> str | None:
    """The name of a group id on this host; ``None``: the host has no name for the group id."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None


def _read_xattrs(fd: int) -> tuple[dict[str, bytes], LeftOutAttributes | None]:
    listed = True
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno == errno.E2BIG:
            listed = False
            names = list(_ALWAYS)
        elif error.errno in _UNREADABLE:
            return {}, None
        else:
            raise
    found = {}
    room = {True: _MAX_USER, False: _MAX_OTHER}
    count = size = 0
    for name in names:
        try:
            value = os.getxattr(fd, name)  # the kernel limits each attribute's value to 64 KiB
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            continue
        user = name.startswith("user.")
        if len(value) <= room[user]:
            room[user] -= len(value)
            found[name] = value
        else:
            count += 1
            size += len(value)
    if not listed:
        return found, LeftOutAttributes(None, size)
    return found, LeftOutAttributes(count, size) if count else None


def apply_ownership(fd: int, metadata: InodeMetadata) -> list[str]:
    """Set the owner, group, extended attributes and mode of a file's new copy.

    Call ``apply_times`` last, because reading and writing change the times.

    Returns:
        A sentence for each attribute that could not be set, and for attributes that were not saved
        when the file was read.

    Raises:
        OSError: owner, group or mode cannot be set.
    """
    notes = [f"{metadata.left_out} were left out of the record"] if metadata.left_out else []
    # chown must come first: it clears the set-user-ID bits and the capability attribute.
    os.fchown(fd, metadata.uid, metadata.gid)
    late = [name for name in metadata.xattrs if name == _CAPABILITY]
    early = [name for name in metadata.xattrs if name != _CAPABILITY]
    for name in early:
        notes += _set_xattr(fd, name, metadata.xattrs[name])
    os.fchmod(fd, metadata.mode & 0o7777)
    for name in late:
        notes += _set_xattr(fd, name, metadata.xattrs[name])
    return notes


def _set_xattr(fd: int, name: str, value: bytes) -> list[str]:
    try:
        os.setxattr(fd, name, value)
    except OSError as error:
        if error.errno not in _UNSETTABLE:
            raise
        try:
            if os.getxattr(fd, name) == value:  # skip equal values, e.g. labels
                return []
        except OSError:
            pass
        return [f"attribute {name!a} could not be set: {os.strerror(error.errno)}"]
    return []


def apply_times(fd: int, metadata: InodeMetadata) -> None:
    """Set a copy's access and modification time, to the nanosecond.

    Raises:
        OSError: the times cannot be set, e.g. the agent is neither root nor the file's owner.
    """
    os.utime(fd, ns=(metadata.atime_ns, metadata.mtime_ns))
