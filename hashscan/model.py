"""The types for the words of docs/design.md ("2. Words"), and the Protocols of the stages.

Paths of customers' files are ``bytes``: the path below the volume's root, without a leading
slash. Digests are lower-case hexadecimal ``str`` in input, output and filters, and raw ``bytes`` in
the catalog and between processes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from xxhash import xxh3_128_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.authority import Authority

Algorithm = Literal["md5", "sha1", "sha256"]
ALGORITHMS: tuple[Algorithm, ...] = ("md5", "sha1", "sha256")
HEX_LENGTH: dict[Algorithm, int] = {"md5": 32, "sha1": 40, "sha256": 64}
ALGORITHM_BY_LENGTH: dict[int, Algorithm] = {length: name for name, length in HEX_LENGTH.items()}

TierName = Literal["sizes", "heads"]
TIER_NAMES: tuple[TierName, ...] = ("sizes", "heads")
#: Number of bytes of a head, which is the begin of a file's content.
HEAD_LENGTH = 4096

DEFAULT_CATEGORY = "baseline"
CATEGORY_LENGTH = 64
_NOT_IN_CATEGORY = re.compile(r"[^\w.]+")
PRIVATE_DIRECTORY = b".hashscan"


def category_name(text: str) -> str | None:
    """Return a category's name in its normal form; ``None``: the name is invalid.

    The normal form is in lower case, with one ``-`` for each run of signs other than letters,
    digits, ``_`` and ``.``. The name is invalid if the normal form has no sign, or more than 64
    signs.
    """
    name = _NOT_IN_CATEGORY.sub("-", text.strip().lower()).strip("-")
    return name if 0 < len(name) <= CATEGORY_LENGTH else None


class Digest(NamedTuple):
    """A digest: its algorithm and its lower-case hexadecimal digits."""

    algorithm: Algorithm
    hex: str


#: Digests of empty content: one of them in a list would make every empty file a match.
EMPTY_DIGESTS: frozenset[Digest] = frozenset(
    Digest(name, hashlib.new(name, b"", usedforsecurity=False).hexdigest()) for name in ALGORITHMS
)


class FileDigests(NamedTuple):
    """Raw digests of a file's content; ``None`` for an algorithm that hashscan did not compute."""

    md5: bytes | None = None
    sha1: bytes | None = None
    sha256: bytes | None = None

    def hex(self, algorithm: Algorithm) -> str | None:
        """Return the digest of one algorithm in lower-case hex; ``None``: it was not computed."""
        raw: bytes | None = getattr(self, algorithm)
        return None if raw is None else raw.hex()

    def as_dict(self) -> dict[str, str]:
        """Return the computed digests of the content in lower-case hex, by algorithm."""
        return {
            name: raw.hex() for name, raw in zip(ALGORITHMS, self, strict=True) if raw is not None
        }

    def each(self) -> tuple[Digest, ...]:
        """Yield the computed digests of the content."""
        return tuple(
            Digest(name, raw.hex())
            for name, raw in zip(ALGORITHMS, self, strict=True)
            if raw is not None
        )


class Stamp(NamedTuple):
    """The stamp of a file: size and times; if one of them changes, the content may have changed.

    The size is in bytes; the times are in nanoseconds.
    """

    size: int
    mtime_ns: int
    ctime_ns: int


class Identity(NamedTuple):
    """The identity of a file: device and inode number."""

    device: int
    inode: int


class Skipped(StrEnum):
    """Reasons for the outcome ``skipped``: a file was not read, though no error occurred."""

    SYMLINK = "symlink"
    FIFO = "fifo"
    SOCKET = "socket"
    DEVICE = "device"
    EXCLUDED = "excluded"
    OTHER_FILESYSTEM = "other-filesystem"
    OTHER_VOLUME = "other-volume"
    LOOP = "loop"
    HASHSCAN = "hashscan"
    TOO_LARGE = "too-large"
    SPARSE = "sparse"
    UNKNOWN_SIZE = "unknown-size"
    UNKNOWN_HEAD = "unknown-head"
    VANISHED = "vanished"


class Problem(StrEnum):
    """Reasons for the outcome ``problem``: a file was not checked, and the exit code reports it."""

    DENIED = "denied"
    CHANGED = "changed"
    IO_ERROR = "io-error"
    STALE = "stale"
    BUSY = "busy"
    TOO_DEEP = "too-deep"
    WORKER_DIED = "worker-died"
    NOT_THERE = "not-there"
    OTHER = "other"


class FilterHit(NamedTuple):
    """A digest that is in a filter, and the category and version of the filter."""

    digest: Digest
    category: str
    filter_version: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file with at least one digest in a filter, as the file was when it was hashed.

    Attributes:
        volume: absolute path of the volume's root.
        path: path of the file below the volume's root.
        links: the link count of the file's inode.
        hits: the file's digests that are in a filter: at least one.
    """

    volume: bytes
    path: bytes
    identity: Identity
    stamp: Stamp
    digests: FileDigests
    links: int
    uid: int
    hits: tuple[FilterHit, ...]

    @property
    def full_path(self) -> bytes:
        """Return the file's absolute path, for reports only: hashscan opens no file by it."""
        return join(self.volume, self.path)


def join(volume: bytes, path: bytes) -> bytes:
    """Return the absolute path, for reports, of the file with ``path`` below ``volume``."""
    return volume.rstrip(b"/") + b"/" + path if path else volume


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict: whether a service knows the digest, and the category if the service names one."""

    known: bool
    category: str | None = None


class Confirmer(Protocol):
    """A confirmer: a service or a list that answers whether a digest is in the known set.

    Attributes:
        name: the confirmer's name in records, e.g. the service's URL.
        remote: True if questions leave this machine; the catalog stores verdicts of remote
            confirmers.
    """

    name: str
    remote: bool

    def confirm(self, digest: Digest) -> Answer:
        """Return the confirmer's verdict for a digest.

        Raises:
            ServiceError: the confirmer gives no verdict; the caller must keep the candidate.
        """
        ...

    def close(self) -> None:
        """Close the confirmer's connections and files."""
        ...


Action = Literal["quarantined", "reported", "held", "allowed"]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A match, for the act stage: a candidate with verdict ``known``, or a file in a notice.

    Attributes:
        hit: the filter hit whose digest the confirmer knows.
        category: the category that the service named, or else the filter's category.
        service: the confirmer's name.
        detected: RFC 3339 UTC time of the detection.
        authority: the notice that names the file; ``None``: no notice names the file.
        found_by: ``scan``, ``watch`` or ``notice``: the stage that found the file; empty: unknown.
        named: True if the notice names this file by its URL or path, and not only by a digest.
    """

    candidate: Candidate
    hit: FilterHit
    category: str
    service: str
    detected: str
    authority: Authority | None = None
    found_by: str = ""
    named: bool = False

    @property
    def why(self) -> str:
        """Return the match's category, digest and notice, for a line about the match."""
        digest = self.hit.digest
        notice = f", notice {self.authority.notice}" if self.authority else ""
        return f"{self.category}, {digest.algorithm} {digest.hex}{notice}"


@dataclass(frozen=True, slots=True)
class Acted:
    """The result of an action on a match.

    Attributes:
        message: why the match was held, allowed, only reported or not moved; empty: the file was
            moved.
        problem: a reason of one word if the action on the match failed.
        remaining_links: number of names of the inode outside the quarantine, from its link count.
        hold: id of the hold, if a brake stopped the action on the match.
    """

    action: Action
    quarantine_id: str | None = None
    message: str = ""
    problem: str | None = None
    remaining_links: int = 0
    hold: str | None = None


class Actor(Protocol):
    """The act stage: reports, holds or quarantines a match."""

    def act(self, match: Confirmed) -> Acted:
        """Act on a match; the result reports a failed action, so this method never raises."""
        ...


@dataclass(frozen=True, slots=True)
class MatchEvent:
    """A match and the result of its action, for the output stage."""

    match: Confirmed
    acted: Acted


@dataclass(frozen=True, slots=True)
class ProblemEvent:
    """A file (or a directory that could not be listed) with the outcome ``problem``."""

    path: bytes
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """A candidate without a verdict."""

    candidate: Candidate
    message: str


@dataclass(slots=True)
class Summary:
    """Counts of the files of one scan. ``files`` is always the sum of the four outcomes.

    ``matches`` is the sum of quarantined, held, allowed and only reported matches. ``restored``
    counts the held matches whose files an administrator had restored before.
    """

    hashed: int = 0
    unchanged: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    problems: int = 0
    bytes_hashed: int = 0
    candidates: int = 0
    false_positives: int = 0
    matches: int = 0
    quarantined: int = 0
    held: int = 0
    pending: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    allowed: int = 0
    restored: int = 0

    @property
    def undecided(self) -> int:
        """Return the number of matches whose files no administrator has restored or allowed."""
        return self.matches - self.allowed - self.restored

    @property
    def files(self) -> int:
        """Return the number of all names that the scan found, except of entered directories."""
        return self.hashed + self.unchanged + sum(self.skipped.values()) + self.problems


class Tier(Protocol):
    """A tier: a small filter that excludes a file by the file's size or its first block."""

    version: str

    def __contains__(self, key: bytes) -> bool:
        """Return whether a known file may have ``key`` (16 bytes); a wrong yes is possible."""
        ...


class Tiers(NamedTuple):
    """The tiers of a filter; ``None``: the filter has no such tier, because a digest has no key.

    Attributes:
        sizes: the tier with the sizes of all known files, see ``size_key``.
        heads: the tier with the first blocks of all known files, see ``head_key``.
    """

    sizes: Tier | None = None
    heads: Tier | None = None

    @property
    def names(self) -> tuple[TierName, ...]:
        """Return the names of the tiers that the filter has."""
        return tuple(name for name, one in zip(TIER_NAMES, self, strict=True) if one is not None)


def size_key(size: int) -> bytes:
    """Return a file's size in bytes as a key of 16 bytes, the most significant byte first."""
    return size.to_bytes(16, "big")


def head_key(head: bytes | memoryview) -> bytes:
    """Return the key of a content's first ``HEAD_LENGTH`` bytes, or of a whole shorter content.

    The key is XXH3 with 128 bits and seed 0, in its canonical form (as xxh128sum writes it). XXH3
    is no
    cryptographic hash, and need not be: hashscan only hashes a file whose key somebody has forged.
    """
    return xxh3_128_digest(head)


class Filter(Protocol):
    """The Bloom filter of one category, after the filter has passed all checks."""

    category: str
    version: str
    algorithms: frozenset[Algorithm]
    tiers: Tiers

    def __contains__(self, hex_digest: str) -> bool:
        """Return whether the filter has ``hex_digest`` (lower case); a wrong yes is possible."""
        ...

    def among(self, digests: Sequence[bytes]) -> list[int]:
        """Return the indices of the ``digests`` that are in the filter."""
        ...


def hits(filters: Sequence[Filter], digests: FileDigests) -> tuple[FilterHit, ...]:
    """Return all hits of a file's digests in the ``filters``."""
    found = [
        (algorithm, raw.hex())
        for algorithm, raw in zip(ALGORITHMS, digests, strict=True)
        if raw is not None
    ]
    return tuple(
        FilterHit(Digest(algorithm, hex_digest), one.category, one.version)
        for one in filters
        for algorithm, hex_digest in found
        if algorithm in one.algorithms and hex_digest in one
    )


def filterset_of(filters: Sequence[Filter]) -> str:
    """Return an id of a set of filters; another set of filters has another id."""
    return " ".join(
        sorted(
            f"{one.category}={one.version}"
            + "".join(
                f"+{name}={tier.version}"
                for name, tier in zip(TIER_NAMES, one.tiers, strict=True)
                if tier is not None
            )
            for one in filters
        )
    )
