"""The record of one isolated file: its evidence, and the state of its move.

A record is saved as ``record.json`` beside the content. It has each path twice: as text for people
(``os.fsdecode``, escaped to ASCII), and as base64 for programs, which keeps every byte in any
locale. The field ``format`` is 1; hashscan never changes a record of another format.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import socket
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from hashscan import __version__
from hashscan.authority import Authority
from hashscan.errors import QuarantineError
from hashscan.fs.beneath import components
from hashscan.fs.metadata import InodeMetadata, whole
from hashscan.model import ALGORITHMS, Digest, FileDigests, Identity, join
from hashscan.text import rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.model import Confirmed

FORMAT = 1
ID_PATTERN = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")


class RecordState(StrEnum):
    """The state of a record. The first four states are unfinished: ``recover`` ends them."""

    INTENT = "intent"  #: the file will be moved now, or was moved and is not yet checked
    COPIED = "copied"  #: a whole copy of the file is in the store; the staged file will be removed
    RESTORING = "restoring"  #: the file is being moved back to a volume
    PURGING = "purging"  #: the content in the store is being deleted
    QUARANTINED = "quarantined"  #: the content is in the store
    DISPLACED = "displaced"  #: another file was moved by mistake; its old name is taken
    RESTORED = "restored"  #: an administrator had the file moved back to a volume
    PURGED = "purged"  #: an administrator had the content deleted
    UNDONE = "undone"  #: the file was moved back: it was another file, or could not be kept


#: States of a confirmed file that is not on its volume.
AWAY = frozenset(
    {RecordState.COPIED, RecordState.QUARANTINED, RecordState.PURGING, RecordState.PURGED}
)
UNFINISHED = frozenset(
    {RecordState.INTENT, RecordState.COPIED, RecordState.RESTORING, RecordState.PURGING}
)
#: Steps of a record's history that do not change the record's state: the file is not moved.
WITHDRAWN, KNOWN_AGAIN = "withdrawn", "known-again"


@dataclass(frozen=True, slots=True)
class Place:
    """The path of a file or directory on a volume.

    Attributes:
        volume: absolute path of the volume's root.
        path: path of the file or directory below the volume's root.
        cross_mounts: whether other file systems may be mounted at directories of the path.
        root_inode: inode number of the volume's root when a file was moved from or to this place;
            ``None`` before the move, and in records of versions that did not save the number.
    """

    volume: bytes
    path: bytes
    cross_mounts: bool = False
    root_inode: int | None = None

    @property
    def full_path(self) -> bytes:
        """The absolute path of the place, for messages. Files are opened by descriptor instead."""
        return join(self.volume, self.path)


@dataclass(frozen=True, slots=True)
class StagingPlace:
    """The private directory on a volume in which a file is staged.

    Only inode numbers identify the directories: a reboot can change device numbers.

    Attributes:
        place: place of the directory that contains the private directory.
        top_inode: inode number of the directory that contains the private directory.
        private_inode: inode number of the private directory itself.
    """

    place: Place
    top_inode: int
    private_inode: int


class RecordFacts:
    """Properties that ``Record`` and ``Brief`` share; they need only the fields listed here."""

    __slots__ = ()

    state: RecordState
    withdrawn: str
    algorithm: str
    digest: str
    digests: FileDigests | None

    @property
    def word(self) -> str:
        """The record's state for people: ``withdrawn`` if the content may go back to its owner."""
        is_withdrawn = self.state is RecordState.QUARANTINED and bool(self.withdrawn)
        return WITHDRAWN if is_withdrawn else self.state.value

    @property
    def confirmed(self) -> Digest:
        """The digest that the service confirmed."""
        return next(
            Digest(algorithm, self.digest)
            for algorithm in ALGORITHMS
            if algorithm == self.algorithm
        )

    @property
    def each_digest(self) -> tuple[Digest, ...]:
        """The confirmed digest, then the other digests of the content."""
        own = self.digests.each() if self.digests else ()
        return tuple(dict.fromkeys((self.confirmed, *own)))


@dataclass(frozen=True, slots=True)
class Record(RecordFacts):
    """The evidence about one isolated file.

    Attributes:
        expected: digests of the file when it was scanned, algorithm to lower-case hex.
        algorithm: algorithm of ``digest``, the digest that the service confirmed.
        found_identity: identity of the file when it was scanned.
        identity: identity of the moved file.
        links: number of hard links of the file when it was scanned.
        metadata: metadata of the moved file; ``None`` until the moved file was checked, or if it is
            not a regular file.
        digests: digests of the moved file; ``None`` if ``metadata`` is ``None``.
        remaining_links: names of the inode outside the quarantine when the file was moved.
        open_for_writing: whether a process had the file open for writing when it was moved, and can
            still change the file.
        staging: the private directory on the volume, while the file may be there.
        target: the place to which the file is being restored, or was restored.
        target_identity: identity of the restored file, or of the copy that becomes that file.
        resume: the record's state before the state ``restoring``.
        note: why the record is ``displaced`` or ``undone``; or which attributes the copy in the
            store lacks.
        span: the span of the store's timeline to which ``acted`` belongs; empty if unknown.
        authority: the notice that named the file; ``None``: no notice named the file, or the
            record is older than notices.
        found_by: how the file was found, see ``Confirmed``.
        withdrawn: when the service withdrew the digest (RFC 3339); empty: the digest is not
            withdrawn.
    """

    id: str
    state: RecordState
    origin: Place
    parent_inode: int
    found_identity: Identity
    size: int
    links: int
    expected: dict[str, str]
    algorithm: str
    digest: str
    category: str
    filter_version: str
    service: str
    detected: str
    acted: str
    host: str
    agent_version: str
    identity: Identity | None = None
    metadata: InodeMetadata | None = None
    digests: FileDigests | None = None
    remaining_links: int = 0
    open_for_writing: bool | None = None
    staging: StagingPlace | None = None
    target: Place | None = None
    target_identity: Identity | None = None
    resume: RecordState | None = None
    note: str = ""
    history: tuple[tuple[str, str], ...] = field(default=())
    span: str = ""
    authority: Authority | None = None
    found_by: str = ""
    withdrawn: str = ""

    @property
    def is_copy(self) -> bool:
        """Whether the content in the store is a copy, which lacks the file's owner and attributes.

        Records of the same inode can share one copy by hard links.
        """
        return any(
            state == RecordState.COPIED.value for state, _ in self.history
        ) and RecordState.DISPLACED not in {self.state, self.resume}

    @property
    def verdict(self) -> str:
        """The verdict ``known``; or ``noticed``: only a notice, and no list, names the file."""
        by_notice = self.authority is not None and self.authority.kind == "notice"
        return "noticed" if by_notice else "known"

    def became(self, state: RecordState, **changes: Any) -> Record:
        """A copy of the record in its next state; the history gets the new state and the time."""
        history = (*self.history, (state.value, rfc3339()))
        return replace(self, state=state, history=history, **changes)

    def with_withdrawal(self, when: str) -> Record:
        """A copy of the record with a withdrawn digest; empty ``when``: with a known digest."""
        step = WITHDRAWN if when else KNOWN_AGAIN
        return replace(self, withdrawn=when, history=(*self.history, (step, when or rfc3339())))

    def to_json(self) -> bytes:
        """The bytes of this record's ``record.json``."""
        return json.dumps(self.as_dict(), indent=1).encode("ascii") + b"\n"

    def as_dict(self) -> dict[str, Any]:
        """The record's fields as in ``record.json`` and in ``quarantine show --json``."""
        return {
            "format": FORMAT,
            "id": self.id,
            "state": self.state.value,
            "path": os.fsdecode(self.origin.full_path),
            "origin": _place(self.origin),
            "size": self.metadata.size if self.metadata else self.size,
            "digests": self.digests.as_dict() if self.digests else None,
            "category": self.category,
            "algorithm": self.algorithm,
            "digest": self.digest,
            "verdict": self.verdict,
            "service": self.service,
            "filter_version": self.filter_version,
            "detected": self.detected,
            "acted": self.acted,
            "host": self.host,
            "agent_version": self.agent_version,
            "identity": _identity(self.identity),
            "metadata": self.metadata.as_dict() if self.metadata else None,
            "remaining_links": self.remaining_links,
            "open_for_writing": self.open_for_writing,
            "scanned": {
                "identity": _identity(self.found_identity),
                "parent_inode": self.parent_inode,
                "size": self.size,
                "links": self.links,
                "digests": self.expected,
            },
            "staging": None
            if self.staging is None
            else {
                "place": _place(self.staging.place),
                "top_inode": self.staging.top_inode,
                "private_inode": self.staging.private_inode,
            },
            "target": None if self.target is None else _place(self.target),
            "target_identity": _identity(self.target_identity),
            "resume": self.resume.value if self.resume else None,
            "note": self.note,
            "span": self.span,
            "authority": None if self.authority is None else self.authority.as_dict(),
            "found_by": self.found_by,
            "withdrawn": self.withdrawn or None,
            "history": [{"state": state, "time": when} for state, when in self.history],
        }

    @classmethod
    def from_json(cls, raw: bytes, where: str) -> Record:
        """The record from the bytes of ``record.json``.

        Args:
            raw: bytes of ``record.json``.
            where: path of ``record.json``, for messages.

        Raises:
            QuarantineError: ``record.json`` is damaged or has an unknown format (reason
                ``damaged-record``).
        """
        try:
            data = json.loads(raw)
            if data["format"] != FORMAT:
                raise QuarantineError(
                    f"{where}: record of format {data['format']!a}, and this hashscan knows only "
                    f"{FORMAT}; use the newer hashscan that wrote it",
                    reason="damaged-record",
                )
            return _parsed(data)
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
            OverflowError,
        ) as error:
            raise QuarantineError(
                f"{where}: damaged record ({type(error).__name__}: {shown(str(error))[:200]}); "
                "the content beside the record is left alone; bring record.json back from a "
                "backup, or take the content out by hand",
                reason="damaged-record",
            ) from error


def new_id() -> str:
    """A new record's id: the UTC time, then milliseconds and a random number in hexadecimal.

    Ids sort by time, and have no character that is special in a path or in a shell.
    """
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}-{now.microsecond // 1000:03x}{secrets.token_hex(3)[:5]}"


def intent(
    record_id: str, match: Confirmed, origin: Place, parent_inode: int, *, span: str
) -> Record:
    """The record of a file that is about to be moved to quarantine."""
    candidate = match.candidate
    now = rfc3339()
    return Record(
        id=record_id,
        state=RecordState.INTENT,
        origin=origin,
        parent_inode=parent_inode,
        found_identity=candidate.identity,
        size=candidate.stamp.size,
        links=candidate.links,
        expected={
            **candidate.digests.as_dict(),
            match.hit.digest.algorithm: match.hit.digest.hex,
        },
        algorithm=match.hit.digest.algorithm,
        digest=match.hit.digest.hex,
        category=match.category,
        filter_version=match.hit.filter_version,
        service=match.service,
        detected=match.detected,
        acted=now,
        host=socket.gethostname(),
        agent_version=__version__,
        history=((RecordState.INTENT.value, now),),
        span=span,
        authority=match.authority,
        found_by=match.found_by,
    )


def _place(place: Place) -> dict[str, Any]:
    return {
        "volume": os.fsdecode(place.volume),
        "path": os.fsdecode(place.path),
        "volume_base64": base64.b64encode(place.volume).decode(),
        "path_base64": base64.b64encode(place.path).decode(),
        "cross_mounts": place.cross_mounts,
        "root_inode": place.root_inode,
    }


def _identity(identity: Identity | None) -> dict[str, int] | None:
    return None if identity is None else identity._asdict()


def _parsed(data: dict[str, Any]) -> Record:
    scanned = data["scanned"]
    record = Record(
        id=_text(data["id"]),
        state=RecordState(data["state"]),
        origin=_to_place(data["origin"]),
        parent_inode=_inode(scanned["parent_inode"]),
        found_identity=_to_identity(scanned["identity"]),
        size=whole(scanned["size"]),
        links=whole(scanned["links"]),
        expected={_algorithm(name): _text(value) for name, value in scanned["digests"].items()},
        algorithm=_algorithm(data["algorithm"]),
        digest=_text(data["digest"]),
        category=_text(data["category"]),
        filter_version=_text(data["filter_version"]),
        service=_text(data["service"]),
        detected=_text(data["detected"]),
        acted=_text(data["acted"]),
        host=_text(data["host"]),
        agent_version=_text(data["agent_version"]),
        identity=_optional(data["identity"], _to_identity),
        metadata=_optional(data["metadata"], InodeMetadata.from_dict),
        digests=_optional(data["digests"], _to_digests),
        remaining_links=whole(data["remaining_links"]),
        open_for_writing=None
        if data["open_for_writing"] is None
        else bool(data["open_for_writing"]),
        staging=_optional(data["staging"], _to_staging),
        target=_optional(data["target"], _to_place),
        target_identity=_optional(data["target_identity"], _to_identity),
        resume=_optional(data["resume"], RecordState),
        note=_text(data["note"]),
        history=tuple((_text(step["state"]), _text(step["time"])) for step in data["history"]),
        span=_text(data.get("span", "")),
        authority=_optional(data.get("authority"), _to_authority),
        found_by=_text(data.get("found_by", "")),
        withdrawn=_text(data.get("withdrawn") or ""),
    )
    _check(record)
    return record


def _check(record: Record) -> None:
    """Check the fields of a record that moving, restoring and recovering a file rely on.

    Raises:
        ValueError: hashscan cannot have written the record.
    """
    if datetime.fromisoformat(record.acted).tzinfo is None:
        raise ValueError("a time without its zone")
    if not record.expected or not record.history or not ID_PATTERN.fullmatch(record.id):
        raise ValueError("no digests, no history, or an id that hashscan never makes")
    if not record.origin.path or (record.target is not None and not record.target.path):
        raise ValueError("no path")
    seen = record.metadata is not None and record.digests is not None
    state = record.resume if record.state is RecordState.RESTORING else record.state
    if state in {RecordState.COPIED, RecordState.QUARANTINED, RecordState.PURGING} and not seen:
        raise ValueError(f"{state}, and no digests of the content")
    if record.state is RecordState.COPIED and record.staging is None:
        raise ValueError("copied, and no staging directory")
    if record.state is RecordState.RESTORING and (
        record.target is None
        or record.resume not in {RecordState.QUARANTINED, RecordState.DISPLACED}
    ):
        raise ValueError("restoring, and no target or no state before it")


_T = TypeVar("_T")


def _optional(value: Any, parse: Callable[[Any], _T]) -> _T | None:
    return None if value is None else parse(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!a:.40}")
    return value


def _algorithm(value: Any) -> str:
    if value not in ALGORITHMS:
        raise ValueError(f"not an algorithm: {value!a:.40}")
    return _text(value)


def _to_digests(data: dict[str, Any]) -> FileDigests:
    return FileDigests(**{name: bytes.fromhex(data[name]) for name in ALGORITHMS})


def _to_place(data: dict[str, Any]) -> Place:
    place = Place(
        base64.b64decode(data["volume_base64"], validate=True),
        base64.b64decode(data["path_base64"], validate=True),
        cross_mounts=bool(data["cross_mounts"]),
        root_inode=_optional(data.get("root_inode"), _inode),
    )
    if not place.volume.startswith(b"/") or b"\0" in place.volume:
        raise ValueError("a volume must be an absolute path")
    components(place.path)
    return place


def _to_staging(data: dict[str, Any]) -> StagingPlace:
    return StagingPlace(
        _to_place(data["place"]), _inode(data["top_inode"]), _inode(data["private_inode"])
    )


def _to_authority(data: dict[str, Any]) -> Authority:
    if data["kind"] not in {"list", "notice"}:
        raise ValueError(f"not an authority: {data['kind']!a:.40}")
    return Authority(
        data["kind"],
        _text(data["notice"]),
        _optional(data["reference"], _text),
        _optional(data["sender"], _text),
    )


def _inode(value: Any) -> int:
    return whole(value, high=2**64 - 1)


def _to_identity(data: dict[str, Any]) -> Identity:
    return Identity(whole(data["device"], high=2**64 - 1), _inode(data["inode"]))
