"""Reads a mail or file from a sender, and stores the notice in it."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hashscan.notices.intake import read
from hashscan.notices.senders import why_unproven

if TYPE_CHECKING:
    from hashscan.notices.notice import Channel
    from hashscan.notices.senders import Senders
    from hashscan.notices.store import AddedNotice, NoticeStore


@dataclass(frozen=True, slots=True)
class InputFacts:
    """Facts about a notice, given by an administrator; these facts replace facts in its text.

    Attributes:
        sender: organisation or mail address of the notice's sender.
        reference: the number by which the sender refers to the notice.
        authority: the authority that orders the removal; no format of notices contains this fact.
        legal_basis: the law on which an authority's order is based.
        received: time at which the notice arrived, in seconds since the epoch; ``None``: now.
        deadline: time by which all items of the notice must be settled, in seconds since the epoch.
        within: seconds from the sending of the notice to the notice's deadline. If the notice gives
            no time of sending, or a time after ``received``, the seconds from ``received`` to the
            deadline.
    """

    sender: str | None = None
    reference: str | None = None
    authority: str | None = None
    legal_basis: str | None = None
    received: float | None = None
    deadline: float | None = None
    within: float | None = None


def key_of(content: bytes) -> bytes:
    """The identity of a notice: the SHA-256 of the bytes that the sender sent."""
    return hashlib.sha256(content).digest()


def accept(
    store: NoticeStore,
    content: bytes,
    *,
    channel: Channel,
    format: str | None = None,  # noqa: A002 - the name of the argument of ``intake.read``
    facts: InputFacts = InputFacts(),
    again: bool = False,
    senders: Senders | None = None,
) -> AddedNotice:
    """Read a mail or file as a notice, and store the notice unless its bytes are stored already.

    Args:
        store: a connection that changes the file of notices.
        content: the bytes of the mail or file.
        channel: the way by which the mail or file arrived, e.g. over HTTP.
        format: name of the notice's format, from ``intake.FORMATS``; ``None``: find out the format.
        facts: facts about the notice that an administrator gives.
        again: whether to store the notice even if the same bytes are stored already.
        senders: the senders whose mails may move files; ``None``: a person has read the mail or
            file.

    Raises:
        NoticeError: the mail or file is a notice in no known format.
        StateError: the notice cannot be stored in the file of notices.
    """
    parsed, kept = read(content, format=format)
    parsed = replace(
        parsed,
        sender=facts.sender or parsed.sender,
        reference=facts.reference or parsed.reference,
        authority=facts.authority or parsed.authority,
        legal_basis=facts.legal_basis or parsed.legal_basis,
    )
    received = time.time() if facts.received is None else facts.received
    deadline = facts.deadline
    if facts.within is not None:
        begin = received if parsed.sent is None else min(parsed.sent, received)
        deadline = begin + facts.within
    key = key_of(content)
    return store.add(
        parsed,
        channel=channel,
        key=key + secrets.token_bytes(8) if again else key,
        content=kept,
        received=received,
        deadline=deadline,
        unproven="" if senders is None else why_unproven(content, senders),
    )
