"""Finds the files for XARF abuse reports: files that notices named, and matches.

Each file is reported once: as a file that a notice names, or as a match.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from hashscan.catalog.period import matches_in_place
from hashscan.errors import QuarantineError, UsageError
from hashscan.notices.notice import ItemKind, ItemState, Role
from hashscan.notices.reader import open_existing
from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.sites import Sites
from hashscan.quarantine.manage import records
from hashscan.quarantine.records import AWAY
from hashscan.quarantine.store import Store
from hashscan.report.xarf import Abuse, NotReported
from hashscan.state import State
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.config.settings import Settings
    from hashscan.notices.notice import Item, ItemFile, Notice
    from hashscan.notices.reader import NoticeReader
    from hashscan.quarantine.records import Record


class WantedReports(NamedTuple):
    """Selects the files to report: of notices by id, or all in a period, without its end ``until``.

    An item of a notice is in the period if its state changed then, a match if a scan found it then.
    """

    since: float
    until: float
    notices: tuple[str, ...] = ()


def abuses(settings: Settings, wanted: WantedReports) -> Iterator[Abuse | NotReported]:
    """Return the files to report, and the quarantine's records that cannot be read.

    Raises:
        UsageError: no notice has the wanted id.
        StateError: the notices or the catalog cannot be read.
        QuarantineError: the quarantine cannot be read.
    """
    with ExitStack() as stack:
        yield from _Found(settings, wanted, stack).all()


class _Found:
    def __init__(self, settings: Settings, wanted: WantedReports, stack: ExitStack) -> None:
        self._wanted = wanted
        self._state = State(settings.state, make=False)
        self._sites = Sites(settings.sites)
        self._reader = open_existing(self._state.notices)
        if self._reader is not None:
            stack.enter_context(self._reader)
        self._store: Store | None = None
        try:
            directory = os.fsencode(settings.quarantine_directory)
            self._store = stack.enter_context(Store.open(directory, create=False))
        except QuarantineError as error:
            if error.reason != "no-store":
                raise
        #: Records and paths of files that are already reported.
        self._reported: set[str | bytes] = set()

    def all(self) -> Iterator[Abuse | NotReported]:
        if self._wanted.notices and self._reader is None:
            raise UsageError("no notice was ever stored; see --state")
        if self._reader is not None:
            for notice in self._notices(self._reader):
                for item in self._reader.items(notice.id):
                    if self._wanted.notices or self._is_in_period(item.since):
                        yield from self._of_item(notice, item, self._reader.files(item.number))
        if not self._wanted.notices:
            yield from self._of_records()
            yield from self._of_catalog()

    def _notices(self, reader: NoticeReader) -> list[Notice]:
        if self._wanted.notices:
            return [reader.notice(reader.resolve(one)) for one in self._wanted.notices]
        return list(reader.notices())

    def _of_item(
        self, notice: Notice, item: Item, files: list[ItemFile]
    ) -> Iterator[Abuse | NotReported]:
        """Return a notice item's files and copies that a list knows or that were removed."""
        for file in files:
            path = file.volume.rstrip(b"/") + b"/" + file.path
            is_removed = item.state is ItemState.REMOVED
            if file.role is Role.PART or not (file.category or is_removed):
                continue
            name = item.parsed.value if file.role is Role.NAMED else os.fsdecode(path)
            record = None
            if file.quarantine_id is not None and self._store is not None:
                try:
                    record = self._store.load(file.quarantine_id)
                except QuarantineError as error:
                    yield NotReported(shown(name), str(error))
                    continue
            key = path if record is None else record.id
            is_restored = record is not None and record.state not in AWAY
            if key in self._reported or is_restored:
                continue
            self._reported |= {path, key}
            is_away = file.away is not None or record is not None
            url: str | None = item.parsed.value
            if file.role is not Role.NAMED or item.parsed.kind is not ItemKind.URL:
                url = self._url_of(path, moved=is_away)
            yield Abuse(
                key=f"item {item.number} {os.fsdecode(path)}",
                name=shown(name),
                url=url,
                source=item.parsed.ip,
                categories=(file.category, item.parsed.classification),
                method="hash_match" if file.category else "user_report",
                when=notice.received,
                digests={one.algorithm: one.hex for one in file.digests or item.parsed.digests},
                removed=is_away,
            )

    def _of_records(self) -> Iterator[Abuse | NotReported]:
        if self._store is None:
            return
        for listed in records(self._store):
            record = listed.record
            if record is None:
                yield NotReported(listed.record_id, listed.trouble)
                continue
            if record.id in self._reported or record.state not in AWAY or not self._is_new(record):
                continue
            if record.authority is not None and record.authority.kind == "notice":
                continue  # No list knows the file, so it is reported with its notice.
            path = record.origin.full_path
            self._reported.add(path)
            digests = record.digests.as_dict() if record.digests else record.expected
            yield Abuse(
                key=f"record {record.id}",
                name=shown(path),
                url=self._url_of(path, moved=True),
                source=None,
                categories=(record.category,),
                method="hash_match",
                when=datetime.fromisoformat(record.detected).timestamp(),
                digests=digests,
                removed=True,
            )

    def _is_new(self, record: Record) -> bool:
        """Return whether a record's file was found in the period."""
        try:
            found = datetime.fromisoformat(record.detected).timestamp()
        except (ValueError, OverflowError):
            return False
        return self._is_in_period(found)

    def _is_in_period(self, when: float) -> bool:
        return self._wanted.since <= when < self._wanted.until

    def _of_catalog(self) -> Iterator[Abuse]:
        since, until = self._wanted.since, self._wanted.until
        for match in matches_in_place(self._state.catalog, since, until):
            if match.path in self._reported:
                continue
            yield Abuse(
                key=f"match {os.fsdecode(match.path)} {sorted(match.digests.items())}",
                name=shown(match.path),
                url=self._url_of(match.path, moved=False),
                source=None,
                categories=(match.category,),
                method="hash_match",
                when=match.found,
                digests=match.digests,
                removed=False,
            )

    def _url_of(self, path: bytes, *, moved: bool) -> str | None:
        try:
            return self._sites.url_of(path, moved=moved)
        except UndecidedError:
            return None
