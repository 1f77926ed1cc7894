"""Writes the lines about matches."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hashscan.audit import events
from hashscan.audit.folder import path_of
from hashscan.audit.reported import Reported
from hashscan.errors import StateError
from hashscan.files import AUDIT_MATCHES

if TYPE_CHECKING:
    from hashscan.audit.recorder import Recorder
    from hashscan.model import MatchEvent


class MatchLines:
    """Writes a line for each match, but for a match that stays in its place only once.

    Each scan finds such a match again, and there may be a million.
    """

    def __init__(self, recorder: Recorder) -> None:
        """Read which matches in place have a line."""
        self._recorder = recorder
        self._reported = Reported(os.path.join(path_of(recorder.log.state), AUDIT_MATCHES))

    def write(self, event: MatchEvent) -> None:
        """Write the line of a match. A kill does not lose it.

        Raises:
            StateError: it cannot be written.
        """
        match, acted = event.match, event.acted
        stays = acted.action != "quarantined"
        if stays and not self._reported.is_news(event):
            return
        candidate = match.candidate
        try:
            self._recorder.write(
                events.MATCH,
                sync=False,
                path=os.fsdecode(candidate.full_path),
                size=candidate.stamp.size,
                uid=candidate.uid,
                digests=candidate.digests.as_dict(),
                algorithm=match.hit.digest.algorithm,
                category=match.category,
                action=acted.action,
                quarantine_id=acted.quarantine_id,
                notice=match.authority and match.authority.notice,
                detected=match.detected,
                found_by=match.found_by,
                problem=acted.problem,
                message=acted.message,
            )
        except StateError:
            self._reported.forget(event)
            raise

    def save(self) -> None:
        """Remember the matches in place for the next scan."""
        self._reported.save()
