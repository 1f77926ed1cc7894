"""Reads mails with URLs after a fixed sentence: mails of NCMEC, jugendschutz.net and PHAROS.

Open-source parsers of abuse mails recognise the mails by these sentences. Not verified: the
sentences in today's mails.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from hashscan.notices import values
from hashscan.notices.formats.source import (
    LONGEST_LINE,
    NoticeInput,
    NotThisFormatError,
    item_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.notices.notice import ParsedItem, ParsedNotice

_ADDRESS = re.compile(r"[0-9A-Fa-f:.\[\]]{3,60}")


class _Sender(NamedTuple):
    name: str
    sentence: str
    subject: str = ""


NCMEC = _Sender(
    "ncmec",
    "received a number of reports for the same domain",
    "notice of possible child exploitation on your service",
)
JUGENDSCHUTZ = _Sender("jugendschutz", "a report on the following URL")
PHAROS = _Sender("pharos", "these contents are visible at the following addresses")


def read_ncmec(source: NoticeInput) -> ParsedNotice:
    """The notice in a mail of NCMEC (United States).

    Raises:
        NotThisFormatError: the mail lacks NCMEC's sentence, or no URL follows the sentence.
    """
    return _read(source, NCMEC)


def read_jugendschutz(source: NoticeInput) -> ParsedNotice:
    """The notice in a mail of jugendschutz.net (Germany).

    Raises:
        NotThisFormatError: the mail lacks jugendschutz.net's sentence, or no URL follows the
            sentence.
    """
    return _read(source, JUGENDSCHUTZ)


def read_pharos(source: NoticeInput) -> ParsedNotice:
    """The notice in a mail of PHAROS (France).

    Raises:
        NotThisFormatError: the mail lacks PHAROS's sentence, or no URL follows the sentence.
    """
    return _read(source, PHAROS)


def _read(source: NoticeInput, sender: _Sender) -> ParsedNotice:
    sentence = re.compile(r"\s+".join(map(re.escape, sender.sentence.split())), re.IGNORECASE)
    subject = bool(sender.subject) and sender.subject in source.subject.lower()
    items: list[ParsedItem] = []
    seen = False
    for text in source.readable():
        found = sentence.search(text)
        seen = seen or found is not None
        if found is None and not (subject or source.forced):
            continue
        ip = _ip(text)
        urls = _urls(text[found.end() if found else 0 :])
        items += (replace(one, ip=ip) for one in map(item_of, urls) if one is not None)
    if not (seen or subject or source.forced):
        raise NotThisFormatError(f'has no sentence with "{sender.sentence}"')
    return source.notice(sender.name, items)


def _urls(text: str) -> Iterator[str]:
    """The URLs in the first lines with URLs that follow each other."""
    begun = False
    for line in text.split("\n"):
        if line == "-- ":
            return
        if not line.strip() or len(line) > LONGEST_LINE:
            continue
        whole = values.url(line.strip("> \t-*\u2022"))
        several = [whole] if whole else list(values.urls_in(line))
        if not several and begun:
            return
        begun = begun or bool(several)
        yield from several


def _ip(text: str) -> str | None:
    """The first IP address in a text that is not part of a URL; ``None``: no IP address."""
    for word in text[:65536].split():
        if "/" not in word and _ADDRESS.fullmatch(bare := word.strip("(),;.<>\"'")):
            found = values.ip(bare)
            if found is not None:
                return found
    return None
