"""Reopens settled items of notices if a file is back, or the content is at another path."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.errors import HashscanError
from hashscan.jobs.notices.hash_files import NamedFilePresence, NamedSpot
from hashscan.notices.notice import BACK, ItemKind, Role
from hashscan.scan.hashing import NotHashed
from hashscan.text import local_time, said_by, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashscan.catalog.find_files import FoundFile
    from hashscan.jobs.notices.hash_files import NoticeFiles
    from hashscan.jobs.notices.locate_files import LocatedFiles
    from hashscan.jobs.notices.round_result import Round
    from hashscan.model import Digest
    from hashscan.notices.notice import Item
    from hashscan.notices.store import NoticeStore

#: After this many seconds a round checks no further settled item with the same state.
_SECONDS = 3.0


class ReturnedFiles:
    """Checks in one round whether the files of notices' settled items are back."""

    def __init__(
        self,
        store: NoticeStore,
        files: NoticeFiles,
        places: LocatedFiles,
        of_round: Round,
        clock: Callable[[], float],
    ) -> None:
        """Keep the arguments, which are valid for one round over the items."""
        self._store = store
        self._files = files
        self._places = places
        self._round = of_round
        self._clock = clock

    def reopen_by_place(self, items: Iterable[Item], begins: Callable[[int], None]) -> int | None:
        """Reopen settled items of notices if a file is back at an item's URL or path.

        Returns the number of the last checked item; ``None`` if all items were checked.
        """
        until = time.monotonic() + _SECONDS
        last = 0
        for item in items:
            if time.monotonic() > until:
                return last
            last = item.number
            begins(item.number)
            try:
                where = self._returned(item)
            except (HashscanError, OSError) as error:
                why = f"notice {item.notice}: {shown(item.parsed.value)}: {said_by(error)}"
                self._round.lines.append(("warning", why))
                continue
            if where is not None:
                self._reopen(item, f"a file is back at {shown(where.full)}")
        return None

    def _returned(self, item: Item) -> NamedSpot | None:
        files = [one for one in self._store.files(item.number) if one.role is Role.NAMED]
        spots: list[NamedSpot] = []
        if item.parsed.kind is not ItemKind.DIGEST:
            spots += self._places.find(item, parts=False).spots
        for file in files:
            spot = self._files.spot_of(file)
            if spot in spots or self._files.peek(spot).presence is not NamedFilePresence.THERE:
                continue
            hashed = self._files.hash(spot)
            if not isinstance(hashed, NotHashed) and not set(file.digests).isdisjoint(
                hashed.digests.each()
            ):
                return spot
        # The URL of a removed index file leads to the file's directory, which is no returned file.
        was_directory = any(not one.digests for one in files)
        for spot in spots:
            if self._files.peek(spot, directory=was_directory).presence is NamedFilePresence.THERE:
                return spot
        return None

    def _reopen(self, item: Item, why: str) -> None:
        since = "" if item.removed is None else f" (removed {local_time(item.removed)})"
        reason = f"{BACK}{why}{since}"
        if self._store.came_back(item.number, reason, now=self._clock()):
            self._round.more = True
            self._round.lines.append(
                ("warning", f"notice {item.notice}: {shown(item.parsed.value)}: {shown(reason)}")
            )

    def reopen_by_content(
        self, number: int, digests: set[Digest], found: Iterable[FoundFile]
    ) -> None:
        """Reopen a notice's item if a file that the catalog has contains one of ``digests``.

        A copy of the content that never left its path does not reopen the item.
        """
        there = {self._files.spot_of(one) for one in self._store.files(number) if one.away is None}
        for row in found:
            spot = NamedSpot(row.volume, row.path)
            if spot in there:
                continue
            # The catalog may still have the row of the file that was removed.
            if self._files.peek(spot).presence is not NamedFilePresence.THERE:
                continue
            hashed = self._files.hash(spot)
            if isinstance(hashed, NotHashed):
                continue
            if digests.isdisjoint(hashed.digests.each()):
                continue
            self._reopen(self._store.item(number), f"its content is at {shown(spot.full)}")
            return
