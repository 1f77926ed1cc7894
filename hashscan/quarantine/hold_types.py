"""The types of holds and held files, and the tables of the SQLite file that keeps them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hashscan.authority import Authority
from hashscan.database import Format
from hashscan.errors import UsageError
from hashscan.model import Confirmed, Digest, FilterHit, join
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from hashscan.model import Candidate, FileDigests

_SCHEMA = """
CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), timeline BLOB NOT NULL);
CREATE TABLE moved (
    volume BLOB NOT NULL,
    path BLOB NOT NULL,
    device INTEGER NOT NULL,
    inode TEXT NOT NULL,
    uid INTEGER NOT NULL,
    md5 BLOB, sha1 BLOB, sha256 BLOB,
    at REAL NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (volume, path, device, inode, uid)
) WITHOUT ROWID;
CREATE INDEX moved_md5 ON moved (md5) WHERE md5 IS NOT NULL;
CREATE INDEX moved_sha1 ON moved (sha1) WHERE sha1 IS NOT NULL;
CREATE INDEX moved_sha256 ON moved (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX moved_at ON moved (at);
CREATE TABLE hold (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    uid INTEGER,
    volume BLOB,
    category TEXT,
    filter_version TEXT,
    opened REAL NOT NULL,
    decided REAL,
    decided_at REAL,
    who TEXT NOT NULL DEFAULT '',
    why TEXT NOT NULL DEFAULT '',
    files INTEGER NOT NULL DEFAULT 0,
    owners INTEGER NOT NULL DEFAULT 0,
    mark INTEGER,
    reported INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE hold_digest (
    algorithm TEXT NOT NULL,
    digest BLOB NOT NULL,
    hold INTEGER NOT NULL,
    PRIMARY KEY (algorithm, digest, hold)
) WITHOUT ROWID;
CREATE INDEX hold_digest_hold ON hold_digest (hold);
CREATE TABLE held (
    volume BLOB NOT NULL,
    path BLOB NOT NULL,
    hold INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    size INTEGER NOT NULL,
    md5 BLOB, sha1 BLOB, sha256 BLOB,
    since REAL NOT NULL,
    match TEXT NOT NULL,
    PRIMARY KEY (volume, path)
) WITHOUT ROWID;
CREATE INDEX held_hold ON held (hold)
"""

FORMAT = Format(
    name="the file of holds",
    application_id=0x68736864,  # "hshd"
    version=1,
    schema=_SCHEMA,
    migrations={},
    if_damaged="move it away and start again: the brakes then count from nothing, and no file is"
    " held until a brake trips again",
    synchronous="FULL",
)

HOLD_COLUMNS = (
    "number, kind, state, reason, uid, volume, category, filter_version, opened, decided, who, why,"
    " files, owners, reported"
)
FILE_COLUMNS = "volume, path, uid, size, md5, sha1, sha256, since, match"
#: Maximum number of digests that are saved for a hold of a new list. If the list has more, the hold
#: applies to all matches of the list's category.
MOST_DIGESTS = 200_000


_FACTS = ("category", "service", "detected", "found_by", "named")


class HoldKind(StrEnum):
    """The brake that holds files."""

    DIGEST = "digest"  #: files of too many owners have one digest
    COPIES = "copies"  #: too many files have one digest
    RATE = "rate"  #: too many files would move in an hour
    SHARE = "share"  #: too large a share of a volume's files would move
    LIST = "list"  #: a new version of a filter has too many new candidates


class HoldState(StrEnum):
    """The decision about a hold."""

    HELD = "held"  #: no decision yet
    RELEASED = "released"  #: an administrator lets the files move
    DISMISSED = "dismissed"  #: an administrator allows the digests of the held files
    CLOSED = "closed"  #: hashscan found that the digests of the hold are no longer known


#: Brakes that count files by digest, or by the list that has the digest.
BY_DIGEST = (HoldKind.DIGEST, HoldKind.COPIES, HoldKind.LIST)


@dataclass(frozen=True, slots=True)
class Hold:
    """A group of matches that a brake holds until an administrator decides.

    Attributes:
        id: the id of the hold that commands take, e.g. ``H7``.
        reason: why the brake tripped, for the administrator.
        uid: the owner whose files are held; ``None``: the files of all owners.
        volume: the volume whose files are held; ``None``: all volumes.
        category: category of the filter whose new version tripped the brake, for a hold of kind
            ``list``.
        filter_version: the new version of the filter, for a hold of kind ``list``.
        opened: time at which the brake held the first file, in seconds since the epoch.
        decided: time of the decision about the hold, in seconds since the epoch.
        who: the person who decided about the hold.
        why: the reason for the decision about the hold.
        files: number of files that the brake holds.
        owners: number of owners of the files that the brake holds.
        reported: whether the audit log has the line about the hold.
    """

    id: str
    kind: HoldKind
    state: HoldState
    reason: str
    uid: int | None
    volume: bytes | None
    category: str | None
    filter_version: str | None
    opened: float
    decided: float | None
    who: str
    why: str
    files: int
    owners: int
    reported: bool | int

    @property
    def has_one_content(self) -> bool:
        """Whether all files of the hold have the same content."""
        return self.kind in {HoldKind.DIGEST, HoldKind.COPIES}

    @property
    def number(self) -> int:
        """The number in the hold's ``id``."""
        return int(self.id[1:])


class HeldFile(NamedTuple):
    """A file that a hold lists.

    Attributes:
        since: time at which the brake first held the file, in seconds since the epoch.
        match: the facts of the match as JSON; ``matched`` reads the facts.
    """

    volume: bytes
    path: bytes
    uid: int
    size: int
    digests: FileDigests
    since: float
    match: dict[str, Any]

    @property
    def full_path(self) -> bytes:
        """The absolute path of the held file."""
        return join(self.volume, self.path)


class HoldEvents(Protocol):
    """The part of the audit log that the brakes use."""

    def newest(self) -> int:
        """The number of the newest line in the audit log."""
        ...

    def has_line(self, hold: Hold, after: int) -> bool:
        """Whether a line of the audit log after number ``after`` reports a hold."""
        ...

    def write_line(self, hold: Hold, digests: Iterable[Digest]) -> None:
        """Write the audit log's line about a hold.

        Args:
            hold: the hold to report.
            digests: digests of the held files if all held files have the same content; else empty.

        Raises:
            StateError: the line cannot be written now; hashscan writes it when the brake holds the
                next file.
        """
        ...


def facts_of(match: Confirmed) -> str:
    """The facts of a match that ``matched`` needs, as JSON."""
    authority = None if match.authority is None else match.authority.as_dict()
    hit = (*match.hit.digest, match.hit.category, match.hit.filter_version)
    rest = {name: getattr(match, name) for name in _FACTS}
    return json.dumps({"hit": hit, "authority": authority, **rest})


def matched(file: HeldFile, candidate: Candidate) -> Confirmed:
    """The match of a held file; ``candidate`` is the current state of the file."""
    found = file.match
    algorithm, text, category, version = found["hit"]
    return Confirmed(
        candidate,
        FilterHit(Digest(algorithm, text), category, version),
        authority=None if found["authority"] is None else Authority(**found["authority"]),
        **{name: found[name] for name in _FACTS},
    )


def number_of(identifier: str) -> int:
    """The number of a hold's id, e.g. 7 of ``H7``.

    Raises:
        UsageError: ``identifier`` is not an id of a hold.
    """
    digits = identifier[1:] if identifier[:1] in {"H", "h"} else identifier
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise UsageError(
            f"{shown(identifier)} is not an id of a hold; 'hashscan hold list' shows ids"
        )
    return int(digits)
