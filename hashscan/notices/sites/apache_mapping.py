"""Maps a URL's path to a path on the disk: ``Alias``, ``UserDir``, ``DocumentRoot``.

Source: httpd.apache.org/docs/2.4: mod_userdir, mod_alias, mod_vhost_alias, core.
"""

from __future__ import annotations

import os
import pwd
import re
from typing import TYPE_CHECKING

from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.patterns import apache_search as search
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.notices.sites.address import Address
    from hashscan.notices.sites.apache_conf import ApacheDirective, ApacheReader
    from hashscan.notices.sites.disk import Disk

_VHOST = re.compile(r"%(?:(%)|(p)|(-?)([0-9]+)(\+?))")


class Mapping:
    """Maps URLs' paths to paths on the disk by the directives of one Apache server."""

    def __init__(
        self,
        levels: tuple[tuple[ApacheDirective, ...], tuple[ApacheDirective, ...]],
        reader: ApacheReader,
        address: Address,
        disk: Disk,
    ) -> None:
        """``levels``: the main server's directives, then the virtual host's directives."""
        self._levels = levels
        self._reader = reader
        self._address = address
        self._disk = disk

    def server(self, *names: str) -> list[ApacheDirective]:
        """Apache's directives with these names: of the virtual host, then of the main server."""
        main, own = self._levels
        return [one for level in (own, main) for one in level if one.name in names]

    def setting(self, name: str, default: str = "") -> str:
        """The first argument of a directive in the virtual host, else in the main server."""
        main, own = self._levels
        for level in (own, main):
            found = [one.args[0] for one in level if one.name == name and one.args]
            if found:
                return found[-1]
        return default

    def place(self, uri: bytes) -> tuple[bytes, bytes, bool]:
        """A directory on the disk, the path below it, and whether ``ScriptAlias`` gives both."""
        place = self._user(uri)
        if place is not None:
            return *place, False
        for one in self.server("alias", "scriptalias", "aliasmatch"):
            if len(one.args) < 2:
                continue
            if one.name == "aliasmatch":
                if search(one.args[0], uri) is not None:
                    raise UndecidedError(f"AliasMatch at {one.where} is not evaluated")
                continue
            rest = rest_of(uri, one.args[0])
            if rest is None:
                continue
            target = os.fsencode(one.args[1])
            self._disk.step(f"{one.name} at {one.where} fits")
            self._check(target, one.where)
            is_cgi = one.name == "scriptalias"
            if not rest and not target.endswith(b"/"):
                if self._disk.root(target) is not None:
                    return target, b"", is_cgi
                root, _, name = target.rpartition(b"/")
                return root or b"/", name, is_cgi
            if target.endswith(b"/") or rest.startswith(b"/"):
                return target.rstrip(b"/") or b"/", rest, is_cgi
            root, _, name = target.rpartition(b"/")
            return root or b"/", name + rest, is_cgi
        pattern = self.setting("virtualdocumentroot")
        if pattern:
            root = os.fsencode(_VHOST.sub(self._host_part, pattern))
            if "%" in _VHOST.sub("", pattern):
                raise UndecidedError(f"VirtualDocumentRoot {shown(pattern)} is not understood")
        elif named := self.setting("documentroot"):
            root = os.fsencode(os.path.join(self._reader.state.root, named))
        else:
            raise UndecidedError("no DocumentRoot is set, so it is compiled in")
        self._check(root, "DocumentRoot")
        return root.rstrip(b"/") or b"/", uri, False

    def _check(self, place: bytes, where: str) -> None:
        if not place.startswith(b"/") or b"${" in place:
            raise UndecidedError(f"{shown(place)} ({where}) is no full path")

    def _host_part(self, found: re.Match[str]) -> str:
        if found[1]:
            return "%"
        if found[2]:
            return str(self._address.port)
        labels = self._address.host.split(".")
        number = int(found[4])
        if number == 0:
            return self._address.host
        index = number - 1 if not found[3] else len(labels) - number
        if not 0 <= index < len(labels):
            return "_"
        if not found[5]:
            return labels[index]
        return ".".join(labels[index:] if not found[3] else labels[: index + 1])

    def _user(self, uri: bytes) -> tuple[bytes, bytes] | None:
        """The root for ``/~user``, and the path below it; ``None``: no ``UserDir`` applies."""
        found = re.match(rb"/~([^/]+)(/.*)?$", uri, re.DOTALL)
        if found is None or found[1] in {b".", b".."}:
            return None
        name = os.fsdecode(found[1])
        main, own = self._levels
        settings = [one for one in main + own if one.name == "userdir"]
        if not settings:
            return None
        disabled: set[str] = set()
        enabled: set[str] = set()
        all_disabled = False
        places: list[str] = []
        for one in settings:
            words = list(one.args)
            first = words[0].lower() if words else ""
            if first == "disabled":
                all_disabled = all_disabled or len(words) == 1
                disabled |= set(words[1:])
            elif first == "enabled":
                enabled |= set(words[1:])
            else:
                places = words
        if name in disabled or (all_disabled and name not in enabled) or not places:
            return None
        roots = []
        for place in places:
            if "://" in place:
                raise UndecidedError(f"UserDir {shown(place)} redirects")
            if "*" in place:
                roots.append(place.replace("*", name, 1))
            elif place.startswith("/"):
                roots.append(f"{place.rstrip('/')}/{name}")
            else:
                try:
                    roots.append(f"{pwd.getpwnam(name).pw_dir}/{place}")
                except KeyError:
                    continue
        for root in roots:
            if root == roots[-1] or self._disk.root(os.fsencode(root)) is not None:
                self._disk.step(f"UserDir gives {shown(root)}")
                return os.fsencode(root), found[2] or b""
        return None


def rest_of(uri: bytes, prefix: str) -> bytes | None:
    """The rest of a path after a prefix of whole names; ``None``: no such prefix."""
    start = os.fsencode(prefix)
    if not uri.startswith(start):
        return None
    rest = uri[len(start) :]
    if rest and not start.endswith(b"/") and not rest.startswith(b"/"):
        return None
    return rest
