"""Reads a report in the form in which SCART's add-on for providers sends it.

Source: AbuseIO/SCART-application, scart/addon/IPvolumeNTDapi.php: a form with ``ip`` and ``urls``;
line feeds separate the URLs. Only hashscan uses the fields ``sender``, ``reference`` and
``received``: they are for programs that forward notices.
"""

from __future__ import annotations

import time
from email.message import Message
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, urlencode

from starlette.exceptions import HTTPException

from hashscan.notices import values
from hashscan.notices.decoding import text_of
from hashscan.notices.formats.source import NoticeInput, NotThisFormatError
from hashscan.notices.kept_text import cut
from hashscan.notices.notice import ItemKind, ParsedItem
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashscan.notices.notice import ParsedNotice

NAME = "scart-api"
#: Largest number of bytes of a report, and of URLs in a report.
MOST_BYTES, MOST_URLS = 2 << 20, 10_000
_MOST_FIELDS = 50
_FORM = "application/x-www-form-urlencoded"
_SINGLE = ("ip", "sender", "reference", "received")
#: Largest number of lines of a report that an error names.
_MOST_LINES = 5
#: Seconds by which the sender's clock may be ahead of this machine's clock.
_AHEAD = 300.0


class ReportRefusedError(HTTPException):
    """The intake refuses a report; ``errors`` has the faults of the report's fields, by field."""

    def __init__(self, status: int, message: str, errors: Mapping[str, list[str]]) -> None:
        """``message``: one sentence that says why the intake refuses the report."""
        super().__init__(status, message)
        self.errors = dict(errors)


class SentReport(NamedTuple):
    """A report that the intake has read.

    Attributes:
        notice: the notice in the report.
        content: the fields of the report's form, for the evidence.
        received: time when the forwarding program received the notice, in seconds since the epoch;
            ``None``: the form names no time, so the notice is received now.
    """

    notice: ParsedNotice
    content: bytes
    received: float | None


def fields(body: bytes, content_type: str) -> dict[str, str]:
    """Decode the fields of a report's form.

    Raises:
        ReportRefusedError: the report's body is no form, or has a field more than once.
    """
    header = Message()
    header["Content-Type"] = content_type or _FORM
    if header.get_content_type() != _FORM:
        raise ReportRefusedError(
            415, f"the body must be a form ({_FORM})", {"Content-Type": ["is another type"]}
        )
    found: dict[str, str] = {}
    for given, value in pairs(body, header.get_content_charset()):
        name = given.removesuffix("[]") if given == "urls[]" else given
        if name == "urls" and name in found:
            found[name] += f"\n{value}"
        elif name in found and name in _SINGLE:
            raise ReportRefusedError(
                422, f"the form has the field {name} more than once", {name: ["is there twice"]}
            )
        else:
            found[name] = value
    return found


def pairs(raw: bytes, charset: str | None = None) -> list[tuple[str, str]]:
    """Decode the names and values of a form or of a URL's query.

    Raises:
        ReportRefusedError: the form or the query has too many fields.
    """
    try:
        found = parse_qsl(
            raw.decode("latin-1"),
            keep_blank_values=True,
            encoding="latin-1",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise ReportRefusedError(
            422, f"the form has more than {_MOST_FIELDS} fields; is each value percent-encoded?", {}
        ) from None
    return [(name, text_of(value.encode("latin-1"), charset)) for name, value in found]


def read(found: Mapping[str, str], sender: str) -> SentReport:
    """Read the report in a form; ``sender`` is the token's name, the default sender.

    Raises:
        ReportRefusedError: the form has no URL, or a field of the form cannot be used.
    """
    lines = [line.strip() for line in found.get("urls", "").split("\n")]
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line]
    if not numbered:
        raise ReportRefusedError(422, "the report has no URL", {"urls": ["is missing or empty"]})
    if len(numbered) > MOST_URLS:
        raise ReportRefusedError(
            422,
            f"the report has more than {MOST_URLS:,} URLs; split it",
            {"urls": [f"has {len(numbered):,} lines"]},
        )
    long = [str(number) for number, line in numbered if len(line) > values.LONGEST_URL]
    if long:
        raise ReportRefusedError(
            422,
            f"a URL has more than {values.LONGEST_URL:,} characters",
            {"urls": [f"line {number} is too long" for number in long[:_MOST_LINES]]},
        )
    address = values.ip(found.get("ip", ""))
    urls = [(number, line, values.url(line, guess=True)) for number, line in numbered]
    invalid = [(number, line) for number, line, url in urls if url is None]
    if len(invalid) == len(urls):
        raise ReportRefusedError(
            422,
            "the report has no URL",
            {"urls": [f"line {number} is no URL" for number, _ in invalid[:_MOST_LINES]]},
        )
    # A line that is no URL is an item, too, and stays open until an administrator decides.
    items = [
        ParsedItem(ItemKind.URL, values.words(line, values.LONGEST_URL) if url is None else url,
                   ip=address)
        for _, line, url in urls
    ]  # fmt: skip
    remarks = []
    if invalid:
        number, line = invalid[0]
        remarks.append(
            f"{counted(len(invalid), 'line is', 'lines are')} no URL, first line {number}: "
            f"{shown(values.words(line, 60))}; decide about it by hand"
        )
    if found.get("ip") and address is None:
        remarks.append(f"the field ip is no address: {shown(values.words(found['ip'], 60))}")
    try:
        notice = NoticeInput(()).notice(
            NAME,
            items,
            sender=values.words(found.get("sender", "")) or sender,
            reference=values.words(found.get("reference", "")) or None,
            remarks=remarks,
        )
    except NotThisFormatError as error:
        raise ReportRefusedError(422, f"the report {error}", {}) from None
    known = {name: found[name] for name in ("ip", "urls", *_SINGLE[1:]) if name in found}
    content = urlencode({name: cut(value) for name, value in known.items()}).encode()
    return SentReport(notice, content, _received(found.get("received", "")))


def _received(text: str) -> float | None:
    if not text.strip():
        return None
    found = values.moment(text)
    if found is None:
        raise ReportRefusedError(
            422,
            "the field received is no time; write e.g. 2026-11-27T09:00:00Z",
            {"received": ["is no time"]},
        )
    if found > time.time() + _AHEAD:
        raise ReportRefusedError(
            422,
            "the field received is in the future; check the clocks of both machines",
            {"received": ["is in the future"]},
        )
    return min(found, time.time())
