"""The words of the project (docs/design.md, "2. Words") as frozen types, and the stages' Protocols.

Paths of customers' files are ``bytes``: the part below the volume's root, without a leading
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
#: So many of a content's first bytes are its head.
HEAD_LENGTH = 4096

DEFAULT_CATEGORY = "baseline"
CATEGORY_LENGTH = 64
_NOT_IN_CATEGORY = re.compile(r"[^\w.]+")
PRIVATE_DIRECTORY = b".hashscan"


def category_name(text: str) -> str | None:
    """A category from a list or a person, in the form that is compared and stored.

    In lower case, with one ``-`` for each run of signs other than letters, digits, ``_`` and ``.``;
    ``None`` if nothing remains or more than 64 letters.
    """
    name = _NOT_IN_CATEGORY.sub("-", text.strip().lower()).strip("-")
    return name if 0 < len(name) <= CATEGORY_LENGTH else None


class Digest(NamedTuple):
    """One algorithm and one lower-case hexadecimal digest."""

    algorithm: Algorithm
    hex: str


#: Every empty file has these: one such line in a list would condemn them all.
EMPTY_DIGESTS: frozenset[Digest] = frozenset(
    Digest(name, hashlib.new(name, b"", usedforsecurity=False).hexdigest()) for name in ALGORITHMS
)


class FileDigests(NamedTuple):
    """Raw digests of one file's content; ``None`` for an algorithm that was not computed."""

    md5: bytes | None = None
    sha1: bytes | None = None
    sha256: bytes | None = None

    def hex(self, algorithm: Algorithm) -> str | None:
        """Lower-case hex of one algorithm's digest, or ``None``."""
        raw: bytes | None = getattr(self, algorithm)
        return None if raw is None else raw.hex()

    def as_dict(self) -> dict[str, str]:
        """The computed digests: algorithm to lower-case hex."""
        return {
            name: raw.hex() for name, raw in zip(ALGORITHMS, self, strict=True) if raw is not None
        }

    def each(self) -> tuple[Digest, ...]:
        """The computed digests."""
        return tuple(
            Digest(name, raw.hex())
            for name, raw in zip(ALGORITHMS, self, strict=True)
            if raw is not None
        )


class Stamp(NamedTuple):
    """Size and times of a file: if they differ, its content may have changed.

    Size in bytes, times in nanoseconds.
    """

    size: int
    mtime_ns: int
    ctime_ns: int


class Identity(NamedTuple):
    """Device and number of a name's inode."""

    device: int
    inode: int


class Skipped(StrEnum):
    """Reasons for an outcome ``skipped``: nothing went wrong, and here is why it was not read."""

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
    """Reasons for an outcome ``problem``: the file may hold anything; the exit code says so."""

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
    """A digest that a filter holds, and which filter that was."""

    digest: Digest
    category: str
    filter_version: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file with at least one digest in a filter, in its state at the time of the hashing.

    Attributes:
        volume: absolute path of the volume's root.
        path: path below it.
        links: the inode's link count.
        hits: at least one.
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
        """For reports only; files are opened by descriptor from the volume's root."""
        return join(self.volume, self.path)


def join(volume: bytes, path: bytes) -> bytes:
    """The absolute path that a report shows for ``path`` below ``volume``."""
    return volume.rstrip(b"/") + b"/" + path if path else volume


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict: whether the service knows the digest, and in which category if it says."""

    known: bool
    category: str | None = None


class Confirmer(Protocol):
    """Answers whether a digest is in the known set.

    Attributes:
        name: the source of the verdict in records, e.g. the service's URL.
        remote: whether a question leaves this machine; verdicts of a remote one are remembered.
    """

    name: str
    remote: bool

    def confirm(self, digest: Digest) -> Answer:
        """Ask for one digest.

        Raises:
            ServiceError: there is no verdict; the candidate must be kept.
        """
        ...

    def close(self) -> None:
        """Release connections and files."""
        ...


Action = Literal["quarantined", "reported", "held", "allowed"]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What the act stage gets: a candidate with verdict ``known``, or a file that a notice names.

    Attributes:
        hit: the filter hit whose digest was confirmed.
        category: the service's category, else the filter's.
        service: the confirmer's name.
        detected: RFC 3339 UTC time of the detection.
        authority: the notice that names the file; ``None``: none does.
        found_by: ``scan``, ``watch`` or ``notice``; empty: unknown.
        named: the notice names this very file, by its URL or path.
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
        """Category, digest and notice, for a line about the match."""
        digest = self.hit.digest
        notice = f", notice {self.authority.notice}" if self.authority else ""
        return f"{self.category}, {digest.algorithm} {digest.hex}{notice}"


@dataclass(frozen=True, slots=True)
class Acted:
    """The result of the action on a match.

    Attributes:
        message: for the reader, why it was held, allowed or only reported; empty if all went well.
        problem: a one-word reason if an action was tried and failed.
        remaining_links: names of the inode that are still outside the quarantine, as far as the
            link count tells.
        hold: id of the hold that has the file, of a match that a brake holds.
    """

    action: Action
    quarantine_id: str | None = None
    message: str = ""
    problem: str | None = None
    remaining_links: int = 0
    hold: str | None = None


class Actor(Protocol):
    """The act stage: report, hold or quarantine."""

    def act(self, match: Confirmed) -> Acted:
        """Act on one match; a failed action is reported in the result, never raised."""
        ...


@dataclass(frozen=True, slots=True)
class MatchEvent:
    """A match and the result of its action, for the output stage."""

    match: Confirmed
    acted: Acted


@dataclass(frozen=True, slots=True)
class ProblemEvent:
    """A file (or a directory that could not be listed) with outcome ``problem``."""

    path: bytes
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """A candidate for which there is no verdict yet."""

    candidate: Candidate
    message: str


@dataclass(slots=True)
class Summary:
    """Counts of one scan. ``files`` is always the sum of the four outcomes.

    ``matches`` is the sum of quarantined, held, allowed and only reported matches; ``restored``
    counts the held matches that an administrator had restored.
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
        """Matches about which no administrator has decided, by a restore or an allow-list."""
        return self.matches - self.allowed - self.restored

    @property
    def files(self) -> int:
        """Number of all found names, except directories that were entered."""
        return self.hashed + self.unchanged + sum(self.skipped.values()) + self.problems


class Tier(Protocol):
    """A small filter that rules a file out by its size or its first block."""

    version: str

    def __contains__(self, key: bytes) -> bool:
        """Whether a known file may have ``key`` (16 bytes); may err towards yes."""
        ...


class Tiers(NamedTuple):
    """The tiers of a filter; ``None`` for a tier for which a digest of the set has no key.

    Attributes:
        sizes: holds the sizes of all known files, see ``size_key``.
        heads: holds the first blocks of all known files, see ``head_key``.
    """

    sizes: Tier | None = None
    heads: Tier | None = None

    @property
    def names(self) -> tuple[TierName, ...]:
        """Names of the existing tiers."""
        return tuple(name for name, one in zip(TIER_NAMES, self, strict=True) if one is not None)


def size_key(size: int) -> bytes:
    """A size in bytes as a key: 16 bytes, the highest first."""
    return size.to_bytes(16, "big")


def head_key(head: bytes | memoryview) -> bytes:
    """The key of a content's first ``HEAD_LENGTH`` bytes, or of a whole shorter content.

    XXH3 with 128 bits and seed 0, in its canonical form (as xxh128sum writes it). It is no
    cryptographic hash, and need not be one: an attacker's file with the same key is only hashed.
    """
    return xxh3_128_digest(head)


class Filter(Protocol):
    """One category's Bloom filter after all its checks."""

    category: str
    version: str
    algorithms: frozenset[Algorithm]
    tiers: Tiers

    def __contains__(self, hex_digest: str) -> bool:
        """Whether the filter holds ``hex_digest`` (lower case); may err towards yes."""
        ...

    def among(self, digests: Sequence[bytes]) -> list[int]:
        """Indices of the ``digests`` that the filter holds: ``in`` for many at a time."""
        ...


def hits(filters: Sequence[Filter], digests: FileDigests) -> tuple[FilterHit, ...]:
    """All hits of one file's digests in ``filters``."""
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
    """The identity of this set of filters."""
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
