"""Finds the local files that a page shows, from the page's text; renders and runs nothing.

General HTML parsers take quadratic time for some pages. So this module finds attributes and
``url(...)`` anywhere, also in comments and scripts, in one pass with expressions that do not
backtrack. A reference that the page does not really show does no harm, because hashscan acts on the
file only if a list has the file's digest.
"""

from __future__ import annotations

import codecs
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from hashscan.notices.markup import unescaped
from hashscan.notices.sites.disk import Disk
from hashscan.notices.sites.location import Location, LocationKind, UndecidedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.notices.sites.sites import Sites

MOST_BYTES = 2 << 20  # the most bytes read of a single page or stylesheet
MOST_TOTAL = 16 << 20  # the most bytes read of all pages and stylesheets
MOST_REFERENCES = 5000
MOST_SECONDS = 10.0
_DEEPEST = 3  # the deepest nesting of frames or imported stylesheets
_MOST_FOREIGN = 20  # the most other hosts whose URLs are located
_VALUE = r"""\s{0,20}+(?:"([^"]{0,8192}+)"|'([^']{0,8192}+)'|([^\s"'<>`=]{1,8192}+))"""
_ATTRIBUTE = re.compile(
    r"\b(src|srcset|imagesrcset|href|poster|background|data|content|original)\s{0,20}+=" + _VALUE,
    re.IGNORECASE,
)
_URL = re.compile(
    r"""\burl\(\s{0,20}+(?:"([^"]{0,8192}+)"|'([^']{0,8192}+)'|"""
    r"""((?:[^\s"'()\\]|\\[0-9A-Fa-f]{1,6}\s?|\\.){1,8192}+))\s{0,20}+\)""",
    re.IGNORECASE,
)
_IMPORT = re.compile(r"""@import\s{0,20}+["']([^"'\n]{1,8192}+)["']""", re.IGNORECASE)
_BASE = re.compile(r"<base\b([^<>]{0,9000}+)>", re.IGNORECASE)
_DESCRIPTOR = re.compile(r"[0-9.]{1,20}[wxh]")
_CSS_ESCAPE = re.compile(r"\\(?:([0-9A-Fa-f]{1,6})\s?|(.))", re.DOTALL)
_PAGES = (b".html", b".htm", b".xhtml", b".shtml", b".xht", b".php", b".phtml")
_SHEETS = (b".css",)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The files on this machine that a web page shows.

    Attributes:
        files: locations of the files that the page shows, each location once, without the page
            itself.
        remarks: sentences on references beyond a bound, and on shown files that cannot be read.
    """

    files: tuple[Location, ...]
    remarks: tuple[str, ...] = ()


def is_page(location: Location) -> bool:
    """Whether a location's file may refer to other files: a page, a stylesheet, a script's text."""
    return bool(location.path) and (
        location.kind is LocationKind.SCRIPT
        or (
            location.kind is LocationKind.FILE
            and location.path.lower().endswith((*_PAGES, *_SHEETS, b".svg"))
        )
    )


def _is_markup(location: Location) -> bool:
    return is_page(location) and not location.path.lower().endswith(_SHEETS)


def _text(content: bytes) -> str:
    """The text of a page; bytes that are not UTF-8 become surrogates, as in file names."""
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    if b"\0" in content[:64]:  # the page is in UTF-16 without a byte-order mark
        encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
        return content.decode(encoding, "replace")
    return os.fsdecode(content)


def _candidates(value: str) -> Iterator[str]:
    """The URLs of an attribute ``srcset``; a URL may contain commas, and a size may follow it."""
    for word in value.split():
        given = word.strip(",")
        if given and not _DESCRIPTOR.fullmatch(given):
            yield given
            if "," in given:
                yield from (one for one in given.split(",") if not _DESCRIPTOR.fullmatch(one))


def _css(text: str) -> str:
    return _CSS_ESCAPE.sub(lambda found: _character(found[1]) if found[1] else found[2], text)


def _character(digits: str) -> str:
    code = int(digits, 16)
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"


def references(content: bytes, url: str) -> Iterator[tuple[str, bool]]:
    """Each URL to which a page or stylesheet refers, and whether a link (``href``) refers to it.

    Args:
        content: the first bytes of the page or stylesheet.
        url: URL of the page or stylesheet; the page's element ``base`` may replace this URL.
    """
    text = _text(content)
    base = url
    element = _BASE.search(text)
    if element is not None:
        for found in _ATTRIBUTE.finditer(element[1]):
            if found[1].lower() == "href":
                base = _joined(url, unescaped(_given(found, 2))) or url
    for found in _ATTRIBUTE.finditer(text):
        name, value = found[1].lower(), unescaped(_given(found, 2))
        if name == "content" and not re.match("/|https?:", value):
            continue
        for one in _candidates(value) if name.endswith("srcset") else (value,):
            yield from ((joined, name == "href") for joined in _readings(base, one))
    for found in _URL.finditer(text):
        # An attribute ``style`` contains quotes and & as character references.
        given = _css(unescaped(_given(found, 1))).strip("\"' ")
        yield from ((joined, False) for joined in _readings(base, given))
    for found in _IMPORT.finditer(text):
        yield from ((joined, False) for joined in _readings(base, _css(found[1])))
    if "&quot;" in text or "&#" in text:
        for found in _URL.finditer(text.replace("&quot;", '"').replace("&#39;", "'")):
            yield from ((joined, False) for joined in _readings(base, _css(_given(found, 1))))


def _given(found: re.Match[str], first: int) -> str:
    return next((one for one in found.groups()[first - 1 :] if one is not None), "")


def _readings(base: str, value: str) -> Iterator[str]:
    """The URL of a page's reference; for a reference that is not UTF-8, also the URL as Latin-1."""
    joined = _joined(base, value)
    if joined is not None:
        yield joined
        if not joined.isascii() and any("\udc80" <= one <= "\udcff" for one in joined):
            yield os.fsencode(joined).decode("latin-1")


def _joined(base: str, value: str) -> str | None:
    value = value.strip()
    if not value or value.startswith("#"):
        return None
    try:
        joined = urljoin(base, value)
        parts = urlsplit(joined)
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return joined.partition("#")[0]


class _Search:
    """Follows the references of one page to stylesheets and frames, within bounds."""

    def __init__(self, sites: Sites, url: str, seconds: float) -> None:
        self._sites = sites
        self._end = time.monotonic() + seconds
        self._hosts = {urlsplit(url).hostname}
        self._elsewhere: set[str | None] = set()
        self._asked = {url}
        self._left = MOST_TOTAL
        self.files: dict[bytes, Location] = {}
        self.remarks: list[str] = []

    def remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

    def run(self, url: str, location: Location, depth: int = 0) -> None:
        content = self._content(location)
        for reference, is_link in references(content, url):
            if len(self._asked) > MOST_REFERENCES:
                self.remark(f"only the first {MOST_REFERENCES:,} references were followed")
                return
            if time.monotonic() > self._end:
                self.remark("the search for the page's files took too long and was stopped")
                return
            if reference in self._asked:
                continue
            self._asked.add(reference)
            found = self._located(reference)
            if found is None or found.full in self.files or (is_link and _is_markup(found)):
                continue
            if found.kind is LocationKind.FILE:
                self.files[found.full] = found
            if is_page(found) and depth < _DEEPEST:
                self.run(reference, found, depth + 1)

    def _located(self, reference: str) -> Location | None:
        host = urlsplit(reference).hostname
        if host in self._elsewhere:
            return None
        if host not in self._hosts and len(self._hosts) > _MOST_FOREIGN:
            self.remark(f"references to more than {_MOST_FOREIGN} other hosts were left out")
            return None
        found = self._sites.locate(reference)
        (self._elsewhere if found.kind is LocationKind.NO_SITE else self._hosts).add(host)
        return found

    def _content(self, location: Location) -> bytes:
        try:
            with Disk() as disk:
                content = disk.read(location.root, location.path, min(MOST_BYTES, self._left))
        except UndecidedError as error:
            self.remark(f"the page could not be read: {error}")
            return b""
        if content is None:
            return b""
        if len(content) > min(MOST_BYTES, self._left):
            self.remark("only the beginning of a large page was searched")
        self._left = max(0, self._left - len(content))
        return content


def parts_of(sites: Sites, url: str, location: Location, *, seconds: float = MOST_SECONDS) -> Parts:
    """The local files that a page shows, by ``src``, ``href``, ``srcset``, ``url()`` and so on.

    The search follows stylesheets and frames, but no links to other pages, and fetches nothing.

    Args:
        sites: the sites that this machine's web servers serve.
        url: URL of the web page.
        location: location of the page's file.
        seconds: the longest time for the search, in seconds.
    """
    if not is_page(location):
        return Parts(())
    search = _Search(sites, url, seconds)
    search.run(url, location)
    search.files.pop(location.full, None)
    return Parts(tuple(search.files.values()), tuple(search.remarks))
