"""Asks the service for verdicts, immediately and again with growing pauses, and acts on them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.text import human_age

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashscan.daemon.log import Log
    from hashscan.model import Digest
    from hashscan.scan.asker import Asker
    from hashscan.scan.confirmation import Confirmation

#: Seconds until the service is asked again about candidates without a verdict; the pause doubles.
_FIRST = 5.0
_LONGEST = 900.0
#: The pause if the service refused the credentials, which the sysadmin must change first.
_REFUSED = 3600.0
#: Seconds between two checks for inodes with several names, whose names are moved together.
_LINKS = 2.0
#: Seconds until matches that could not be moved are tried again; the pause doubles each time, up to
#: ``_LONGEST``.
_MOVE = 5.0
#: Seconds for which one turn of the daemon moves files; meanwhile the daemon does no other work.
_TURN = 0.5


class Retry:
    """Decides when the service is asked, and when a move is tried again.

    The client bounds the time and the number of tries of a question.
    """

    def __init__(self, confirmation: Confirmation, asker: Asker, log: Log) -> None:
        """Prepare to ask the service about candidates of one known set."""
        self._confirmation = confirmation
        self._asker = asker
        self._log = log
        self._wait = _FIRST
        self._again: float | None = None
        self._failed = 0
        self._answered = 0
        self._links = 0.0
        self._move_wait = _MOVE
        self._move_at: float | None = None
        self._move_after = 0
        self.in_trouble = False

    @property
    def next_try(self) -> float | None:
        """Return the seconds until the service is asked again for missing verdicts."""
        return None if self._again is None else max(0.0, self._again - time.monotonic())

    @property
    def is_refused(self) -> bool:
        """Return whether the service refuses hashscan's credentials."""
        return self._confirmation.refused is not None

    def forget(self, digests: Iterable[Digest]) -> None:
        """Ask again about digests that the service does not know any more."""
        self._confirmation.forget(digests)

    def step(self) -> None:
        """Ask about new and due candidates, and act on matches that waited for other names."""
        now = time.monotonic()
        confirmation = self._confirmation
        self._hear(now)
        if self._again is not None and now >= self._again and not confirmation.busy:
            self._again = None
            if confirmation.refused is not None:
                confirmation.refused = None
                # A new asking process reads the password again.
                confirmation.take(self._asker.restart())
            if not confirmation.ask_again() and not confirmation.more:
                self._wait = _FIRST
            confirmation.more = True
        if confirmation.more:
            confirmation.ask_more()
        if confirmation.links_wait and now - self._links >= _LINKS:
            self._links = now
            confirmation.links_wait = False
            confirmation.act_on_links(lambda: self._is_late(now))
            if self._is_late(now):
                # More matches wait, so the next turn follows after as much time for all other work.
                confirmation.links_wait = True
                self._links = time.monotonic() + _TURN - _LINKS
        self._move_again(now)

    @staticmethod
    def _is_late(began: float) -> bool:
        return time.monotonic() - began > _TURN

    @property
    def next_move(self) -> float | None:
        """Return the seconds until matches that could not be moved are tried again."""
        return None if self._move_at is None else max(0.0, self._move_at - time.monotonic())

    def _move_again(self, now: float) -> None:
        confirmation = self._confirmation
        if self._move_at is None:
            if confirmation.unmoved:
                self._move_at = now + self._move_wait
                self._move_wait = min(2 * self._move_wait, _LONGEST)
            else:
                self._move_wait = _MOVE
            return
        if now < self._move_at:
            return
        if not self._move_after:
            confirmation.unmoved = False
        self._move_after = confirmation.move_unmoved(self._move_after) or 0
        if not self._move_after:
            self._move_at = None

    def _hear(self, now: float) -> None:
        confirmation = self._confirmation
        failed, answered = (
            confirmation.failed != self._failed,
            confirmation.answered != self._answered,
        )
        self._failed, self._answered = confirmation.failed, confirmation.answered
        if failed:
            self.in_trouble = True
            if self._again is None:
                wait = _REFUSED if confirmation.refused is not None else self._wait
                self._again = now + wait
                self._wait = min(2 * self._wait, _LONGEST)
                why = confirmation.last_failure
                # Another kind of fault is logged even soon after the previous fault.
                fault = None if why is None else why.fault
                what = "service" if confirmation.refused is None else "password"
                self._log.record.problem(what, str(fault), "" if why is None else why.message)
                self._log.limited(
                    f"no verdict: {fault}",
                    "warning",
                    f"no verdict, candidates are kept and asked for again in {human_age(wait)}: "
                    f"{'' if why is None else why.message}",
                )
        elif answered:
            for what in ("service", "password"):  # An earlier daemon may have reported the match.
                self._log.record.well(what)
            if not self.in_trouble:
                return
            self.in_trouble = False
            self._wait = _FIRST
            self._log.info("the service answers again")
            if self._again is not None:
                self._again = min(self._again, now + _FIRST)
