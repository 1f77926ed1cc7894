"""The types of notices and items, and the states of an item.

The reader of a format makes a ``ParsedNotice`` of a mail or file. The store gives the notice an id
and a deadline, and keeps the state of each item that the notice names:

    received -> located -> removed
        |           +----> gone, refused
        +----> removed, gone, not-here, refused

A *settled* item needs no more work. hashscan *reopens* a settled item (its state becomes
``received`` again) if another notice names the same item, if the item's content is back on the
machine, or if an administrator reopens the item's notice.

Times are seconds since the epoch. Texts of senders are hostile: print these texts through
``hashscan.text.shown``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashscan.model import Digest

#: The code of conduct of Dutch providers: removal within 24 hours of the notice, in seconds.
DEFAULT_DEADLINE = 24 * 3600.0
#: First words of the reason of an item that is reopened because the item's content is back.
BACK = "back: "
#: The most items (URLs, paths and digests) that one notice may name.
MOST_ITEMS = 100_000


class ItemKind(StrEnum):
    """The kind of an item that a notice names: a URL, a path or a digest."""

    URL = "url"
    PATH = "path"
    DIGEST = "digest"


class ItemState(StrEnum):
    """The state of an item that a notice names; see the diagram in the module's docstring."""

    RECEIVED = "received"  #: the item's files are not found yet
    LOCATED = "located"  #: the item's files are found, and at least one exists at its path
    REMOVED = "removed"  #: the item's named files existed at their paths, and are away now
    GONE = "gone"  #: the item's file was away at the first search, but was here before
    NOT_HERE = "not-here"  #: no site or no file of this machine fits; see ``Item.reason``
    REFUSED = "refused"  #: an administrator closed the notice without a removal, for a reason


SETTLED = frozenset({ItemState.REMOVED, ItemState.GONE, ItemState.NOT_HERE, ItemState.REFUSED})

_NEXT = {
    ItemState.RECEIVED: frozenset({ItemState.LOCATED, *SETTLED}),
    ItemState.LOCATED: frozenset({ItemState.REMOVED, ItemState.GONE, ItemState.REFUSED}),
} | dict.fromkeys(SETTLED, frozenset({ItemState.RECEIVED}))


def may_become(state: ItemState, following: ItemState) -> bool:
    """Whether the state of an item may change from ``state`` to ``following``."""
    return following in _NEXT[state]


class Channel(StrEnum):
    """The way by which a notice arrived, e.g. over HTTP."""

    COMMAND = "command"
    MAILDIR = "maildir"
    HTTP = "http"


class Role(StrEnum):
    """Why a file belongs to an item of a notice."""

    NAMED = "named"  #: the notice names the file, by its URL, path or digest
    PART = "part"  #: a page that the notice names shows the file
    COPY = "copy"  #: the file has the content of a file that the notice names


@dataclass(frozen=True, slots=True)
class ParsedItem:
    """An item of a notice, as the reader of a format finds the item in a mail or file.

    Attributes:
        value: the item's URL with ``hxxp`` and ``[.]`` undone; its absolute path as ``os.fsdecode``
            gives it; or its digest in lower-case hexadecimal.
        digests: digests of the item's content, as the sender gives the digests; if the item names a
            digest, that digest.
        referrer: URL of a page that shows the item's content, or links to the content.
        ip: IP address of the server that had the content, as the sender saw it.
        first_seen: time at which the sender first saw the content.
        last_seen: time at which the sender last saw the content.
        classification: the category in which the sender puts the content.
        note: the sender's remark on the item.
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
    """A notice as the reader of a format finds the notice in a mail or file.

    Attributes:
        format: name of the notice's format, e.g. ``scart-csv``.
        items: the items that the notice names: at least one, at most ``MOST_ITEMS``.
        sender: name of the sending organisation, else the address in ``From``; ``None``: the sender
            is anonymous, which is legal.
        contact: the mail address to which an answer to the notice goes.
        reference: the number that the sender gave the notice.
        sent: the time at which the notice was sent, according to the notice.
        authority: name of the authority that orders the removal; ``None``: a hotline's notice.
        legal_basis: the law on which an authority's order is based.
        deadline: the time by which an authority's order must be obeyed.
        password: password of the archive that the notice reports.
        dropped: number of the mail's attachments that hashscan dropped unread.
        remarks: sentences for a person who reads the notice, e.g. the number of lines without an
            item.
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
    """The time at which the 24 hours for a removal start: ``sent``; without ``sent``, ``received``.

    If ``sent`` is after ``received``, the sender's clock was wrong, and the hours count from
    ``received``.
    """
    return received if sent is None else min(sent, received)


@dataclass(frozen=True, slots=True)
class Notice:
    """A stored notice; attributes with a name from ``ParsedNotice`` have the same meaning.

    Attributes:
        received: time at which the notice arrived.
        deadline: the deadline of the open item that is due first; for a closed notice, the deadline
            of the item that was settled last. All items of a new notice have the same deadline.
        closed: time at which an administrator closed the notice, or the last item of the notice was
            settled; ``None``: the notice is open.
        reason: why an administrator closed the notice; "" if the notice is open or its items were
            settled.
        repeat_of: id of the latest earlier notice that names an item of this notice.
        states: for each state, the number of the notice's items in the state.
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
        """The time at which the 24 hours for the removal of the notice's content start."""
        return begin(self.sent, self.received)


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a notice, as stored in the file of notices: with its state and times.

    Attributes:
        number: number of the item; no other item in the file of notices has this number.
        since: time since which the item has its present state.
        removed: time at which hashscan noticed the last removal of the item's files; a reopened
            item keeps this time.
        reason: why the item is not here, refused or gone, why the item waits, or why hashscan
            reopened it. For reports, the reason of an item that is not here begins with a kind and
            a colon, e.g. ``no-site: ``.
        path: absolute path of the first file that the item names.
        repeat_of: id of the latest earlier notice that names the same item.
        deadline: time by which the item must be settled: the notice's first deadline, or the
            deadline that the item got when it was reopened.
        late: whether the content was removed after the deadline that the item had then.
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
    """A file on this machine that belongs to an item of a notice.

    Attributes:
        volume: absolute path of the root of the file's volume, or of the document root if the file
            is outside of all volumes.
        path: path of the file below the root of its volume.
        digests: digests of the file's content, from the last time that hashscan hashed the file.
        category: category of the known set that has the file's content; ``None``: no known set has
            the content.
        action: what hashscan did with the file: ``quarantined``, ``reported``, ``held`` (a brake
            waits for a decision on the file), ``allowed``, or ``""`` before any action.
        quarantine_id: id of the file's record in the quarantine.
        away: time at which hashscan saw that the file is no longer at its path.
        message: a sentence on the file for a person, e.g. why hashscan did not move the file.
        anchor: identifies the volume's root, and the file system in which hashscan saw the file.
            While another file system is mounted at the file's path, or a mount is missing, the file
            does not count as away.
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
    """A mail of the Maildir that hashscan began to read.

    Attributes:
        inode: inode number of the mail's file, to tell mails with the same name apart.
        notice: id of the notice that hashscan found in the mail.
        refused: why hashscan cannot read the mail or find a notice in it.
        tries: how often hashscan began to read the mail without coming to its end.
        key: identity of the mail's bytes, as in ``NoticeStore.add``; ``None``: hashscan has not
            read the bytes.
        version: version of hashscan that refused the mail; a newer version may accept the mail.
    """

    inode: int
    notice: str | None = None
    refused: str | None = None
    tries: int = 0
    key: bytes | None = None
    version: str | None = None


class EventKind(StrEnum):
    """The kinds of steps in the history of a notice."""

    RECEIVED = "received"  #: the notice was stored
    REPEATED = "repeated"  #: a later notice names the same item; ``detail`` has its id
    STATE = "state"  #: the state of an item changed
    NOTE = "note"  #: the reason why an item waits was written down
    FILE = "file"  #: a file of an item was found, judged, moved, or seen to be away
    CLOSED = "closed"
    REOPENED = "reopened"
    APPROVED = "approved"  #: an administrator said that an unproven notice may move files
    ANSWERED = "answered"  #: an answer was written or sent


@dataclass(frozen=True, slots=True)
class NoticeEvent:
    """A step in the history of a notice. No step of a history is ever changed or removed.

    Attributes:
        number: number of the step; a later step has a larger number.
        item: number of the item that the step concerns; ``None``: the step concerns the whole
            notice.
        detail: values of the step, which can be written as JSON. ``STATE`` has the keys ``from``,
            ``to`` and ``reason``. ``RECEIVED``, and a ``STATE`` that changes the deadline, have
            ``deadline`` in seconds since the epoch.
    """

    number: int
    notice: str
    item: int | None
    time: float
    kind: EventKind
    detail: dict[str, object]
