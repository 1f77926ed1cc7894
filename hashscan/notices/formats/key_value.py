"""Lines ``Key: value`` of any sender: ``URL:``, ``IP:``, ``MD5:``, ``SHA1:`` and the like.

The keys: ``keyed.USUAL``. A URL under another key, or in a sentence, is not taken, and is a remark;
if there are more URLs that are not taken than taken, the text is no such notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.notices.formats import keyed
from hashscan.notices.formats.keyed import Role
from hashscan.notices.formats.source import NotThisFormatError, Source

if TYPE_CHECKING:
    from hashscan.notices.notice import ParsedNotice

NAME = "key-value"


def read(source: Source) -> ParsedNotice:
    """The notice of lines ``Key: value``.

    Raises:
        NotThisFormatError: no key is a URL or a digest, or URLs would be missed.
    """
    keys = (key for key, role in keyed.USUAL.items() if role in (Role.URL, Role.DIGEST))
    found = keyed.read(source, keyed.USUAL) if keyed.has_key(source, *keys) else keyed.Found()
    items = list(found.items())
    if not items:
        raise NotThisFormatError('has no line "URL:", "MD5:", "SHA1:" or "SHA256:" with a value')
    if found.missed > len(items) and not source.forced:
        raise NotThisFormatError("has more URLs outside of lines such as URL: than in them")
    return source.notice(
        NAME,
        items,
        sender=found.first(Role.SENDER),
        reference=found.references(),
        password=found.first(Role.PASSWORD),
    )
