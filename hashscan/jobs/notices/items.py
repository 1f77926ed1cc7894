"""Works on the open items of notices: finds files, judges and moves them, settles items."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from hashscan.errors import HashscanError
from hashscan.fs.named import user_shown
from hashscan.jobs.notices.hash_files import NamedFilePresence, NamedSpot, stamps_of
from hashscan.jobs.notices.round_result import LONGEST_RETRY, Done, is_waiting
from hashscan.model import EMPTY_DIGESTS
from hashscan.notices.notice import ItemFile, ItemState, Role
from hashscan.scan.hashing import NotHashed
from hashscan.text import counted, said_by, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from hashscan.catalog.find_files import Finder, FoundFile
    from hashscan.jobs.known_set import KnownSet
    from hashscan.jobs.notices.act import NoticeActs, Verdict
    from hashscan.jobs.notices.hash_files import NoticeFiles
    from hashscan.jobs.notices.locate_files import LocatedFiles, NamedFiles
    from hashscan.jobs.notices.returned_files import ReturnedFiles
    from hashscan.jobs.notices.round_result import Memory, Round
    from hashscan.model import Candidate, Digest
    from hashscan.notices.notice import Item, Notice
    from hashscan.notices.store import NoticeStore

#: After this many seconds a round begins to work on no further item.
MOST_SECONDS = 20.0
#: A round works on at least this many copies of an item's content. After this many seconds the
#: round leaves the other copies to the next round.
COPIES_AT_ONCE, COPIES_SECONDS = 50, 20.0
#: Seconds between two searches of the catalog for removed content that is back.
SEARCH_AFTER = 3600.0
#: The most files that one search of the catalog finds, and the most digests of settled items that
#: one search takes.
MOST_FOUND = 10_000
MOST_DIGESTS = 50_000
#: Seconds until a file that could not be judged or moved is tried again. The wait doubles each
#: time, up to ``round_result.LONGEST_RETRY``.
RETRY_AFTER = 60.0


class _Move(NamedTuple):
    """A judged file to act on; ``is_named``: the item names the file by its URL or path."""

    item: Item
    file: ItemFile
    candidate: Candidate
    verdict: Verdict
    is_named: bool


class OpenItems:
    """Works on the open items of notices in one round, until each item is settled or waits."""

    def __init__(
        self,
        store: NoticeStore,
        files: NoticeFiles,
        acts: NoticeActs,
        places: LocatedFiles,
        finder: Finder | None,
        result: Round,
        clock: Callable[[], float],
        known: KnownSet | None,
        returns: ReturnedFiles,
    ) -> None:
        """Begin a round; the arguments are valid for this round only."""
        self._returns = returns
        self._store = store
        self._files = files
        self._acts = acts
        self._places = places
        self._finder = finder
        self._result = result
        self._clock = clock
        self._known = known.name if known is not None else ""
        self._notices: dict[str, Notice] = {}
        self._failed: set[int] = set()
        self._copies_until = 0.0
        #: The uids of the owners of an item's named files, by the number of the item.
        self._owners: dict[int, set[int]] = {}
        #: Judged files that ``_move_all`` reports, holds or moves.
        self._moves: list[_Move] = []
        #: The digests of an item to search for in the catalog, by the number of the item.
        self._wanted: dict[int, set[Digest]] = {}

    @property
    def _memory(self) -> Memory:
        return self._result.memory

    def run(self, items: Iterable[Item], begins: Callable[[int], None]) -> None:
        """Work on open items; ``begins`` is called with the number of an item before work on it."""
        until = time.monotonic() + MOST_SECONDS
        begun: list[tuple[Item, NamedFiles]] = []
        for item in items:
            if time.monotonic() > until:
                self._memory.after, self._result.more = item.number - 1, True
                break
            begins(item.number)
            try:
                wanted = self._begin(item)
            except (HashscanError, OSError) as error:
                self._wait(item, said_by(error))
            else:
                if wanted is not None:
                    begun.append((item, wanted))
        # Move files only now, because several items may name one file and each item must find the
        # file.
        self._move_all()
        found = self._search()
        self._copies_until = time.monotonic() + COPIES_SECONDS
        for item, wanted in begun:
            begins(item.number)
            try:
                self._end(item, wanted, found.get(item.number, []))
            except (HashscanError, OSError) as error:
                self._wait(item, said_by(error))

    def _notice(self, item: Item) -> Notice:
        if item.notice not in self._notices:
            self._notices[item.notice] = self._store.notice(item.notice)
        return self._notices[item.notice]

    def _wait(self, item: Item, why: str) -> None:
        """Leave a notice's item open, and store and log ``why`` the item waits."""
        self._failed.add(item.number)
        if self._store.note_item(item.number, why, now=self._clock()):
            what = shown(item.parsed.value)
            self._result.lines.append(("warning", f"notice {item.notice}: {what}: {shown(why)}"))

    # The first half of a round: find and judge the named files

    def _begin(self, item: Item) -> NamedFiles | None:
        """Find and judge an item's named files; ``None``: no file changed since the last round."""
        files = self._store.files(item.number)
        named = [one for one in files if one.role is Role.NAMED]
        if item.state is ItemState.LOCATED and named and self._is_unchanged(item, named):
            return None
        wanted = self._places.find(item)
        spots = dict.fromkeys(wanted.spots)
        for one in named:
            spot = self._files.spot_of(one)
            if item.state is ItemState.LOCATED or self._is_there(one):
                spots.setdefault(spot)
        digests = {*item.parsed.digests, *(one for each in named for one in each.digests)}
        if spots:
            digests |= self._judge(item, list(spots), Role.NAMED, files, wanted)
            self._judge(item, wanted.parts, Role.PART, files, wanted)
        self._wanted[item.number] = digests
        return wanted

    def _is_there(self, file: ItemFile) -> bool:
        spot = self._files.spot_of(file)
        return (
            self._files.peek(spot, directory=not file.digests).presence is NamedFilePresence.THERE
        )

    def _is_unchanged(self, item: Item, named: list[ItemFile]) -> bool:
        """Whether the named files of a located item are unchanged since the last round."""
        done = self._memory.done.get(item.number)
        if done is None or done.known != self._known:
            return False
        if done.unproven != self._notice(item).unproven:
            return False  # an administrator approved the notice in between
        if done.again is not None and not is_waiting(done.again, self._clock(), LONGEST_RETRY):
            return False
        peeked = [
            self._files.peek(self._files.spot_of(one), one.anchor, directory=not one.digests)
            for one in named
        ]
        return stamps_of(peeked) == done.stamps

    def _judge(
        self,
        item: Item,
        spots: Iterable[NamedSpot],
        role: Role,
        files: list[ItemFile],
        wanted: NamedFiles | None,
        content: Collection[Digest] = (),
    ) -> set[Digest]:
        """Hash files of an item, check the files' digests in the filters, and return the digests.

        ``_move_all`` acts on the hashed files later. ``content``: if digests are given, only files
        with one of these digests count.
        """
        before = {self._files.spot_of(one): one for one in files}
        judged: list[tuple[ItemFile, Candidate, Verdict]] = []
        named = role is Role.NAMED and not content
        found: set[Digest] = set()
        for spot in spots:
            old = before.get(spot) or ItemFile(item.number, role, *spot)
            if wanted is not None and spot == wanted.directory:
                self._located(item, self._put(replace(old, message=wanted.why, away=None), spot))
                continue
            hashed = self._files.hash(spot)
            if isinstance(hashed, NotHashed):
                self._not_hashed(old, spot, hashed, is_new=spot not in before)
                continue
            digests = hashed.digests.each()
            if content and not set(content).intersection(digests):
                continue
            found.update(digests)
            verdict = self._acts.verdict(hashed)
            if verdict.pending:
                self._failed.add(item.number)
            changed = set(old.digests) != set(digests)
            file = replace(
                old,
                digests=digests,
                category=verdict.category or None,
                away=None,
                action="" if changed or old.away is not None else old.action,
                quarantine_id=None,
                message=verdict.pending if changed else old.message,
            )
            judged.append((self._put(file, spot), hashed, verdict))
            if named:
                self._owners.setdefault(item.number, set()).add(hashed.uid)
        if role is Role.NAMED and judged:
            self._located(item, judged[0][0])
        self._moves += [_Move(item, *one, named) for one in judged]
        return found

    def _move_all(self) -> None:
        """Report, hold or move the files that were judged in this round."""
        moves, self._moves = self._moves, []
        for move in moves:
            try:
                self._move(*move)
            except (HashscanError, OSError) as error:
                self._wait(move.item, said_by(error))

    def _put(self, file: ItemFile, spot: NamedSpot) -> ItemFile:
        """Store that a file of a notice's item exists at its path."""
        peeked = self._files.peek(spot, directory=not file.digests)
        file = replace(file, anchor=peeked.anchor or file.anchor)
        self._store.put_file(file, now=self._clock())
        return file

    def _not_hashed(
        self, file: ItemFile, spot: NamedSpot, hashed: NotHashed, *, is_new: bool
    ) -> None:
        presence = self._files.peek(spot, file.anchor, directory=not file.digests).presence
        if presence is NamedFilePresence.AWAY or (is_new and file.role is not Role.NAMED):
            return
        self._failed.add(file.item)
        message = f"{shown(spot.full)}: not hashed: {hashed.message or hashed.reason}"
        self._store.put_file(replace(file, message=message), now=self._clock())

    def _located(self, item: Item, file: ItemFile) -> None:
        if item.state is ItemState.RECEIVED:
            path = self._files.spot_of(file).full
            self._store.advance(
                item.number, ItemState.LOCATED, reason=file.message, path=path, now=self._clock()
            )

    def _move(
        self, item: Item, file: ItemFile, candidate: Candidate, verdict: Verdict, is_named: bool
    ) -> None:
        spot = self._files.spot_of(file)
        if self._files.peek(spot, file.anchor).presence is NamedFilePresence.AWAY:
            return  # another item or the watch moved the file; ``_settle`` finds the file away
        if self._store.item(item.number).state is not ItemState.LOCATED:
            return  # an administrator closed the notice in between
        given = set(item.parsed.digests)
        other = ""
        if given and not given.intersection(file.digests):
            other = (
                f"{shown(candidate.full_path)}: not moved: its content is not that of the notice"
                f" ({', '.join(sorted(f'{one.algorithm} {one.hex}' for one in given))}); decide"
                f" about it: remove it, or run 'hashscan notice close {item.notice} --reason"
                " TEXT'"
            )
        elif file.role is not Role.PART and not given and not self._owns_named(item, candidate):
            other = (
                f"{shown(candidate.full_path)}: not moved: it is a copy of the named file, but"
                f" belongs to another customer, {user_shown(candidate.uid)}; the notice has no"
                " digest, so the named file may have been exchanged for an innocent one: decide"
                " about it; to move it, add a notice with its path"
            )
        event = self._acts.act(
            self._notice(item),
            candidate,
            verdict,
            by_notice=file.role is not Role.PART,
            not_moved=other,
            named=is_named,
        )
        acted = event.acted
        if acted.problem is not None or acted.hold is not None:
            self._failed.add(item.number)
        away = None
        is_moved = acted.action == "quarantined" and file.role is not Role.NAMED
        if is_moved and self._files.peek(spot, file.anchor).presence is NamedFilePresence.AWAY:
            away = self._clock()
        is_changed = self._store.put_file(
            replace(
                file,
                action=acted.action,
                quarantine_id=acted.quarantine_id,
                away=away,
                message=acted.message,
            ),
            now=self._clock(),
        )
        if not is_changed:
            return
        moved_or_held = acted.action in {"quarantined", "held"} or acted.problem is not None
        if moved_or_held or verdict.hit is not None:
            self._result.events.append(event)
        elif file.role is not Role.PART:
            why = acted.message or "no list knows it, so it is only reported (notices.action)"
            path = shown(candidate.full_path)
            text = f"notice {item.notice} names {path}: {why.removeprefix(f'{path}: ')}"
            self._result.lines.append(("warning", text))

    def _owns_named(self, item: Item, candidate: Candidate) -> bool:
        """Whether a file has the same owner as a file that the item names."""
        owners = self._owners.setdefault(item.number, set())
        if candidate.uid not in owners:
            named = [one for one in self._store.files(item.number) if one.role is Role.NAMED]
            moved = [one.quarantine_id for one in named if one.quarantine_id is not None]
            owners |= self._acts.owners(moved)
        return candidate.uid in owners

    # Between the halves of a round: search the catalog

    def _search(self) -> dict[int, list[FoundFile]]:
        """Search the catalog for the digests of open items and, each hour, of settled items.

        Returns the found files by the numbers of open items. Settled items are reopened if their
        content is found.
        """
        now = self._clock()
        due = not 0 <= now - self._memory.searched < SEARCH_AFTER
        wanted = {number: set(digests) for number, digests in self._wanted.items() if digests}
        if self._finder is None or not (wanted or due):
            return {}
        settled: dict[int, set[Digest]] = {}
        for number, digest in self._store.settled_digests(MOST_DIGESTS):
            settled.setdefault(number, set()).add(digest)
        # A customer may empty the named file; then each empty file would count as a copy of that
        # file.
        for digests in (*wanted.values(), *settled.values()):
            digests.difference_update(EMPTY_DIGESTS)
        everything = set().union(*wanted.values(), *settled.values())
        rows = self._finder.with_digests(everything, MOST_FOUND)
        self._memory.searched = now
        by_digest: dict[Digest, list[FoundFile]] = {}
        for row in rows:
            for digest in row.digests.each():
                by_digest.setdefault(digest, []).append(row)
        for number, digests in settled.items():
            self._returns.reopen_by_content(number, digests, _files_with(by_digest, digests))
        return {number: _files_with(by_digest, digests) for number, digests in wanted.items()}

    # The second half of a round: act on copies and settle the items of notices

    def _end(self, item: Item, wanted: NamedFiles, found: list[FoundFile]) -> None:
        files = self._store.files(item.number)
        taken = {self._files.spot_of(one) for one in files if one.role is not Role.COPY}
        named = [one for one in files if one.role is Role.NAMED]
        copies = [spot for spot in (NamedSpot(*one[:2]) for one in found) if spot not in taken]
        copies = [
            one for one in copies if self._files.peek(one).presence is not NamedFilePresence.AWAY
        ]
        is_first = item.state is ItemState.RECEIVED and not any(one.away is None for one in named)
        role, last = self._memory.copies.pop(
            item.number, (Role.NAMED if is_first else Role.COPY, None)
        )
        if last is not None:
            copies = [one for one in copies if one > last]
        digests = self._wanted.get(item.number, set())
        for begin in range(0, len(copies), COPIES_AT_ONCE):
            if begin and time.monotonic() > self._copies_until:
                # New notices wait until this round ends. So the next round continues with the other
                # copies.
                self._memory.copies[item.number] = role, copies[begin - 1]
                self._memory.done.pop(item.number, None)
                self._result.more = True
                return
            some = copies[begin : begin + COPIES_AT_ONCE]
            self._judge(item, some, role, files, None, content=digests)
            self._move_all()
        self._settle(item, wanted)

    def _settle(self, item: Item, wanted: NamedFiles) -> None:
        """Settle a notice's item if none of the files that the item names exists at its path."""
        item = self._store.item(item.number)
        named = [one for one in self._store.files(item.number) if one.role is Role.NAMED]
        now = self._clock()
        if item.state is ItemState.RECEIVED:
            if wanted.waits:
                self._wait(item, wanted.why)
            elif wanted.spots:
                messages = (one.message for one in named if one.message and one.away is None)
                vanished = f"{shown(wanted.spots[0].full)} vanished while it was hashed"
                self._wait(item, next(messages, vanished))
            else:
                self._settle_away(item, wanted, named)
            return
        peeked = []
        for file in named:
            spot = self._files.spot_of(file)
            one = self._files.peek(spot, file.anchor, directory=not file.digests)
            peeked.append(one)
            if one.presence is NamedFilePresence.AWAY and file.away is None:
                self._store.put_file(self._away(item, file, now), now=now)
            elif one.presence is NamedFilePresence.UNKNOWN:
                self._wait(item, one.why)
        if named and all(one.presence is NamedFilePresence.AWAY for one in peeked):
            again = self._places.find(item, parts=False)
            # An item whose files are away may have to wait, e.g. if a link out of the document root
            # has replaced the file. A site whose index file is away is no reason to wait.
            if again.waits and not again.whole_site:
                self._wait(item, again.why)
                self._remember(item, stamps_of(peeked))
                return
            if not any(
                self._files.peek(one).presence is NamedFilePresence.THERE for one in again.spots
            ):
                self._settled(item, ItemState.REMOVED, self._removal_reason(item))
                return
            # The URL or path now leads to another file, which the next round judges.
            self._memory.done.pop(item.number, None)
            self._result.more = True
            return
        if item.number not in self._failed:
            # An item waits no longer, except for a directory: a directory waits for an
            # administrator's decision.
            why = next((one.message for one in named if not one.digests), "")
            self._store.note_item(item.number, why, now=now)
        self._remember(item, stamps_of(peeked))

    def _settle_away(self, item: Item, wanted: NamedFiles, named: Iterable[ItemFile]) -> None:
        """Settle a received item for which no file exists, unless a path cannot be checked."""
        for file in named:
            spot = self._files.spot_of(file)
            one = self._files.peek(spot, file.anchor, directory=not file.digests)
            if one.presence is NamedFilePresence.UNKNOWN:
                self._wait(item, one.why)
                return
        state, reason, removed = self._places.why_away(item, wanted)
        self._settled(item, state, reason, removed)

    def _removal_reason(self, item: Item) -> str:
        """The number of named files that hashscan did not move, in words; "" if it moved each."""
        named = [one for one in self._store.files(item.number) if one.role is Role.NAMED]
        moved = sum(one.quarantine_id is not None for one in named)
        if moved == len(named):
            return ""
        return f"{counted(len(named) - moved, 'file')} removed by somebody else"

    def _away(self, item: Item, file: ItemFile, now: float) -> ItemFile:
        """``file`` marked as away, with the id of the file's record in the quarantine, if any."""
        if file.quarantine_id is not None:
            return replace(file, away=now)
        record = self._acts.moved(self._files.spot_of(file).full, item.notice)
        if record is None:
            return replace(file, away=now, action="", message="removed by somebody else")
        return replace(file, away=now, action="quarantined", quarantine_id=record.id, message="")

    def _remember(self, item: Item, stamps: tuple[tuple[int, ...], ...]) -> None:
        """Remember, at this round's end, the state of a located item and of its named files."""
        before = self._memory.done.get(item.number)
        again, wait = None, RETRY_AFTER
        if item.number in self._failed:
            wait = before.wait if before is not None else RETRY_AFTER
            again, wait = self._clock() + wait, min(2 * wait, LONGEST_RETRY)
        unproven = self._notice(item).unproven
        self._memory.done[item.number] = Done(stamps, self._known, again, wait, unproven)

    def _settled(
        self, item: Item, state: ItemState, reason: str, removed: float | None = None
    ) -> None:
        self._memory.done.pop(item.number, None)
        if self._store.advance(
            item.number, state, reason=reason, removed=removed, now=self._clock()
        ):
            why = f": {shown(reason)}" if reason else ""
            self._result.lines.append(
                ("info", f"notice {item.notice}: {shown(item.parsed.value)}: {state}{why}")
            )


def _files_with(
    by_digest: dict[Digest, list[FoundFile]], digests: Iterable[Digest]
) -> list[FoundFile]:
    found = {one[:2]: one for digest in digests for one in by_digest.get(digest, ())}
    return [found[key] for key in sorted(found)]
