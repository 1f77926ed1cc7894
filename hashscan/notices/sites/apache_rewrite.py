"""Evaluates the rules and conditions of Apache's mod_rewrite.

A condition is true, false, or unknown, e.g. a condition on the client's address, the browser or the
time. If a rule with an unknown condition would change Apache's answer, the answer is undecided.
Source: httpd.apache.org/docs/2.4/mod/mod_rewrite.html.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.patterns import apache_search as search
from hashscan.notices.sites.patterns import groups
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashscan.notices.sites.address import Address
    from hashscan.notices.sites.apache_conf import ApacheDirective

_PART = re.compile(r"\$([0-9])|%([0-9])|%\{([A-Za-z_]+(?::[^}]*)?)\}|\\(.)", re.DOTALL)
#: Request headers that a hotline's plain request does not have.
_ABSENT = frozenset({"HTTP_REFERER", "HTTP_COOKIE", "HTTP_FORWARDED", "HTTP_PROXY_CONNECTION"})


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The result of applying a server's or a directory's rewrite rules to a request.

    Attributes:
        path: the decoded path of the URL after the rules; ``None``: the rules do not change the
            path.
        redirect: the URL to which the rules redirect the client.
        status: the status with which the rules refuse the request, e.g. 403; never 300 to 399.
        script: the handler or the other server to which a rule gives the request.
        ends: whether no rule applies after an internal redirect (flag ``END``).
        where: file and line of the last rule that applied.
    """

    path: bytes | None = None
    redirect: bytes | None = None
    status: int | None = None
    script: str = ""
    ends: bool = False
    where: str = ""


@dataclass(slots=True)
class Rules:
    """The rewrite rules of a server or of a directory.

    Attributes:
        directory: the directory to which the rules belong, with a slash at its end; "" for the
            rules of a server.
        base: the path of the URL that leads to the directory.
    """

    directives: list[ApacheDirective]
    directory: str = ""
    base: str = "/"
    conditions: list[ApacheDirective] = field(default_factory=list)


def rules_of(block: Iterable[ApacheDirective]) -> list[ApacheDirective]:
    """The rewrite rules and conditions in a block of directives."""
    return [one for one in block if one.name in {"rewriterule", "rewritecond"}]


class Rewriter:
    """Applies rewrite rules of Apache to one request."""

    def __init__(
        self,
        address: Address,
        document_root: str,
        is_there: Callable[[bytes, str], bool],
    ) -> None:
        """``is_there``: whether an absolute path is a file, a directory etc. (``f d e s l``)."""
        self._address = address
        self._document_root = document_root
        self._is_there = is_there
        self.redirected = False

    def apply(
        self, rules: Rules, uri: bytes, filename: bytes, inside: bytes = b""
    ) -> Rewritten | None:
        """The result of Apache's rewrite rules for a request; ``None``: the rules change nothing.

        Args:
            rules: the rewrite rules of the server or of one directory.
            uri: the decoded path of the requested URL.
            filename: the absolute path of the file; for the rules of a server, the path of the URL.
            inside: the path below the directory to which the rules belong.

        Raises:
            UndecidedError: hashscan cannot decide whether a rewrite rule applies.
        """
        path = inside if rules.directory else uri
        result: Rewritten | None = None
        conditions: list[ApacheDirective] = []
        skip = 0
        chained = True  # whether the previous rule of a chain applied
        in_chain = False
        for one in rules.directives:
            if one.name == "rewritecond":
                conditions.append(one)
                continue
            taken, conditions = conditions, []
            flags = _flags(one.args[2] if len(one.args) > 2 else "")
            in_chain, was_chained = "C" in flags or "CHAIN" in flags, in_chain
            if skip or (was_chained and not chained):
                skip = max(0, skip - 1)
                chained = False
                continue
            applies, captured = self._applies(one, taken, path, uri, filename)
            chained = applies is not False
            if applies is False:
                continue
            if applies is None:
                if not ({"F", "FORBIDDEN", "G", "GONE"} & flags.keys()):
                    raise UndecidedError(f"the rule at {one.where} depends on the client")
                continue
            if "N" in flags or "NEXT" in flags:
                raise UndecidedError(f"the rule at {one.where} starts the rules again")
            given = flags.get("S") or flags.get("SKIP") or "0"
            if not re.fullmatch("[0-9]{1,6}", given):
                raise UndecidedError(f"the rule at {one.where} is not understood")
            skip = int(given)
            outcome = self._outcome(one, flags, captured, rules, uri, filename)
            if outcome is not None:
                result = outcome
                if outcome.path is None:
                    return result
                path = uri = outcome.path
                if rules.directory:
                    path = path.removeprefix(os.fsencode(rules.base))
                else:
                    filename = path
            if {"L", "LAST", "END"} & flags.keys():
                break
        return result

    def _applies(
        self,
        one: ApacheDirective,
        conditions: list[ApacheDirective],
        path: bytes,
        uri: bytes,
        filename: bytes,
    ) -> tuple[bool | None, dict[str, bytes]]:
        if len(one.args) < 2:
            raise UndecidedError(f"the rule at {one.where} is not understood")
        flags = _flags(one.args[2] if len(one.args) > 2 else "")
        pattern = one.args[0]
        found = search(
            pattern.removeprefix("!"), path, ignore_case=bool({"NC", "NOCASE"} & flags.keys())
        )
        if (found is None) != pattern.startswith("!"):
            return False, {}
        captured = {f"${name}": text for name, text in (groups(found) if found else {}).items()}
        decided: bool | None = True
        either: bool | None = False  # the result of conditions joined by OR
        for condition in conditions:
            cond_flags = _flags(condition.args[2] if len(condition.args) > 2 else "")
            holds = self._holds(condition, cond_flags, captured, uri, filename)
            either = (
                True if True in {either, holds} else (None if None in {either, holds} else False)
            )
            if {"OR", "ORNEXT"} & cond_flags.keys():
                continue
            if either is False:
                return False, captured
            if either is None:
                decided = None
            either = False
        return decided, captured

    def _holds(
        self,
        one: ApacheDirective,
        flags: dict[str, str],
        captured: dict[str, bytes],
        uri: bytes,
        filename: bytes,
    ) -> bool | None:
        if len(one.args) < 2:
            raise UndecidedError(f"the condition at {one.where} is not understood")
        text = self._expand(one.args[0], captured, uri, filename)
        pattern = one.args[1]
        negated = pattern.startswith("!")
        pattern = pattern.removeprefix("!")
        if text is None:
            return None
        if re.fullmatch(r"-[fdesl]", pattern):
            if not text.startswith(b"/"):
                return negated
            return self._is_there(text, pattern[1]) != negated
        if re.match(r"-(eq|ne|lt|le|gt|ge|[FUhLx])", pattern) or one.args[0].lower() == "expr":
            return None
        if pattern[:1] in {"=", "<", ">"}:
            if pattern[:1] != "=" or pattern.startswith("=="):
                return None
            other = pattern[1:].encode("utf-8", "surrogateescape").strip(b'"')
            same = (
                text.lower() == other.lower() if {"NC", "NOCASE"} & flags.keys() else text == other
            )
            return same != negated
        found = search(pattern, text, ignore_case=bool({"NC", "NOCASE"} & flags.keys()))
        if found is not None and not negated:
            captured |= {f"%{name}": value for name, value in groups(found).items()}
        return (found is not None) != negated

    def _expand(
        self, text: str, captured: dict[str, bytes], uri: bytes, filename: bytes
    ) -> bytes | None:
        """A text with Apache's variables replaced; ``None``: a variable depends on the client."""
        expanded = b""
        end = 0
        for found in _PART.finditer(text):
            value: bytes | None
            if found[1] is not None:
                value = captured.get(f"${found[1]}", b"")
            elif found[2] is not None:
                value = captured.get(f"%{found[2]}", b"")
            elif found[3] is not None:
                value = self._variable(found[3], uri, filename)
            else:
                value = found[4].encode("utf-8", "surrogateescape")
            if value is None:
                return None
            expanded += text[end : found.start()].encode("utf-8", "surrogateescape") + value
            end = found.end()
        return expanded + text[end:].encode("utf-8", "surrogateescape")

    def _variable(self, name: str, uri: bytes, filename: bytes) -> bytes | None:
        address = self._address
        query = b"?" + address.query if address.query else b""
        upper = name.upper()
        if upper.startswith("HTTP:") or upper in _ABSENT:
            header = upper.removeprefix("HTTP:")
            if header == "HOST":
                return address.authority.encode()
            return None if header in {"USER-AGENT", "ACCEPT", "ACCEPT-LANGUAGE"} else b""
        if upper == "ENV:REDIRECT_STATUS":
            return b"200" if self.redirected else b""
        return {
            "REQUEST_URI": uri,
            "REQUEST_FILENAME": filename,
            "SCRIPT_FILENAME": filename,
            "QUERY_STRING": address.query,
            "HTTP_HOST": address.authority.encode(),
            "SERVER_NAME": address.host.encode(),
            "SERVER_PORT": str(address.port).encode(),
            "REQUEST_SCHEME": address.scheme.encode(),
            "HTTPS": b"on" if address.scheme == "https" else b"off",
            "REQUEST_METHOD": b"GET",
            "DOCUMENT_ROOT": os.fsencode(self._document_root),
            "THE_REQUEST": b"GET " + address.target + query + b" HTTP/1.1",
        }.get(upper)

    def _outcome(
        self,
        one: ApacheDirective,
        flags: dict[str, str],
        captured: dict[str, bytes],
        rules: Rules,
        uri: bytes,
        filename: bytes,
    ) -> Rewritten | None:
        """The result of a rewrite rule that applies; ``None``: the rule changes nothing."""
        where = one.where
        if {"F", "FORBIDDEN"} & flags.keys():
            return Rewritten(status=403, where=where)
        if {"G", "GONE"} & flags.keys():
            return Rewritten(status=410, where=where)
        if one.args[1] == "-":
            handler = flags.get("H") or flags.get("HANDLER")
            if handler:
                return Rewritten(script=f"{shown(handler)} (RewriteRule at {where})", where=where)
            return None
        new = self._expand(one.args[1], captured, uri, filename)
        if new is None:
            raise UndecidedError(f"the rule at {where} uses a variable that only the server knows")
        if {"P", "PROXY"} & flags.keys():
            return Rewritten(script=f"another server: {shown(new)} ({where})", where=where)
        redirect = next((flags[name] for name in ("R", "REDIRECT") if name in flags), None)
        if redirect and re.fullmatch("[0-9]{3}", redirect) and not 300 <= int(redirect) < 400:
            return Rewritten(status=int(redirect), where=where)
        if re.match(rb"[A-Za-z][A-Za-z0-9+.-]*://", new):
            return Rewritten(redirect=new, where=where)
        if not new.startswith(b"/"):
            new = os.fsencode(rules.base if rules.directory else "/") + new
        elif rules.directory and redirect is None and new.startswith(os.fsencode(rules.directory)):
            new = os.fsencode(rules.base) + new[len(rules.directory) :]
        if redirect is not None:
            return Rewritten(redirect=new, where=where)
        path, question, _ = new.partition(b"?")
        if question and "?" not in one.args[1]:
            return Rewritten(status=403, where=where)  # Apache refuses a ? from a capture
        return Rewritten(path=path, ends="END" in flags, where=where)


def _flags(text: str) -> dict[str, str]:
    """The values of a rewrite rule's flags, by the flags' names in upper case."""
    flags = {}
    for one in text.strip().removeprefix("[").removesuffix("]").split(","):
        name, _, value = one.strip().partition("=")
        if name:
            flags[name.upper()] = value
    return flags
