"""Evaluates nginx's rewrite module: ``return``, ``rewrite``, ``set``, ``if``, ``break``, variables.

Source: nginx.org/en/docs/http/ngx_http_rewrite_module.html.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.patterns import groups, search
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.notices.sites.address import Address
    from hashscan.notices.sites.nginx_conf import NginxDirective

_VARIABLE = re.compile(r"\$(?:\{([a-zA-Z0-9_]+)\}|([0-9]|[a-zA-Z_][a-zA-Z0-9_]*))")
_REDIRECT = ("http://", "https://", "$scheme")
#: nginx's directives that do not change which file answers a request.
_HARMLESS = re.compile(
    r"set|add_header|expires|access_log|error_log|log_not_found|etag|gzip.*|limit_.*|charset"
    r"|default_type|more_.*|proxy_set_header|break"
)


@dataclass(frozen=True, slots=True)
class RewriteResult:
    """The result of the rewrite directives in one level of nginx's configuration.

    Attributes:
        uri: the path of the requested URL after the rewrite directives.
        again: whether nginx chooses another location for the new path.
        status: the status that a directive ``return`` sends, with its text in ``text``.
        redirect: the URL to which nginx redirects the client.
    """

    uri: bytes
    again: bool = False
    status: int | None = None
    text: bytes = b""
    redirect: bytes | None = None
    where: str = ""


class Rewriting:
    """The values of nginx's variables for one request, and the directives that use the variables.

    Attributes:
        root: the document root of the present level, in which variables are not replaced; ``None``:
            no root.
    """

    def __init__(
        self,
        address: Address,
        captures: dict[str, bytes],
        is_there: Callable[[str | None, bytes, str], bool],
    ) -> None:
        """``is_there``: tests for a file (``f``), a directory (``d``), or either (``e``)."""
        self.root: str | None = None
        self._is_there = is_there
        query = b"?" + address.query if address.query else b""
        host = f"[{address.host}]" if ":" in address.host else address.host
        self._values: dict[str, bytes | None] = {
            **captures,
            "host": host.encode(),
            "http_host": address.authority.encode(),
            "scheme": address.scheme.encode(),
            "https": b"on" if address.scheme == "https" else b"",
            "request_uri": address.target + query,
            "request_method": b"GET",
            "args": address.query,
            "query_string": address.query,
            "is_args": b"?" if address.query else b"",
            "server_port": str(address.port).encode(),
        }

    def match(self, pattern: str, text: bytes, *, ignore_case: bool = False) -> bool:
        """Whether a regular expression fits a text; captures of the expression become variables.

        Raises:
            UndecidedError: hashscan does not understand the expression.
        """
        found = search(pattern, text, ignore_case=ignore_case)
        if found is None:
            return False
        self._values |= {str(number): b"" for number in range(1, 10)}
        self._values |= groups(found)
        return True

    def _value(self, name: str, uri: bytes) -> bytes | None:
        """The value of a variable of nginx; ``None``: only a running nginx has the value."""
        if name in {"uri", "document_uri"}:
            return uri
        if name == "document_root" and self.root is not None and "$" not in self.root:
            return os.fsencode(self.root)
        if name == "request_filename" and self.root is not None and "$" not in self.root:
            return os.fsencode(self.root) + uri
        return self._values.get(name)

    def expand(self, text: str, uri: bytes, where: str) -> bytes:
        """A text with nginx's variables replaced by their values.

        Raises:
            UndecidedError: only a running nginx has the value of a variable.
        """
        expanded = b""
        end = 0
        for found in _VARIABLE.finditer(text):
            name = found[1] or found[2]
            value = self._value(name, uri)
            if value is None:
                raise UndecidedError(f"{where} uses ${name}, which only nginx knows")
            expanded += os.fsencode(text[end : found.start()]) + value
            end = found.end()
        return expanded + os.fsencode(text[end:])

    def run(self, level: tuple[NginxDirective, ...], uri: bytes) -> RewriteResult:
        """Run the rewrite directives of one level in their order.

        Raises:
            UndecidedError: the result depends on a condition that only a running nginx can check.
        """
        again = False
        for one in level:
            if one.name == "return":
                return self._return(one, uri)
            if one.name == "rewrite" and len(one.args) > 1:
                result, stop = self._rewrite(one, uri)
                if result is not None:
                    if result.redirect is not None:
                        return result
                    uri, again = result.uri, result.again
                    if stop:
                        return result
            elif one.name == "set" and len(one.args) == 2:
                self._set(one, uri)
            elif one.name == "break":
                break
            elif one.name == "if" and one.block is not None:
                inner = self._if(one, uri)
                if inner is not None and (inner.status or inner.redirect or inner.where == "stop"):
                    return inner
                if inner is not None:
                    uri, again = inner.uri, again or inner.again
        return RewriteResult(uri, again)

    def _set(self, one: NginxDirective, uri: bytes) -> None:
        name = one.args[0].lstrip("$")
        try:
            self._values[name] = self.expand(one.args[1], uri, one.where)
        except UndecidedError:
            self._values[name] = None

    def _return(self, one: NginxDirective, uri: bytes) -> RewriteResult:
        first = one.args[0] if one.args else "404"
        if not re.fullmatch("[0-9]{3}", first):
            return RewriteResult(uri, redirect=self.expand(first, uri, one.where))
        text = b""
        if len(one.args) > 1 and first.startswith("3"):
            text = self.expand(one.args[1], uri, one.where)
        return RewriteResult(uri, status=int(first), text=text, where=one.where)

    def _rewrite(self, one: NginxDirective, uri: bytes) -> tuple[RewriteResult | None, bool]:
        """The result of a ``rewrite``; ``None``: it does not fit; and whether it ends the level."""
        pattern, replacement = one.args[:2]
        flag = one.args[2] if len(one.args) > 2 else ""
        if not self.match(pattern, uri):
            return None, False
        if replacement.startswith(_REDIRECT) or flag in {"redirect", "permanent"}:
            return RewriteResult(uri, redirect=self.expand(replacement, uri, one.where)), True
        path = self.expand(replacement.partition("?")[0], uri, one.where)
        again = flag != "break"
        return RewriteResult(path, again, where="stop" if flag else ""), bool(flag)

    def _if(self, one: NginxDirective, uri: bytes) -> RewriteResult | None:
        assert one.block is not None
        decided = self._condition(one, uri)
        if decided is False:
            return None
        others = [each for each in one.block if not _HARMLESS.fullmatch(each.name)]
        if decided is None:
            if all(each.name == "return" and _refuses(each) for each in others):
                for each in one.block:
                    if each.name == "set" and each.args:
                        self._values[each.args[0].lstrip("$")] = None
                return None
            raise UndecidedError(f"only nginx can check the condition at {one.where}")
        for each in others:
            if each.name not in {"return", "rewrite"}:
                raise UndecidedError(f"{shown(each.name)} within the condition at {one.where}")
        result = self.run(one.block, uri)
        if any(each.name == "break" for each in one.block) and result.status is None:
            return RewriteResult(result.uri, result.again, redirect=result.redirect, where="stop")
        return result

    def _condition(self, one: NginxDirective, uri: bytes) -> bool | None:
        """Whether the condition of an ``if`` is true; ``None``: only a running nginx can decide."""
        words = one.args
        if not words:
            return None
        test = re.fullmatch(r"(!?)-([fdex])", words[0])
        if test and len(words) == 2:
            if words[1] not in {"$request_filename", "$document_root$uri"} or test[2] == "x":
                return None
            return self._is_there(self.root, uri, test[2]) != bool(test[1])
        try:
            value = self.expand(words[0], uri, one.where)
            if len(words) == 1:
                return value not in {b"", b"0"}
            operator, other = words[1], words[2] if len(words) > 2 else ""
            if operator in {"=", "!="}:
                return (value == self.expand(other, uri, one.where)) == (operator == "=")
        except UndecidedError:
            return None
        if operator in {"~", "~*", "!~", "!~*"}:
            fits = self.match(other, value, ignore_case=operator.endswith("*"))
            return fits != operator.startswith("!")
        return None


def _refuses(one: NginxDirective) -> bool:
    return bool(one.args) and re.fullmatch("[45][0-9]{2}", one.args[0]) is not None
