"""Finds the files that were moved for a notice, for the statements of reasons to customers."""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING

from hashscan.errors import QuarantineError
from hashscan.notices.answers.facts import Moved
from hashscan.notices.notice import Role
from hashscan.quarantine.records import AWAY
from hashscan.quarantine.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashscan.config.settings import Settings
    from hashscan.notices.notice import ItemFile
    from hashscan.quarantine.records import Record


def moved_files(settings: Settings, files: Iterable[ItemFile]) -> list[Moved]:
    """The files of a notice that are in quarantine or were purged from quarantine, each file once.

    Raises:
        QuarantineError: the record of a file in quarantine cannot be read.
    """
    named = [one for one in files if one.quarantine_id is not None]
    found: dict[str, Moved] = {}
    with ExitStack() as stack:
        store: Store | None = None
        for one in named:
            assert one.quarantine_id is not None
            if store is None:
                directory = os.fsencode(settings.quarantine_directory)
                store = stack.enter_context(Store.open(directory, create=False))
            record = store.load(one.quarantine_id)
            if record.state in AWAY and record.id not in found:
                found[record.id] = _moved(one, record)
    return list(found.values())


def _moved(file: ItemFile, record: Record) -> Moved:
    if record.metadata is None:
        raise QuarantineError(
            f"the record {record.id} has no owner; see 'hashscan quarantine show {record.id}'",
            reason="damaged-record",
        )
    return Moved(
        item=file.item,
        owner=record.metadata.owner or str(record.metadata.uid),
        path=record.origin.full_path,
        when=datetime.fromisoformat(record.acted).timestamp(),
        category=file.category,
        is_named=file.role is Role.NAMED,
    )
