"""The decoded mail or file that a format's reader gets, and helpers to make a notice."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from hashscan.notices.markup import HtmlTable, tables, text_of
from hashscan.notices.notice import MOST_ITEMS, ItemKind, ParsedItem, ParsedNotice
from hashscan.notices.values import (
    LONGEST_WORDS,
    has_url,
    moment,
    strongest,
    urls_in,
    words,
)
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashscan.model import Digest
    from hashscan.notices.mail import Headers, Text

_QUOTE = re.compile(r"^(?:> ?){1,20}")
#: The most remarks that one notice may have.
MOST_REMARKS = 20
#: Readers skip a line of a mail or file with more characters than this.
LONGEST_LINE = 16 * 1024


_TOO_MANY = f"names more than {MOST_ITEMS:,} items; split it into several files"


class NotThisFormatError(Exception):
    """A mail or file is not in a format. The error's message continues a sentence with "it"."""


@dataclass(frozen=True)
class NoticeInput:
    """A decoded mail or file, from which a format's reader makes a notice.

    Attributes:
        texts: the parts of the mail that are text, or the text of the file.
        headers: headers of the mail; ``None``: the reader gets a file, not a mail.
        dropped: number of the mail's attachments that hashscan dropped unread.
        forced: whether the caller named the format, so that the reader need not recognise it.
        by_html: whether the reader uses the HTML of the mail, not the mail's plain text.
    """

    texts: tuple[Text, ...]
    headers: Headers | None = None
    dropped: int = 0
    forced: bool = False
    by_html: bool = False

    def _remark_on_missed_urls(self, items: list[ParsedItem]) -> str:
        """A remark on URLs in the text that are no item; "" if each URL is an item."""
        values = (value for one in items for value in (one.value, one.referrer) if value)
        taken = {part for value in values for part in (value, value.partition(" ")[0])}
        rest: dict[str, None] = {}
        for text in self.readable():
            if text.lstrip()[:1] in ("{", "["):
                continue
            for line in text.split("\n"):
                if line == "-- ":
                    break  # the signature of the mail follows
                if line not in taken and len(line) <= LONGEST_LINE and has_url(line):
                    rest.update(dict.fromkeys(one for one in urls_in(line) if one not in taken))
        if not rest:
            return ""
        first = shown(words(next(iter(rest)), 100))
        return f"{counted(len(rest), 'URL')} in the text not taken as items, first: {first}"

    @property
    def subject(self) -> str:
        """The subject of the mail; "" without a subject."""
        return self.headers.get("subject") if self.headers else ""

    def readable(self) -> list[str]:
        """The texts as a person reads them: plain text without quotation marks, HTML as text."""
        return self._readable

    @cached_property
    def _readable(self) -> list[str]:
        return list(self._as_read())

    def _as_read(self) -> Iterator[str]:
        for one in self.texts:
            if one.kind in ("text/html", "application/xhtml+xml"):
                if self.by_html or not one.alternative:
                    yield text_of(one.text)
            elif one.kind == "text/plain" and self.headers is not None:
                if not (self.by_html and not one.name):
                    yield unquoted(one.text)
            else:
                yield one.text

    def tables(self) -> list[HtmlTable]:
        """The tables in the HTML texts of the mail or file."""
        return self._tables

    @cached_property
    def _tables(self) -> list[HtmlTable]:
        return [table for one in self.texts if "html" in one.kind for table in tables(one.text)]

    def notice(
        self,
        name: str,
        items: Iterable[ParsedItem],
        *,
        sender: str | None = None,
        contact: str | None = None,
        reference: str | None = None,
        sent: float | None = None,
        password: str | None = None,
        remarks: Iterable[str] = (),
        complete: bool = False,
    ) -> ParsedNotice:
        """The notice in format ``name``; values that the reader did not find come from the headers.

        A remark lists URLs in the text that are no item, unless ``complete`` says that ``remarks``
        already contains these URLs.

        Raises:
            NotThisFormatError: the notice has no item, or too many items.
        """
        found, twice = distinct(items)
        if not found:
            raise NotThisFormatError("names no URL, path or digest")
        headers = self.headers
        if headers is not None:
            contact = contact or headers.address("reply-to") or headers.address("from") or None
            sender = sender or headers.address("from") or None
            if (dated := moment(headers.get("date"))) is not None:
                sent = dated
        notes = [words(one, 300) for one in remarks]
        if twice:
            notes.append(f"{counted(twice, 'item is', 'items are')} named more than once")
        if not complete and (rest := self._remark_on_missed_urls(found)):
            notes.append(rest)
        return ParsedNotice(
            name,
            tuple(found),
            sender=_words(sender),
            contact=_words(contact),
            reference=_words(reference),
            sent=sent,
            password=_words(password),
            dropped=self.dropped,
            remarks=bounded(notes),
        )


def _words(text: str | None) -> str | None:
    return words(text) or None if text else None


def unquoted(text: str) -> str:
    """A mail's text without signatures and without the marks of quoted lines (``> ``).

    A signature ends at the beginning or end of a quotation, and at a line of dashes, because a
    forwarded notice may follow.
    """
    if "\n-- \n" not in text and "\n>" not in text and not text.startswith(">"):
        return text
    lines: list[str] = []
    signature: bool | None = None  # inside a signature: whether the signature is in a quotation
    for line in text.split("\n"):
        bare = _QUOTE.sub("", line, count=1)
        quoted = len(bare) < len(line)
        if signature is not None and (quoted is not signature or bare.startswith("---")):
            signature = None
        if bare == "-- ":
            signature = quoted
        if signature is None:
            lines.append(bare)
    return "\n".join(lines)


def bounded(remarks: list[str]) -> tuple[str, ...]:
    """A notice's first remarks, each up to ``LONGEST_WORDS``, and the number of further remarks."""
    remarks = [one[:LONGEST_WORDS] for one in remarks]
    if len(remarks) <= MOST_REMARKS:
        return tuple(remarks)
    return (*remarks[: MOST_REMARKS - 1], f"{len(remarks) - MOST_REMARKS + 1:,} more remarks")


def check_number(number: int) -> None:
    """Raise if a notice would have too many items even if the sender names each item twice.

    Raises:
        NotThisFormatError: ``number``, the number of items, is too large.
    """
    if number > 2 * MOST_ITEMS:
        raise NotThisFormatError(_TOO_MANY)


def few(items: Iterable[ParsedItem]) -> list[ParsedItem]:
    """The items of a notice as a list, bounded so that a sender's mistake cannot fill the memory.

    Raises:
        NotThisFormatError: the notice has more items than ``check_number`` allows.
    """
    found = []
    for one in items:
        found.append(one)
        check_number(len(found))
    return found


def distinct(items: Iterable[ParsedItem]) -> tuple[list[ParsedItem], int]:
    """The items of a notice without repetitions, and the number of repetitions.

    Raises:
        NotThisFormatError: the notice has too many items.
    """
    found: dict[tuple[ItemKind, str], ParsedItem] = {}
    twice = 0
    for one in items:
        key = (one.kind, one.value)
        before = found.get(key)
        if before is None:
            if len(found) >= MOST_ITEMS:
                raise NotThisFormatError(_TOO_MANY)
            found[key] = one
            continue
        twice += 1
        more = tuple(digest for digest in one.digests if digest not in before.digests)
        if more:
            found[key] = replace(before, digests=before.digests + more[:10])
    return list(found.values()), twice


def item_of(
    url: str | None, digests: Iterable[Digest] = (), *, path: str | None = None
) -> ParsedItem | None:
    """An item of a notice: with a URL; without a URL, with a path; without a path, with digests."""
    several = tuple(dict.fromkeys(digests))
    if url is not None:
        return ParsedItem(ItemKind.URL, url, several)
    if path is not None:
        return ParsedItem(ItemKind.PATH, path, several)
    if several:
        return ParsedItem(ItemKind.DIGEST, strongest(several).hex, several)
    return None
