"""The types of notices and items, and the states of an item.

A format's reader makes a ``ParsedNotice`` of an input. The store gives the notice an id and a
deadline, and keeps the state of each item:

    received -> located -> removed
        |           +----> gone, refused
        +----> removed, gone, not-here, refused

A *settled* item needs no more work. A settled item is *reopened* (its state becomes ``received``
again) if another notice names it, if its content is back, or if an administrator reopens its
notice.

Times are seconds since the epoch. Texts of senders are hostile: print them through
``hashscan.text.shown``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashscan.model import Digest

#: The code of conduct of Dutch providers: removal within 24 hours of the notice.
DEFAULT_DEADLINE = 24 * 3600.0
#: First words of the reason of an item that is reopened because its content is back.
BACK = "back: "
#: Most items of one notice.
MOST_ITEMS = 100_000


class ItemKind(StrEnum):
    """The kind of an item."""

    URL = "url"
    PATH = "path"
    DIGEST = "digest"


class ItemState(StrEnum):
    """The state of an item."""

    RECEIVED = "received"  #: the files of the item are not found yet
    LOCATED = "located"  #: the files of the item are found, and at least one is in its place
    REMOVED = "removed"  #: the named files were in their places, and are away now
    GONE = "gone"  #: the file was away at the first search, but was here before
    NOT_HERE = "not-here"  #: no site or no file of this machine fits the item; see ``Item.reason``
    REFUSED = "refused"  #: an administrator closed the notice without a removal, for a reason


SETTLED = frozenset({ItemState.REMOVED, ItemState.GONE, ItemState.NOT_HERE, ItemState.REFUSED})

_NEXT = {
    ItemState.RECEIVED: frozenset({ItemState.LOCATED, *SETTLED}),
    ItemState.LOCATED: frozenset({ItemState.REMOVED, ItemState.GONE, ItemState.REFUSED}),
} | dict.fromkeys(SETTLED, frozenset({ItemState.RECEIVED}))


def may_become(state: ItemState, following: ItemState) -> bool:
    """Whether an item may go from ``state`` to ``following``."""
    return following in _NEXT[state]


class Channel(StrEnum):
    """How a notice arrived."""

    COMMAND = "command"
    MAILDIR = "maildir"
    HTTP = "http"


class Role(StrEnum):
    """Why a file belongs to an item."""

    NAMED = "named"  #: the notice names the file, by its URL, path or digest
    PART = "part"  #: a page that the notice names shows the file
    COPY = "copy"  #: the file has the content of a named file


@dataclass(frozen=True, slots=True)
class ParsedItem:
    """An item as the reader of a format finds it in an input.

    Attributes:
        value: the URL with ``hxxp`` and ``[.]`` undone; the absolute path as ``os.fsdecode`` gives
            it; or the digest in lower-case hexadecimal.
        digests: digests of the content, as the sender gives them; for an item of the kind digest,
            that digest.
        referrer: URL of the page that shows the content, or links to it.
        ip: IP address of the server, as the sender saw it.
        first_seen: time at which the sender first saw the content.
        last_seen: time at which the sender last saw the content.
        classification: the sender's category of the content.
        note: the sender's own note on the item.
    """

    kind: ItemKind
    value: str
    digests: tuple[Digest, ...] = ()
    referrer: str | None = None
    ip: str | None = None
    first_seen: float | None = None
    last_seen: float | None = None
    classification: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedNotice:
    """A notice as the reader of a format finds it in an input.

    Attributes:
        format: name of the format, e.g. ``scart-csv``.
        items: at least one item, at most ``MOST_ITEMS``.
        sender: organisation, else the address in ``From``; ``None``: the sender is anonymous, which
            is legal.
        contact: the address to answer.
        reference: the sender's own number.
        sent: the time of sending that the notice gives.
        authority: name of the authority that orders the removal; ``None``: a hotline's notice.
        legal_basis: the law that an order names.
        deadline: the deadline that an order sets.
        password: password of a reported archive.
        dropped: number of attachments that were dropped unread.
        remarks: facts for a reader of the notice, e.g. the number of lines without an item.
    """

    format: str
    items: tuple[ParsedItem, ...]
    sender: str | None = None
    contact: str | None = None
    reference: str | None = None
    sent: float | None = None
    authority: str | None = None
    legal_basis: str | None = None
    deadline: float | None = None
    password: str | None = None
    dropped: int = 0
    remarks: tuple[str, ...] = ()


def begin(sent: float | None, received: float) -> float:
    """The time from which the 24-hour norm counts: ``sent``, or ``received`` without ``sent``.

    If ``sent`` is after ``received``, the sender's clock was wrong, and ``received`` counts.
    """
    return received if sent is None else min(sent, received)


@dataclass(frozen=True, slots=True)
class Notice:
    """A stored notice; the attributes of ``ParsedNotice`` mean the same here.

    Attributes:
        received: time of arrival.
        deadline: the deadline of the open item that is due first; for a closed notice, the deadline
            of the item that was settled last. All items of a new notice have the same deadline.
        closed: time at which an administrator closed the notice, or its last item was settled;
            ``None``: the notice is open.
        reason: why an administrator closed the notice; "" if its items were settled.
        repeat_of: id of the latest earlier notice that names one of its items.
        states: number of items by state.
        unproven: why the sender is not verified, so that the notice alone moves no file; "": the
            sender is verified, or an administrator added or approved the notice.
    """

    id: str
    channel: Channel
    format: str
    sender: str | None
    contact: str | None
    reference: str | None
    authority: str | None
    legal_basis: str | None
    password: str | None
    sent: float | None
    received: float
    deadline: float
    closed: float | None
    reason: str
    repeat_of: str | None
    dropped: int
    remarks: tuple[str, ...]
    states: dict[ItemState, int]
    unproven: str = ""

    @property
    def begin(self) -> float:
        """The time from which the 24-hour norm counts."""
        return begin(self.sent, self.received)


@dataclass(frozen=True, slots=True)
class Item:
    """A stored item.

    Attributes:
        number: number of the item, unique in the file of notices.
        since: time at which the item got its state.
        removed: time at which hashscan saw the item's last removal; kept when the item is reopened.
        reason: why the item is not here, refused or gone, why it waits, or why it was reopened. For
            reports, the reason of an item that is not here begins with a kind and a colon, e.g.
            ``no-site: ``.
        path: absolute path of the first named file.
        repeat_of: id of the latest earlier notice with the same item.
        deadline: time by which the item must be settled: the notice's first deadline, or the
            deadline that the item got when it was reopened.
        late: a removal of the item came after the deadline of that time.
    """

    number: int
    notice: str
    parsed: ParsedItem
    state: ItemState
    since: float
    removed: float | None = None
    reason: str = ""
    path: bytes | None = None
    repeat_of: str | None = None
    deadline: float = 0.0
    late: bool = False


@dataclass(frozen=True, slots=True)
class ItemFile:
    """A file that belongs to an item.

    Attributes:
        volume: absolute path of the volume's root, or of the document root outside of all volumes.
        path: path of the file below the volume.
        digests: digests of the file's content when it was hashed last.
        category: category of the known set that has the content; ``None``: no known set has it.
        action: ``quarantined``, ``reported``, ``held``, ``allowed``, or ``""`` before any action.
        quarantine_id: id of the file's record in the quarantine.
        away: time at which hashscan saw that the file is no longer in its place.
        message: a sentence for a reader, e.g. why the file was not moved.
        anchor: identifies the volume's root, and the file system in which the file was seen. While
            another file system is in the place of the file, e.g. because a mount is missing, the
            file does not count as away.
    """

    item: int
    role: Role
    volume: bytes
    path: bytes
    digests: tuple[Digest, ...] = ()
    category: str | None = None
    action: str = ""
    quarantine_id: str | None = None
    away: float | None = None
    message: str = ""
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail of the Maildir whose reading has begun.

    Attributes:
        inode: inode number of the mail's file.
        notice: id of the notice that the mail contains.
        refused: why hashscan does not understand the mail.
        tries: how often hashscan began to read the mail.
        key: identity of the mail's bytes, as in ``NoticeStore.add``; ``None``: the mail was not
            read.
        version: version of hashscan that refused the mail; a newer version may understand it.
    """

    inode: int
    notice: str | None = None
    refused: str | None = None
    tries: int = 0
    key: bytes | None = None
    version: str | None = None


class EventKind(StrEnum):
    """Steps in the history of a notice."""

    RECEIVED = "received"  #: the notice was stored
    REPEATED = "repeated"  #: a later notice, named in the detail, names the same item
    STATE = "state"  #: the state of an item changed
    NOTE = "note"  #: the reason why an item waits was noted
    FILE = "file"  #: a file of an item was found, judged, moved, or seen to be away
    CLOSED = "closed"
    REOPENED = "reopened"
    APPROVED = "approved"  #: an administrator said that an unproven notice may move files
    ANSWERED = "answered"  #: an answer was written or sent


@dataclass(frozen=True, slots=True)
class NoticeEvent:
    """A step in the history. No event is ever changed or removed.

    Attributes:
        number: rises with each event of the store.
        item: number of the item, or ``None`` if the event is about the whole notice.
        detail: values for JSON. ``STATE`` has the keys ``from``, ``to`` and ``reason``.
            ``RECEIVED``, and a ``STATE`` that changes the deadline, have ``deadline`` in seconds
            since the epoch.
    """

    number: int
    notice: str
    item: int | None
    time: float
    kind: EventKind
    detail: dict[str, object]
