"""Reads the members of an archive of any kind, and their digests. Nothing is extracted."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import struct
import zipfile
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

import zstandard

from hashscan.archives import tar, zipped
from hashscan.archives.budget import ArchiveError, ArchiveLimits, Budget
from hashscan.model import ALGORITHMS, FileDigests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.archives.tar import TarMember
    from hashscan.archives.zipped import ZipMember

#: Maximum memory for unpacking xz and zstd, in bytes.
_MEMORY = 256 << 20
_LONGEST_NAME = 4096
_CHUNK = 1 << 16
_DAMAGED = (
    EOFError,
    OSError,
    RuntimeError,
    UnicodeError,
    ValueError,
    OverflowError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    zstandard.ZstdError,
)


class Member(NamedTuple):
    """A member of an archive with its digests; ``size`` in bytes."""

    name: bytes
    size: int
    digests: FileDigests


class LeftOutMember(NamedTuple):
    """A member of an archive that is no ordinary file or cannot be read; reason in one word."""

    name: bytes
    why: str


def kind_of_archive(head: bytes) -> str:
    """The kind of an archive, from its first 512 bytes; empty if the file is no archive."""
    for magic, kind in (
        (b"\x1f\x8b", "gzip"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"PK\3\4", "zip"),
        (b"PK\5\6", "zip"),
    ):
        if head.startswith(magic):
            return kind
    return "tar" if head[257:262] == b"ustar" else ""


def read_members(
    file: BinaryIO, limits: ArchiveLimits | None = None
) -> Iterator[Member | LeftOutMember]:
    """Yield the members of an archive that begins at the start of ``file``.

    An archive inside an archive is treated as an ordinary file: its members are not read.

    Raises:
        ArchiveError: the archive is damaged, cut off, of an unknown kind, or beyond its budget.
    """
    budget = Budget(limits or ArchiveLimits())
    kind = kind_of_archive(file.read(tar.BLOCK))
    file.seek(0)
    try:
        if kind == "zip":
            yield from map(_hashed, zipped.members(file, budget))
            return
        with closing(_unpacked(kind, file)) as stream:
            yield from map(_hashed, tar.members(stream, budget))
            # The checksum of the whole archive is behind the last member.
            while rest := stream.read(_CHUNK):
                budget.produce(len(rest))
    except ArchiveError:
        raise
    except _DAMAGED as error:
        raise ArchiveError(f"is damaged ({type(error).__name__})") from error


class _Stream(Protocol):
    """The unpacked content of a compressed archive, as a stream."""

    def read(self, size: int, /) -> bytes:
        """Read up to ``size`` unpacked bytes; empty at the end of the content."""
        ...

    def close(self) -> None:
        """Release the memory that the unpacking uses."""
        ...


def _unpacked(kind: str, file: BinaryIO) -> _Stream:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=file)
    if kind == "bzip2":
        return bz2.BZ2File(file)
    if kind == "xz":
        return io.BufferedReader(_Xz(file))
    if kind == "zstd":
        unpacker = zstandard.ZstdDecompressor(max_window_size=_MEMORY)
        return unpacker.stream_reader(file, read_across_frames=True, closefd=False)
    if kind == "tar":
        return io.BufferedReader(_Kept(file))
    raise ArchiveError("is no archive of a known kind")


class _Kept(io.RawIOBase):
    """A file that stays open when its reader closes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        found = self._file.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


class _Xz(_Kept):
    """The unpacked content of an xz file, over all its streams, in bounded memory."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
        self._rest = b""

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while True:
            if self._unpacker.eof:
                data = (self._unpacker.unused_data or self._file.read(_CHUNK)).lstrip(b"\0")
                if not data:
                    return 0
                self._unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
            else:
                data = self._file.read(_CHUNK) if self._unpacker.needs_input else b""
                if self._unpacker.needs_input and not data:
                    raise EOFError("cut off")
            found = self._unpacker.decompress(data, len(buffer))
            if found:
                buffer[: len(found)] = found
                return len(found)


def _hashed(member: TarMember | ZipMember) -> Member | LeftOutMember:
    if member.why_not:
        return LeftOutMember(member.name, member.why_not)
    if len(member.name) > _LONGEST_NAME:
        return LeftOutMember(member.name[:_LONGEST_NAME], "long-name")
    hashes = [hashlib.new(name, usedforsecurity=False) for name in ALGORITHMS]
    size = 0
    for chunk in member.content:
        size += len(chunk)
        for one in hashes:
            one.update(chunk)
    return Member(member.name, size, FileDigests(*(one.digest() for one in hashes)))
