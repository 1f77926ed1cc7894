"""Selects the quarantined files that one command restores."""

from __future__ import annotations

import fnmatch
import os
import pwd
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from hashscan.fs.named import resolve
from hashscan.model import category_name
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.summary import briefs

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.model import Digest
    from hashscan.quarantine.store import Store
    from hashscan.quarantine.summary import Brief


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selection found.

    Attributes:
        ids: of the records that fit, oldest first.
        unread: the errors of unreadable records.
        withdrawn: digests of the withdrawn files among them, as keys.
    """

    ids: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    withdrawn: dict[Digest, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selection:
    """Files that fit all given conditions; without conditions, all files in quarantine.

    Attributes:
        paths: the file had one of these paths, was below one of them, or one is a glob that its
            path matches (``*`` matches ``/`` too).
        since: seconds since the epoch; the file was quarantined then or later.
        owners: the file belongs to one of these users: names or numbers.
        digests: the content has one of these, in lower-case hex.
        categories: the file has one of these.
        withdrawn: the file's digest was withdrawn.
    """

    paths: tuple[str, ...] = ()
    since: float | None = None
    owners: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    withdrawn: bool = False

    def selected(self, store: Store) -> Selected:
        """The records that fit.

        Raises:
            QuarantineError: the store cannot be listed.
            UnsafePathError: a path leads through a link that somebody else made or can replace.
        """
        tests: list[Callable[[Brief], bool]] = [_is_there]
        if self.paths:
            tests.append(_by_path(self.paths))
        if self.owners:
            tests.append(_by_owner(self.owners))
        if self.since is not None:
            since = self.since
            tests.append(lambda one: datetime.fromisoformat(one.acted).timestamp() >= since)
        if self.digests:
            tests.append(_by_digest(frozenset(self.digests)))
        if self.categories:
            named = frozenset(self.categories)
            tests.append(lambda one: category_name(one.category) in named)
        if self.withdrawn:
            tests.append(lambda one: bool(one.withdrawn))
        found = Selected()
        for record_id, record, trouble in briefs(store):
            if record is None:
                found.unread.append(trouble)
            elif all(test(record) for test in tests):
                found.ids.append(record_id)
                if record.withdrawn:
                    found.withdrawn.update(dict.fromkeys(record.each_digest))
        return found


def _is_there(record: Brief) -> bool:
    return record.state in {RecordState.QUARANTINED, RecordState.DISPLACED}


def _by_digest(wanted: frozenset[str]) -> Callable[[Brief], bool]:
    def fits(record: Brief) -> bool:
        return not wanted.isdisjoint(record.all_hex)

    return fits


def _by_path(paths: tuple[str, ...]) -> Callable[[Brief], bool]:
    # A record has the path without links. The wildcards of a glob are in no name on the disk.
    full = [os.path.abspath(one) for one in paths]
    full += [resolve(one) for one in full]
    above = tuple(one.rstrip("/") + "/" for one in full)

    def fits(record: Brief) -> bool:
        path = os.fsdecode(record.path)
        return (
            path in full
            or path.startswith(above)
            or any(fnmatch.fnmatchcase(path, one) for one in (*paths, *full))
        )

    return fits


def _by_owner(owners: tuple[str, ...]) -> Callable[[Brief], bool]:
    numbers: dict[str, int] = {}
    for one in owners:
        if one.isdecimal():
            numbers[one] = int(one)
        else:
            try:
                numbers[one] = pwd.getpwnam(one).pw_uid
            except KeyError:
                continue  # the record may have its name all the same

    def fits(record: Brief) -> bool:
        if record.uid is None:
            return False
        # The number may be another user's by now: if the record has a name, the name counts.
        names = {one for one in owners if not one.isdecimal()}
        if record.owner is not None and record.owner in names:
            return True
        return any(
            record.uid == number and (one.isdecimal() or record.owner is None)
            for one, number in numbers.items()
        )

    return fits
