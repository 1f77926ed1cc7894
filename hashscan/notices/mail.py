r"""Splits a mail into headers and texts, within bounds on size, parts and nesting.

The standard library's mail parser has no bounds: it recurses for each level of nesting, takes time
that grows with levels times lines, and copies each attachment several times. This module finds a
mail's parts by their delimiters (RFC 2046, section 5.1.1), in one pass for each level, and drops
attachments that are no text, without decoding them. The standard library parses only the headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import TYPE_CHECKING

from hashscan.notices.decoding import has_more, is_binary, text_of, transferred
from hashscan.notices.kept_text import cut, cut_json
from hashscan.notices.values import words
from hashscan.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bounds on the bytes of a mail; on its text, text lines and HTML tags; on the headers of one part;
#: on the number of parts, and on the nesting of parts.
MOST_BYTES = 64 * 1024 * 1024
MOST_TEXT = 16 * 1024 * 1024
MOST_LINES = 500_000
MOST_TAGS = 3_000_000
MOST_HEADERS = 64 * 1024
MOST_PARTS = 200
DEEPEST_PART = 10
#: Of a mail's part, this many bytes are checked for text before the whole part is decoded.
_SAMPLE = 64 * 1024
#: Of a mail header's value, this many characters are read.
_LONGEST_VALUE = 2000

_HEADER = re.compile(rb"[!-9;-~]{1,100}[ \t]*:")
_BLANK = (b" ", b"\t")
_MAIL_NAMES = frozenset(
    {b"cc", b"date", b"from", b"reply-to", b"subject", b"to", b"bcc", b"user-agent"}
)
#: Names of headers; any of these headers is enough to recognise bytes as a mail.
_ONLY_MAIL = frozenset(
    {b"mime-version", b"received", b"return-path", b"message-id", b"delivered-to", b"x-xarf",
     b"dkim-signature", b"x-original-to", b"auto-submitted", b"content-transfer-encoding"}
)  # fmt: skip
_BLANK_LINE = re.compile(rb"(?:\r\n|\n)[ \t]*(?:\r\n|\n)")
_TRANSFER_ENCODING = re.compile(rb"(?im)^content-transfer-encoding:[^\n]*\n(?:[ \t][^\n]*\n)*")
#: Soft line ends (RFC 3676, DelSp), which break long URLs. The line ``-- `` begins a signature and
#: has no soft end.
_SOFT_END = re.compile(r"(?<!\n--) \n")
_MESSAGES = ("message/rfc822", "message/global")
_TEXTS = frozenset(
    {"application/json", "application/csv", "application/yaml", "application/x-yaml",
     "application/xhtml+xml", "message/feedback-report", "message/delivery-status"}
)  # fmt: skip
_TEXT_NAMES = (".csv", ".txt", ".json", ".htm", ".html", ".yaml", ".yml")
#: Senders' programs label text with these binary media types, too. So the file name decides whether
#: a part with one of these types is text.
_UNSURE = frozenset({"application/octet-stream", "application/vnd.ms-excel", "application/excel"})
_ADDRESS = re.compile(r"[^\s<>()\",;:@]{1,64}@[A-Za-z0-9.-]{1,253}")
_IN_BRACKETS = re.compile(rf"<\s*({_ADDRESS.pattern})\s*>")
#: A name in quotes, or a comment, in a header with mail addresses. A sender may write a false
#: address into the name or the comment.
_NO_ADDRESS = re.compile(r'"(?:[^"\\]|\\.)*+"|\((?:[^()\\]|\\.)*+\)', re.DOTALL)


class MailError(Exception):
    """A mail or a text exceeds a bound, which the error's message names: "has more than …"."""


class Headers:
    """The headers of a mail or of a mail's part."""

    def __init__(self, block: bytes) -> None:
        """Parse ``block``, the bytes before the blank line; skip lines that are no header."""
        # The library takes a carriage return within a header line for the end of the line.
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b" ")
        lines = [line for line in block.split(b"\n") if _HEADER.match(line) or line[:1] in _BLANK]
        parsed = BytesHeaderParser(policy=compat32).parsebytes(b"\n".join(lines))
        self._values: dict[str, list[str]] = {}
        for name, value in parsed.raw_items():
            self._values.setdefault(name.lower(), []).append(str(value)[:_LONGEST_VALUE])

    def get(self, name: str) -> str:
        """The text of the first header ``name`` in one line; "" if the header is missing."""
        values = self._values.get(name)
        return words(_decoded(values[0]), _LONGEST_VALUE) if values else ""

    def has(self, name: str) -> bool:
        """Whether the mail or part has a header with this name."""
        return name in self._values

    def content_type(self) -> str:
        """The media type of the mail's part, in lower case."""
        return self._content().get_content_type()

    def parameter(self, name: str, header: str = "content-type") -> str:
        """A parameter of ``Content-Type`` or ``Content-Disposition``; "" if it is not set."""
        try:
            found = self._content().get_param(name, "", header)
        except (ValueError, LookupError, TypeError, AttributeError):
            return ""
        text = found[2] if isinstance(found, tuple) else found
        return str(text or "")[:300]

    def name(self) -> str:
        """The file name of an attachment; "" if the attachment has no file name."""
        found = self.parameter("filename", "content-disposition") or self.parameter("name")
        return words(_decoded(found), 200)

    def address(self, name: str) -> str:
        """The first mail address in the header ``name``; "" if the header has no mail address.

        An address in quotes, in a comment or in an encoded word (RFC 2047) does not count.
        """
        bare = _NO_ADDRESS.sub(" ", self._values.get(name, [""])[0])
        if (found := _IN_BRACKETS.search(bare)) is not None:
            return found[1]
        found = _ADDRESS.search(bare)
        return found[0] if found else ""

    def author(self) -> str:
        """The sender's address in ``From``; "" without exactly one ``From`` with one address."""
        values = self._values.get("from", [])
        bare = _NO_ADDRESS.sub(" ", values[0]) if len(values) == 1 else ""
        if len(_ADDRESS.findall(bare)) != 1 or bare.count("@") != 1:
            return ""
        return self.address("from")

    def whole(self, name: str) -> Iterator[str]:
        """The raw value of each header ``name``, in order; a value that is too long becomes ""."""
        for value in self._values.get(name, ()):
            yield value if len(value) < _LONGEST_VALUE else ""

    def _content(self) -> Message:
        message = Message()
        for name in ("content-type", "content-disposition"):
            if name in self._values:
                value = self._values[name][0].encode("ascii", "replace").decode("ascii")
                message[name] = " ".join(value.split())
        return message


def _decoded(value: str) -> str:
    """The value of a mail header as text; encoded words (RFC 2047) and raw bytes are decoded."""
    try:
        raw = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = value.encode("utf-8", "replace")
    if "=?" not in value:
        return text_of(raw)
    try:
        found = decode_header(raw.decode("utf-8", "replace"))
    except (HeaderParseError, ValueError, LookupError):
        return text_of(raw)
    return "".join(one if isinstance(one, str) else text_of(one, charset) for one, charset in found)


@dataclass(frozen=True, slots=True)
class Text:
    r"""A text that hashscan received: a part of a mail, or a file.

    Attributes:
        kind: media type of the mail's part, e.g. ``text/plain``.
        name: file name of the text; "" without a file name.
        text: the decoded text, with ``\n`` at the end of each line.
        alternative: whether another part of the mail has the same content as plain text.
        raw: the undecoded bytes of the file; ``None`` for a part of a mail.
    """

    kind: str
    name: str
    text: str
    alternative: bool = False
    raw: bytes = b""


@dataclass(slots=True)
class SplitMail:
    """A mail, split into its texts and attached mails.

    Attributes:
        texts: the mail's parts that are text, in the mail's order.
        inner: the mails that are attached to the mail.
        dropped: number of the mail's parts that are no text.
        kept: the evidence: the mail without dropped parts and embedded content.
    """

    headers: Headers
    texts: list[Text] = field(default_factory=list)
    inner: list[SplitMail] = field(default_factory=list)
    dropped: int = 0
    kept: bytes = b""


class TextBounds:
    """Counts the texts of a mail and its attached mails, and enforces the bounds on them."""

    def __init__(self) -> None:
        self._size = self._lines = self._tags = 0

    def take(self, text: str) -> None:
        """Add a text, its lines and its HTML tags to the counts that the bounds limit.

        Raises:
            MailError: the texts that were added together exceed a bound.
        """
        self._size += len(text)
        self._lines += text.count("\n")
        self._tags += text.count("<")
        if self._size > MOST_TEXT:
            raise MailError(f"has more than {MOST_TEXT >> 20} MiB of text")
        if self._lines > MOST_LINES:
            raise MailError(f"has more than {MOST_LINES:,} lines")
        if self._tags > MOST_TAGS:
            raise MailError(f"has more than {MOST_TAGS:,} HTML tags")


def is_mail(content: bytes) -> bool:
    """Whether bytes begin with the headers of a mail."""
    seen: set[bytes] = set()
    wrong = 0
    head = content[:MOST_HEADERS].lstrip(b"\r\n")
    for line in head.split(b"\n", 1000)[:1000]:
        if not line.strip():
            break
        if line[:1] in _BLANK or line.startswith(b"From "):
            continue
        if not _HEADER.match(line):
            wrong += 1
            continue
        seen.add(line.partition(b":")[0].strip().lower())
    known = len(seen & _ONLY_MAIL) + len(seen & _MAIL_NAMES)
    if wrong:
        return wrong < 3 < known
    return bool(seen & _ONLY_MAIL) or known > 1


def parse(content: bytes) -> SplitMail:
    """The texts and attached mails of the mail with the bytes ``content``.

    Raises:
        MailError: the mail exceeds a bound on size, parts or nesting.
    """
    if len(content) > MOST_BYTES:
        raise MailError(f"has more than {MOST_BYTES >> 20} MiB")
    return _Parser().mail(content, 0)


def headers_of(content: bytes) -> Headers:
    """The headers of a mail.

    Raises:
        MailError: the mail's headers are too long.
    """
    start = len(content) - len(content.lstrip(b"\r\n"))
    return _head(content, start, len(content))[0]


class _Parser:
    def __init__(self) -> None:
        self._parts = 0
        self._bounds = TextBounds()

    def mail(self, content: bytes, depth: int) -> SplitMail:
        start = len(content) - len(content.lstrip(b"\r\n"))
        headers, body = _head(content, start, len(content))
        mail = SplitMail(headers)
        kept = [_without_pictures(content[start:body])]
        self._part(mail, content, body, len(content), headers, depth, kept)
        mail.kept = b"".join(kept)
        return mail

    def _part(
        self,
        mail: SplitMail,
        content: bytes,
        start: int,
        end: int,
        headers: Headers,
        depth: int,
        kept: list[bytes],
        *,
        alternative: bool = False,
    ) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise MailError(f"has more than {MOST_PARTS} parts")
        if depth > DEEPEST_PART:
            raise MailError(f"has parts nested more than {DEEPEST_PART} levels deep")
        kind = headers.content_type()
        boundary = headers.parameter("boundary")
        spans = []
        if kind.startswith("multipart/"):
            spans = _spans(content, start, end, boundary) if boundary else []
            kind = "text/plain"  # a multipart mail without parts
        if spans:
            self._multipart(mail, content, spans, headers, depth, kept, alternative=alternative)
            return
        encoding = headers.get("content-transfer-encoding")
        name = headers.name()
        if kind in _MESSAGES:
            inner = self.mail(transferred(content[start:end], encoding), depth + 1)
            kept[-1] = _TRANSFER_ENCODING.sub(b"", kept[-1])
            mail.inner.append(inner)
            mail.dropped += inner.dropped
            kept.append(inner.kept)
            return
        raw = self._raw(content, start, end, encoding) if _may_be_text(kind, name) else None
        if raw is None and start < end:
            mail.dropped += 1
            kept.append(b"[%d bytes dropped unread]\r\n" % (end - start))
            return
        text = text_of(raw or b"", headers.parameter("charset"))
        if headers.parameter("delsp").lower() == "yes":
            text = _SOFT_END.sub("", text)
        self._bounds.take(text)
        mail.texts.append(Text(kind, name, text, alternative=alternative))
        shorter = cut_json(text) if "json" in kind or name.endswith(".json") else cut(text)
        if shorter == text and not has_more(content[start:end], encoding, raw or b""):
            kept.append(content[start:end])
        else:
            kept[-1] = _TRANSFER_ENCODING.sub(b"Content-Transfer-Encoding: 8bit\n", kept[-1])
            kept.append(shorter.encode("utf-8", "replace"))

    def _raw(self, content: bytes, start: int, end: int, encoding: str) -> bytes | None:
        """The decoded bytes of a mail's part; ``None`` if the part is no text despite its label."""
        if is_binary(transferred(content[start : min(end, start + _SAMPLE)], encoding)):
            return None
        if end - start > 2 * MOST_TEXT:
            raise MailError(f"has more than {MOST_TEXT >> 20} MiB of text")
        raw = transferred(content[start:end], encoding)
        return None if is_binary(raw) else raw

    def _multipart(
        self,
        mail: SplitMail,
        content: bytes,
        spans: list[tuple[int, int]],
        headers: Headers,
        depth: int,
        kept: list[bytes],
        *,
        alternative: bool,
    ) -> None:
        """Read the parts of a multipart mail; ``spans``: where each part begins and ends."""
        boundary = headers.parameter("boundary").encode("utf-8", "replace")
        choice = headers.content_type() == "multipart/alternative"
        plain = False
        for start, end in spans:
            inner, body = _head(content, start, end)
            kept += (b"--%s\r\n" % boundary, _without_pictures(content[start:body]))
            self._part(
                mail, content, body, end, inner, depth + 1, kept,
                alternative=alternative or (choice and plain),
            )  # fmt: skip
            kept.append(b"\r\n")
            plain = plain or inner.content_type() == "text/plain"
        kept.append(b"--%s--\r\n" % boundary)


def _head(content: bytes, start: int, end: int) -> tuple[Headers, int]:
    """The headers that begin at ``start``, and the offset at which the body after them begins.

    Raises:
        MailError: the headers of the mail or part are too long.
    """
    if content.startswith((b"\n", b"\r\n"), start, end):
        return Headers(b""), start + (1 if content.startswith(b"\n", start) else 2)
    blank = _BLANK_LINE.search(content, start, min(end, start + MOST_HEADERS))
    if blank is None:
        if end - start > MOST_HEADERS:
            raise MailError(f"has headers of more than {MOST_HEADERS >> 10} KiB")
        return Headers(content[start:end]), end
    return Headers(content[start : blank.start()]), blank.end()


def _spans(content: bytes, start: int, end: int, boundary: str) -> list[tuple[int, int]]:
    """The offsets in a multipart mail at which each part between two delimiters begins and ends.

    Raises:
        MailError: the mail has too many parts.
    """
    mark = re.escape(boundary.encode("utf-8", "replace").rstrip())
    delimiter = re.compile(rb"^--" + mark + rb"(--)?[ \t]*(?:\r?\n|\r?\Z)", re.MULTILINE)
    spans: list[tuple[int, int]] = []
    begin = -1
    for found in delimiter.finditer(content, start, end):
        if begin >= 0:
            spans.append((begin, _without_line_end(content, begin, found.start())))
        if found[1]:
            return spans
        begin = found.end()
        if len(spans) > MOST_PARTS:
            raise MailError(f"has more than {counted(MOST_PARTS, 'part')}")
    if begin >= 0:
        spans.append((begin, end))
    return spans


def _without_line_end(content: bytes, begin: int, end: int) -> int:
    """The offset of a part's end, before the line end that belongs to the next delimiter."""
    for mark in (b"\r\n", b"\n"):
        if content.endswith(mark, begin, end):
            return end - len(mark)
    return end


def _may_be_text(kind: str, name: str) -> bool:
    if kind.startswith("text/") or kind in _TEXTS or kind.endswith("+json"):
        return True
    return kind in _UNSURE and name.lower().endswith(_TEXT_NAMES)


def _without_pictures(block: bytes) -> bytes:
    """A mail's headers without pictures (``Face``, ``X-Face``) and other embedded content."""
    block = re.sub(rb"(?im)^(?:x-)?face:[^\n]*\n(?:[ \t][^\n]*\n)*", b"", block)
    return cut(block.decode("latin-1")).encode("latin-1")
