"""Makes reports in XARF v4, ``content/csam``.

Source: github.com/xarf/xarf-spec, schemas/v4: xarf-core.json, types/content-base.json and
types/content-csam.json, version 4.2.0. A report never holds content: ``evidence`` is never written.
"""

from __future__ import annotations

import hashlib
import ipaddress
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote, urlsplit

from hashscan.notices.sites.address import parse
from hashscan.text import rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hashscan.config.notices import OrganisationSettings

VERSION = "4.2.0"
#: Values of ``classification`` in XARF, by their names in lower case.
CLASSIFICATIONS = {one.lower(): one for one in ("baseline", "A1", "A2", "B1", "B2")}
_DIGESTS = ("md5", "sha1", "sha256")
#: Signs that a URI may have besides letters, digits, ``-._`` and escapes: RFC 3986, 3.3 and 3.4.
_SAFE = "/!$&'()*+,;=:@~?"


@dataclass(frozen=True, slots=True)
class Abuse:
    """A match, or a removed item of a notice, that a XARF report describes.

    Attributes:
        key: identity of the match or the item; the report's id is made from ``key`` and
            ``removed``.
        name: URL or path of the file, for messages.
        url: URL of the file's content; ``None``: no entry of ``sites`` leads to the file.
        source: IP address of the server in a sender's report; ``None``: no sender gives an address.
        categories: categories of the list, then the sender's; the first category with a
            classification counts.
        method: method by which the content was detected.
        when: time of the detection, in seconds since the epoch.
        digests: digests of the content, by algorithm.
        removed: the content is no longer at its path.
    """

    key: str
    name: str
    url: str | None
    source: str | None
    categories: tuple[str | None, ...]
    method: Literal["hash_match", "user_report"]
    when: float
    digests: Mapping[str, str]
    removed: bool


class NotReported(NamedTuple):
    """A match or an item for which no XARF report can be made, with the reason."""

    name: str
    why: str


def report_of(
    abuse: Abuse, organisation: OrganisationSettings, classifications: Mapping[str, str]
) -> dict[str, Any] | NotReported:
    """Return a XARF report as a JSON object, or the reason why no report can be made.

    ``classifications`` has a classification for each category in lower case. A category with the
    name of a classification needs no entry.
    """
    if abuse.url is None:
        return NotReported(
            abuse.name,
            "its URL is not known, because no entry of 'sites' leads to it; add one to the"
            " configuration",
        )
    try:
        url = uri_of(abuse.url)
    except ValueError as error:
        return NotReported(abuse.name, f"{error}, and XARF requires a URL")
    classification = _classification(abuse.categories, classifications)
    if classification is None:
        named = ", ".join(shown(one[:100]) for one in abuse.categories if one)
        if not named:
            return NotReported(
                abuse.name,
                "its classification is not known: neither a list nor the notice names a category;"
                " report it by hand",
            )
        return NotReported(
            abuse.name,
            f"its category ({named}) has no classification; add it to notices.classifications,"
            " e.g. {vics-1: baseline}",
        )
    contact = {
        "org": organisation.name,
        "contact": organisation.contact,
        "domain": organisation.domain,
    }
    found: dict[str, Any] = {
        "xarf_version": VERSION,
        "report_id": _report_id(f"{abuse.key} {abuse.removed}", organisation.domain),
        "timestamp": rfc3339(abuse.when),
        "reporter": contact,
        "sender": contact,
        "source_identifier": _address(abuse.source) or urlsplit(url).hostname,
        "category": "content",
        "type": "csam",
        "url": url,
        "classification": classification,
        "detection_method": abuse.method,
        "content_removed": abuse.removed,
        "hosting_provider": organisation.name,
    }
    digests = {name: abuse.digests[name] for name in _DIGESTS if name in abuse.digests}
    if digests:
        found["hash_values"] = digests
    return found


def _address(text: str | None) -> str | None:
    """Return a sender's text as an IP address; ``None``: the text is no IP address."""
    try:
        return str(ipaddress.ip_address((text or "").strip()))
    except ValueError:
        return None


def _classification(names: Iterable[str | None], given: Mapping[str, str]) -> str | None:
    for name in names:
        key = (name or "").strip().lower()
        found = given.get(key) or CLASSIFICATIONS.get(key)
        if found is not None:
            return found
    return None


def _report_id(key: str, domain: str) -> str:
    """Return a UUID of version 4: always the same UUID for the same abuse at the same provider."""
    digest = hashlib.sha256(f"{domain}\0{key}".encode("utf-8", "surrogateescape")).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def uri_of(url: str) -> str:
    """Return a URL in the form of RFC 3986: spaces and other signs are percent-encoded.

    Raises:
        ValueError: the text is no URL of a web server.
    """
    address = parse(url)
    target = _escaped(address.target.decode("ascii"))
    query = f"?{_escaped(address.query.decode('ascii'))}" if address.query else ""
    return f"{address.scheme}://{address.authority}{target}{query}"


def _escaped(text: str) -> str:
    """Percent-encode each character that a URI may not have; keep the escapes of the text."""
    parts = text.split("%")
    escaped = quote(parts[0], safe=_SAFE)
    for part in parts[1:]:
        is_escape = len(part) >= 2 and all(one in "0123456789abcdefABCDEF" for one in part[:2])
        escaped += ("%" if is_escape else "%25") + quote(part, safe=_SAFE)
    return escaped
