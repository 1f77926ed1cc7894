"""Stores reports in a thread of its own, so that the event loop never waits for the disk."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from hashscan.errors import HashscanError
from hashscan.notices import unread_inputs
from hashscan.notices.kept_text import cut
from hashscan.notices.notice import Channel
from hashscan.notices.store import NoticeStore
from hashscan.service.answers import later
from hashscan.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.audit.recorder import Recorder
    from hashscan.service.intake.form import SentReport
    from hashscan.state import State

#: Seconds after which a sender gets the answer "not stored yet"; SCART's add-ons wait 20 seconds.
_PATIENCE = 15.0
#: Largest number of reports that wait to be stored.
_WAITING = 64
#: Smallest number of seconds for which an unanswered report is recognised when it is sent again.
_RESENT = 1800.0
#: Largest number of reports whose answers the intake counts.
_MOST_ANSWERED = 100_000


class Taken(NamedTuple):
    """A notice that the intake has stored."""

    id: str
    deadline: float
    repeat_of: str | None


class Box:
    """The file of notices of a running intake, and the thread that stores reports in it."""

    def __init__(
        self, state: State, say: Callable[[str], None], recorder: Recorder | None = None
    ) -> None:
        """Open the file of notices.

        ``say`` is called with a sentence if a report cannot be stored. ``recorder`` writes to the
        audit log.

        Raises:
            StateError: the file of notices cannot be used.
        """
        self._state = state
        self._say = say
        self._trouble = ""
        self._waiting = 0
        #: The number of answers to each report, by the report's key, in order of age.
        self._answered: OrderedDict[bytes, int] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, "notices")
        try:
            self._store = self._thread.submit(NoticeStore, state.notices, recorder).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def close(self) -> None:
        """Store the reports that wait, and close the file of notices."""
        self._thread.submit(self._store.close)
        self._thread.shutdown()

    async def add(self, report: SentReport, key: bytes) -> Taken:
        """Store a report durably; ``key``: the SHA-256 of the report's sender and bytes.

        A report may be stored but not answered, because the process was killed or the disk is slow.
        If the sender then sends the report again, the intake does not store the report twice. A
        report that is sent again after its answer is a new notice: the URLs are still online.

        Raises:
            HTTPException: 503, because the report is not stored, or is not stored yet.
        """
        if self._waiting >= _WAITING:
            raise later(503, 10.0, "too many reports wait to be stored; this one was not taken")
        self._waiting += 1
        loop = asyncio.get_running_loop()
        numbered = key + str(self._answered.get(key, 0)).encode()
        future = loop.run_in_executor(self._thread, self._add, report, numbered)
        future.add_done_callback(self._done)
        try:
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.shield(future)
        except TimeoutError:
            raise later(
                503, 60.0, "the report is not stored yet, because the disk is slow; send it again"
            ) from None
        except HashscanError:
            raise later(
                503, 60.0, "the report cannot be stored now, and was not taken; send it again"
            ) from None

    async def answered(self, key: bytes) -> None:
        """Record that the sender has received the answer to a report."""
        self._answered[key] = self._answered.pop(key, 0) + 1
        while len(self._answered) > _MOST_ANSWERED:
            self._answered.popitem(last=False)

    async def refuse(self, sender: str, why: str, text: str) -> None:
        """Record a refused report, and keep the report's text for an administrator."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._refuse, sender, why, text)

    def _done(self, future: asyncio.Future[Taken]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            error = future.exception()
            self._report(one_line(str(error)) if error is not None else "")

    def _report(self, trouble: str) -> None:
        """Pass the reason why reports are not stored to ``say``, once."""
        if trouble and trouble != self._trouble:
            self._say(f"a report was not stored: {trouble}")
        self._trouble = trouble

    def _add(self, report: SentReport, key: bytes) -> Taken:
        now = int(time.time() // _RESENT)
        keys = [hashlib.sha256(key + b"@%d" % period).digest() for period in (now, now - 1)]
        identifier = next(filter(None, map(self._store.id_of, keys)), None)
        if identifier is None:
            identifier = self._store.add(
                report.notice,
                channel=Channel.HTTP,
                key=keys[0],
                content=report.content,
                received=report.received,
            ).id
        notice = self._store.notice(identifier)
        return Taken(notice.id, notice.deadline, notice.repeat_of)

    def _refuse(self, sender: str, why: str, text: str) -> None:
        try:
            self._store.note_refused(Channel.HTTP, why, sender=sender)
            if text.strip():
                unread_inputs.keep(self._state.directory, cut(text).encode("utf-8", "replace"))
        except HashscanError as error:
            self._report(one_line(str(error)))
