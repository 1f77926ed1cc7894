"""Finds the site of this machine that has a URL's host, and the site's answer for the URL."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hashscan.notices.sites.address import parse
from hashscan.notices.sites.answer import Passed, Redirected
from hashscan.notices.sites.apache import Apache
from hashscan.notices.sites.disk import Disk
from hashscan.notices.sites.location import Location, UndecidedError
from hashscan.notices.sites.nginx import Nginx
from hashscan.notices.sites.plain import ByHand, Command, HostTable
from hashscan.notices.sites.reverse import urls_of
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashscan.config.sites import SiteSettings
    from hashscan.notices.sites.address import Address
    from hashscan.notices.sites.answer import SiteSource
    from hashscan.notices.sites.reverse import Base

_MOST_HOPS = 10
#: The most URLs that hashscan tries for one file, to find a URL that leads to the file.
_MOST_URLS = 20


def _source(number: int, settings: SiteSettings) -> SiteSource:
    source = settings.source
    name = f"sites[{number}]"
    if source == "host":
        return ByHand(f"{name} (host {shown(settings.host or '')})", settings)
    value = getattr(settings, source)
    what = f"{name} ({source} {shown(value[0] if source == 'command' else value)})"
    if source == "nginx":
        return Nginx(what, value)
    if source == "apache":
        return Apache(what, value)
    return Command(what, settings) if source == "command" else HostTable(what, settings)


def _within(found: Location) -> bytes:
    """The document root of an answer, with a slash; for no document root, a NUL, to fit no path."""
    return found.root.rstrip(b"/") + b"/" if found.root else b"\0"


class Sites:
    """The sites that the entries ``sites`` of hashscan's configuration describe.

    ``Sites`` reads configurations of web servers when they are first needed, and keeps the contents
    until ``renew``.
    """

    def __init__(self, settings: Iterable[SiteSettings]) -> None:
        """``settings``: the entries of ``sites`` in hashscan's configuration, in their order."""
        self._settings = tuple(settings)
        self._sources = [_source(number, one) for number, one in enumerate(self._settings)]
        self._bases: list[Base] | None = None

    def renew(self) -> None:
        """Forget the configurations of web servers that changed or could not be read."""
        for number, source in enumerate(self._sources):
            if source.is_changed():
                self._sources[number] = _source(number, self._settings[number])
                self._bases = None

    def contents(self) -> Iterator[tuple[str, str, bool]]:
        """For each entry of ``sites``: its name, its content or fault, and if it is readable."""
        for source in self._sources:
            try:
                yield source.name, source.content(), True
            except UndecidedError as error:
                yield source.name, str(error), False

    def locate(self, url: str) -> Location:
        """The location on this machine of the file for a URL, found without a request."""
        with Disk() as disk:
            try:
                return self._follow(url, disk)
            except UndecidedError as error:
                return disk.undecided(str(error))

    def url_of(self, path: bytes, *, moved: bool = False) -> str | None:
        """A URL at which a site of this machine serves a file; ``None``: hashscan finds no URL.

        The URL leads to the file at ``path``. If the file was moved away, the URL leads below the
        document root of the file.

        Args:
            path: absolute path of the file, without links.
            moved: whether the file was moved away.

        Raises:
            UndecidedError: the configuration of a web server cannot be read.
        """
        if self._bases is None:
            self._bases = [base for source in self._sources for base in source.bases()]
        for url in itertools.islice(urls_of(self._bases, path), _MOST_URLS):
            found = self.locate(url)
            if path.startswith(_within(found)) if moved else found.full == path:
                return url
        return None

    def _follow(self, url: str, disk: Disk) -> Location:
        try:
            address = parse(url)
        except ValueError as error:
            raise UndecidedError(str(error)) from None
        if not self._sources:
            raise UndecidedError("the configuration has no sites; add `sites`")
        seen: set[Address] = set()
        while address not in seen and len(seen) < _MOST_HOPS:
            seen.add(address)
            answer = self._ask(address, disk, self._sources)
            if isinstance(answer, Location):
                return answer
            if answer is None:
                return disk.no_site(f"no site of this machine has the host {shown(address.host)}")
            address = answer.address
            disk.step(f"the server redirects to {shown(address.url)}")
        raise UndecidedError("the redirects do not end")

    def _ask(
        self, address: Address, disk: Disk, sources: Sequence[SiteSource]
    ) -> Location | Redirected | None:
        for source in sources:
            answer = source.answer(address, disk)
            if isinstance(answer, Passed):
                others = [one for one in sources if one is not source]
                behind = self._ask(answer.address, disk, others)
                return answer.otherwise if behind is None else behind
            if answer is not None:
                return answer
        return None
