"""Reads zip files: each member once, and no members that overlap.

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.12, 4.3.14 and 4.3.16.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from hashscan.archives.budget import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.archives.budget import Budget

#: Maximum size of a zip file's central directory, in bytes and in members: the directory is read
#: into memory as a whole.
_LARGEST_DIRECTORY = 64 << 20
_MOST_MEMBERS = 200_000
_ENTRY = b"PK\1\2"
_ENTRY_LENGTH = 46
_LOCATOR64, _LOCATOR64_LENGTH = b"PK\6\7", 20
_END64, _END64_LENGTH = b"PK\6\6", 56
_END = b"PK\5\6"
_END_LENGTH = 22
_LONGEST_COMMENT = 0xFFFF
_LOCAL_HEADER = 30
_CHUNK = 1 << 16
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2})


class ZipMember(NamedTuple):
    """A member of a zip file; read its ``content`` before the next member.

    Attributes:
        why_not: why the member is not read, in one word; empty: the member is read.
    """

    name: bytes
    content: Iterator[bytes]
    why_not: str = ""


def members(file: BinaryIO, budget: Budget) -> Iterator[ZipMember]:
    """Yield the members of a zip file, in the order of its central directory.

    Raises:
        ArchiveError: the zip file is damaged, or exceeds the limits of its budget.
    """
    _check_directory(file)
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        _check_overlaps(infos)
        for info in infos:
            budget.member()
            name = os.fsencode(info.filename.encode("utf-8", "surrogateescape"))
            why_not = _why_not(info)
            if why_not:
                yield ZipMember(name, iter(()), why_not)
            else:
                yield ZipMember(name, _content(archive, info, budget))


def _check_directory(file: BinaryIO) -> None:
    """Raise if the central directory of a zip file is too large, before it is read."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _END_LENGTH - _LONGEST_COMMENT)
    file.seek(start)
    tail = file.read(_END_LENGTH + _LONGEST_COMMENT)
    place = tail.rfind(_END)
    if place < 0 or len(tail) - place < _END_LENGTH:
        raise ArchiveError("is damaged or cut off: it has no directory")
    (directory,) = struct.unpack_from("<L", tail, place + 12)
    end = start + place
    # If a zip file has this record, zipfile reads the central directory's size from the record.
    file.seek(max(0, end - _LOCATOR64_LENGTH - _END64_LENGTH))
    zip64 = file.read(_LOCATOR64_LENGTH + _END64_LENGTH)
    if zip64[_END64_LENGTH:].startswith(_LOCATOR64) and zip64.startswith(_END64):
        (directory,) = struct.unpack_from("<Q", zip64, 40)
        end -= _LOCATOR64_LENGTH + _END64_LENGTH
    if directory > _LARGEST_DIRECTORY:
        raise ArchiveError(f"has a directory of more than {_LARGEST_DIRECTORY >> 20} MiB")
    if directory > end:
        raise ArchiveError("is damaged or cut off: its directory is missing")
    file.seek(end - directory)
    _count(file.read(directory))
    file.seek(0)


def _count(directory: bytes) -> None:
    """Raise if a zip file has too many members: each member costs half a kilobyte of memory."""
    place = members = 0
    while directory.startswith(_ENTRY, place) and len(directory) - place >= _ENTRY_LENGTH:
        lengths = struct.unpack_from("<HHH", directory, place + 28)
        place += _ENTRY_LENGTH + sum(lengths)
        members += 1
        if members > _MOST_MEMBERS:
            raise ArchiveError(f"has more than {_MOST_MEMBERS:,} members")


def _check_overlaps(infos: list[zipfile.ZipInfo]) -> None:
    end = 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        if info.header_offset < end:
            raise ArchiveError("has members that overlap")
        end = info.header_offset + _LOCAL_HEADER + info.compress_size


def _why_not(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.filename.endswith("/") or kind == stat.S_IFDIR:
        return "directory"
    if kind == stat.S_IFLNK:
        return "link"
    if kind not in {0, stat.S_IFREG}:
        return "device"
    if info.flag_bits & 0x1:
        return "encrypted"
    return "" if info.compress_type in _METHODS else "unsupported"


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> Iterator[bytes]:
    with archive.open(info) as file:
        while chunk := file.read(_CHUNK):
            budget.produce(len(chunk))
            yield chunk
