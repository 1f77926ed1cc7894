"""Evaluates how Apache httpd processes a GET request, without running a program.

The sources are httpd.apache.org/docs/2.4 (mod_proxy, mod_rewrite, mod_userdir, mod_alias, core,
mod_dir), and the behaviour of Apache httpd 2.4.68 (the tests compare answers URL by URL).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NoReturn

from hashscan.fs.served import ServedKind
from hashscan.notices.sites.address import (
    decoded,
    follow,
    is_broken,
    parse,
    sent_path,
    unreserved_decoded,
    without_dots,
)
from hashscan.notices.sites.answer import Passed, Phases, Redirected
from hashscan.notices.sites.apache_mapping import Mapping, rest_of
from hashscan.notices.sites.apache_rewrite import Rewriter, Rules, rules_of
from hashscan.notices.sites.apache_scope import ApacheScope, location_fits
from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.patterns import apache_search as search
from hashscan.notices.sites.patterns import filled
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.fs.served import Served
    from hashscan.notices.sites.address import Address
    from hashscan.notices.sites.apache_conf import ApacheDirective, ApacheReader
    from hashscan.notices.sites.apache_rewrite import Rewritten
    from hashscan.notices.sites.disk import Disk

_MOST_TURNS = 10  # the most internal redirects: the default of LimitInternalRecursion
_REDIRECTS = frozenset({"redirect", "redirectpermanent", "redirecttemp", "redirectmatch"})
_PROGRAMS = frozenset({"jkmount", "wsgiscriptalias", "wsgiscriptaliasmatch", "scriptaliasmatch"})


class ApacheRequest(Phases):
    """A request to a virtual host of Apache, and the phases of its processing."""

    def __init__(
        self,
        main: tuple[ApacheDirective, ...],
        own: tuple[ApacheDirective, ...],
        reader: ApacheReader,
        address: Address,
        disk: Disk,
    ) -> None:
        """``main``: directives of the main server; ``own``: directives of the virtual host."""
        self._levels = (main, own)
        self._reader = reader
        self._address = address
        self._disk = disk
        self._uri = b""
        self._rewrites = True
        self._mapping = Mapping(self._levels, reader, address, disk)
        self._root = self._mapping.setting("documentroot")

    def _refuse(self, why: str, root: bytes = b"") -> NoReturn:
        self._end(self._disk.no_file(why, root))

    def _redirect(self, target: bytes, *, path: bool = False) -> NoReturn:
        text = (sent_path(target) if path else target).decode("utf-8", "surrogateescape")
        query = self._address.query.decode("ascii")
        if query and "?" not in text:
            text += "?" + query
        try:
            self._end(Redirected(follow(self._address, text)))
        except ValueError as error:
            raise UndecidedError(f"a redirect to {shown(target)}: {error}") from None

    def _run(self) -> NoReturn:
        self._uri = self._path()
        rewriter = Rewriter(self._address, self._root, self._is_there)
        for _ in range(_MOST_TURNS):
            self._proxy()
            before = self._uri
            self._rewrite_server(rewriter)
            self._redirects(self._mapping.server(*_REDIRECTS))
            root, path, is_cgi = self._mapping.place(self._uri)
            self._turn(root, path, rewriter, is_cgi=is_cgi)
            rewriter.redirected = True
            if before != self._uri:
                self._disk.step(f"the server continues with {shown(self._uri)}")
        raise UndecidedError("the internal redirects do not end")

    def _path(self) -> bytes:
        """The URL's path, decoded: unreserved characters first, then dots, then other escapes."""
        slashes = self._mapping.setting("allowencodedslashes", "off").lower()
        merge = self._mapping.setting("mergeslashes", "on").lower() != "off"
        target = b"/" + unreserved_decoded(self._address.target).lstrip(b"/")
        plain = without_dots(target, merge=merge)
        if plain is not None and slashes == "nodecode":
            plain = re.sub(rb"%2f", rb"%252F", plain, flags=re.IGNORECASE)
        elif plain is not None and slashes == "off" and re.search(rb"%2f", plain, re.IGNORECASE):
            self._refuse("Apache answers 404: %2F in a path, and AllowEncodedSlashes is off")
        path = None if plain is None else decoded(plain)
        if path is not None and slashes == "on":  # decoded slashes may make new dots
            path = without_dots(path, merge=merge, clamp=True)
        if path is None or is_broken(target):
            self._refuse("Apache answers 400 or 404: a broken escape, a NUL, or ..")
        return path

    # The phase that translates the URL's path to a path on the disk

    def _proxy(self) -> None:
        for one in self._mapping.server("proxypass", "proxypassmatch", *_PROGRAMS):
            if len(one.args) < 2:
                continue
            if one.name in _PROGRAMS:
                if one.name.endswith("match"):
                    if search(one.args[0], self._uri) is not None:
                        self._end(self._disk.script(f"{shown(one.raw)} at {one.where}"))
                elif rest_of(self._uri, one.args[0].rstrip("*")) is not None:
                    self._end(self._disk.script(f"{shown(one.raw)} at {one.where}"))
                continue
            if one.name == "proxypassmatch":
                found = search(one.args[0], self._uri)
                if found is None:
                    continue
                target = filled(one.args[1], found)
                rest = b""
            else:
                left = rest_of(self._uri, one.args[0])
                if left is None:
                    continue
                rest, target = left, one.args[1]
            if target == "!":
                return
            self._pass(target, rest, one)
        for section in self._mapping.server("location", "locationmatch"):
            for one in section.block or ():
                if one.name != "proxypass" or not one.args or one.args[0] == "!":
                    continue
                if location_fits(section, os.fsdecode(self._uri)):
                    self._pass(one.args[0], rest_of(self._uri, section.args[0]) or b"", one)

    def _pass(self, target: str, rest: bytes, one: ApacheDirective) -> NoReturn:
        otherwise = self._disk.script(f"another server: {shown(target)} ({one.name}, {one.where})")
        try:
            behind = parse(target)
        except ValueError:
            self._end(otherwise)
        if not target.startswith(("http://", "https://")):
            self._end(otherwise)
        keeps = self._mapping.setting("proxypreservehost", "off").lower() == "on"
        address = type(behind)(
            behind.scheme,
            self._address.host if keeps else behind.host,
            behind.port,
            behind.target + sent_path(rest) if rest else behind.target,
            self._address.query,
        )
        self._end(Passed(address, otherwise))

    def _rewrite_server(self, rewriter: Rewriter) -> None:
        level = self._levels[1] or self._levels[0]
        engine = [one.args for one in level if one.name == "rewriteengine" and one.args]
        if not self._rewrites or not engine or engine[-1][0].lower() != "on":
            return
        if any(one.name == "rewriteoptions" and "nherit" in one.raw for one in level):
            raise UndecidedError("RewriteOptions Inherit is not understood")
        result = rewriter.apply(Rules(rules_of(level)), self._uri, self._uri)
        if result is None:
            return
        self._take(result, "")
        assert result.path is not None
        first = result.path.split(b"/")[1]
        if (
            first
            and os.path.lexists(b"/" + first)
            and not self._disk.find(os.fsencode(self._root or "/"), first).path
        ):
            raise UndecidedError(f"the rule at {result.where} leads to a path of the disk")
        self._uri = result.path

    def _take(self, result: Rewritten, root: str) -> None:
        """Apply the result of rewrite rules: end with an answer, or continue with the new path."""
        if result.ends:
            self._rewrites = False
        if result.status is not None:
            self._refuse(
                f"the rule at {result.where} refuses with {result.status}", os.fsencode(root)
            )
        if result.script:
            self._end(self._disk.script(result.script))
        if result.redirect is not None:
            self._disk.step(f"the rule at {result.where} redirects")
            self._redirect(result.redirect)

    def _redirects(self, found: list[ApacheDirective], place: str = "") -> None:
        for one in found:
            words = list(one.args)
            status = {"redirectpermanent": "301"}.get(one.name, "302")
            if words and re.fullmatch(
                r"[0-9]{3}|permanent|temp|seeother|gone", words[0], re.IGNORECASE
            ):
                named = {"permanent": "301", "temp": "302", "seeother": "303", "gone": "410"}
                status = named.get(words[0].lower(), words[0])
                words = words[1:]
            if not words or (len(words) == 1 and place == "section"):
                raise UndecidedError(f"{one.name} at {one.where} is not understood")
            if one.name == "redirectmatch":
                match = search(words[0], self._uri)
                if match is None:
                    continue
                target = filled(words[1] if len(words) > 1 else "", match)
            else:
                rest = rest_of(self._uri, words[0])
                if rest is None:
                    continue
                target = (words[1] if len(words) > 1 else "") + sent_path(rest).decode()
            if not status.startswith("3"):
                self._refuse(f"{one.name} at {one.where} answers {status}")
            self._disk.step(f"{one.name} at {one.where} redirects")
            self._redirect(os.fsencode(target))

    def _is_there(self, path: bytes, kind: str) -> bool:
        """Whether an absolute path is a file (``f``), is a directory (``d``), or exists (``e``)."""
        root = os.fsencode(self._root).rstrip(b"/")
        if not root or not path.startswith(root + b"/"):
            if path == root:
                return kind in {"d", "e"}
            # The rewrite rules of a server test the path of the URL. Apache reads this path as an
            # absolute path on the disk.
            if os.path.lexists(b"/" + path.split(b"/")[1]):
                raise UndecidedError(f"a rule tests {shown(path)}, outside of the document root")
            return False
        served = self._disk.find(root, path[len(root) :])
        is_file = served.entry is ServedKind.FILE and not served.rest
        if kind == "l":
            return bool(served.links)
        if kind == "s" and is_file:
            return self._disk.read(root, path[len(root) :], 0) != b""
        if kind == "e":
            return is_file or served.entry in {ServedKind.DIRECTORY, ServedKind.OTHER}
        return is_file if kind in {"f", "s"} else served.entry is ServedKind.DIRECTORY

    # The phase that finds the file for the path on the disk

    def _turn(self, root: bytes, path: bytes, rewriter: Rewriter, *, is_cgi: bool) -> None:
        """End the request with an answer, or return after an internal redirect to another path."""
        served = self._disk.find(root, path)
        if served.entry in {ServedKind.BARRED, ServedKind.OTHER}:
            self._refuse(f"Apache refuses {shown(path)}: a link to nothing, or no file", root)
        is_directory = served.entry is ServedKind.DIRECTORY
        ends_in_slash = path.endswith(b"/")
        rest = served.rest
        if served.entry is ServedKind.FILE and ends_in_slash:
            rest = rest or b"/"
        file_path = path
        count = len([name for name in served.rest.split(b"/") if name])
        if served.entry is ServedKind.ABSENT:
            count -= 1
        if count > 0:
            file_path = b"/".join([name for name in path.split(b"/") if name][:-count])
        scope = ApacheScope(
            self._levels, self._reader, self._disk, root, file_path, self._uri,
            is_directory=is_directory,
        )  # fmt: skip
        denied = scope.denied()
        if denied is not None:
            self._refuse(f"{shown(denied.name)} at {denied.where} denies all", root)
        options = scope.options()
        if served.links and not options & {"followsymlinks", "symlinksifownermatch", "all"}:
            self._refuse(f"{shown(served.links[0])} is a link, and Options forbids links", root)
        if self._rewrite_directory(scope, root, path, rewriter, file_path):
            return
        for block in scope.blocks[2:]:
            self._redirects([one for one in block if one.name in _REDIRECTS], "section")
        if is_directory:
            self._directory(scope, root, path, served)
            return
        if served.entry is ServedKind.FILE:
            self._file(scope, root, served, rest, is_cgi=is_cgi)
        if self._fallback(scope):
            return
        passenger = scope.last("passengerenabled")
        if passenger is not None and passenger.raw.lower() == "on":
            self._end(self._disk.script(f"passenger at {passenger.where}", root))
        handler, where = scope.handler(os.fsdecode(path.rpartition(b"/")[2]))
        if handler and "/" in handler and not handler.startswith(("application/", "proxy:")):
            self._end(self._disk.script(f"{shown(handler)} at {where}", root))
        if "multiviews" in options or scope.is_on("checkspelling", default=False):
            raise UndecidedError(f"no file {shown(path)}, but MultiViews or CheckSpelling is on")
        self._refuse(f"there is no file {shown(path)} below {shown(root)}", root)

    def _file(
        self, scope: ApacheScope, root: bytes, served: Served, rest: bytes, *, is_cgi: bool
    ) -> NoReturn:
        name = os.fsdecode(served.path.rpartition(b"/")[2])
        handler, where = scope.handler(name)
        if is_cgi:
            handler, where = "cgi-script", "ScriptAlias"
        if handler:
            script = f"{shown(root + b'/' + served.path)} by {shown(handler)} at {where}"
            self._end(self._disk.script(script, root, served))
        if rest and not scope.is_on("acceptpathinfo", default=False):
            self._refuse(f"{shown(served.path)} is a file, and the URL continues after it", root)
        self._end(self._disk.file(root, served))

    def _directory(self, scope: ApacheScope, root: bytes, path: bytes, served: Served) -> None:
        if not self._uri.endswith(b"/"):
            if scope.is_on("directoryslash", default=True):
                self._redirect(self._uri + b"/", path=True)
            self._refuse(f"{shown(path)} is a directory, and DirectorySlash is off", root)
        for name in scope.indexes():
            given = os.fsencode(name)
            if given.startswith(b"/"):
                self._disk.step(f"the index of the directory is {shown(name)}")
                self._uri = given.partition(b"?")[0]
                return
            inside = path.rstrip(b"/") + b"/" + given
            if self._disk.is_file(root, inside):
                self._disk.step(f"the index file of the directory is {shown(name)}")
                self._uri += given
                return
        if self._fallback(scope):
            return
        self._end(self._disk.directory(root, served))

    def _fallback(self, scope: ApacheScope) -> bool:
        one = scope.last("fallbackresource")
        if one is None or not one.args or one.args[0].lower() == "disabled":
            return False
        target = os.fsencode(one.args[0])
        if target == self._uri:
            return False
        self._disk.step(f"FallbackResource at {one.where} gives {shown(target)}")
        if not target.startswith(b"/"):
            raise UndecidedError(f"FallbackResource at {one.where} is no full path")
        self._uri = target.partition(b"?")[0]
        return True

    def _rewrite_directory(
        self, scope: ApacheScope, root: bytes, path: bytes, rewriter: Rewriter, file_path: bytes
    ) -> bool:
        """Apply the rewrite rules of the innermost directory with rules; True for a new path."""
        if not self._rewrites:
            return False
        engine = False
        chosen: tuple[tuple[ApacheDirective, ...], str] | None = None
        base = None
        for block, place in list(zip(scope.blocks, scope.places, strict=True))[2:]:
            names = {one.name for one in block if one.name.startswith("rewrite")}
            if not names:
                continue
            for one in block:
                if one.name == "rewriteengine" and one.args:
                    engine = one.args[0].lower() == "on"
            if any(one.name == "rewriteoptions" and "nherit" in one.raw for one in block):
                raise UndecidedError("RewriteOptions Inherit is not understood")
            chosen = (block, place)
            base = next((one.args[0] for one in block if one.name == "rewritebase"), None)
        if chosen is None or not engine or not rules_of(chosen[0]):
            return False
        block, place = chosen
        if not place:
            raise UndecidedError("rewrite rules in a Location section are not evaluated")
        filename = root.rstrip(b"/") + b"/" + path.lstrip(b"/")
        directory = os.fsencode(place)
        if filename + b"/" == directory or not filename.startswith(directory):
            return False
        inside = filename[len(directory) :]
        url_base = base or os.fsdecode(self._uri.removesuffix(inside))
        rules = Rules(
            rules_of(block), place, url_base if url_base.endswith("/") else url_base + "/"
        )
        # Leave out the names in the path after a file, and those after the first name that does not
        # exist.
        short = root.rstrip(b"/") + b"/" + file_path.strip(b"/")
        result = rewriter.apply(rules, self._uri, short, inside)
        if result is None:
            return False
        self._take(result, os.fsdecode(root))
        assert result.path is not None
        if result.path == self._uri:
            return False
        self._disk.step(f"the rule at {result.where} leads to {shown(result.path)}")
        self._uri = result.path
        return True
