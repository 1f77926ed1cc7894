"""Evaluates how nginx processes a GET request, without running a program.

The phases of the processing: rewrites of the server, the choice of a location, rewrites of the
location, access, ``try_files``, the content. Sources: nginx.org/en/docs, ngx_http_core_module and
ngx_http_rewrite_module, and the behaviour of nginx 1.22 (the tests compare answers URL by URL).
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from hashscan.fs.served import ServedKind
from hashscan.notices.sites.address import decoded, follow, parse, sent_path, without_dots
from hashscan.notices.sites.answer import Passed, Phases, Redirected
from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.nginx_conf import Levels, NginxDirective, own, setting
from hashscan.notices.sites.nginx_rewrite import Rewriting
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.notices.sites.address import Address
    from hashscan.notices.sites.disk import Disk
    from hashscan.notices.sites.nginx_conf import Configuration, NginxServer

_MOST_TURNS = 10  # nginx allows ten internal redirects
_PASSES = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass")
_HANDLERS = frozenset({"stub_status", "empty_gif", "perl", "js_content", "upload_pass", "api"})
#: Matches names of directives with a program, which may replace the answer or the file.
_PROGRAMS = re.compile(
    r"(rewrite|access|content|server_rewrite|precontent)_by_lua.*|echo.*|js_access"
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The location block of nginx's configuration that takes a request.

    Attributes:
        levels: the directives of the blocks ``http``, ``server`` and ``location``, the innermost
            block last.
        name: the prefix in the location block; ``None``: the block has a regular expression, or no
            location fits.
        where: file and line of the location block.
        is_regex: whether the location is a regular expression; then the location's ``alias`` is the
            whole path of the file.
    """

    levels: Levels
    name: str | None
    where: str
    is_regex: bool = False


class NginxRequest(Phases):
    """A request to a server of nginx, and the phases in which nginx processes the request."""

    def __init__(
        self,
        configuration: Configuration,
        server: NginxServer,
        address: Address,
        disk: Disk,
        captures: dict[str, bytes],
    ) -> None:
        """``captures``: captures of the server's name, if the name is a regular expression."""
        self._configuration = configuration
        self._server = server
        self._address = address
        self._disk = disk
        self._internal = False
        self._left = _MOST_TURNS
        merge = setting(server.levels, "merge_slashes")
        raw = decoded(address.target)
        off = bool(merge) and merge[-1].args == ("off",)
        self._uri = b"" if raw is None else without_dots(raw, merge=not off, deep=True) or b""
        self._rewriting = Rewriting(address, captures, self._is_there)

    def _run(self) -> NoReturn:
        if not self._uri:
            self._end(self._disk.no_file("nginx answers 400: a broken escape, a NUL, or .."))
        self._rewrite(self._without_location())
        self._turn()

    def _turn(self) -> NoReturn:
        """Choose a location, and follow internal redirects to other locations, up to the answer."""
        while self._left:
            self._left -= 1
            chosen = self._choose()
            before = self._uri
            if chosen == self._without_location():
                self._enter(chosen)  # the rewrites of the server ran before the choice
            elif self._rewrite(chosen):
                self._disk.step(f"rewritten from {shown(before)} to {shown(self._uri)}")
                continue
            self._content(chosen)
            self._internal = True
            self._rewrite(self._without_location())
        raise UndecidedError("the internal redirects do not end")

    def _without_location(self) -> Chosen:
        return Chosen(self._server.levels, None, self._server.where)

    # The phases that rewrite the path of the URL

    def _rewrite(self, chosen: Chosen) -> bool:
        """Run the rewrite directives of one level; True: nginx then chooses another location."""
        self._enter(chosen)
        result = self._rewriting.run(chosen.levels[-1], self._uri)
        if result.status is not None:
            self._status(result.status, result.text, result.where, chosen)
        if result.redirect is not None:
            self._redirect(result.redirect)
        self._uri = result.uri
        return result.again

    def _enter(self, chosen: Chosen) -> None:
        """Take over the document root of a level, and raise if a program decides in the level."""
        for level in chosen.levels:
            for one in level:
                if _PROGRAMS.fullmatch(one.name):
                    raise UndecidedError(f"a program decides: {one.name} at {one.where}")
        root = setting(chosen.levels, "root")
        self._rewriting.root = root[-1].args[0] if root and root[-1].args else None

    def _redirect(self, target: bytes) -> NoReturn:
        try:
            self._end(Redirected(follow(self._address, os.fsdecode(target))))
        except ValueError as error:
            raise UndecidedError(f"a redirect to {shown(target)}: {error}") from None

    def _status(self, status: int, text: bytes, where: str, chosen: Chosen) -> NoReturn:
        if text and (status in {301, 302, 303, 307, 308}):
            self._redirect(text)
        if status < 300 and status != 204:
            self._end(self._disk.script(f"the text in the configuration at {where}"))
        self._fail(status, f"the configuration answers {status} at {where}", chosen)

    def _fail(self, status: int, why: str, chosen: Chosen, root: bytes = b"") -> NoReturn:
        """End the request with the status of an error, or continue with its ``error_page``."""
        for page in setting(chosen.levels, "error_page"):
            codes = page.args[:-1]
            replaced = next((one for one in codes if one.startswith("=")), None)
            if str(status) not in codes or replaced is None or replaced in {f"={status}", "=404"}:
                continue
            self._disk.step(f"{why}, and error_page at {page.where} replaces it")
            if page.args[-1].startswith("@"):
                self._named(page.args[-1], chosen)
            raise UndecidedError(f"error_page at {page.where} replaces the answer {status}")
        if not root:
            with suppress(UndecidedError):
                root, _ = self._place(chosen, self._uri)
        self._end(self._disk.no_file(why, root))

    # The phase that chooses the location block

    def _choose(self) -> Chosen:
        levels = self._server.levels
        found = self._search(levels, levels[-1])
        return self._without_location() if found is None else found[0]

    def _search(
        self, levels: Levels, block: tuple[NginxDirective, ...]
    ) -> tuple[Chosen, bool] | None:
        """The location that fits the path, and whether no expression can replace the location."""
        best: tuple[int, NginxDirective, bool] | None = None
        expressions: list[tuple[NginxDirective, str, bool]] = []
        for one in block:
            if one.name != "location" or one.block is None or not one.args:
                continue
            kind, name = _location_name(one.args)
            if kind == "@":
                continue
            if kind in {"~", "~*"}:
                expressions.append((one, name, kind == "~*"))
                continue
            start = os.fsencode(name)
            if kind == "=":
                if self._uri == start:
                    return self._chosen(levels, one, name), True
            elif self._uri.startswith(start) and (best is None or len(start) > best[0]):
                best = (len(start), one, kind == "^~")
            elif self._uri + b"/" == start and any(each.name in _PASSES for each in one.block):
                self._redirect(sent_path(start))
        result: tuple[Chosen, bool] | None = None
        if best is not None:
            assert best[1].block is not None
            _, name = _location_name(best[1].args)
            chosen = self._chosen(levels, best[1], name)
            inner = self._search(chosen.levels, best[1].block)
            if inner is not None and inner[1]:
                return inner
            result = inner or (chosen, False)
        if best is None or not best[2]:
            for one, pattern, ignore_case in expressions:
                if self._rewriting.match(pattern, self._uri, ignore_case=ignore_case):
                    assert one.block is not None
                    self._disk.step(f"the location at {one.where} fits: {shown(pattern)}")
                    chosen = Chosen((*levels, one.block), None, one.where, is_regex=True)
                    inner = self._search(chosen.levels, one.block)
                    return (inner[0] if inner is not None else chosen), True
        return result

    @staticmethod
    def _chosen(levels: Levels, one: NginxDirective, name: str) -> Chosen:
        assert one.block is not None
        return Chosen((*levels, one.block), name, one.where)

    def _named(self, name: str, chosen: Chosen) -> NoReturn:
        for one in self._server.levels[-1]:
            if one.name == "location" and one.args == (name,) and one.block is not None:
                levels = (*self._server.levels, one.block)
                self._internal = True
                inner = Chosen(levels, None, one.where)
                if not self._rewrite(inner):
                    self._content(inner, named=True)
                    self._rewrite(self._without_location())
                self._turn()
        raise UndecidedError(f"there is no location {shown(name)} (used at {chosen.where})")

    # The phase that sends the content

    def _content(self, chosen: Chosen, *, named: bool = False) -> None:
        """End the request with an answer, or return after an internal redirect to another path."""
        level = chosen.levels[-1]
        if own(level, "internal") and not self._internal and not named:
            self._fail(404, f"the location at {chosen.where} is internal", chosen)
        if self._denied(chosen):
            self._fail(403, f"the location at {chosen.where} denies all", chosen)
        tries = own(level, "try_files")
        if tries is not None and self._try(tries, chosen):
            return
        for one in level:
            if one.name in _PASSES and one.args:
                self._pass(one, chosen)
            if one.name in _HANDLERS:
                self._end(self._disk.script(f"{one.name} at {one.where}"))
        root, path = self._place(chosen, self._uri)
        if self._uri.endswith(b"/"):
            self._index(chosen, root, path)
            return
        served = self._disk.find(root, path)
        if served.entry is ServedKind.DIRECTORY:
            self._redirect(sent_path(self._uri + b"/"))
        if served.entry is ServedKind.FILE and not served.rest:
            self._end(self._disk.file(root, served))
        self._missing(chosen, root, path)

    def _missing(self, chosen: Chosen, root: bytes, path: bytes) -> NoReturn:
        passenger = setting(chosen.levels, "passenger_enabled")
        if passenger and passenger[-1].args == ("on",):
            self._end(self._disk.script(f"passenger at {passenger[-1].where}", root))
        self._fail(404, f"there is no file {shown(path)} below {shown(root)}", chosen, root)

    def _denied(self, chosen: Chosen) -> bool:
        for level in reversed(chosen.levels):
            rules = [one for one in level if one.name in {"allow", "deny"}]
            if rules:
                return rules[0].name == "deny" and rules[0].args == ("all",)
        return False

    def _place(self, chosen: Chosen, uri: bytes) -> tuple[bytes, bytes]:
        """The document root for a path of the URL, and the path below the document root."""
        alias = own(chosen.levels[-1], "alias")
        if alias is None and len(chosen.levels) > 3:  # the location is nested in another location
            for level in reversed(chosen.levels[2:]):
                if own(level, "root"):
                    break
                if own(level, "alias"):
                    raise UndecidedError(f"alias is inherited at {chosen.where}")
        if alias is not None and alias.args and not own(chosen.levels[-1], "root"):
            base = self._expand(alias.args[0], alias.where)
            self._absolute(base, alias)
            if chosen.is_regex:
                root, _, path = base.rpartition(b"/")
                return root or b"/", path
            rest = uri.removeprefix(os.fsencode(chosen.name or ""))
            if base.endswith(b"/") or not rest or rest.startswith(b"/"):
                if not rest and not base.endswith(b"/"):
                    root, _, path = base.rpartition(b"/")
                    return root or b"/", path
                return base.rstrip(b"/") or b"/", rest
            root, _, name = base.rpartition(b"/")
            return root or b"/", name + rest
        roots = setting(chosen.levels, "root")
        if not roots or not roots[-1].args:
            raise UndecidedError(f"no root is set for {chosen.where}, so it is compiled in")
        root = self._expand(roots[-1].args[0], roots[-1].where)
        self._absolute(root, roots[-1])
        return root.rstrip(b"/") or b"/", uri

    @staticmethod
    def _absolute(path: bytes, directive: NginxDirective) -> None:
        if not path.startswith(b"/") or "\ufffd" in directive.args[0]:
            raise UndecidedError(f"{directive.name} at {directive.where} is no full path in UTF-8")

    def _expand(self, text: str, where: str) -> bytes:
        return self._rewriting.expand(text, self._uri, where)

    def _is_there(self, root: str | None, uri: bytes, kind: str) -> bool:
        """Whether ``$request_filename`` is a file (``f``), directory (``d``), or exists (``e``)."""
        if root is None:
            raise UndecidedError("a condition tests a file, and no root is set")
        place = self._expand(root, "root")
        if not place.startswith(b"/"):
            raise UndecidedError("a condition tests a file, and the root is no full path")
        entry = self._disk.find(place, uri)
        is_file = entry.entry is ServedKind.FILE and not entry.rest and not uri.endswith(b"/")
        if kind == "e":
            return is_file or entry.entry in {ServedKind.DIRECTORY, ServedKind.OTHER}
        return is_file if kind == "f" else entry.entry is ServedKind.DIRECTORY

    def _index(self, chosen: Chosen, root: bytes, path: bytes) -> None:
        """Continue with the index file of a directory, or end the request with an answer."""
        served = self._disk.find(root, path)
        if served.entry is not ServedKind.DIRECTORY:
            self._missing(chosen, root, path)
        indexes = setting(chosen.levels, "index")
        names = [name for one in indexes for name in one.args] or ["index.html"]
        for name in names:
            given = self._expand(name, chosen.where)
            if given.startswith(b"/"):
                self._disk.step(f"the index of the directory is {shown(given)}")
                self._uri = given
                return
            if self._disk.is_file(root, path + given):
                self._disk.step(f"the index file of the directory is {shown(given)}")
                self._uri += given
                return
        self._end(self._disk.directory(root, served))

    def _try(self, tries: NginxDirective, chosen: Chosen) -> bool:
        """Run the directive ``try_files``; return True after an internal redirect."""
        for text in tries.args[:-1]:
            uri = self._expand(text, tries.where)
            wants_directory = text.endswith("/")
            if wants_directory:
                uri = uri[:-1]
            root, path = self._place(chosen, uri if uri.startswith(b"/") else b"/" + uri)
            there = self._disk.is_directory if wants_directory else self._disk.is_file
            if there(root, path):
                self._disk.step(f"try_files at {tries.where} finds {shown(uri) or '/'}")
                self._uri = uri or b"/"
                return False
        last = tries.args[-1] if tries.args else "=404"
        if re.fullmatch("=[0-9]{3}", last):
            self._fail(int(last[1:]), f"try_files at {tries.where} finds no file", chosen)
        self._disk.step(
            f"try_files at {tries.where} finds no file and continues with {shown(last)}"
        )
        if last.startswith("@"):
            self._named(last, chosen)
        self._uri = self._expand(last.partition("?")[0], tries.where)
        return True

    def _pass(self, one: NginxDirective, chosen: Chosen) -> NoReturn:
        """End the request with a script, or with the server to which nginx passes the request."""
        target = " ".join(one.args)
        if one.name != "proxy_pass":
            root, path = self._place(chosen, self._uri)
            served = self._disk.find(root, path)
            name = shown(root.rstrip(b"/") + b"/" + path.lstrip(b"/"))
            if served.entry is ServedKind.FILE:
                name = shown(root.rstrip(b"/") + b"/" + served.path)
            script = f"{name} by {one.name} {shown(target)} at {one.where}"
            self._end(self._disk.script(script, root, served))
        otherwise = self._disk.script(f"another server: {shown(target)} (proxy_pass, {one.where})")
        found = re.fullmatch(r"(https?)://([^/$]+)", target)
        if found is None:
            self._end(otherwise)
        upstream = self._configuration.upstreams.get(found[2], found[2])
        try:
            port = parse(f"{found[1]}://{upstream}").port
        except ValueError:
            self._end(otherwise)
        address = type(self._address)(
            found[1], self._address.host, port, sent_path(self._uri), self._address.query
        )
        self._end(Passed(address, otherwise))


def _location_name(args: tuple[str, ...]) -> tuple[str, str]:
    """The kind and the name of a location, from the arguments of its directive."""
    first = args[0]
    if len(args) > 1:
        return first, args[1]
    for kind in ("^~", "~*", "~", "=", "@"):
        if first.startswith(kind):
            return kind, first if kind == "@" else first[len(kind) :]
    return "", first
