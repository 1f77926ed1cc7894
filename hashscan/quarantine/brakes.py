"""Moves a match to quarantine, or holds the match if a brake trips."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.errors import StateError
from hashscan.fs.accounts import Accounts
from hashscan.model import Acted
from hashscan.quarantine.holds import Holds
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.model import Confirmed
    from hashscan.quarantine.act import Quarantine
    from hashscan.quarantine.brake_limits import BrakeLimits
    from hashscan.quarantine.hold_types import Hold, HoldEvents


class Brakes:
    """Moves matches to quarantine, as long as the limits of the brakes allow the moves."""

    def __init__(
        self,
        quarantine: Quarantine,
        path: str,
        limits: BrakeLimits,
        *,
        events: HoldEvents,
        files_of: Callable[[bytes], int | None],
        accounts: Accounts | None = None,
    ) -> None:
        """Do not open the file of holds yet, because the daemon forks before it moves matches.

        Args:
            quarantine: moves the matches that no brake holds.
            path: path of the SQLite file of holds.
            limits: the configured limits at which the brakes trip.
            events: writes the audit log's line about each new hold, before ``act`` returns the
                hold's first file.
            files_of: returns the number of files on a volume; ``None``: unknown.
            accounts: finds the account of a user id; default: from /etc/subuid.
        """
        self._quarantine = quarantine
        self._path = path
        self._limits = limits
        self._events = events
        self._files_of = files_of
        self._accounts = accounts or Accounts()
        self._holds: Holds | None = None

    def act(self, match: Confirmed) -> Acted:
        """Move a match to quarantine, or hold the match if a brake trips."""
        candidate = match.candidate
        # No scan moves a file again that an administrator restored, so the brakes do not count it.
        restored = self._quarantine.held(candidate)
        if restored is not None:
            return restored
        # All user ids of one customer's account count as one owner.
        candidate = replace(candidate, uid=self._accounts.of(candidate.uid))
        as_counted = replace(match, candidate=candidate)
        try:
            holds = self._opened()
            hold = holds.admit(as_counted, self._limits, lambda: self._files_of(candidate.volume))
            if hold is not None:
                if not hold.reported:
                    holds.report(hold, self._events)
                return held(match, hold)
        except StateError as error:
            message = f"{shown(candidate.full_path)}: not moved, because it cannot be counted: "
            return Acted("reported", message=f"{message}{error}", problem="no-brakes")
        acted = self._quarantine.act(match)
        try:
            if acted.action == "quarantined":
                digests = self._quarantine.digests_of(acted.quarantine_id)
                holds.moved(candidate, digests)
            else:
                holds.not_moved(candidate)
        except StateError as error:
            message = f"{shown(candidate.full_path)}: its move is still counted as begun: {error}"
            return replace(acted, message="; ".join(filter(None, (acted.message, message))))
        return acted

    def _opened(self) -> Holds:
        if self._holds is None:
            self._holds = Holds(self._path)
        return self._holds

    def close(self) -> None:
        """Close the file of holds."""
        if self._holds is not None:
            self._holds.close()
            self._holds = None


def held(match: Confirmed, hold: Hold) -> Acted:
    """The action ``held`` for a match that belongs to a hold."""
    return Acted(
        "held",
        message=f"{shown(match.candidate.full_path)}: held by {hold.id}, because {hold.reason};"
        f" decide with 'hashscan hold show {hold.id}'",
        hold=hold.id,
    )


def summary_of(hold: Hold) -> str:
    """One line about a hold, for logs."""
    files = counted(hold.files, "file")
    return (
        f"{hold.id}: {files} of {counted(hold.owners, 'owner')} held: {hold.reason}; decide with"
        f" 'hashscan hold show {hold.id}', then 'hashscan hold release' or 'hashscan hold dismiss'"
    )


def used_inodes(volume: bytes) -> int | None:
    """The number of used inodes of a volume's file system, to estimate the number of its files.

    ``None``: the file system does not count its inodes.
    """
    try:
        found = os.statvfs(volume)
    except OSError:
        return None
    return found.f_files - found.f_ffree if found.f_files else None
