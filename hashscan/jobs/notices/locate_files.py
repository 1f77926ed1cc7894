"""Finds the files that a notice's item names, or the reason why no file fits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.catalog.status_overview import overview
from hashscan.jobs.notices.hash_files import MOST_LISTED, NamedFilePresence
from hashscan.model import ALGORITHMS
from hashscan.notices.notice import ItemKind, ItemState
from hashscan.notices.pages import is_page, parts_of
from hashscan.notices.sites.address import decoded, parse, without_dots
from hashscan.notices.sites.location import LocationKind
from hashscan.text import counted, local_time, shown

if TYPE_CHECKING:
    from collections.abc import Collection

    from hashscan.catalog.find_files import Finder
    from hashscan.catalog.status_overview import LastScan
    from hashscan.jobs.known_set import KnownSet
    from hashscan.jobs.notices.act import NoticeActs
    from hashscan.jobs.notices.hash_files import NamedSpot, NoticeFiles
    from hashscan.notices.notice import Item
    from hashscan.notices.sites.location import Location
    from hashscan.notices.sites.sites import Sites
    from hashscan.notices.store import NoticeStore
    from hashscan.state import State


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """Files that an item of a notice names, or the reason why no file fits.

    Attributes:
        spots: paths of the files that the notice's item names.
        parts: paths of the files that a named page shows, or that are in a named directory.
        directory: path of the directory that the item names; this path is in ``spots``, too.
        kind: the reason why no file fits the item, in one word for reports; "": a file fits, or the
            item waits.
        why: a sentence that says why no file fits, why the item waits, or that a directory was
            found.
        waits: whether hashscan cannot decide yet which file fits the item.
        whole_site: whether the item waits because its URL names a whole site without an index file.
        maybe: paths at which the named file may be or may have been.
    """

    spots: tuple[NamedSpot, ...] = ()
    parts: tuple[NamedSpot, ...] = ()
    directory: NamedSpot | None = None
    kind: str = ""
    why: str = ""
    waits: bool = False
    whole_site: bool = False
    maybe: tuple[NamedSpot, ...] = ()


class LocatedFiles:
    """Finds the files that notices name by URL or path; ``items`` finds files by digest."""

    def __init__(
        self,
        state: State,
        files: NoticeFiles,
        acts: NoticeActs,
        store: NoticeStore,
        finder: Finder | None,
        known: KnownSet | None,
        sites: Sites,
    ) -> None:
        """Keep the arguments, which are valid for one round over the items."""
        self._state = state
        self._files = files
        self._acts = acts
        self._store = store
        self._finder = finder
        self._known = known
        self._sites = sites
        self._scans: dict[bytes, LastScan] | None = None

    def find(self, item: Item, *, parts: bool = True) -> NamedFiles:
        """The files that an item names; ``parts``: also the files that a named page shows.

        Raises:
            OSError: a directory that the item names cannot be listed.
        """
        value = item.parsed.value
        if item.parsed.kind is ItemKind.URL:
            return self._by_url(value, parts=parts)
        if item.parsed.kind is ItemKind.PATH:
            return self._by_path(os.path.normpath(os.fsencode(value)))
        return self._by_digest(item)

    def _by_url(self, url: str, *, parts: bool) -> NamedFiles:
        location = self._sites.locate(url)
        if location.kind is LocationKind.UNDECIDED:
            return NamedFiles(why=location.reason, waits=True)
        root = location.root or None
        if location.kind in {LocationKind.FILE, LocationKind.DIRECTORY}:
            spot = self._files.spot(location.full, root)
            if spot is None:  # the item names the document root itself
                why = f"{shown(location.full)}: the notice names the whole site; decide what to"
                return NamedFiles(why=f"{why} remove", waits=True, whole_site=True)
            if location.kind is LocationKind.DIRECTORY:
                return self._directory(spot)
            return NamedFiles((spot,), self._parts(url, location) if parts else ())
        maybe = self._would_be(url, location)
        for spot in maybe:
            why = self._files.unreachable(spot.volume)
            if why:
                return NamedFiles(why=why, waits=True)
        why = location.reason
        if location.kind is LocationKind.SCRIPT:
            why += "; find the file that the script shows, and remove it by hand"
        return NamedFiles(kind=location.kind.value, why=why, maybe=maybe)

    def _parts(self, url: str, location: Location) -> tuple[NamedSpot, ...]:
        if not is_page(location):
            return ()
        found = (
            self._files.spot(one.full, one.root)
            for one in parts_of(self._sites, url, location).files
        )
        return tuple(one for one in found if one is not None)

    def _would_be(self, url: str, location: Location) -> tuple[NamedSpot, ...]:
        """The path of a URL's file if the web server maps URLs to files without rewrite rules."""
        if not location.root:
            return ()
        path = decoded(parse(url).target)
        path = None if path is None else without_dots(path)
        full = location.root.rstrip(b"/") + (path or b"")
        spot = self._files.spot(full, location.root)
        return () if spot is None else (spot,)

    def _directory(self, spot: NamedSpot) -> NamedFiles:
        inside = tuple(self._files.files_in(spot))
        number = counted(len(inside), "file")
        if len(inside) >= MOST_LISTED:
            number = f"at least {number}"
        return NamedFiles(
            (spot,),
            inside,
            spot,
            why=f"{shown(spot.full)} is a directory with {number}; hashscan moves only those that a"
            " list knows; decide about the others: remove the directory, or close the notice"
            " ('hashscan notice close ID --reason TEXT')",
        )

    def _by_path(self, full: bytes) -> NamedFiles:
        spot = self._files.spot(full)
        if spot is None:
            return NamedFiles(kind="no-volume", why=f"no configured volume holds {shown(full)}")
        peeked = self._files.peek(spot)
        if peeked.presence is NamedFilePresence.THERE:
            return NamedFiles((spot,))
        if peeked.presence is NamedFilePresence.UNKNOWN:
            return NamedFiles(why=peeked.why, waits=True)
        if self._files.peek(spot, directory=True).presence is NamedFilePresence.THERE:
            return self._directory(spot)
        return NamedFiles(kind="no-file", why=f"there is no file {shown(full)}", maybe=(spot,))

    def _by_digest(self, item: Item) -> NamedFiles:
        """The reason why no file fits a notice's item with a digest, or why the item waits."""
        if self._scans is None:
            found = None if self._finder is None else overview(self._state.catalog)
            self._scans = {} if found is None else found.by_volume
        by_volume = self._scans
        for volume in self._files.volumes:
            if volume not in by_volume:
                why = f"{shown(volume)} was never wholly scanned, so the catalog cannot say whether"
                return NamedFiles(why=f"{why} it has the digest; run 'hashscan scan'", waits=True)
        computed: Collection[str] = ALGORITHMS
        if self._known is not None:
            computed = self._known.algorithms
        elif self._finder is not None:
            computed = self._finder.algorithms()
        if not any(one.algorithm in computed for one in item.parsed.digests):
            why = (
                f"scans compute only {', '.join(sorted(computed)) or 'no digest'}, so no file"
                " can be found by this digest; to find it, write the digest to FILE and run"
                " 'hashscan scan --known FILE'"
            )
            return NamedFiles(kind="not-computed", why=why)
        ended = [one.ended for one in by_volume.values() if one.ended is not None]
        last = (
            f"the last whole scan ended {local_time(min(ended))}" if ended else "nothing is scanned"
        )
        tiers = ""
        if self._known is not None and any(one.tiers.names for one in self._known.filters):
            tiers = "; it has no digests of files that were ruled out by size or first block"
        why = f"no file in the catalog has the digest; {last}{tiers}"
        return NamedFiles(kind="no-file", why=why)

    def why_away(self, item: Item, wanted: NamedFiles) -> tuple[ItemState, str, float | None]:
        """The new state of a received item without files, with the reason and the time of removal.

        An item that was reopened although its file did not come back counts as removed, and keeps
        the time of its removal. Any other item is gone if the item's file was on this machine
        before. Otherwise the item is not here.

        Raises:
            HashscanError: the quarantine or the catalog cannot be read.
        """
        if item.removed is not None:
            if self._store.was_back(item.number):
                return ItemState.REMOVED, "its file was back, and is away again", None
            why = f"its file did not come back after the removal, {local_time(item.removed)}"
            return ItemState.REMOVED, why, item.removed
        return *self._gone(item, wanted), None

    def _gone(self, item: Item, wanted: NamedFiles) -> tuple[ItemState, str]:
        before = self._store.removed_before(item.number)
        if before is not None and before.removed is not None:
            return ItemState.GONE, f"removed before, {local_time(before.removed)} ({before.notice})"
        named = self._store.files(item.number)
        spots = [*wanted.maybe, *(self._files.spot_of(one) for one in named)]
        # A file that exists is not away, e.g. a script that answers a request for the URL.
        spots = [
            one for one in spots if self._files.peek(one).presence is not NamedFilePresence.THERE
        ]
        for spot in spots:
            record = self._acts.moved(spot.full, item.notice)
            if record is not None:
                return ItemState.GONE, f"quarantined before, {record.acted} as {record.id}"
        if item.parsed.digests:
            record = self._acts.moved_content(item.parsed.digests)
            if record is not None:
                path = shown(record.origin.full_path)
                return ItemState.GONE, f"quarantined before, {record.acted} as {record.id}: {path}"
        for spot in spots:
            if self._finder is not None and self._finder.at(*spot) is not None:
                return (
                    ItemState.GONE,
                    f"the last scan found a file at {shown(spot.full)}, which is not there now",
                )
        if named:
            return ItemState.GONE, f"it was at {shown(self._files.spot_of(named[0]).full)} before"
        return ItemState.NOT_HERE, f"{wanted.kind or 'no-file'}: {wanted.why}"
