"""Reads a notice of any sender in lines ``Key: value``: ``URL:``, ``IP:``, ``SHA1:`` and so on.

``keyed.USUAL`` lists the keys of this format, e.g. ``url``. A URL after another key, or in a
sentence, counts as a remark, not as an item. A text with more URLs in remarks than in items is no
notice in this format.
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
    """The notice in a text of lines ``Key: value``.

    Raises:
        NotThisFormatError: no key names a URL or a digest, or the reader would miss a URL.
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
