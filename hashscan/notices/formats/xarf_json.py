"""Reads notices in XARF 4 and XARF 3: JSON reports, in a file or attached to a mail.

The sources for version 4 are ``schemas/v4/xarf-core.json``, ``types/content-csam.json`` and
``types/content-csem.json`` of the XARF specification; the source for version 3 is
``schemas/3/childabuse.schema.json``. A JSON document is a report or an array of reports. Fields
that the schema requires and a notice does not need may be missing. The reader refuses reports of
other types (copyright, phishing, spam), because hashscan does not handle other types.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hashscan.model import ALGORITHMS
from hashscan.notices import bounded_json, values
from hashscan.notices.formats.source import NoticeInput, NotThisFormatError, item_of
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashscan.notices.notice import ParsedItem, ParsedNotice

NAME_3 = "xarf-3"
NAME_4 = "xarf-4"
_TYPES_3 = frozenset({"childabuse", "childsexualabusematerial"})
_TYPES_4 = frozenset({"csam", "csem"})


@dataclass(slots=True)
class _Reports:
    """The XARF reports of one mail or file: their items, and the values for the notice.

    Attributes:
        refused: for each report that the reader refused, the reason.
    """

    items: list[ParsedItem] = field(default_factory=list)
    sender: str | None = None
    contact: str | None = None
    references: list[str] = field(default_factory=list)
    sent: float | None = None
    refused: list[str] = field(default_factory=list)

    def refuse(self, kind: str, wanted: str) -> None:
        self.refused.append(f"is about {shown(values.words(kind, 60))!r}, not {wanted}")

    def notice(self, name: str, source: NoticeInput) -> ParsedNotice:
        if not self.items and self.refused:
            raise NotThisFormatError(self.refused[0])
        return source.notice(
            name, self.items, sender=self.sender, contact=self.contact, sent=self.sent,
            reference=", ".join(dict.fromkeys(self.references[:10])),
            remarks=[f"a report {one}" for one in self.refused],
        )  # fmt: skip


def read_4(source: NoticeInput) -> ParsedNotice:
    """The notice that XARF 4 reports about child sexual abuse material make.

    Raises:
        NotThisFormatError: no XARF 4 report about child sexual abuse material is in the mail or
            file.
    """
    return _read(
        source, NAME_4, "xarf_version", 'has no JSON object with "xarf_version" 4', _take_4
    )


def read_3(source: NoticeInput) -> ParsedNotice:
    """The notice that XARF 3 reports about child abuse make.

    Raises:
        NotThisFormatError: no XARF 3 report about child abuse is in the mail or file.
    """
    missing = 'has no JSON object with "Version" 3 and a "Report"'
    return _read(source, NAME_3, "Version", missing, _take_3)


def _read(
    source: NoticeInput,
    name: str,
    mark: str,
    missing: str,
    take: Callable[[dict[str, Any], _Reports, bool], bool],
) -> ParsedNotice:
    """The notice that the JSON objects with the key in ``mark`` make.

    Args:
        source: the decoded mail or file.
        name: name of the notice's format.
        mark: the key that each JSON object in the format has.
        missing: the error's message if no JSON object is in the format.
        take: adds the report in a JSON object; returns False if the object has another version of
            XARF.

    Raises:
        NotThisFormatError: no JSON object is in the format, or the reader refused each report.
    """
    found = _Reports()
    taken = [take(one, found, source.forced) for one in _documents(source, mark)]
    if not any(taken):
        raise NotThisFormatError(missing)
    return found.notice(name, source)


def _take_4(report: dict[str, Any], found: _Reports, forced: bool) -> bool:
    if not _text(report, "xarf_version").startswith("4."):
        return False
    kind = _text(report, "type")
    if not forced and (_text(report, "category") != "content" or kind not in _TYPES_4):
        found.refuse(kind, "csam or csem")
        return True
    hashes = _object(report, "hash_values")
    digests = [values.digest(_text(hashes, one), one) for one in ALGORITHMS]
    one = item_of(values.url(_text(report, "url")), filter(None, digests))
    if one is None:
        found.refused.append("has neither a URL nor a digest")
        return True
    reporter = _object(report, "reporter")
    found.items.append(
        replace(
            one,
            ip=values.ip(_text(report, "source_identifier")),
            first_seen=values.moment(_text(report, "timestamp")),
            classification=values.words(_text(report, "classification")) or None,
            note=values.words(_text(report, "description")) or None,
        )
    )
    found.sender = found.sender or _text(reporter, "org") or None
    found.contact = found.contact or _text(reporter, "contact") or None
    found.references.append(_text(report, "report_id"))
    found.sent = found.sent or values.moment(_text(report, "timestamp"))
    return True


def _take_3(document: dict[str, Any], found: _Reports, forced: bool) -> bool:
    report = _object(document, "Report")
    if _text(document, "Version").partition(".")[0] != "3" or not report:
        return False
    kind = _text(report, "ReportType")
    if not forced and kind.lower() not in _TYPES_3:
        found.refuse(kind, "ChildAbuse")
        return True
    one = item_of(values.url(_text(report, "SourceUrl")))
    if one is None:
        found.refused.append('has no URL as "SourceUrl"')
        return True
    reporter = _object(document, "ReporterInfo")
    found.items.append(
        replace(
            one,
            ip=values.ip(_text(report, "SourceIp")),
            first_seen=values.moment(_text(report, "Date")),
            classification=values.words(_text(report, "ReportSubType")) or None,
        )
    )
    found.sender = found.sender or _text(reporter, "ReporterOrg") or None
    found.contact = found.contact or _text(reporter, "ReporterOrgEmail") or None
    found.references.append(_text(report, "ReporterCaseID"))
    found.sent = found.sent or values.moment(_text(report, "Date"))
    return True


def _documents(source: NoticeInput, mark: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a mail or file that have the key that ``mark`` names.

    Raises:
        NotThisFormatError: a text that contains the key ``mark`` is no JSON.
    """
    for one in source.texts:
        text = one.text.strip()
        if not text.startswith(("{", "[")) or f'"{mark}"' not in text:
            continue
        try:
            value = bounded_json.load(text)
        except ValueError as error:
            raise NotThisFormatError(f"has JSON that cannot be read: {error}") from error
        for report in value if isinstance(value, list) else [value]:
            if isinstance(report, dict) and mark in report:
                yield report


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    return value.strip() if isinstance(value, str) else ""


def _object(found: dict[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}
