"""Reads a list of URLs, absolute paths or digests as a notice, one item on each line.

A line of the list may have a URL and digests, or several digests of one content (``md5 sha1``), or
be a line of ``sha1sum``. Lines that begin with ``#`` are comments. Other lines without an item are
remarks. A sentence with a URL may contain an item that the reader misses. So a text with a URL in a
sentence counts as a list only with ``--format list``.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.notices import values
from hashscan.notices.decoding import text_of
from hashscan.notices.formats.source import (
    LONGEST_LINE,
    NoticeInput,
    NotThisFormatError,
    few,
    item_of,
)
from hashscan.notices.notice import ItemKind, ParsedItem
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.model import Digest
    from hashscan.notices.notice import ParsedNotice

NAME = "list"
_LONGEST_PATH = 4096
_BULLET = re.compile(r"\s*(?:[-*\u2022\u00b7>]\s+|\d{1,6}[.)]\s+|>+\s*)")
_SUM = re.compile(r"\\?([0-9A-Fa-f]{32,64}) [ *](\S.*)")


def read(source: NoticeInput) -> ParsedNotice:
    """The notice that a list of URLs, paths or digests makes.

    Raises:
        NotThisFormatError: the reader would miss a URL of the text, or the list has no item.
    """
    reader = _Reader(forced=source.forced)
    items = few(reader.items(source))
    if reader.missed and not source.forced:
        raise NotThisFormatError(reader.missed)
    if not items and reader.empty:
        raise NotThisFormatError("has no item but the digest of empty content")
    if source.headers is not None and reader.others > 3 * len(items) + 20 and not source.forced:
        raise NotThisFormatError(
            f"has {counted(reader.others, 'line')} of text around {counted(len(items), 'item')}"
        )
    return source.notice(NAME, items, remarks=reader.remarks())


class _Reader:
    def __init__(self, *, forced: bool) -> None:
        self._forced = forced
        self.missed = ""  # why the text is no list
        self.others = 0  # number of the text's lines without an item
        self.first = ""
        self.empty = 0  # number of digests in the list that are of empty content
        self.long = 0

    def items(self, source: NoticeInput) -> Iterator[ParsedItem]:
        for text in _texts(source):
            for number, line in enumerate(text.split("\n"), 1):
                if line == "-- ":
                    break  # the signature of the mail follows
                if line.strip() and not line.lstrip().startswith("#"):
                    yield from self._line(line, number)

    def _line(self, line: str, number: int) -> Iterator[ParsedItem]:
        if len(line) > LONGEST_LINE:
            self.long += 1
            return
        if not line.isprintable() and not line.lstrip().startswith("/"):
            line = text_of(line.encode("utf-8", "surrogateescape"))
        found = item_in(line)
        if found is not None:
            yield found
        elif values.is_empty_digest(line):
            self.empty += 1
        elif self._forced and (urls := list(values.urls_in(line))):
            yield from (ParsedItem(ItemKind.URL, one) for one in urls)
        else:
            self.others += 1
            self.first = self.first or line
            if values.has_url(line) and not self.missed:
                self.missed = f"has text around the URL in line {number}"

    def remarks(self) -> Iterator[str]:
        if self.others:
            yield (
                f"{counted(self.others, 'line holds', 'lines hold')} no item, first: "
                f"{shown(values.words(self.first, 60))}"
            )
        if self.empty:
            yield f"{counted(self.empty, 'digest')} of empty content left out"
        if self.long:
            yield f"{counted(self.long, 'line is', 'lines are')} too long to be read"


def _texts(source: NoticeInput) -> Iterator[str]:
    """The texts of a mail or file. A file's text keeps bytes that are not UTF-8, for paths."""
    if source.headers is None and len(source.texts) == 1 and "html" not in source.texts[0].kind:
        raw = source.texts[0].raw
        if raw and b"\x00" not in raw:
            text = os.fsdecode(raw.removeprefix(b"\xef\xbb\xbf"))
            yield text.replace("\r\n", "\n").replace("\r", "\n")
            return
    yield from source.readable()


def item_in(line: str) -> ParsedItem | None:
    """The notice's item in a line; ``None``: the line has no item, or has other text, too."""
    bare = line.strip()
    if bare.startswith("/") and not bare.startswith("//"):
        return _path(bare)
    summed = _SUM.fullmatch(bare)
    if summed is not None and (digest := values.digest(summed[1])) is not None:
        found = item_of(None, (digest,))
        return found and replace(found, note=values.words(summed[2]))
    if (marked := _BULLET.match(line)) is not None:
        bare = line[marked.end() :].strip()
    urls: list[str] = []
    digests: list[Digest] = []
    for word in bare.split():
        if (url := values.url(word, guess=True) or values.url(values.trimmed(word))) is not None:
            urls.append(url)
            continue
        for piece in filter(None, re.split(r"[,;]", word)):
            digest = values.digest(piece)
            if digest is None:
                if piece.lower().rstrip(":=") in _LABELS:
                    continue
                return None
            digests.append(digest)
    if len(urls) > 1:
        return None
    return item_of(urls[0] if urls else None, digests)


_LABELS = frozenset({"md5", "sha1", "sha-1", "sha256", "sha-256"})


def _path(text: str) -> ParsedItem | None:
    if len(text) > _LONGEST_PATH or "\x00" in text or "\n" in text:
        return None
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return None
    return ParsedItem(ItemKind.PATH, text)
