"""Reads mails of FSM and eco (Germany): lines ``Key: value``.

The mails have the keys ``Date/Time assessed``, ``Hotline unique report number``, ``IP address``,
and ``URL(s)`` with the URLs on the lines below this key. Not verified: the layout of today's mails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.notices.formats import keyed
from hashscan.notices.formats.keyed import KeyRole
from hashscan.notices.formats.source import NoticeInput, NotThisFormatError

if TYPE_CHECKING:
    from hashscan.notices.notice import ParsedNotice

NAME = "fsm"
_ROLES = {
    **keyed.USUAL,
    "date/time assessed": KeyRole.TIME,
    "date assessed": KeyRole.TIME,
    "time assessed": KeyRole.TIME,
    "hotline unique report number": KeyRole.REFERENCE,
}


def read(source: NoticeInput) -> ParsedNotice:
    """The notice in a mail of FSM (Germany).

    Raises:
        NotThisFormatError: the mail lacks the key that marks a mail of FSM, or has no URL.
    """
    if not source.forced and not keyed.has_key(source, "hotline unique report number"):
        raise NotThisFormatError('has no line "Hotline unique report number:"')
    found = keyed.read(source, _ROLES)
    return source.notice(NAME, found.items(), reference=found.references())
