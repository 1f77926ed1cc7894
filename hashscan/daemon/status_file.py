"""What the daemon tells ``status`` of its work, and when there is something new to tell."""

from __future__ import annotations

import errno
import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hashscan.daemon.counters import Counters
from hashscan.files import DAEMON_STATUS, temporary
from hashscan.fs.beneath import closing

if TYPE_CHECKING:
    from typing import Any

    from hashscan.catalog.store import Catalog
    from hashscan.daemon.session import Duty

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Facts:
    """Of the work with one configuration."""

    def __init__(self, duty: Duty, catalog: Catalog) -> None:
        """Nothing was told yet."""
        self._duty = duty
        self._catalog = catalog
        self._measured = (time.monotonic(), 0)
        self._news: tuple[object, ...] = ()
        self._counts: tuple[int, ...] = ()

    def has_news(self) -> bool:
        """Whether something happened since ``facts`` that ``status`` should tell at once."""
        return self._news_now() != self._news

    def has_counted(self) -> bool:
        """Whether something happened since ``facts`` that ``status`` should tell soon."""
        return self._counts_now() != self._counts

    def _news_now(self) -> tuple[object, ...]:
        return (self._duty.scans, self._duty.walk is None, self._duty.coverage.said)

    def _counts_now(self) -> tuple[int, ...]:
        # Not the events: those of a state directory inside of a volume would never end.
        return (
            self._duty.lost,
            self._duty.looking.tally.hashed,
            self._duty.found.matches,
            self._duty.found.quarantined,
        )

    def collect(self) -> dict[str, Any]:
        """For the file that ``status`` reads."""
        self._news, self._counts = self._news_now(), self._counts_now()
        pending, oldest, why = self._catalog.waiting()
        walk = self._duty.walk
        tally = self._duty.looking.tally
        return {
            "volumes": self._duty.coverage.facts(),
            "events": self._duty.events,
            "lost": self._duty.lost,
            "backlog": self._duty.looking.backlog,
            "waits_for": round(self._duty.looking.waits_for, 1),
            "hashed": tally.hashed,
            "rate": self._rate(tally.hashed),
            "bytes_hashed": tally.bytes_hashed,
            "problems": tally.problems,
            "matches": self._duty.found.matches,
            "quarantined": self._duty.found.quarantined,
            "held": self._duty.found.held,
            "allowed": self._duty.found.allowed,
            "counting_since": self._duty.began,
            "filters": [
                {
                    "category": one.category,
                    "version": one.version,
                    "digests": one.metadata.digests,
                    "path": one.path,
                }
                for one in self._duty.known.filters
            ],
            "rejudged": self._duty.judging.files,
            "scan": None
            if walk is None
            else {
                "kind": walk.kind,
                "started": walk.started,
                "files": walk.files,
                "fraction": round(walk.fraction, 3),
            },
            "pending": {
                "candidates": pending,
                "oldest": oldest,
                "why": why,
                "next_try": self._duty.verdicts.next_try,
            },
            "next_move": self._duty.verdicts.next_move,
        }

    def _rate(self, hashed: int) -> float:
        """Files hashed a second, since this was asked last."""
        now = time.monotonic()
        at, before = self._measured
        self._measured = (now, hashed)
        return round((hashed - before) / max(0.1, now - at), 1)


def counted_by(duty: Duty | None, before: Counters) -> Counters:
    """What was counted so far: ``before``, and in the work with the present configuration."""
    counted = Counters()
    counted.add(before)
    if duty is None:
        return counted
    counted.add(duty.ended)
    if duty.walk is not None:
        counted.tally.add(duty.walk.tally)
    found = duty.found
    changes = Counters(
        duty.looking.tally,
        duty.events,
        duty.lost,
        candidates=found.candidates,
        false_positives=found.false_positives,
    )
    counted.add(changes)
    return counted


def status_line(duty: Duty) -> str:
    """What ``systemctl status`` shows of the work."""
    walk = duty.walk
    parts = [f"{duty.looking.backlog:,} changes wait"]
    if walk is not None:
        parts.append(f"scan ({walk.kind}) {walk.fraction:.0%}, {walk.files:,} files")
    parts.append(f"{duty.found.matches:,} matches")
    if duty.verdicts.in_trouble:
        refused = duty.verdicts.is_refused
        parts.append(f"the service {'refuses the password' if refused else 'does not answer'}")
    return "; ".join(parts)


def write_facts(directory: str, facts: dict[str, Any]) -> None:
    """Replace the file that ``status`` reads.

    Raises:
        OSError: it cannot be written.
    """
    # Not synced to the disk: after a power cut nothing in it would be true.
    path = os.path.join(directory, DAEMON_STATUS)
    beside = os.path.join(directory, temporary(DAEMON_STATUS))
    text = json.dumps(facts, separators=(",", ":")).encode()
    try:
        with open(os.open(beside, _FLAGS, 0o600), "wb") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError as error:
        if error.errno != errno.ENOSPC or not os.path.lexists(path):
            with suppress(OSError):
                os.unlink(beside)
            raise
        # The old one would say that all is well.
        with suppress(OSError):
            os.unlink(beside)
        _overwrite(path, text)


def _overwrite(path: str, text: bytes) -> None:
    """Write a text over an old one within the room that the old one has.

    The blocks are not freed first: another process would take them.

    Raises:
        OSError: the text is longer than its room, and the old one is unchanged; or it cannot be
            written.
    """
    with closing(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as fd:
        status = os.fstat(fd)
        if len(text) > max(status.st_size, status.st_blocks * 512):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        # The spaces cover the old text's end, if another process reads meanwhile.
        os.pwrite(fd, text.ljust(status.st_size), 0)
        os.ftruncate(fd, len(text))
