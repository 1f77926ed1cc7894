"""Reads an input and stores its notice."""

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
    """Facts that an administrator gives; they replace facts in the text of the notice.

    Attributes:
        sender: organisation or address of the sender.
        reference: the sender's own number.
        authority: the authority that orders the removal; no format contains it.
        legal_basis: the law that an order names.
        received: time of arrival, in seconds since the epoch; ``None``: now.
        deadline: time by which all items must be settled, in seconds since the epoch.
        within: seconds from the time of sending to the deadline. If the notice gives no time of
            sending, or a time after ``received``, the seconds count from ``received``.
    """

    sender: str | None = None
    reference: str | None = None
    authority: str | None = None
    legal_basis: str | None = None
    received: float | None = None
    deadline: float | None = None
    within: float | None = None


def key_of(content: bytes) -> bytes:
    """The identity of a notice: the SHA-256 of the input."""
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
    """Read an input and store its notice, unless the same bytes were stored before.

    Args:
        store: the file of notices.
        content: the input.
        channel: how the input arrived.
        format: a name in ``intake.FORMATS``; ``None``: recognise the format.
        facts: facts that an administrator gives.
        again: store the notice even if the same bytes were stored before.
        senders: the senders whose mails may move files; ``None``: a person has read the input.

    Raises:
        NoticeError: no format fits the input.
        StateError: the notice cannot be stored.
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
