"""Lists the digests in quarantine that the service no longer knows, for commands to show."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.errors import QuarantineError
from hashscan.quarantine.recheck_answers import AskedStore
from hashscan.quarantine.store import Store
from hashscan.quarantine.withdrawn_digests import collect
from hashscan.text import rfc3339

if TYPE_CHECKING:
    from hashscan.config.settings import Settings
    from hashscan.model import Digest
    from hashscan.state import State


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Describes a digest in quarantine that the service answered ``unknown`` to.

    Attributes:
        state: state of the withdrawal: ``unknown``, ``held`` or ``withdrawn``.
        since: RFC 3339 UTC time of the first of the uninterrupted ``unknown`` answers.
        files: number of files with this digest in quarantine.
        held: why a brake stopped the withdrawal; empty: no brake stopped it.
    """

    digest: Digest
    category: str
    files: int
    state: str
    since: str
    service: str
    held: str


def withdrawals(settings: Settings, state: State) -> list[Withdrawal]:
    """Return all withdrawals of digests, ordered by service and digest; change nothing.

    Raises:
        QuarantineError, StateError: the quarantine or the stored answers cannot be read.
    """
    asked = AskedStore.to_read(state.withdrawn)
    if asked is None:
        return []
    try:
        store = Store.open(os.fsencode(settings.quarantine_directory), create=False)
    except QuarantineError as error:
        if error.reason != "no-store":
            raise
        return []
    found = []
    with asked, store:
        for service in asked.services():
            answers = asked.answers(service)
            if all(one.known for one in answers.values()):
                continue
            groups = collect(store, service, (), store.timeline()).groups
            for subject, one in answers.items():
                group = groups.get(subject)
                if group is not None and not one.known:
                    found.append(
                        Withdrawal(
                            subject.digest,
                            group.category,
                            group.files,
                            "held" if one.held else _WORDS.get(one.state, one.state),
                            rfc3339(one.since.wall),
                            service,
                            one.held,
                        )
                    )
    return found


#: The state that commands show for each state that lasts only until the end of a round.
_WORDS = {"ripe": "unknown", "accepted": "withdrawn", "checked": "withdrawn"}
