"""Reads mails of Cybertip.ca and Project Arachnid (Canadian Centre for Child Protection, C3P).

The subject of a mail has ``[Report #123]``. The text has defanged URLs, and ``Path:`` or ``Image
Path:``, ``Referring page:``, ``IP:`` and ``SHA1:``. Not verified: whether ``Path`` is a URL or a
path on the host of the URL before it, and whether the digest may be in Base32. The reader accepts a
URL or a path after ``Path:``, and a digest in hexadecimal or Base32.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hashscan.notices.formats import keyed
from hashscan.notices.formats.keyed import KeyRole
from hashscan.notices.formats.source import NoticeInput, NotThisFormatError

if TYPE_CHECKING:
    from hashscan.notices.notice import ParsedNotice

NAME = "cybertip"
_SUBJECT = re.compile(r"\[Report #(\d{1,20})\]", re.IGNORECASE)
_ROLES = {**keyed.USUAL, "path": KeyRole.PATH, "image path": KeyRole.PATH, "image url": KeyRole.URL}


def read(source: NoticeInput) -> ParsedNotice:
    """The notice in a mail of Cybertip.ca or Project Arachnid (C3P).

    Raises:
        NotThisFormatError: neither the subject nor the keys are C3P's, or the mail has no URL or
            digest.
    """
    subject = _SUBJECT.search(source.subject)
    if subject is None and not source.forced and not keyed.has_key(source, "image path"):
        raise NotThisFormatError('has no "[Report #…]" in its subject, and no "Image Path:"')
    found = keyed.read(source, _ROLES, lone_urls=True)
    return source.notice(
        NAME,
        found.items(),
        reference=subject[1] if subject else found.references(),
        password=found.first(KeyRole.PASSWORD),
    )
