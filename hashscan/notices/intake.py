"""Reads a mail or file as a notice, in a format that is recognised or that the caller names.

``read`` tries the reader of each format in turn; the first reader that accepts the mail or file
makes the notice. The items of attached mails follow the items of the outer mail, because abuse
desks forward several mails at a time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from hashscan.errors import Finding, NoticeError
from hashscan.notices import mail
from hashscan.notices.decoding import is_binary, text_of, transferred
from hashscan.notices.formats import (
    arf,
    cybertip,
    fsm,
    iwf,
    key_value,
    meldpunt,
    plain_list,
    scart_csv,
    scart_table,
    sentences,
    xarf_json,
    xarf_mail,
)
from hashscan.notices.formats.source import NoticeInput, NotThisFormatError, bounded, distinct
from hashscan.notices.kept_text import cut, cut_json
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashscan.notices.notice import ParsedNotice

#: The most bytes of a mail or file that is read as a notice.
MOST_BYTES = mail.MOST_BYTES

_READERS: dict[str, Callable[[NoticeInput], ParsedNotice]] = {
    xarf_json.NAME_4: xarf_json.read_4,
    xarf_json.NAME_3: xarf_json.read_3,
    xarf_mail.NAME: xarf_mail.read,
    arf.NAME: arf.read,
    scart_table.NAME: scart_table.read,
    scart_csv.NAME: scart_csv.read,
    iwf.NAME: iwf.read,
    cybertip.NAME: cybertip.read,
    fsm.NAME: fsm.read,
    sentences.NCMEC.name: sentences.read_ncmec,
    sentences.JUGENDSCHUTZ.name: sentences.read_jugendschutz,
    sentences.PHAROS.name: sentences.read_pharos,
    meldpunt.NAME: meldpunt.read,
    key_value.NAME: key_value.read,
    plain_list.NAME: plain_list.read,
}
#: Formats of mails to which the reported mail is attached. The attached mail is no notice.
_WITH_EVIDENCE = frozenset({arf.NAME, xarf_json.NAME_3, xarf_json.NAME_4, xarf_mail.NAME})
#: Names of the formats of notices, in the order in which ``read`` tries the formats.
FORMATS = tuple(_READERS)


class Understood(NamedTuple):
    """A notice that a format's reader made of a mail or file, and the evidence.

    Attributes:
        notice: the notice that the format's reader made of the mail or file.
        kept: the evidence: the mail or file without attachments and embedded content.
    """

    notice: ParsedNotice
    kept: bytes


def read(content: bytes, *, format: str | None = None) -> Understood:  # noqa: A002
    """Read a mail or file as a notice; ``format``: a name in ``FORMATS``, ``None``: any format.

    Raises:
        NoticeError: the mail or file is in no known format, or not in the named format; the message
            lists the formats that were tried.
    """
    if format is not None and format not in _READERS:
        raise NoticeError(
            f"there is no format {format!r} of notices; the formats are: {', '.join(FORMATS)}", []
        )
    if not content.strip():
        raise NoticeError("the notice is empty", [])
    if len(content) > MOST_BYTES:
        raise NoticeError(
            f"the notice has more than {MOST_BYTES >> 20} MiB; give the text without attachments",
            [],
        )
    try:
        sources, kept = _sources(content)
    except mail.MailError as error:
        raise NoticeError(
            f"the notice {error}; save its URLs to a file, or to several files, and add those",
            [],
        ) from error
    return Understood(_understood(sources, format), kept)


def _understood(sources: list[NoticeInput], wanted: str | None) -> ParsedNotice:
    """The notice of a mail or file, from ``sources``: the outer mail first, then attached mails.

    Raises:
        NoticeError: neither the outer mail nor an attached mail is a notice.
    """
    tried: dict[str, Finding] = {}
    found: list[ParsedNotice] = []
    silent = 0
    for one in sources:
        try:
            notice = _first(replace(one, forced=wanted is not None), wanted)
        except NoticeError as error:
            silent += one is not sources[0]
            for finding in error.findings:
                tried.setdefault(finding.where, finding)
            continue
        found.append(notice)
        if notice.format in _WITH_EVIDENCE:
            break
    if found:
        return _merged(found, silent)
    what = "in no known format" if wanted is None else f"not in the format {wanted}"
    fix = (
        "write its URLs, paths or digests to a file, one a line, and add that with --format list, "
        "or name the format with --format"
    )
    raise NoticeError(f"the notice is {what}; {fix}. Tried:", list(tried.values()))


def _first(source: NoticeInput, wanted: str | None) -> ParsedNotice:
    """The notice that the first fitting format's reader makes of a mail, file or attached mail.

    Raises:
        NoticeError: no format's reader accepts the mail or file.
    """
    tried: dict[str, Finding] = {}
    variants = list(_variants(source))
    for name, reader in _READERS.items():
        if wanted not in (None, name):
            continue
        for one in variants:
            try:
                return reader(one)
            except NotThisFormatError as error:
                tried.setdefault(name, Finding(name, f"it {error}"))
    raise NoticeError("", list(tried.values()))


def _merged(found: list[ParsedNotice], silent: int) -> ParsedNotice:
    """One notice with the items of all ``notices``; other values come from the first notice.

    ``silent``: the number of attached mails in which no notice was found.

    Raises:
        NoticeError: the notices together have more items than one notice may have.
    """
    first = found[0]
    if len(found) == 1 and not silent:
        return first
    remarks = [remark for one in found for remark in one.remarks]
    remarks += [
        f"attached mail: format {one.format}, sender {shown(one.sender or 'anonymous')}, "
        f"reference {shown(one.reference or 'none')}, {counted(len(one.items), 'item')}"
        for one in found[1:]
    ]
    if silent:
        remarks.append(f"{counted(silent, 'attached mail holds', 'attached mails hold')} no notice")
    try:
        items, _ = distinct(item for one in found for item in one.items)
    except NotThisFormatError as error:
        raise NoticeError(f"the notice {error}", []) from error
    return replace(
        first,
        items=tuple(items),
        sent=min((one.sent for one in found if one.sent is not None), default=None),
        reference=next((one.reference for one in found if one.reference), None),
        password=next((one.password for one in found if one.password), None),
        remarks=bounded(remarks),
    )


def _variants(source: NoticeInput) -> Iterator[NoticeInput]:
    yield source
    if any(one.alternative for one in source.texts):
        yield replace(source, by_html=True)


def _sources(content: bytes) -> tuple[list[NoticeInput], bytes]:
    """A mail and its attached mails, the outermost first; and the evidence that hashscan keeps.

    Raises:
        MailError: the mail or file exceeds a bound on size, parts or nesting.
        NoticeError: the file contains no text.
    """
    if mail.is_mail(content):
        parsed = mail.parse(content)
        return [
            NoticeInput(tuple(one.texts), one.headers, parsed.dropped)
            for one in _with_inner(parsed)
        ], parsed.kept
    if is_binary(content):
        raise NoticeError(
            "the notice is no text; give the mail, its text, or a list of URLs, paths or digests",
            [],
        )
    raw = transferred(content, "")
    text = text_of(raw)
    mail.TextBounds().take(text)
    start = text.lstrip()[:200].lower()
    kind = "text/plain"
    if start.startswith(("{", "[")):
        kind = "application/json"
    elif start.startswith("<"):
        kind = "text/html"
    shorter = cut_json(text) if kind == "application/json" else cut(text)
    kept = content if shorter == text else shorter.encode("utf-8", "replace")
    return [NoticeInput((mail.Text(kind, "", text, raw=raw),))], kept


def _with_inner(parsed: mail.SplitMail) -> Iterator[mail.SplitMail]:
    yield parsed
    for one in parsed.inner:
        yield from _with_inner(one)
