"""Reads the values in notices as senders write the values: URLs, digests, times and words.

Senders *defang* URLs so that nobody follows the URLs by mistake: ``hxxps[:]//img[.]example/a``.
This module restores the original URLs. Every function takes hostile text and raises no error.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from hashscan.model import ALGORITHM_BY_LENGTH, EMPTY_DIGESTS, HEX_LENGTH, Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.model import Algorithm

#: The longest URL that is read, in characters. Web servers refuse longer URLs.
LONGEST_URL = 8192
#: The longest remark, name or reference of a notice that is kept, in characters.
LONGEST_WORDS = 1000

_DEFANGED_SCHEME = re.compile(
    r"(?:h[tx*]{2}p(s?)|(f)[tx*]p)"
    r"(?:\[://\]|\s?[\[({]?:[\])}]?\s?(?://|\[//?\]|\\\\))",
    re.IGNORECASE,
)
_DOT = re.compile(r"\s?\[\s?(?:\.|dot|punt)\s?\]\s?", re.IGNORECASE)
_SOFT_DOT = re.compile(r"\s?[({]\s?(?:\.|dot|punt)\s?[)}]\s?", re.IGNORECASE)
_MARKS = (("[:]", ":"), ("[/]", "/"), ("[@]", "@"), ("[-]", "-"))
#: Control characters, surrogates and line separators, which are never part of a URL or a word.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
#: Matches an ordinary URL, which needs no further check.
_PLAIN_URL = re.compile(
    r"https?://[A-Za-z0-9][A-Za-z0-9.-]{0,252}(?:/[\w/.~%&=?+,;:@!$*'#-]*)?", re.ASCII
)
#: Characters without width, with which programs break long URLs, and marks of the writing
#: direction.
_UNSEEN = re.compile(r"[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_HOST = re.compile(r"[^\s<>\"{}|\\^`/?#@:\[\]]{1,253}")
_WITHOUT_SCHEME = re.compile(
    r"(?:[\w-]{1,63}\.){1,20}(?:[^\W\d_]{2,63}|xn--[\w-]{1,59}|\d{1,3})(?::\d{1,5})?/\S*"
)
_HEX = re.compile(r"[0-9A-Fa-f]+")
_NAMED_DIGEST = re.compile(r"(md5|sha-?1|sha-?256)\s{0,3}[:=]\s{0,3}", re.IGNORECASE)
_BASE32_SHA1 = re.compile(r"[A-Z2-7]{32}")


def words(text: str, most: int = LONGEST_WORDS) -> str:
    """A sender's text as one line of at most ``most`` characters, without control characters."""
    return " ".join(_CONTROL.sub(" ", text[: 4 * most]).split())[:most].rstrip()


def refang(text: str) -> str:
    """A URL with ``hxxp``, ``[.]``, ``(dot)`` and so on replaced by the original characters.

    Parentheses are legal in the path of a URL: ``(dot)`` is replaced only if the scheme or the host
    is defanged.
    """
    text = text.strip()
    scheme = _DEFANGED_SCHEME.match(text)
    if scheme is None and "[" not in text and "(" not in text and "{" not in text:
        return text
    rest = text
    before = ""
    defanged = False
    if scheme is not None:
        before = "ftp://" if scheme[2] else f"http{scheme[1].lower()}://"
        rest = text[scheme.end() :]
        defanged = scheme[0].lower() != before
    for mark, plain in _MARKS:
        rest = rest.replace(mark, plain)
    undone = _DOT.sub(".", rest)
    defanged = defanged or undone != rest or _SOFT_DOT.search(undone.partition("/")[0]) is not None
    return before + (_SOFT_DOT.sub(".", undone) if defanged else undone)


def unwrapped(text: str) -> str:
    """A text without the quotes or brackets around the text."""
    text = text.strip()
    for _ in range(2):
        if len(text) > 1 and text[0] + text[-1] in ('""', "''", "<>"):
            text = text[1:-1].strip()
    return text.removeprefix("URL:").strip() if text.startswith("URL:") else text


def trimmed(text: str) -> str:
    """A URL from a sentence, without the punctuation around the URL."""
    text = unwrapped(text.lstrip("(<[\"'"))
    for _ in range(8):
        if not text or text[-1] not in ".,;:!?'\">)]}":
            break
        closing = {")": "(", "]": "[", "}": "{"}.get(text[-1])
        if closing and text.count(closing) >= text.count(text[-1]):
            break
        text = text[:-1]
    return text


def url(text: str, *, guess: bool = False) -> str | None:
    """The original URL, if the whole text is a URL, defanged or not; else ``None``.

    With ``guess``, a host with a path counts as a URL even without a scheme, e.g.
    ``img.example/a.jpg``.
    """
    if not text or len(text) > 2 * LONGEST_URL:
        return None
    if len(text) <= LONGEST_URL and _PLAIN_URL.fullmatch(text):
        return text
    text = refang(unwrapped(_UNSEEN.sub("", text)))
    if len(text) > LONGEST_URL or _CONTROL.search(text):
        return None
    if guess and "://" not in text[:12] and _WITHOUT_SCHEME.fullmatch(text):
        text = f"http://{text}"
    if " " in text and has_url(text.partition(" ")[2]):
        return None  # the text has several URLs
    scheme, mark, rest = text.partition("://")
    if not mark or scheme.lower() not in ("http", "https", "ftp"):
        return None
    text = f"{scheme.lower()}://{rest}"
    try:
        parts = urlsplit(text)
        _ = parts.port
        host = parts.hostname
    except ValueError:
        return None
    if not host or " " in parts.netloc:
        return None
    if ":" in host:
        return text if ip(host) else None
    plausible = _HOST.fullmatch(host) and any(map(str.isalnum, host.strip(".")))
    return text if plausible else None


def urls_in(line: str) -> Iterator[str]:
    """The original URLs in a line of text, without the punctuation around the URLs."""
    for word in line.split():
        found = url(trimmed(word)) or url(word)
        if found is not None:
            yield found


def has_url(text: str) -> bool:
    """Whether some part of a text looks like a URL, defanged or not."""
    return _LOOKS_LIKE_URL.search(text) is not None


_LOOKS_LIKE_URL = re.compile(
    r"(?:h[tx*]{2}ps?|f[tx]p)\s?[\[({]?:[\])}]?\s?(?:/|\[/|\\)|p\[://\]"
    r"|\bwww\.|\w\[\.\]\w|\w\(dot\)\w|\w\[dot\]\w",
    re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def ip(text: str) -> str | None:
    """The original IP address, if the whole text is an address, defanged or not; else ``None``."""
    text = text.strip()
    if not 2 <= len(text) <= 80:
        return None
    text = refang(text).strip("[]")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def digest(text: str, algorithm: Algorithm | None = None) -> Digest | None:
    """The digest, if the whole text is a digest; else ``None``.

    ``algorithm`` is the algorithm that the sender names for the digest, if any. A digest named
    SHA-1 may be in Base32, as Arachnid Shield writes SHA-1 digests. The digest of empty content
    counts as no digest, because it would name every empty file.
    """
    text = text.strip().strip("\"'")
    named = _NAMED_DIGEST.match(text) if len(text) < 90 else None
    if named is not None:
        called: Algorithm = _ALGORITHMS[named[1].lower().replace("-", "")]
        if algorithm not in (None, called):
            return None
        algorithm, text = called, text[named.end() :].strip()
    if algorithm == "sha1" and _BASE32_SHA1.fullmatch(text.upper()) and not _HEX.fullmatch(text):
        text = base64.b32decode(text.upper()).hex()
    actual = ALGORITHM_BY_LENGTH.get(len(text))
    if actual is None or algorithm not in (None, actual) or not _HEX.fullmatch(text):
        return None
    found = Digest(actual, text.lower())
    return None if found in EMPTY_DIGESTS else found


_ALGORITHMS: dict[str, Algorithm] = {"md5": "md5", "sha1": "sha1", "sha256": "sha256"}


def is_empty_digest(text: str) -> bool:
    """Whether a text is the digest of empty content, in any of the algorithms."""
    text = _NAMED_DIGEST.sub("", text.strip()[:90], count=1).lower()
    actual = ALGORITHM_BY_LENGTH.get(len(text))
    return actual is not None and Digest(actual, text) in EMPTY_DIGESTS


def strongest(digests: tuple[Digest, ...]) -> Digest:
    """The longest, and so the strongest, of several digests of one content."""
    return max(digests, key=lambda one: HEX_LENGTH[one.algorithm])


# Functions that read times from senders

_CLOCK = r"(?:[T ,]{1,2}(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?)?"
_ZONE = r"\s?(Z|UTC|GMT|CEST|CET|MEZ|MESZ|[+-]\d{2}:?\d{2}|\([^()]{1,20}\))?"
_ISO = re.compile(rf"(\d{{4}})[-/](\d{{1,2}})[-/](\d{{1,2}}){_CLOCK}{_ZONE}")
_DAY_FIRST = re.compile(rf"(\d{{1,2}})[-/.](\d{{1,2}})[-/.](\d{{4}}){_CLOCK}{_ZONE}")
_ZONES = {"z": 0, "utc": 0, "gmt": 0, "cet": 60, "mez": 60, "cest": 120, "mesz": 120}
_EARLIEST, _LATEST = 631152000.0, 4102444800.0  # 1990 and 2100 in seconds since the epoch


@cache
def dutch() -> tzinfo:
    """The Dutch time zone; CET for the whole year if this machine has no time zone data."""
    try:
        return ZoneInfo("Europe/Amsterdam")
    except (OSError, ValueError, LookupError):
        return timezone(timedelta(hours=1))


@lru_cache(maxsize=1024)
def moment(text: str, zone: tzinfo = UTC) -> float | None:
    """The time in seconds since the epoch, if the whole text is a time; else ``None``.

    The text is a time in ISO 8601, or has the day first (``31-12-2025 10:00``), or has the form of
    a mail's header ``Date``. ``zone`` applies if the text names no time zone. A time before 1990 or
    after 2100 counts as no time.
    """
    text = words(text, 80)
    if not text:
        return None
    try:
        found = _numbers(text, zone) or _mail_date(text, zone)
    except (ValueError, OverflowError, TypeError, IndexError, AttributeError):
        return None
    return found if found is not None and _EARLIEST <= found < _LATEST else None


def _numbers(text: str, zone: tzinfo) -> float | None:
    if matched := _ISO.fullmatch(text):
        year, month, day = matched[1], matched[2], matched[3]
    elif matched := _DAY_FIRST.fullmatch(text):
        day, month, year = matched[1], matched[2], matched[3]
    else:
        return None
    hour, minute, second = (int(one or 0) for one in matched.group(4, 5, 6))
    named = (matched[7] or "").strip("()").lower()
    if named in _ZONES:
        zone = timezone(timedelta(minutes=_ZONES[named]))
    elif named[:1] in ("+", "-"):
        minutes = int(named[1:3]) * 60 + int(named[-2:])
        zone = timezone(timedelta(minutes=minutes if named[0] == "+" else -minutes))
    day_of = datetime(int(year), int(month), int(day), tzinfo=zone)
    return day_of.replace(hour=hour, minute=minute, second=second).timestamp()


def _mail_date(text: str, zone: tzinfo) -> float:
    found = parsedate_to_datetime(text)
    return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
