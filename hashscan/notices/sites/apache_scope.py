"""Finds the sections of Apache's configuration and the ``.htaccess`` files that apply to a file.

The order of merging is that of httpd.apache.org/docs/2.4/sections.html, "How the sections are
merged": first the server's directives; then directory sections with ``.htaccess`` files, from the
shortest path on; then directory sections by expression; then file sections; then location sections.
"""

from __future__ import annotations

import fnmatch
import os
import re
from typing import TYPE_CHECKING

from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.patterns import apache_search as search
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashscan.notices.sites.apache_conf import ApacheDirective, ApacheReader
    from hashscan.notices.sites.disk import Disk

_HTACCESS_BYTES = 256 << 10
_ANY = ("*", "?", "[")
#: Apache's directives that change which file or script answers a request.
_RELEVANT = frozenset(
    {
        "sethandler", "addhandler", "addtype", "forcetype", "directoryindex", "rewriterule",
        "redirect", "redirectmatch", "redirectpermanent", "redirecttemp", "alias", "proxypass",
        "fallbackresource", "require", "deny", "action",
    }
)  # fmt: skip


def flat(block: Iterable[ApacheDirective]) -> Iterator[ApacheDirective]:
    """The directives of a block and of those ``Limit`` sections in the block that apply to GET."""
    for one in block:
        methods = {word.upper() for word in one.args}
        if one.name == "limit" and one.block is not None:
            if "GET" in methods:
                yield from flat(one.block)
        elif one.name == "limitexcept" and one.block is not None:
            if "GET" not in methods:
                yield from flat(one.block)
        else:
            yield one


def _is_below(pattern: str, place: str) -> int | None:
    """The number of names in a ``Directory`` pattern; ``None``: the pattern does not fit."""
    wanted = [name for name in pattern.split("/") if name]
    names = [name for name in place.split("/") if name]
    if len(wanted) > len(names):
        return None
    for pattern_name, name in zip(wanted, names, strict=False):
        if any(sign in pattern_name for sign in _ANY):
            if not fnmatch.fnmatchcase(name, pattern_name):
                return None
        elif pattern_name != name:
            return None
    return len(wanted)


def location_fits(section: ApacheDirective, uri: str) -> bool:
    """Whether a ``Location`` or ``LocationMatch`` section applies to the path of a URL."""
    if not section.args:
        return False
    text = uri.encode("utf-8", "surrogateescape")
    if section.name == "locationmatch":
        return search(section.args[0], text) is not None
    if section.args[0] == "~":
        return len(section.args) > 1 and search(section.args[1], text) is not None
    name = section.args[0]
    if any(sign in name for sign in _ANY):
        return fnmatch.fnmatchcase(uri, name)
    return uri == name or uri.startswith(name if name.endswith("/") else name + "/")


class ApacheScope:
    """The blocks of Apache's directives that apply to one file, in the order of their merging."""

    def __init__(
        self,
        levels: tuple[tuple[ApacheDirective, ...], ...],
        reader: ApacheReader,
        disk: Disk,
        root: bytes,
        path: bytes,
        uri: bytes,
        *,
        is_directory: bool,
    ) -> None:
        """Find the blocks of Apache's directives that apply to a file.

        Args:
            levels: directives of the main server and of the virtual host.
            reader: parses the ``.htaccess`` files that apply to the file.
            disk: finds and reads the ``.htaccess`` files on the disk.
            root: the document root, or the directory of an ``Alias``, that contains the file.
            path: path of the file below the root, as in the URL.
            uri: the decoded path of the requested URL.
            is_directory: whether the file is a directory.
        """
        self.blocks: list[tuple[ApacheDirective, ...]] = [tuple(flat(level)) for level in levels]
        #: For each block, the directory to which the block belongs, with a slash at its end; "" for
        #: sections of another kind.
        self.places: list[str] = [""] * len(levels)
        self._reader = reader
        self._disk = disk
        self._root = os.fsdecode(root).rstrip("/")
        inside = os.fsdecode(path).strip("/")
        full = self._root + ("/" + inside if inside else "")
        above, _, name = full.rpartition("/")
        self._directories(full if is_directory else above, full)
        if not is_directory:
            self._files(name)
        self._locations(os.fsdecode(uri))
        for block in self.blocks:
            self._refuse_conditions(block)

    def _sections(self, *names: str) -> Iterator[ApacheDirective]:
        for block in self.blocks[:2]:
            for one in block:
                if one.name in names and one.block is not None and one.args:
                    yield one

    def _add(self, block: Iterable[ApacheDirective], place: str = "") -> None:
        self.blocks.append(tuple(flat(block)))
        self.places.append(place)

    def _directories(self, directory: str, full: str) -> None:
        plain = [
            (one.args[0], one.block)
            for one in self._sections("directory")
            if one.args[0] != "~" and one.block is not None
        ]
        names = [name for name in directory.split("/") if name]
        name_of_file = self._setting("accessfilename") or (".htaccess",)
        allows = self._override(self.blocks)
        for count in range(len(names) + 1):
            place = "/" + "/".join(names[:count])
            for pattern, block in plain:
                if _is_below(pattern, place) == count:
                    self._add(block, place.rstrip("/") + "/")
                    allows = self._override([self.blocks[-1]], allows)
            if allows:
                for name in name_of_file:
                    self._htaccess(place, name)
        for one in self._sections("directorymatch", "directory"):
            assert one.block is not None
            if one.name == "directory" and one.args[0] != "~":
                continue
            pattern = one.args[-1]
            if search(pattern, os.fsencode(full)):
                self._add(one.block, directory.rstrip("/") + "/")

    @staticmethod
    def _override(blocks: Iterable[tuple[ApacheDirective, ...]], allows: bool = False) -> bool:
        """Whether Apache reads ``.htaccess`` files; since 2.3.9 only with ``AllowOverride``."""
        for block in blocks:
            for one in block:
                if one.name in {"allowoverride", "allowoverridelist"}:
                    allows = [word.lower() for word in one.args] != ["none"]
        return allows

    def _htaccess(self, place: str, name: str) -> None:
        if place == self._root or place.startswith(self._root + "/"):
            root, inside = self._root or "/", place[len(self._root) :]
        else:
            root, inside = place, ""
        path = os.fsencode(inside.strip("/") + "/" + name)
        content = self._disk.read(os.fsencode(root), path, _HTACCESS_BYTES)
        if content is None:
            return
        full = place.rstrip("/") + "/" + name
        if len(content) > _HTACCESS_BYTES:
            raise UndecidedError(f"{shown(full)} is larger than 256 KiB")
        self._disk.step(f"{shown(full)} is read")
        self._add(self._reader.htaccess(full, content), place.rstrip("/") + "/")

    def _files(self, name: str) -> None:
        for block, place in list(zip(self.blocks, self.places, strict=True)):
            for one in block:
                if one.name not in {"files", "filesmatch"} or one.block is None or not one.args:
                    continue
                if one.name == "filesmatch" or one.args[0] == "~":
                    fits = search(one.args[-1], os.fsencode(name)) is not None
                else:
                    fits = fnmatch.fnmatchcase(name, one.args[0])
                if fits:
                    self._add(one.block, place)

    def _locations(self, uri: str) -> None:
        for one in self._sections("location", "locationmatch"):
            if location_fits(one, uri):
                assert one.block is not None
                self._add(one.block)

    def _refuse_conditions(self, block: tuple[ApacheDirective, ...]) -> None:
        for one in block:
            if one.name in {"if", "elseif", "else"} and one.block is not None:
                for inner in flat(one.block):
                    if inner.name in _RELEVANT:
                        raise UndecidedError(f"the condition at {one.where} decides {inner.name}")

    # Settings that apply to the file

    def last(self, name: str) -> ApacheDirective | None:
        """The directive ``name`` that was merged last; ``None``: no block has the directive."""
        for block in reversed(self.blocks):
            for one in reversed(block):
                if one.name == name:
                    return one
        return None

    def _setting(self, name: str) -> tuple[str, ...] | None:
        one = self.last(name)
        return one.args if one is not None else None

    def is_on(self, name: str, *, default: bool) -> bool:
        """Whether the on-off directive ``name`` is on for the file."""
        given = self._setting(name)
        return default if not given else given[0].lower() in {"on", "1", "true"}

    def options(self) -> set[str]:
        """The options (``Options``) that apply to the file, in lower case."""
        options = {"followsymlinks"}
        for block in self.blocks:
            for one in block:
                if one.name != "options" or not one.args:
                    continue
                words = [word.lower() for word in one.args]
                if not words[0].startswith(("+", "-")):
                    options = set()
                for word in words:
                    if word == "none":
                        options = set()
                    elif word == "all":
                        options = {"all", "indexes", "followsymlinks", "includes", "execcgi"}
                    elif word.startswith("-"):
                        options.discard(word[1:])
                    else:
                        options.add(word.removeprefix("+"))
        return options

    def indexes(self) -> list[str]:
        """The names of index files, from the innermost block that sets names of index files."""
        for block in reversed(self.blocks):
            names: list[str] = []
            found = [one for one in block if one.name == "directoryindex"]
            for one in found:
                names = [] if one.args == ("disabled",) else names + list(one.args)
            if found:
                return names
        return ["index.html"]

    def denied(self) -> ApacheDirective | None:
        """The directive that refuses every client; ``None``: some clients may read the file."""
        for block in reversed(self.blocks):
            rules = [
                one for one in block if one.name == "require" or one.name.startswith("require")
            ]
            if rules:
                all_denied = all(
                    one.name == "require"
                    and [word.lower() for word in one.args] == ["all", "denied"]
                    for one in rules
                )
                return rules[0] if all_denied else None
            old = [one for one in block if one.name in {"order", "allow", "deny"}]
            if old:
                order = next((one.raw for one in reversed(old) if one.name == "order"), "")
                allowed = any(one.name == "allow" for one in old)
                denied = next((one for one in old if one.name == "deny" and _of_all(one)), None)
                deny_first = not re.match(r"allow\s*,\s*deny", order.strip(), re.IGNORECASE)
                if deny_first:
                    return None if allowed else denied
                return denied or (None if allowed else old[0])
        return None

    def handler(self, name: str) -> tuple[str, str]:
        """The handler for a file name, and the file and line of its directive; "": no handler."""
        handlers: dict[str, tuple[str, str]] = {}
        types: dict[str, tuple[str, str]] = {}
        forced = ("", "")
        set_handler: ApacheDirective | None = None
        for block in self.blocks:
            for one in block:
                if one.name == "sethandler" and one.args:
                    set_handler = one
                elif one.name in {"addhandler", "addtype"} and len(one.args) > 1:
                    known = handlers if one.name == "addhandler" else types
                    for end in one.args[1:]:
                        known[end.lower().removeprefix(".")] = (one.args[0], one.where)
                elif one.name in {"removehandler", "removetype"}:
                    known = handlers if one.name == "removehandler" else types
                    for end in one.args:
                        known.pop(end.lower().removeprefix("."), None)
                elif one.name == "forcetype" and one.args:
                    forced = (one.args[0], one.where)
        if set_handler is not None and set_handler.args[0].lower() != "none":
            return _unless_default(set_handler.args[0], set_handler.where)
        found, kind = ("", ""), ("", "")
        for end in name.lower().split(".")[1:]:
            found = handlers.get(end, found)
            kind = types.get(end, kind)
        if found[0]:
            return _unless_default(*found)
        kind = forced if forced[0] else kind
        if kind[0].lower().startswith(("application/x-httpd-", "text/x-server-parsed")):
            if self._engine_is_off():
                return "", ""
            return kind
        return "", ""

    def _engine_is_off(self) -> bool:
        for block in reversed(self.blocks):
            for one in reversed(block):
                if one.name in {"php_flag", "php_admin_flag"} and one.args[:1] == ("engine",):
                    return one.args[-1].lower() in {"off", "0"}
        return False


def _unless_default(handler: str, where: str) -> tuple[str, str]:
    return ("", "") if handler.lower() in {"default-handler", "none"} else (handler, where)


def _of_all(one: ApacheDirective) -> bool:
    return [word.lower() for word in one.args] == ["from", "all"]
