"""Reads mails of the Internet Watch Foundation (United Kingdom): lines ``Key: value``.

The mails have the keys ``URL``, ``URL remarks``, ``IWF serial number``, ``Reason code``,
``Password``, ``IP address``, ``Time assessed``, ``Ref control``, and a block of URLs below ``Also
URLs:``. Not verified: the layout of today's mails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.notices.formats import keyed
from hashscan.notices.formats.keyed import KeyRole
from hashscan.notices.formats.source import NoticeInput, NotThisFormatError

if TYPE_CHECKING:
    from hashscan.notices.notice import ParsedNotice

NAME = "iwf"
_OWN = {
    "url remarks": KeyRole.NOTE,
    "iwf serial number": KeyRole.REFERENCE,
    "reason code": KeyRole.CLASS,
}
_ROLES = {**keyed.USUAL, **_OWN, "time assessed": KeyRole.TIME}


def read(source: NoticeInput) -> ParsedNotice:
    """The notice in a mail of the IWF (United Kingdom).

    Raises:
        NotThisFormatError: the mail lacks keys that mark a mail of the IWF, or has no URL.
    """
    if not source.forced and not keyed.has_key(source, *_OWN):
        raise NotThisFormatError('has no line "IWF serial number:" or "Reason code:"')
    found = keyed.read(source, _ROLES)
    return source.notice(
        NAME,
        found.items(),
        reference=found.references(),
        password=found.first(KeyRole.PASSWORD),
    )
