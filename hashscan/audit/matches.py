"""Writes the audit log's lines about matches."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from hashscan.audit import events
from hashscan.audit.folder import path_of
from hashscan.audit.reported import Reported
from hashscan.errors import StateError
from hashscan.files import AUDIT_MATCHES
from hashscan.fs.accounts import Accounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.audit.recorder import Recorder
    from hashscan.model import MatchEvent


#: Seconds in which lines about one owner's matches in place may fill at most one file of the log.
_DAY = 86400.0
#: Number of bytes of an audit line without its facts.
_REST = 350


class MatchLines:
    """Writes a line for each match that was moved, and one line for each match left in its place.

    Each scan finds a match in its place again, and there may be a million matches. An owner who
    keeps changing, copying or renaming matches must not fill the log, because old lines are removed
    when the log is full.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        clock: Callable[[], float] = time.monotonic,
        accounts: Accounts | None = None,
    ) -> None:
        """Read the list of the matches in place that have a line in the audit log already.

        Args:
            recorder: writes the audit log.
            clock: returns the seconds of a clock that nobody can set.
            accounts: finds the account of a user id; default: from /etc/subuid.
        """
        self._recorder = recorder
        self._clock = clock
        self._accounts = accounts or Accounts()
        #: Time of an owner's first line of a day, and bytes of lines written since then, by owner.
        self._written: dict[int, tuple[float, int]] = {}
        self._reported = Reported(os.path.join(path_of(recorder.log.state), AUDIT_MATCHES))

    def write(self, event: MatchEvent) -> None:
        """Write the line about a match, if the match needs a line.

        The audit log has the line even if the process is killed afterwards.

        Raises:
            StateError: the line about the match cannot be written.
        """
        match, acted = event.match, event.acted
        candidate = match.candidate
        stays = acted.action != "quarantined"
        owner = self._accounts.of(candidate.uid) if stays else candidate.uid
        if stays and (self._is_full(owner) or not self._reported.is_new(event)):
            return
        facts = {
            "path": os.fsdecode(candidate.full_path),
            "size": candidate.stamp.size,
            "uid": candidate.uid,
            "digests": candidate.digests.as_dict(),
            "algorithm": match.hit.digest.algorithm,
            "category": match.category,
            "action": acted.action,
            "quarantine_id": acted.quarantine_id,
            "hold": acted.hold,
            "notice": match.authority and match.authority.notice,
            "detected": match.detected,
            "found_by": match.found_by,
            "problem": acted.problem,
            "message": acted.message,
        }
        try:
            self._recorder.write(events.MATCH, sync=False, **facts)
            if stays and self._count_line(owner, facts):
                self._recorder.write(events.MATCHES_LEFT_OUT, sync=False, uid=owner)
        except StateError:
            self._reported.forget(event)
            raise

    def _is_full(self, owner: int) -> bool:
        """Whether the owner's matches in place get no more lines until the day is over."""
        began, size = self._written.get(owner, (0.0, 0))
        if size < self._recorder.log.file_size:
            return False
        if self._clock() - began < _DAY:
            return True
        del self._written[owner]
        return False

    def _count_line(self, owner: int, facts: dict[str, object]) -> bool:
        """Count a line of an owner; return whether it is the owner's last line of the day."""
        now = self._clock()
        began, size = self._written.get(owner, (now, 0))
        if now - began >= _DAY:
            began, size = now, 0
        size += _REST + len(json.dumps(facts))
        self._written[owner] = began, size
        return size >= self._recorder.log.file_size

    def save(self) -> None:
        """Save the list of the matches in place that have a line, for the next scan."""
        self._reported.save()
