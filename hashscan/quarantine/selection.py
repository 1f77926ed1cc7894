"""Selects the quarantined files that one command restores."""

from __future__ import annotations

import fnmatch
import os
import pwd
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hashscan.fs.named import resolve
from hashscan.quarantine.records import State
from hashscan.quarantine.upkeep import records

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.quarantine.records import Record
    from hashscan.quarantine.store import Store


@dataclass(frozen=True, slots=True)
class Selection:
    """Files that fit all given conditions; without conditions, all files in quarantine.

    Attributes:
        paths: the file had one of these paths, was below one of them, or one is a glob that its
            path matches (``*`` matches ``/`` too).
        since: seconds since the epoch; the file was quarantined then or later.
        owners: the file belongs to one of these users: names or numbers.
    """

    paths: tuple[str, ...] = ()
    since: float | None = None
    owners: tuple[str, ...] = ()

    def ids(self, store: Store) -> tuple[list[str], list[str]]:
        """Ids of the records that fit, oldest first; and the errors of unreadable records.

        Raises:
            QuarantineError: the store cannot be listed.
            UnsafePathError: a path leads through a link that somebody else made or can replace.
        """
        tests: list[Callable[[Record], bool]] = [_is_there]
        if self.paths:
            tests.append(_by_path(self.paths))
        if self.owners:
            tests.append(_by_owner(self.owners))
        if self.since is not None:
            since = self.since
            tests.append(lambda one: datetime.fromisoformat(one.acted).timestamp() >= since)
        found, unread = [], []
        for listed in records(store):
            if listed.record is None:
                unread.append(listed.trouble)
            elif all(test(listed.record) for test in tests):
                found.append(listed.record_id)
        return found, unread


def _is_there(record: Record) -> bool:
    return record.state in {State.QUARANTINED, State.DISPLACED}


def _by_path(paths: tuple[str, ...]) -> Callable[[Record], bool]:
    # A record has the path without links. The wildcards of a glob are in no name on the disk.
    full = [os.path.abspath(one) for one in paths]
    full += [resolve(one) for one in full]
    above = tuple(one.rstrip("/") + "/" for one in full)

    def fits(record: Record) -> bool:
        path = os.fsdecode(record.origin.full_path)
        return (
            path in full
            or path.startswith(above)
            or any(fnmatch.fnmatchcase(path, one) for one in (*paths, *full))
        )

    return fits


def _by_owner(owners: tuple[str, ...]) -> Callable[[Record], bool]:
    numbers: dict[str, int] = {}
    for one in owners:
        if one.isdecimal():
            numbers[one] = int(one)
        else:
            try:
                numbers[one] = pwd.getpwnam(one).pw_uid
            except KeyError:
                continue  # the record may have its name all the same

    def fits(record: Record) -> bool:
        metadata = record.metadata
        if metadata is None:
            return False
        # The number may be another user's by now: if the record has a name, the name counts.
        names = {one for one in owners if not one.isdecimal()}
        if metadata.owner is not None and metadata.owner in names:
            return True
        return any(
            metadata.uid == number and (one.isdecimal() or metadata.owner is None)
            for one, number in numbers.items()
        )

    return fits
