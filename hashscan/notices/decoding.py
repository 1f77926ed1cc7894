"""Bytes of senders as text, whatever charset or transfer encoding they claim."""

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
#: Codecs of Python that are no charset of a mail, or that take time that grows with the square.
_NO_CHARSETS = frozenset(
    {"idna", "mbcs", "oem", "palmos", "punycode", "raw_unicode_escape", "undefined",
     "unicode_escape", "utf-7"}
)  # fmt: skip
_CONTROLS = bytes(set(range(32)) - {9, 10, 12, 13, 27})
_SOFT_BREAK = re.compile(rb"=\r?\n")
_ESCAPES = re.compile(rb"=(?:[0-9A-F]{2}|\r?\n)")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\s]")


def is_binary(raw: bytes) -> bool:
    """Whether bytes are no text in any charset."""
    sample = raw[:65536]
    if any(raw.startswith(mark) for mark, _ in _MARKS):
        return False
    wide = _wide(sample)
    if wide:
        sample = sample.replace(b"\x00", b"")
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return (not wide and b"\x00" in raw) or controls * 100 > len(sample)


def _wide(sample: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of Western text is zero."""
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
    r"""Text, with ``\n`` at the end of each line.

    A mark at the beginning counts first, then UTF-8 if the bytes are that and not only ASCII, then
    ``charset``, then Windows-1252: senders' programs often name the wrong one.
    """
    text = _decoded(raw, charset).removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(raw: bytes, charset: str | None) -> str:
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(name, "replace")
    wide = _wide(raw[:65536])
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
    """The content of a part whose ``Content-Transfer-Encoding`` is ``encoding``.

    What is not Base64 although it is called that is taken as it is. Text that is surely
    quoted-printable is decoded even if nothing says so: it was copied from a mail.
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


def _is_quoted_printable(raw: bytes) -> bool:
    """Whether lines are broken by ``=``, an equals sign is escaped, and every other one is, too."""
    if b"=3D" not in raw or _SOFT_BREAK.search(raw) is None:
        return False
    return raw.count(b"=") == len(_ESCAPES.findall(raw))


def base64_bytes(raw: bytes) -> bytes:
    """What a Base64 text stands for, as far as it is one; its line ends and rubbish are skipped."""
    for padding in (b"", b"=", b"=="):
        try:
            return binascii.a2b_base64(raw + padding)
        except binascii.Error:
            continue
    # A single character too much at its end.
    kept = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
    return binascii.a2b_base64(kept[: len(kept) - len(kept) % 4])
