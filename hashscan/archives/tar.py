"""Reads tar files from a stream; the headers of a tar file cannot enlarge the used memory.

Python's ``tarfile`` is not used: it reads extended headers and the maps of sparse members of any
size into memory, keeps all members, and takes a damaged header in the middle for the file's end.

Source: tar(5) of libarchive; POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from hashscan.archives.budget import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.archives.budget import Budget

BLOCK = 512
#: Length in bytes of the longest long name, or pax header.
_LONGEST_HEADER = 1 << 20
_LARGEST = 1 << 62
_CHUNK = 1 << 16
_REGULAR = frozenset({b"0", b"\0", b"7"})
_LEFT_OUT = {
    b"1": "link",
    b"2": "link",
    b"3": "device",
    b"4": "device",
    b"5": "directory",
    b"6": "fifo",
    b"S": "sparse",
}
#: Types of tar members whose header may have a size, but which have no content.
_WITHOUT_CONTENT = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Read up to ``size`` bytes of the stream; empty at the end of the stream."""
        ...


class TarMember(NamedTuple):
    """A member of a tar file; read its ``content`` before the next member.

    Attributes:
        why_not: why the member is no ordinary file, in one word; empty: it is an ordinary file.
    """

    name: bytes
    content: Iterator[bytes]
    why_not: str = ""


class _Counted:
    """A stream that counts the bytes that were read from it."""

    def __init__(self, stream: Readable, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes of the stream; fewer bytes only at the end of the stream."""
        found = b""
        while len(found) < size:
            more = self._stream.read(size - len(found))
            if not more:
                break
            self._budget.produce(len(more))
            found = found + more if found else more
        return found

    def exactly(self, size: int) -> bytes:
        """Read exactly ``size`` bytes of the stream; ``size`` is at most ``_LONGEST_HEADER``.

        Raises:
            ArchiveError: the stream has fewer bytes.
        """
        found = self.read(size)
        if len(found) < size:
            raise ArchiveError("is cut off")
        return found


def members(stream: Readable, budget: Budget) -> Iterator[TarMember]:
    """Yield the members of a tar file, in the order of the file.

    Raises:
        ArchiveError: the file is damaged, cut off or no tar file, or exceeds the limits of its
            budget.
    """
    source = _Counted(stream, budget)
    extended: dict[bytes, bytes] = {}
    is_first = True
    while True:
        header = source.read(BLOCK)
        if not header or header == bytes(BLOCK):
            if is_first and not header:
                raise ArchiveError("is empty")
            return
        _check(header, is_first=is_first)
        is_first = False
        kind = header[156:157]
        size = _number(header[124:136])
        if kind in {b"L", b"K", b"x", b"X", b"g"}:
            _read_extended(source, kind, size, extended)
            budget.member()
            continue
        budget.member()
        name = extended.get(b"path") or _name(header)
        size = _pax_size(extended, size)
        is_sparse = any(key.startswith(b"GNU.sparse.") for key in extended)
        extended = {}
        why_not = _LEFT_OUT.get(kind, "" if kind in _REGULAR else "unknown-type")
        if kind in _REGULAR and name.endswith(b"/"):
            why_not = "directory"
        if kind in _REGULAR and is_sparse:
            why_not = "sparse"
        if kind == b"S":
            _skip_map(source, header)
        if kind in _WITHOUT_CONTENT:
            size = 0
        content = _content(source, size)
        yield TarMember(name, content, why_not)
        for _ in content:  # skip the content that the caller did not read
            pass
        source.exactly(-size % BLOCK)


def _check(header: bytes, *, is_first: bool) -> None:
    if len(header) == BLOCK:
        wanted = header[148:156].strip(b" \0")
        actual = sum(header) - sum(header[148:156]) + 8 * 0x20
        try:
            if int(wanted or b"x", 8) == actual:
                return
        except ValueError:
            pass
    raise ArchiveError("is no tar file" if is_first else "is damaged or cut off")


def _number(field: bytes) -> int:
    """The number in a field of a tar header, in octal or in GNU's base 256.

    Raises:
        ArchiveError: the field is no number, or a negative or too large number.
    """
    if field[0] & 0x80:
        number = int.from_bytes(bytes((field[0] & 0x7F, *field[1:])), "big")
    else:
        try:
            number = int(field.strip(b" \0") or b"0", 8)
        except ValueError as error:
            raise ArchiveError("is damaged: a size is no number") from error
    if not 0 <= number < _LARGEST:
        raise ArchiveError("is damaged: a size is impossible")
    return number


def _name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].split(b"\0", 1)[0]
        return prefix + b"/" + name if prefix else name
    return name


def _read_extended(source: _Counted, kind: bytes, size: int, extended: dict[bytes, bytes]) -> None:
    if size > _LONGEST_HEADER:
        raise ArchiveError(f"has a header of {size:,} bytes")
    data = source.exactly(size + -size % BLOCK)[:size]
    if kind == b"L":
        extended[b"path"] = data.rstrip(b"\0")
    elif kind in {b"x", b"X"}:
        extended.update(_records(data))


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the used records of a pax header: length, a blank, key, ``=``, value, a line end."""
    place = 0
    while place < len(data) and data[place] != 0:
        digits, _, _ = data[place : place + 20].partition(b" ")
        if not digits.isdigit():
            raise ArchiveError("is damaged: a pax header has no length")
        length = int(digits)
        record = data[place + len(digits) + 1 : place + length]
        key, equals, value = record[:-1].partition(b"=")
        if length <= len(digits) or place + length > len(data) or not equals:
            raise ArchiveError("is damaged: a pax header has a wrong length")
        if key in {b"path", b"size"} or key.startswith(b"GNU.sparse."):
            yield key, value
        place += length


def _pax_size(extended: dict[bytes, bytes], size: int) -> int:
    text = extended.get(b"size")
    if text is None:
        return size
    if not (text.isdigit() and len(text) < 20 and int(text) < _LARGEST):
        raise ArchiveError("is damaged: a size is impossible")
    return int(text)


def _skip_map(source: _Counted, header: bytes) -> None:
    """Skip the blocks that continue GNU's old map of a sparse member."""
    more = header[482]
    while more:
        more = source.exactly(BLOCK)[504]


def _content(source: _Counted, size: int) -> Iterator[bytes]:
    while size:
        chunk = source.read(min(size, _CHUNK))
        if not chunk:
            raise ArchiveError("is cut off")
        size -= len(chunk)
        yield chunk
