"""What arrives, read as a notice: the format is recognised, or named.

Each format's reader is tried in turn; the first that fits counts. Mails that are attached to
another one are read after it, and what they say is added: abuse desks forward several at a time.
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
from hashscan.notices.formats.source import NotThisFormatError, Source, bounded, once
from hashscan.notices.kept import cut, cut_json
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashscan.notices.notice import ParsedNotice

#: The largest input, in bytes.
MOST_BYTES = mail.MOST_BYTES

_READERS: dict[str, Callable[[Source], ParsedNotice]] = {
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
#: Their mails carry the reported mail, which is no notice.
_WITH_EVIDENCE = frozenset({arf.NAME, xarf_json.NAME_3, xarf_json.NAME_4, xarf_mail.NAME})
#: Names of formats, in the order in which they are tried.
FORMATS = tuple(_READERS)


class Understood(NamedTuple):
    """An input that was understood.

    Attributes:
        notice: what it says.
        kept: the input without attachments and embedded content, for the evidence.
    """

    notice: ParsedNotice
    kept: bytes


def read(content: bytes, *, format: str | None = None) -> Understood:  # noqa: A002
    """Read a notice; ``format`` is one of ``FORMATS``, or ``None`` to recognise it.

    Raises:
        NoticeError: it is in no known format, or not in the named one; it says what was tried.
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
            f"the notice {error}; save the addresses to a file, or to several, and add those",
            [],
        ) from error
    return Understood(_understood(sources, format), kept)


def _understood(sources: list[Source], wanted: str | None) -> ParsedNotice:
    """The notice that an input's sources make, the attached mails after the outer one.

    Raises:
        NoticeError: there is none.
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


def _first(source: Source, wanted: str | None) -> ParsedNotice:
    """The notice that the first fitting reader makes of a source.

    Raises:
        NoticeError: none fits.
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
    """Several notices of one input as one; the first says what they do not have in common.

    Raises:
        NoticeError: they have too many items.
    """
    first = found[0]
    if len(found) == 1 and not silent:
        return first
    remarks = [remark for one in found for remark in one.remarks]
    remarks += [
        f"an attached mail in the format {one.format} from {shown(one.sender or 'nobody')}, "
        f"reference {shown(one.reference or 'none')}, {counted(len(one.items), 'item')}"
        for one in found[1:]
    ]
    if silent:
        remarks.append(f"{counted(silent, 'attached mail holds', 'attached mails hold')} no notice")
    try:
        items, _ = once(item for one in found for item in one.items)
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


def _variants(source: Source) -> Iterator[Source]:
    yield source
    if any(one.alternative for one in source.texts):
        yield replace(source, by_html=True)


def _sources(content: bytes) -> tuple[list[Source], bytes]:
    """The input's sources, the outermost first, and what is kept of it.

    Raises:
        MailError: it is beyond a bound.
        NoticeError: it is no text.
    """
    if mail.is_mail(content):
        parsed = mail.parse(content)
        return [
            Source(tuple(one.texts), one.headers, parsed.dropped) for one in _with_inner(parsed)
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
    return [Source((mail.Text(kind, "", text, raw=raw),))], kept


def _with_inner(parsed: mail.Mail) -> Iterator[mail.Mail]:
    yield parsed
    for one in parsed.inner:
        yield from _with_inner(one)
