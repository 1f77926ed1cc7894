"""Reads lines ``Key: value``, which most hotlines write, into records of one report each.

A new record begins at a key that the present record already has. A key without a value may have a
block of URLs on the lines below the key. Lines without a key are prose. In some formats a URL alone
on a line is an item of the notice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from hashscan.notices import values
from hashscan.notices.formats.source import LONGEST_LINE, NoticeInput, check_number, item_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashscan.model import Digest
    from hashscan.notices.notice import ParsedItem

_KEY = re.compile(r"[A-Za-z][\w /()#.-]{0,59}")
_QUOTED = re.compile(r"(?:>\s?)+|[-*\u2022]\s+|\d{1,6}[.)]\s+")


class KeyRole(StrEnum):
    """The meaning of a key in a line ``Key: value``."""

    URL = "url"
    MORE_URLS = "more-urls"  #: more URLs of the report
    PAGE = "page"  #: URL of a page that shows the content or has a link to it
    PATH = "path"  #: path of a URL whose host is in the same record
    IP = "ip"
    TIME = "time"
    CLASS = "class"
    NOTE = "note"
    PASSWORD = "password"  # noqa: S105
    REFERENCE = "reference"
    SENDER = "sender"
    DIGEST = "digest"


#: Keys that have the same meaning for every sender, in lower case.
USUAL: dict[str, KeyRole] = {
    "url": KeyRole.URL,
    "urls": KeyRole.URL,
    "url(s)": KeyRole.URL,
    "reported url": KeyRole.URL,
    "also urls": KeyRole.MORE_URLS,
    "page": KeyRole.PAGE,
    "referring page": KeyRole.PAGE,
    "referrer": KeyRole.PAGE,
    "ip": KeyRole.IP,
    "ip address": KeyRole.IP,
    "md5": KeyRole.DIGEST,
    "sha1": KeyRole.DIGEST,
    "sha-1": KeyRole.DIGEST,
    "sha256": KeyRole.DIGEST,
    "sha-256": KeyRole.DIGEST,
    "password": KeyRole.PASSWORD,
    "reference": KeyRole.REFERENCE,
    "report id": KeyRole.REFERENCE,
    "ticket": KeyRole.REFERENCE,
    "classification": KeyRole.CLASS,
    "category": KeyRole.CLASS,
    "date": KeyRole.TIME,
    "time": KeyRole.TIME,
    "first seen": KeyRole.TIME,
    "note": KeyRole.NOTE,
    "remarks": KeyRole.NOTE,
}


class Pair(NamedTuple):
    """A line of a text: its number, its key in lower case ("" without a key), and its value."""

    line: int
    key: str
    value: str


def pairs(text: str) -> Iterator[Pair]:
    """The lines of a text that are not empty, up to the signature of a mail."""
    for number, line in enumerate(text.split("\n"), 1):
        if line == "-- ":
            return
        bare = line.strip()
        if (quoted := _QUOTED.match(bare)) is not None:
            bare = bare[quoted.end() :].strip()
        if not bare or len(bare) > LONGEST_LINE:
            continue
        key, mark, value = bare.partition(":")
        key = key.strip()
        value = value.strip()
        if not mark or value.startswith(("//", "]//", "\\")) or not _KEY.fullmatch(key):
            yield Pair(number, "", bare)
        else:
            yield Pair(number, " ".join(key.lower().split()), value)


@dataclass(slots=True)
class KeyedRecord:
    """A hotline's report: its values by the meanings of their keys, its URLs, and its digests."""

    values: dict[KeyRole, str] = field(default_factory=dict)
    urls: list[str] = field(default_factory=list)
    digests: dict[str, Digest] = field(default_factory=dict)


@dataclass(slots=True)
class Found:
    """The records (one for each report) that were read from a text of lines ``Key: value``.

    Attributes:
        keys: the known keys that the text has.
        missed: number of the text's lines with a URL that is no item.
    """

    records: list[KeyedRecord] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    missed: int = 0

    def first(self, role: KeyRole) -> str:
        """The first value in the records whose key has the meaning ``role``; "" without a value."""
        return next((one.values[role] for one in self.records if role in one.values), "")

    def references(self) -> str:
        """The first ten reference numbers in the records, separated by commas."""
        several = (one.values.get(KeyRole.REFERENCE, "") for one in self.records)
        return ", ".join(list(dict.fromkeys(filter(None, several)))[:10])

    def items(self) -> Iterator[ParsedItem]:
        """The items of a notice, made from the records."""
        for record in self.records:
            known = record.values
            common = {
                "ip": values.ip(known.get(KeyRole.IP, "")),
                "referrer": values.url(known.get(KeyRole.PAGE, "")),
                "first_seen": values.moment(known.get(KeyRole.TIME, "")),
                "classification": values.words(known.get(KeyRole.CLASS, "")) or None,
                "note": values.words(known.get(KeyRole.NOTE, "")) or None,
            }
            digests = tuple(record.digests.values())
            several: list[str | None] = [*record.urls] or [None]
            for url in several:
                # The digests belong to the record's first URL; the other URLs may have other
                # content.
                item = item_of(url, digests if url == several[0] else ())
                if item is not None:
                    yield replace(item, **common)  # type: ignore[arg-type]


def has_key(source: NoticeInput, *keys: str) -> bool:
    """Whether a line of a mail or file begins with one of ``keys`` and a colon."""
    several = "|".join(map(re.escape, keys))
    begin = re.compile(
        rf"^[> \t*\u2022-]{{0,20}}(?:{several})[ \t]*:", re.IGNORECASE | re.MULTILINE
    )
    return any(begin.search(text) for text in source.readable())


def read(source: NoticeInput, roles: Mapping[str, KeyRole], *, lone_urls: bool = False) -> Found:
    """The records of a mail or file; ``lone_urls``: a URL alone on a line is a record, too."""
    found = Found()
    for text in source.readable():
        _Reader(found, roles, lone_urls=lone_urls).take(text)
    return found


class _Reader:
    def __init__(self, found: Found, roles: Mapping[str, KeyRole], *, lone_urls: bool) -> None:
        self._found = found
        self._roles = roles
        self._lone_urls = lone_urls
        self._record = KeyedRecord()
        self._block: KeyRole | None = None  # the role of URLs on the next lines

    def take(self, text: str) -> None:
        found = self._found
        found.records.append(self._record)
        for pair in pairs(text):
            role = self._roles.get(pair.key) if pair.key else None
            if role is not None:
                found.keys.add(pair.key)
                self._block = role if not pair.value else None
                if self._block is KeyRole.URL and self._record.urls:
                    self._next()
                if pair.value:
                    self._take(role, pair.key, pair.value)
            elif not self._lone(pair) and values.has_url(pair.value):
                found.missed += 1

    def _lone(self, pair: Pair) -> bool:
        """Take a line without a key; return whether the line is part of a record."""
        url = values.url(pair.value) if not pair.key else None
        if self._block is not None and not pair.key:
            if url is None and self._block not in (KeyRole.URL, KeyRole.MORE_URLS):
                self._take(self._block, "", pair.value)
                self._block = None
                return True
            if url is not None:
                self._take(self._block, "", url)
                return True
        self._block = None
        if url is not None and self._lone_urls:
            self._take(KeyRole.URL, "", url)
            return True
        return False

    def _take(self, role: KeyRole, key: str, value: str) -> None:
        if role is KeyRole.DIGEST:
            self._digest(key, value)
        elif role in (KeyRole.URL, KeyRole.MORE_URLS, KeyRole.PATH):
            self._url(role, value)
        else:
            if role in self._record.values:
                self._next()
            self._record.values[role] = value

    def _digest(self, key: str, value: str) -> None:
        name = key.replace("-", "") or None
        digest = values.digest(value, name)  # type: ignore[arg-type]
        if digest is None:
            return
        if digest.algorithm in self._record.digests:
            self._next()
        self._record.digests[digest.algorithm] = digest

    def _url(self, role: KeyRole, value: str) -> None:
        bare, _, behind = value.partition(" (")
        whole = values.url(bare if behind.endswith(")") else value, guess=True)
        # The line has several URLs, or a remark after the URL: take the URLs out of the line.
        urls = [whole] if whole else list(values.urls_in(value))
        record = self._record
        if role is KeyRole.PATH:
            self._path(value, urls)
        elif not urls:
            if values.has_url(value):
                self._found.missed += 1
        elif role is KeyRole.URL and record.urls and self._block is None:
            self._next()
            self._record.urls += urls
        else:
            record.urls += urls

    def _path(self, value: str, urls: list[str]) -> None:
        """Store the content's URL, which may be a path on the host of the URL before it."""
        if KeyRole.PATH in self._record.values:
            host = self._record.urls[:1]
            self._next()
            self._record.urls += [] if urls else host
        record = self._record
        if not urls and record.urls and value.startswith("/"):
            base = "/".join(record.urls[0].split("/", 3)[:3])
            url = values.url(base + value)
            record.urls[:1] = [url] if url else []
        elif urls:
            # The record's first URL was that of a page. The digests belong to the URL of the
            # content.
            record.urls[:0] = urls
        else:
            self._found.missed += 1
        record.values[KeyRole.PATH] = value

    def _next(self) -> None:
        check_number(len(self._found.records))
        self._record = KeyedRecord()
        self._found.records.append(self._record)
