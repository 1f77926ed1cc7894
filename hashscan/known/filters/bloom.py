"""The filter file: a pybloom-live file that is used only after every check that can be made.

Format of the file (pybloom-live 4.0, ``BloomFilter.tofile``): a header of 40 bytes, little-endian
``<dQQQQ`` = error rate, slices, bits a slice, capacity, count; then the bits of all slices, lowest
bit first, padded to a whole byte. Its keys are lower-case hexadecimal digests as ``str``.
``metadata`` describes ``FILE.json`` beside it.

pybloom-live believes any header, so it never parses a file here: length, SHA-256, header and
bounds are checked first, then the bits are handed to it, then the canaries are asked.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import secrets
import stat
import struct
import time
from typing import TYPE_CHECKING

from bitarray import bitarray
from pybloom_live.pybloom import BloomFilter, make_hashfuncs

from hashscan.errors import FilterError, StateError
from hashscan.known.filters.metadata import (
    FILTER_LIMIT,
    FORMAT,
    HEADER_LENGTH,
    METADATA_LIMIT,
    Metadata,
    dump,
    in_order,
    parse,
)
from hashscan.model import HEX_LENGTH, Algorithm
from hashscan.text import human_size, rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_ERROR_RATE = 1e-6
CANARIES = 16
_DAY = 86400.0
_HEADER = struct.Struct("<dQQQQ")
_MEND = (
    "the filter is not used; make it again with 'hashscan filter build', "
    "or get it again from where it came"
)


class BloomFile:
    """A filter after all its checks; implements ``model.Filter``.

    Attributes:
        path: of the filter file.
        category: of the known set.
        version: of the filter.
        algorithms: whose digests it holds.
        metadata: all that the metadata says.
        fill: share of the bits that are set, 0 to 1.
    """

    __slots__ = (
        "_bits",
        "_bits_per_slice",
        "_hashes",
        "algorithms",
        "category",
        "fill",
        "metadata",
        "path",
        "version",
    )

    def __init__(self, path: str, metadata: Metadata, bits: bitarray) -> None:
        """Only for ``load``: ``bits`` are believed."""
        self.path = path
        self.category: str = metadata.category
        self.version: str = metadata.version
        self.algorithms: frozenset[Algorithm] = frozenset(metadata.algorithms)
        self.metadata = metadata
        slices, self._bits_per_slice = geometry(metadata.capacity, metadata.error_rate)
        self._bits = bits
        self._hashes, _ = make_hashfuncs(slices, self._bits_per_slice)
        self.fill = bits.count() / (slices * self._bits_per_slice)

    def __contains__(self, hex_digest: str) -> bool:
        """Whether the filter holds ``hex_digest`` (lower case); may err towards yes."""
        # BloomFilter.__contains__, without a call in between: this is the hot path of a scan.
        bits = self._bits
        step = self._bits_per_slice
        offset = 0
        for place in self._hashes(hex_digest):
            if not bits[offset + place]:
                return False
            offset += step
        return True


def geometry(capacity: int, error_rate: float) -> tuple[int, int]:
    """Slices and bits a slice that pybloom-live gives a filter (``BloomFilter.__init__``)."""
    # Not log2: the result must be the library's, to the last bit.
    slices = math.ceil(math.log(1.0 / error_rate, 2))  # noqa: FURB163
    bits = math.ceil(capacity * abs(math.log(error_rate)) / (slices * (math.log(2) ** 2)))
    return slices, bits


def file_length(capacity: int, error_rate: float) -> int:
    """Length in bytes of a filter file."""
    slices, bits = geometry(capacity, error_rate)
    return HEADER_LENGTH + (slices * bits + 7) // 8


def metadata_path(path: str) -> str:
    """Where the metadata of the filter file ``path`` lies."""
    return path + ".json"


def load(path: str, *, max_age: float | None = None) -> BloomFile:
    """Check a filter file and open it.

    The bits are mapped, so that processes that load the same file share its memory. The checks run
    on the mapping itself. Where others than root and this user could rewrite the file, a private
    copy is checked and used instead.

    Args:
        path: of the filter file; its metadata lies beside it.
        max_age: seconds after its creation that a filter may be used; ``None`` is for ever.

    Raises:
        FilterError: missing, damaged, foreign, expired: the message says which file, what and the
            mend.
    """
    where = shown(metadata_path(path))
    content = _read_metadata(metadata_path(path), where)
    try:
        metadata = parse(content, where)
    except FilterError as error:
        raise FilterError(f"{error}; {_MEND}") from error
    _check_age(metadata, where, max_age)
    descriptor = _open(path, shown(path))
    try:
        found = os.fstat(descriptor)
        if found.st_size != metadata.length:
            raise _refused(path, f"has {found.st_size} bytes instead of {metadata.length}")
        try:
            content_view = _content(descriptor, found)
            one = _checked(path, metadata, content_view)
        except (OSError, ValueError) as error:
            raise _refused(path, f"cannot be read: {error}") from error
        except MemoryError as error:
            raise _refused(
                path, f"{human_size(metadata.length)} do not fit into the memory"
            ) from error
    finally:
        os.close(descriptor)
    return one


def _refused(path: str, what: str) -> FilterError:
    return FilterError(f"{shown(path)}: {what}; {_MEND}")


def _open(path: str, where: str) -> int:
    try:
        descriptor = os.open(
            path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        )
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise FilterError(f"{where}: cannot be opened: {what}; {_MEND}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FilterError(f"{where}: is no regular file; {_MEND}")
    return descriptor


def _read_metadata(path: str, where: str) -> bytes:
    descriptor = _open(path, where)
    try:
        content = os.read(descriptor, METADATA_LIMIT + 1)
    except OSError as error:
        raise FilterError(f"{where}: cannot be read: {error.strerror}; {_MEND}") from error
    finally:
        os.close(descriptor)
    if len(content) > METADATA_LIMIT:
        raise FilterError(f"{where}: is longer than {METADATA_LIMIT} bytes; {_MEND}")
    return content


def _check_age(metadata: Metadata, where: str, max_age: float | None) -> None:
    age = time.time() - metadata.created_seconds
    if age < -_DAY:
        raise FilterError(
            f"{where}: was created at {metadata.created}, which is in the future; check this "
            "machine's clock (timedatectl) and the filter's source"
        )
    if max_age is not None and age > max_age:
        raise FilterError(
            f"{where}: is {age / _DAY:.1f} days old, {max_age / _DAY:.1f} are allowed "
            "(filter.max_age); get a newer one from where it came, or make one with "
            "'hashscan filter build'"
        )


def _content(descriptor: int, found: os.stat_result) -> memoryview:
    """The file's bytes: mapped where nobody else can rewrite them, else a private copy."""
    private = found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022
    if private:
        return memoryview(mmap.mmap(descriptor, found.st_size, access=mmap.ACCESS_READ))
    content = bytearray(found.st_size)
    view = memoryview(content)
    at = 0
    while at < len(content):
        count = os.preadv(descriptor, [view[at:]], at)
        if not count:
            raise ValueError("it became shorter while it was read")
        at += count
    return view


def _checked(path: str, metadata: Metadata, content: memoryview) -> BloomFile:
    header = _HEADER.unpack_from(content)
    slices, bits_per_slice = geometry(metadata.capacity, metadata.error_rate)
    count = metadata.digests + len(metadata.canaries_present)
    expected = (metadata.error_rate, slices, bits_per_slice, metadata.capacity, count)
    if header != expected or metadata.length != file_length(metadata.capacity, metadata.error_rate):
        raise _refused(path, "its header is not what its metadata says: no filter of hashscan's")
    if count > metadata.capacity:
        raise _refused(path, f"holds {count} digests, more than its {metadata.capacity}")
    if hashlib.sha256(content).hexdigest() != metadata.sha256:
        raise _refused(path, "is damaged: its SHA-256 is not the one in its metadata")
    one = BloomFile(path, metadata, bitarray(buffer=content[HEADER_LENGTH:], endian="little"))
    # Each digest sets one bit of each slice, unless it is set already. Small filters scatter: six
    # standard deviations, so that none is refused by chance.
    usual = 1 - math.exp(-count / bits_per_slice)
    scatter = 6 * math.sqrt(usual * (1 - usual) / (slices * bits_per_slice))
    if abs(one.fill - usual) > 0.1 * usual + scatter:
        raise _refused(path, f"{one.fill:.2%} of its bits are set instead of {usual:.2%}")
    if not all(canary in one for canary in metadata.canaries_present):
        raise _refused(path, "a digest that was put in does not hit")
    if any(canary in one for canary in metadata.canaries_absent):
        raise _refused(path, "a digest that was never put in hits")
    return one


class Writer:
    """Fills a new filter and writes it with its metadata."""

    def __init__(self, *, capacity: int, error_rate: float = DEFAULT_ERROR_RATE) -> None:
        """An empty filter in memory; ``capacity`` counts the canaries too.

        Raises:
            StateError: it would be larger than ``load`` accepts.
        """
        length = file_length(capacity, error_rate)
        if length > FILTER_LIMIT:
            raise StateError(
                f"a filter for {capacity} digests would have {human_size(length)}, more than the "
                f"{human_size(FILTER_LIMIT)} that are accepted; make one for each part of the list"
            )
        self._filter = BloomFilter(capacity, error_rate)
        self._canaries: list[str] = []

    def add(self, hex_digests: Iterable[str]) -> int:
        """Add distinct lower-case digests; returns how many."""
        add = self._filter.add
        count = 0
        for digest in hex_digests:
            add(digest, skip_check=True)
            count += 1
        return count

    def write(self, path: str, *, category: str, algorithms: Iterable[Algorithm]) -> Metadata:
        """Add the canaries and write the pair of files, each whole or not at all (mode 0600).

        The filter goes first, then the metadata, each by rename. A kill between the two leaves a
        pair that do not fit each other: ``load`` refuses it until it is built again, while
        processes that loaded the old one keep it.

        Raises:
            StateError: it cannot be written; neither file was changed unless the message says so.
        """
        names = in_order(algorithms)
        digests = self._filter.count
        present = [_random_digest(names, index) for index in range(CANARIES)]
        self.add(present)
        absent: list[str] = []
        while len(absent) < CANARIES:  # with a high error rate some of them hit
            digest = _random_digest(names, len(absent))
            if digest not in self._filter:
                absent.append(digest)
        temporary: list[str] = []
        try:
            body, length, sha256 = _write_body(self._filter, path, temporary)
            created = rfc3339()
            metadata = Metadata(
                format=FORMAT,
                version=f"{created}+{sha256[:12]}",
                category=category,
                algorithms=names,
                digests=digests,
                capacity=self._filter.capacity,
                error_rate=self._filter.error_rate,
                created=created,
                length=length,
                sha256=sha256,
                canaries_present=present,
                canaries_absent=absent,
            )
            described = _temporary(metadata_path(path), temporary)
            with open(described, "wb") as file:
                file.write(dump(metadata))
                file.flush()
                os.fsync(file.fileno())
            os.replace(body, path)
            temporary.remove(body)
            os.replace(described, metadata_path(path))
            temporary.remove(described)
            sync_directory(os.path.dirname(path) or ".")
        except OSError as error:
            raise StateError(
                f"{shown(path)}: the filter cannot be written: {error.strerror}; make room or "
                "mend the permissions there, then run the command again"
            ) from error
        finally:
            for name in temporary:
                _unlink(name)
        return metadata


def _random_digest(algorithms: list[Algorithm], index: int) -> str:
    return secrets.token_hex(HEX_LENGTH[algorithms[index % len(algorithms)]] // 2)


def _temporary(path: str, made: list[str]) -> str:
    """A new empty file beside ``path``, on the list of what must not remain."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name[:200]}.{secrets.token_hex(6)}.tmp")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    made.append(temporary)
    return temporary


def _write_body(bloom: BloomFilter, path: str, made: list[str]) -> tuple[str, int, str]:
    """Write the filter file under a temporary name; the name, its length and SHA-256."""
    name = _temporary(path, made)
    with open(name, "r+b") as file:
        bloom.tofile(file)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return name, file.tell(), sha256


def sync_directory(path: str) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
