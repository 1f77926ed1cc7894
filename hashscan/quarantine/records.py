"""The record: what is known about one isolated file, and where its move stands.

Kept as ``record.json`` beside the content. Paths stand in it twice: as text for people
(``os.fsdecode``, escaped to ASCII) and as base64 for programs, so that no byte is lost whatever
the locale. ``format`` is 1; a record of another format is never touched.
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
    """Where a record stands. The first four are on their way: recovery ends them."""

    INTENT = "intent"  #: about to be moved aside, or moved aside and not yet judged
    COPIED = "copied"  #: whole in the store; the staged one on the volume is to go
    RESTORING = "restoring"  #: on its way back to a volume
    PURGING = "purging"  #: its content is to go
    QUARANTINED = "quarantined"  #: content in the store
    DISPLACED = "displaced"  #: another file that was moved aside and found its name taken
    RESTORED = "restored"  #: back on a volume by the administrator's word
    PURGED = "purged"  #: content deleted by the administrator's word
    UNDONE = "undone"  #: moved aside and put back: it was another file, or it could not be kept


#: The file is not in its place, and nobody restored it.
AWAY = frozenset(
    {RecordState.COPIED, RecordState.QUARANTINED, RecordState.PURGING, RecordState.PURGED}
)
UNFINISHED = frozenset(
    {RecordState.INTENT, RecordState.COPIED, RecordState.RESTORING, RecordState.PURGING}
)
#: Steps of a record's history that are no states: the file stays where it is.
WITHDRAWN, KNOWN_AGAIN = "withdrawn", "known-again"


@dataclass(frozen=True, slots=True)
class Place:
    """A name on a volume.

    Attributes:
        volume: absolute path of the volume's root.
        path: path below it.
        cross_mounts: other file systems may be mounted on the way.
        root_inode: inode number of the volume's root when a file was moved from or to this place;
            ``None`` before, and in records of versions that did not keep it.
    """

    volume: bytes
    path: bytes
    cross_mounts: bool = False
    root_inode: int | None = None

    @property
    def full_path(self) -> bytes:
        """For people; files are opened by descriptor from the volume's root."""
        return join(self.volume, self.path)


@dataclass(frozen=True, slots=True)
class StagingPlace:
    """The private directory on a volume through which a file passes.

    Device numbers change when a machine starts anew, inode numbers do not: so only those count.

    Attributes:
        place: the directory it stands in is ``place.path`` below ``place.volume``.
        top_inode: inode number of that directory.
        private_inode: inode number of the private directory itself.
    """

    place: Place
    top_inode: int
    private_inode: int


class RecordFacts:
    """What follows from some fields of a record; also from these fields alone, see ``Brief``."""

    __slots__ = ()

    state: RecordState
    withdrawn: str
    algorithm: str
    digest: str
    digests: FileDigests | None

    @property
    def word(self) -> str:
        """The state for people: ``withdrawn`` if the content is in the store and may go back."""
        is_withdrawn = self.state is RecordState.QUARANTINED and bool(self.withdrawn)
        return WITHDRAWN if is_withdrawn else self.state.value

    @property
    def confirmed(self) -> Digest:
        """The digest that the service confirmed."""
        return next(Digest(one, self.digest) for one in ALGORITHMS if one == self.algorithm)

    @property
    def each_digest(self) -> tuple[Digest, ...]:
        """The confirmed digest, then those of the content."""
        own = self.digests.each() if self.digests else ()
        return tuple(dict.fromkeys((self.confirmed, *own)))


@dataclass(frozen=True, slots=True)
class Record(RecordFacts):
    """One file's evidence.

    Attributes:
        expected: digests of the candidate when it was scanned, algorithm to lower-case hex.
        algorithm: the one whose ``digest`` the service confirmed.
        found_identity: identity when it was scanned; ``identity`` is that of the moved inode.
        links: link count when it was scanned.
        metadata: ``None`` until the moved file was checked, or if it is not a regular file.
        digests: of the isolated content, likewise.
        remaining_links: names of the inode outside the quarantine when it was moved.
        open_for_writing: a process had it open then and can still change it.
        staging: the private directory on the volume, while the file may be there.
        target: the place to which it is being restored, or was restored.
        target_identity: of the restored file, or of the copy that becomes it.
        resume: the state before ``restoring``.
        note: why it is displaced or undone; or which attributes the copy in the store lacks.
        span: the span of the store's timeline to which ``acted`` belongs; empty if unknown.
        authority: the notice that named the file; ``None``: none did, or the version that made the
            record knew no notices.
        found_by: as in ``Confirmed``.
        withdrawn: when the service had withdrawn the digest (RFC 3339); empty: it had not.
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
        """Whether the content in the store is a copy: without owner and attributes, perhaps shared.

        Other records of the same inode may have it as their content too, by hard links.
        """
        return any(
            state == RecordState.COPIED.value for state, _ in self.history
        ) and RecordState.DISPLACED not in {self.state, self.resume}

    @property
    def verdict(self) -> str:
        """``known``; ``noticed`` if no list knows the file and a notice's authority moved it."""
        by_notice = self.authority is not None and self.authority.kind == "notice"
        return "noticed" if by_notice else "known"

    def became(self, state: RecordState, **changes: Any) -> Record:
        """The record in its next state, with the time of the change in its history."""
        history = (*self.history, (state.value, rfc3339()))
        return replace(self, state=state, history=history, **changes)

    def with_withdrawal(self, when: str) -> Record:
        """The record after the service withdrew its digest; empty ``when``: it is known again."""
        step = WITHDRAWN if when else KNOWN_AGAIN
        return replace(self, withdrawn=when, history=(*self.history, (step, when or rfc3339())))

    def to_json(self) -> bytes:
        """The bytes of ``record.json``."""
        return json.dumps(self.as_dict(), indent=1).encode("ascii") + b"\n"

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; what ``quarantine show --json`` prints."""
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
        """Read ``record.json``.

        Args:
            raw: its bytes.
            where: its path, for messages.

        Raises:
            QuarantineError: damaged, or of a format that this version does not know
                (reason ``damaged-record``).
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
                "the content beside it is left alone; bring record.json back from a backup, or "
                "take the content out by hand",
                reason="damaged-record",
            ) from error


def new_id() -> str:
    """UTC time to the second, then milliseconds and chance in hexadecimal.

    Sorts by time, and holds nothing that a path or a shell could misread.
    """
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}-{now.microsecond // 1000:03x}{secrets.token_hex(3)[:5]}"


def intent(
    record_id: str, match: Confirmed, origin: Place, parent_inode: int, *, span: str
) -> Record:
    """The record of a file that is about to be moved aside."""
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
    """What the steps rely on.

    Raises:
        ValueError: the record is not one that hashscan makes.
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
        raise ValueError("copied, and not from where")
    if record.state is RecordState.RESTORING and (
        record.target is None
        or record.resume not in {RecordState.QUARANTINED, RecordState.DISPLACED}
    ):
        raise ValueError("on its way back, and not from where or not whither")


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
