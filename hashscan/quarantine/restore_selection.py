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
    """The records of files that meet the conditions of a ``Selection``.

    Attributes:
        ids: ids of the matching records, the oldest record first.
        unread: errors of the records that could not be read.
        withdrawn: the withdrawn digests of the matching files, as the keys of a dictionary.
    """

    ids: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    withdrawn: dict[Digest, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions on quarantined files; without conditions, all quarantined files match.

    Attributes:
        paths: the file's path is one of these paths, or below one of these directories, or matches
            one of these globs (``*`` matches ``/`` too).
        since: seconds since the epoch; the file was quarantined at this time or later.
        owners: the file belongs to one of these users, given as names or numbers.
        digests: the file's content has one of these digests, in lower-case hex.
        categories: the file's category is one of these categories.
        withdrawn: if true, only files whose digest was withdrawn match.
    """

    paths: tuple[str, ...] = ()
    since: float | None = None
    owners: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    withdrawn: bool = False

    def selected(self, store: Store) -> Selected:
        """The records of files in quarantine that meet all conditions.

        Raises:
            QuarantineError: the store cannot be listed.
            UnsafePathError: a path has a symbolic link that another user made or can replace.
        """
        tests: list[Callable[[Brief], bool]] = [_is_there]
        if self.paths:
            tests.append(_by_path(self.paths))
        if self.owners:
            tests.append(_by_owner(self.owners))
        if self.since is not None:
            since = self.since
            tests.append(lambda record: datetime.fromisoformat(record.acted).timestamp() >= since)
        if self.digests:
            tests.append(_by_digest(frozenset(self.digests)))
        if self.categories:
            named = frozenset(self.categories)
            tests.append(lambda record: category_name(record.category) in named)
        if self.withdrawn:
            tests.append(lambda record: bool(record.withdrawn))
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
    # Records have paths without symbolic links, so each given path is resolved, too.
    full = [os.path.abspath(path) for path in paths]
    full += [resolve(path) for path in full]
    above = tuple(path.rstrip("/") + "/" for path in full)

    def fits(record: Brief) -> bool:
        path = os.fsdecode(record.path)
        return (
            path in full
            or path.startswith(above)
            or any(fnmatch.fnmatchcase(path, glob) for glob in (*paths, *full))
        )

    return fits


def _by_owner(owners: tuple[str, ...]) -> Callable[[Brief], bool]:
    numbers: dict[str, int] = {}
    for owner in owners:
        if owner.isdecimal():
            numbers[owner] = int(owner)
        else:
            try:
                numbers[owner] = pwd.getpwnam(owner).pw_uid
            except KeyError:
                continue  # a record may have this user name, even if the machine lacks the user now

    def fits(record: Brief) -> bool:
        if record.uid is None:
            return False
        # A user id may belong to another user now: if the record has a user name, compare the name.
        names = {owner for owner in owners if not owner.isdecimal()}
        if record.owner is not None and record.owner in names:
            return True
        return any(
            record.uid == number and (owner.isdecimal() or record.owner is None)
            for owner, number in numbers.items()
        )

    return fits
