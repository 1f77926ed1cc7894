"""Checks the sender of a mail by the mail's header ``Authentication-Results`` (RFC 8601).

Anybody can write a mail with any ``From``. A mail server that checks DKIM (RFC 6376) and DMARC (RFC
7489) adds a header ``Authentication-Results`` with the results above all other headers. A sender
can add the same header, but only below the mail server's header. So only the first header with the
mail server's name counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.notices import mail
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.notices.mail import Headers

#: With this value of ``Senders.allowed`` every mail counts as verified.
ANYBODY = "*"


@dataclass(frozen=True, slots=True)
class Senders:
    """The senders whose mails may move files, and the mail server that verifies these senders.

    Attributes:
        allowed: mail addresses and domains of the senders, in lower case; or ``ANYBODY``.
        verified_by: the mail server's name in ``Authentication-Results``, in lower case.
    """

    allowed: tuple[str, ...] = ()
    verified_by: str | None = None


#: No sender is allowed: with these ``Senders`` no mail alone moves a file.
NOBODY = Senders()


def why_unproven(content: bytes, senders: Senders) -> str:
    """Why the sender of a mail is not verified or not allowed; "" if the sender is both."""
    if ANYBODY in senders.allowed:
        return ""
    if not senders.allowed:
        return "it came by mail, and notices.senders has no sender whose mails may move files"
    try:
        headers = mail.headers_of(content)
    except mail.MailError as error:
        return f"its mail {error}"
    author = headers.author().lower()
    domain = author.rpartition("@")[2]
    if not author:
        return "its mail has no single address in From"
    if not {author, domain} & set(senders.allowed):
        return f"its mail is from {shown(author)}, which is not in notices.senders"
    if not _is_verified(headers, domain, senders.verified_by or ""):
        return (
            f"its mail is from {shown(author)}, but the first Authentication-Results of "
            f"{shown(senders.verified_by or 'nobody')} says neither dmarc=pass nor dkim=pass for "
            f"{shown(domain)}"
        )
    return ""


def _is_verified(headers: Headers, domain: str, server: str) -> bool:
    """Whether the mail server verified the domain in ``From``; a result of DMARC decides alone."""
    found: list[dict[str, str]] = []
    for value in headers.whole("authentication-results"):
        results = list(_results(value))
        if not value or not results:
            return False  # this unreadable header may be the server's, so no header below counts
        if next(iter(results[0]), "") == server:
            found = results[1:]
            break
    dmarc = [one for one in found if "dmarc" in one]
    if dmarc:
        return all(one["dmarc"] == "pass" and one.get("header.from", "") == domain for one in dmarc)
    return any(
        one.get("dkim") == "pass" and _signs(one.get("header.d") or one.get("header.i", ""), domain)
        for one in found
    )


def _signs(signer: str, domain: str) -> bool:
    """Whether ``signer``, a domain or an address, may sign mails from ``domain`` (DKIM)."""
    signer = signer.rpartition("@")[2]
    return bool(signer) and (domain == signer or domain.endswith(f".{signer}"))


def _results(value: str) -> Iterator[dict[str, str]]:
    """The words ``name=value`` of each result in an ``Authentication-Results``, in lower case.

    The header separates its results by semicolons. The mail server writes texts of the sender in
    quotes. So a semicolon or a space in quotes or in a comment does not separate the header's
    words. A word keeps its quotes, so that a quoted word never equals an unquoted word. A header
    that ends inside quotes or a comment counts as a header without results.
    """
    parts: list[list[str]] = [[""]]
    quoted = escaped = False
    depth = 0
    for one in value.lower():
        if escaped:
            escaped = False
        elif one == "\\" and (quoted or depth):
            escaped = True
        elif one == '"' and not depth:
            quoted = not quoted
        elif quoted:
            pass
        elif one in "()":
            depth += 1 if one == "(" else -1
            if depth < 0:
                return
            parts[-1].append("")
            continue
        elif not depth and one == ";":
            parts.append([""])
            continue
        elif not depth and one.isspace():
            parts[-1].append("")
            continue
        if not depth:
            parts[-1][-1] += one
    if quoted or depth or escaped:
        return
    for part in parts:
        found: dict[str, str] = {}
        for word in part:
            name, _, said = word.partition("=")
            if name:
                found.setdefault(name, said)
        yield found
