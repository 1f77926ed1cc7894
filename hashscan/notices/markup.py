"""Reads the text and the tables of HTML; renders, fetches and executes nothing.

For some broken documents the standard library's HTML parser needs time that grows with the square
of the document's size (CVE-2025-6069). So this module splits a document into tags and texts in one
pass, and gives that parser one tag at a time. A tag ends at the first ``>``.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The attributes of an HTML tag with more characters than this are not read.
_LONGEST_TAG = 16 * 1024
#: The deepest nesting of HTML tables that is read. Mails use nested tables for their layout.
_DEEPEST_TABLE = 40
_NAME = re.compile(r"/?[A-Za-z][A-Za-z0-9:-]{0,40}")
_UNSHOWN = {
    name: re.compile(rf"</{name}\b", re.IGNORECASE)
    for name in ("script", "style", "title", "template", "noscript", "svg", "object")
}
_BREAKS = frozenset(
    {"address", "article", "blockquote", "body", "br", "dd", "div", "dl", "dt", "footer", "form",
     "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html", "li", "main", "ol", "p",
     "pre", "section", "table", "tbody", "tfoot", "thead", "tr", "ul"}
)  # fmt: skip
_CELLS = frozenset({"td", "th"})
_SPACE = re.compile(r"[ \t\n\f\r\xa0]+")


class Tag(NamedTuple):
    """An HTML tag: its name in lower case, after ``/`` for an end tag, and its text up to ``>``."""

    name: str
    text: str

    def attributes(self) -> dict[str, str]:
        """The tag's attributes by their names in lower case; {} for a tag that is too long."""
        if len(self.text) > _LONGEST_TAG:
            return {}
        reader = _Reader()
        try:
            reader.feed(f"<{self.text}>")
        except (ValueError, AssertionError):  # e.g. a character reference has too large a number
            return {}
        return reader.found


class _Reader(HTMLParser):
    """The standard library's HTML parser, used for a single tag."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """Keep the tag's attributes; of two attributes with the same name, the first counts."""
        for name, value in attrs:
            self.found.setdefault(name, value or "")


def tokens(text: str) -> Iterator[Tag | str]:
    """The tags and texts of an HTML document, without comments, scripts and styles."""
    at = 0
    while at < len(text):
        start = text.find("<", at)
        if start < 0:
            yield unescaped(text[at:])
            return
        if start > at:
            yield unescaped(text[at:start])
        if text.startswith("<!--", start):
            end = text.find("-->", start + 2)
            at = len(text) if end < 0 else end + 3
            continue
        name = _NAME.match(text, start + 1)
        if name is None and text[start + 1 : start + 2] not in ("!", "?", "/"):
            yield "<"
            at = start + 1
            continue
        end = text.find(">", start)
        if end < 0:
            return
        at = end + 1
        if name is None:
            continue
        tag = Tag(name[0].lower(), text[start + 1 : end])
        yield tag
        if tag.name in _UNSHOWN and not tag.text.endswith("/"):
            closing = _UNSHOWN[tag.name].search(text, at)
            at = closing.start() if closing else len(text)


def unescaped(text: str) -> str:
    """A text with character references, e.g. ``&amp;``, replaced by their characters."""
    if "&" not in text:
        return text
    try:
        return html.unescape(text)
    except (ValueError, OverflowError):  # a character reference has thousands of digits
        return text


def text_of(document: str) -> str:
    """The text of an HTML document: a line for each block, and tabs between a table's cells."""
    parts: list[str] = []
    for token in tokens(document):
        if isinstance(token, str):
            parts.append(_SPACE.sub(" ", token))
        elif token.name.removeprefix("/") in _BREAKS:
            parts.append("\n")
        elif token.name in _CELLS:
            parts.append("\t")
    lines = ("".join(parts)).split("\n")
    return "\n".join(line.strip(" ") for line in lines)


class HtmlCell(NamedTuple):
    """A cell of an HTML table: its text, and the URL of its first link; "" without a link."""

    text: str
    link: str


@dataclass(slots=True)
class HtmlTable:
    """An HTML table: the words of its attribute ``class``, and its rows."""

    classes: frozenset[str]
    rows: list[list[HtmlCell]] = field(default_factory=list)


class _Open:
    """An HTML table that is being read: its end tag is not found yet."""

    def __init__(self, classes: frozenset[str]) -> None:
        self.table = HtmlTable(classes)
        self._texts: list[str] | None = None
        self._link = ""

    def row(self) -> None:
        self.end_cell()
        if not self.table.rows or self.table.rows[-1]:
            self.table.rows.append([])

    def cell(self) -> None:
        self.end_cell()
        if not self.table.rows:
            self.row()
        self._texts = []

    def end_cell(self) -> None:
        if self._texts is not None:
            text = _SPACE.sub(" ", "".join(self._texts)).strip()
            self.table.rows[-1].append(HtmlCell(text, self._link))
        self._texts, self._link = None, ""

    def text(self, text: str) -> None:
        if self._texts is not None:
            self._texts.append(text)

    def link(self, address: str) -> None:
        self._link = self._link or address


def tables(document: str) -> list[HtmlTable]:
    """The tables of an HTML document; a nested table comes after the table that contains it."""
    found: list[HtmlTable] = []
    opened: list[_Open] = []
    for token in tokens(document):
        if isinstance(token, str):
            if opened:
                opened[-1].text(token)
        elif token.name == "table":
            if len(opened) < _DEEPEST_TABLE:
                classes = frozenset(token.attributes().get("class", "").lower().split())
                opened.append(_Open(classes))
                found.append(opened[-1].table)
        elif opened:
            _within(opened, token)
    for one in opened:
        one.end_cell()
    return found


def _within(opened: list[_Open], tag: Tag) -> None:
    """Apply an HTML tag to the innermost table that is not closed yet."""
    here = opened[-1]
    if tag.name == "/table":
        here.end_cell()
        opened.pop()
    elif tag.name in ("tr", "/tr"):
        here.row()
    elif tag.name in _CELLS:
        here.cell()
    elif tag.name in ("/td", "/th"):
        here.end_cell()
    elif tag.name == "br":
        here.text("\n")
    elif tag.name == "a":
        here.link(tag.attributes().get("href", ""))
