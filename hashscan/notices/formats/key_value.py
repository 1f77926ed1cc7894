"""Reads lines ``Key: value`` of any sender: ``URL:``, ``IP:``, ``MD5:``, ``SHA1:`` and so on.

The keys are ``keyed.USUAL``. A URL with another key, or in a sentence, is a remark and no item. If
more URLs are remarks than items, the text is no such notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.notices.formats import keyed
from hashscan.notices.formats.keyed import KeyRole
from hashscan.notices.formats.source import NoticeInput, NotThisFormatError, few

if TYPE_CHECKING:
    from hashscan.notices.notice import ParsedNotice

NAME = "key-value"


def read(source: NoticeInput) -> ParsedNotice:
    """The notice of lines ``Key: value``.

    Raises:
        NotThisFormatError: no key is one of a URL or a digest, or URLs would be missed.
    """
    keys = (key for key, role in keyed.USUAL.items() if role in (KeyRole.URL, KeyRole.DIGEST))
    found = keyed.read(source, keyed.USUAL) if keyed.has_key(source, *keys) else keyed.Found()
    items = few(found.items())
    if not items:
        raise NotThisFormatError('has no line "URL:", "MD5:", "SHA1:" or "SHA256:" with a value')
    if found.missed > len(items) and not source.forced:
        raise NotThisFormatError("has more URLs outside of lines such as URL: than in them")
    return source.notice(
        NAME,
        items,
        sender=found.first(KeyRole.SENDER),
        reference=found.references(),
        password=found.first(KeyRole.PASSWORD),
    )
