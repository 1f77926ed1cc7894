"""Decodes bytes from senders, who often name a wrong charset or transfer encoding."""

from __future__ import annotations

import binascii
import codecs
import quopri
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: Names of Python's codecs that are no charset of a mail, and of codecs whose time grows with the
#: square of the input.
_NO_CHARSETS = frozenset(
    {"idna", "mbcs", "oem", "palmos", "punycode", "raw_unicode_escape", "undefined",
     "unicode_escape", "utf-7"}
)  # fmt: skip
_CONTROLS = bytes(set(range(32)) - {9, 10, 12, 13, 27})
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_SOFT_BREAK = re.compile(rb"=\r?\n")
_ESCAPES = re.compile(rb"=(?:[0-9A-F]{2}|\r?\n)")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\s]")
_OUTSIDE_BASE64 = bytes(set(range(256)) - set(_BASE64))


def is_binary(raw: bytes) -> bool:
    """Whether bytes are binary data, which no charset decodes to text."""
    sample = raw[:65536]
    if any(raw.startswith(mark) for mark, _ in _MARKS):
        return False
    wide = _utf16_charset(sample)
    if wide:
        sample = sample.replace(b"\x00", b"")
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return (not wide and b"\x00" in raw) or controls * 100 > len(sample)


def _utf16_charset(sample: bytes) -> str | None:
    """The UTF-16 charset of bytes without a byte-order mark; ``None``: the bytes are not UTF-16."""
    size = len(sample) - len(sample) % 2
    if size < 8:
        return None
    for first, name in ((0, "utf-16-be"), (1, "utf-16-le")):
        zeros = sample[first:size:2].count(0)
        others = sample[1 - first : size : 2].count(0)
        if zeros * 10 > size // 2 * 9 and others == 0:
            return name
    return None


def text_of(raw: bytes, charset: str | None = None) -> str:
    r"""Bytes as text, with ``\n`` at the end of each line.

    The charset is that of the byte-order mark, if the bytes have a mark. Otherwise UTF-8 is tried
    if the bytes are valid UTF-8 and not only ASCII, then ``charset``, then Windows-1252. UTF-8 goes
    before ``charset`` because senders' programs often name a wrong charset.
    """
    text = _decoded(raw, charset).removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(raw: bytes, charset: str | None) -> str:
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(name, "replace")
    wide = _utf16_charset(raw[:65536])
    if wide is not None:
        return raw.decode(wide, "replace")
    named = _charset(charset)
    wide_claim = (named or "").startswith(("utf-16", "utf-32"))
    if not raw.isascii() or named is None or wide_claim:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            pass
    if named is not None:
        try:
            return raw.decode(named)
        except (UnicodeError, ValueError):
            pass
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _charset(name: str | None) -> str | None:
    try:
        found = codecs.lookup((name or "")[:40])
    except (LookupError, ValueError, UnicodeError):
        return None
    if not getattr(found, "_is_text_encoding", False) or found.name in _NO_CHARSETS:
        return None
    return found.name


def transferred(raw: bytes, encoding: str) -> bytes:
    """The content of a mail's part, decoded by the part's ``Content-Transfer-Encoding``.

    Bytes that are labelled Base64 but are not Base64 are returned unchanged. Text that is certainly
    quoted-printable is decoded even without a label, because people copy quoted-printable text from
    mails.
    """
    encoding = encoding.strip().lower()
    if encoding == "quoted-printable":
        return quopri.decodestring(raw)
    if encoding == "base64":
        sample = raw[:65536]
        rubbish = len(_NOT_BASE64.findall(sample))
        if rubbish > 4 and rubbish * 50 > len(sample):
            return raw
        return base64_bytes(raw)
    if _is_quoted_printable(raw):
        return quopri.decodestring(raw)
    return raw


def has_more(raw: bytes, encoding: str, decoded: bytes) -> bool:
    """Whether a mail part labelled Base64 continues after ``decoded``, e.g. after padding."""
    if encoding.strip().lower() != "base64":
        return False
    return len(raw.translate(None, _OUTSIDE_BASE64)) > (len(decoded) + 2) // 3 * 4


def _is_quoted_printable(raw: bytes) -> bool:
    """Whether a text has ``=3D`` and a line that ends with ``=``, and each ``=`` is an escape."""
    if b"=3D" not in raw or _SOFT_BREAK.search(raw) is None:
        return False
    return raw.count(b"=") == len(_ESCAPES.findall(raw))


def base64_bytes(raw: bytes) -> bytes:
    """The decoded bytes of a Base64 text up to its first error; other characters are skipped."""
    for padding in (b"", b"=", b"=="):
        try:
            return binascii.a2b_base64(raw + padding)
        except binascii.Error:
            continue
    # The Base64 text may end with a single character, which encodes no byte.
    kept = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
    return binascii.a2b_base64(kept[: len(kept) - len(kept) % 4])
