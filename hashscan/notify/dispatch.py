"""Reads the audit log, makes messages by the rules of the receivers, and sends them.

Each receiver has a thread of its own, so that a receiver that hangs delays no other. These threads
only send messages: only the thread that calls ``step`` uses the outbox.
"""

from __future__ import annotations

import itertools
import os
import queue
import random
import threading
import time
import traceback
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hashscan.audit.reader import newest, read
from hashscan.errors import HashscanError
from hashscan.fs.accounts import Accounts
from hashscan.notify.events import for_receiver, owner_of
from hashscan.notify.notifier import NotSentError, SendFault
from hashscan.notify.open_notifier import open_notifier
from hashscan.notify.outbox import LONGEST, Queued, Route
from hashscan.text import counted, human_age

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hashscan.audit.line import AuditEvent
    from hashscan.config.notify import ReceiverSettings
    from hashscan.notify.notifier import Notifier
    from hashscan.notify.outbox import Outbox

#: Largest number of lines of the audit log that the dispatcher queues in one transaction.
_CHUNK = 1000
#: Seconds from a message's first failed attempt to its second; the second number is for a fault
#: that only a change of the configuration can mend. The pause doubles after each further failed
#: attempt, up to the third number.
_FIRST, _FIRST_SETUP, _LAST = 30.0, 300.0, 3600.0
#: The first and the longest pause in seconds for a message that the receiver refused.
_FIRST_REFUSED, _LAST_REFUSED = 3600.0, 12 * 3600.0
#: Kinds of urgent events: ``at_most`` delays a message about an urgent kind only after another
#: message about the same kind.
_URGENT = frozenset({"hold", "notice-overdue", "daemon-stopped", "volume-lost"})
#: Seconds between two searches of the outbox for messages that are too old.
_UPKEEP_EVERY = 600.0


class EventSource(Protocol):
    """The audit log, with the two methods that the dispatcher needs."""

    def newest(self) -> int:
        """Return the number of the audit log's newest line; 0: the log has no line."""

    def read(self, after: int) -> Iterable[AuditEvent]:
        """Yield the audit log's lines after the line with a number."""


class DispatchLog:
    """The audit log of a state directory."""

    def __init__(self, directory: str) -> None:
        """Keep the state directory's path; the methods read the audit log."""
        self._directory = directory

    def newest(self) -> int:
        """Return the number of the audit log's newest line; 0: the log has no line.

        Raises:
            StateError: the audit log cannot be read.
        """
        return newest(self._directory)

    def read(self, after: int) -> Iterator[AuditEvent]:
        """Yield the audit log's lines after the line with a number.

        Raises:
            StateError: the audit log cannot be read.
        """
        return read(self._directory, after)


class SendResult(NamedTuple):
    """The result of sending a message; ``error``: ``None`` if the receiver accepted it."""

    receiver: str
    queued: Queued
    error: NotSentError | None


class Line(NamedTuple):
    """A line for hashscan's own log; ``level``: ``info``, ``warning`` or ``error``."""

    level: str
    kind: str
    text: str


class Lane:
    """A lane: sends the messages of one receiver, one after the other, in a thread."""

    def __init__(
        self,
        settings: ReceiverSettings,
        notifier: Notifier,
        results: queue.SimpleQueue[SendResult],
    ) -> None:
        """Keep the receiver's notifier; ``enqueue`` starts the thread."""
        self.settings = settings
        self.is_busy = False
        self._notifier = notifier
        self._results = results
        self._orders: queue.SimpleQueue[Queued] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def enqueue(self, queued: Queued) -> None:
        """Send a message in the lane's thread; the queue of results then has the result."""
        if self._thread is None:
            name = f"notify {self.settings.name}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()
        self.is_busy = True
        self._orders.put(queued)

    def stop(self) -> None:
        """Make a ``send`` that runs in the lane's thread end soon."""
        self._notifier.stop()

    def _run(self) -> None:
        while True:
            queued = self._orders.get()
            self._results.put(
                SendResult(self.settings.name, queued, attempt(self._notifier, queued.message))
            )


def attempt(notifier: Notifier, message: object) -> NotSentError | None:
    """Send a message with a notifier; return the notifier's error, or ``None`` after success."""
    try:
        notifier.send(message)  # type: ignore[arg-type]
    except NotSentError as error:
        return error
    except HashscanError as error:  # a secret cannot be read
        return NotSentError(SendFault.SETUP, str(error))
    except Exception as error:  # noqa: BLE001 - one receiver must not end the others
        # The message leaves out the error's own text, because that text may quote a secret.
        return NotSentError(
            SendFault.LATER,
            f"internal error: {type(error).__name__} in {_place_of(error)}",
            "please report it",
            unsure=True,
        )
    return None


def _place_of(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{os.path.basename(last.filename)}, line {last.lineno}"


class Dispatcher:
    """Makes messages from the lines of the audit log, and sends them to the receivers."""

    def __init__(
        self,
        receivers: Sequence[ReceiverSettings],
        outbox: Outbox,
        source: EventSource,
        host: str,
        *,
        clock: Callable[[], float] = time.time,
        notifiers: Callable[[ReceiverSettings], Notifier] = open_notifier,
        alone: bool = False,
    ) -> None:
        """Prepare to send the outbox's messages; the caller holds the outbox's lock.

        Args:
            receivers: the receivers that the configuration names.
            outbox: the outbox of waiting messages.
            source: the audit log.
            host: the name of this machine, for the messages.
            clock: returns seconds since the epoch.
            notifiers: makes the notifier for a receiver.
            alone: no later process will send messages, so ``step`` makes messages of all events
                immediately.
        """
        self._outbox = outbox
        self._source = source
        self._host = host
        self._clock = clock
        self._alone = self._ends = alone
        self._results: queue.SimpleQueue[SendResult] = queue.SimpleQueue()
        self._lanes = {one.name: Lane(one, notifiers(one), self._results) for one in receivers}
        self._failing: set[str] = set()
        self._accounts = Accounts()
        self._upkeep_at = 0.0
        self.lines = [
            Line("warning", "removed", text)
            for text in outbox.take_over([one.name for one in receivers], clock())
        ]

    def step(self) -> None:
        """Note results of sending, queue new events, and make and send messages that are due."""
        self._take_results()
        self._queue_events()
        now = self._clock()
        if not 0 <= now - self._upkeep_at < _UPKEEP_EVERY:
            if now < self._upkeep_at:
                self._outbox.set_back(now)
            self._upkeep_at = now
            self.lines += [Line("error", "dropped", text) for text in self._outbox.expire(now)]
        for lane in self._lanes.values():
            self._make(lane.settings, now)
            if not lane.is_busy:
                queued = self._outbox.next_message(lane.settings.name, now)
                if queued is not None:
                    lane.enqueue(queued)

    def take_lines(self) -> list[Line]:
        """Return the dispatcher's new lines for hashscan's own log, and forget these lines."""
        lines, self.lines = self.lines, []
        return lines

    @property
    def is_sending(self) -> bool:
        """Return True if a message is being sent."""
        return any(one.is_busy for one in self._lanes.values())

    def finish(self, seconds: float) -> bool:
        """Send messages for up to ``seconds``; return True if no message is being sent at the end.

        The outbox keeps a message that was not accepted for the next process.
        """
        end = time.monotonic() + seconds
        self._ends = True
        self.step()
        while self.is_sending and (left := end - time.monotonic()) > 0:
            try:
                self._took(self._results.get(timeout=left))
            except queue.Empty:
                break
            self.step()
        return not self.is_sending

    def stop(self) -> None:
        """Stop sending messages within a few seconds, and note the results in the outbox."""
        for lane in self._lanes.values():
            if lane.is_busy:
                lane.stop()
        end = time.monotonic() + 2.0
        while self.is_sending and (left := end - time.monotonic()) > 0:
            try:
                self._took(self._results.get(timeout=left))
            except queue.Empty:
                break

    # Methods for events.

    def _queue_events(self) -> None:
        position = self._outbox.position
        assert position is not None
        newest = self._source.newest()
        if newest < position:
            # The audit log was removed or lost its end. The receivers must not get the events of
            # old lines again.
            self.lines.append(Line("warning", "audit", "notify: the audit log has lost lines"))
            self._outbox.queue([], newest)
        if newest <= position:
            return
        # Another process is just writing a line to the audit log. The outbox does not note this
        # line's number as the newest yet.
        events = (one for one in self._source.read(position) if one.seq <= newest)
        while chunk := list(itertools.islice(events, _CHUNK)):
            missing = chunk[-1].seq - position - len(chunk)
            position = chunk[-1].seq
            if missing > 0:
                text = f"notify: {counted(missing, 'line')} of the audit log were not read, because"
                why = "they are damaged or were removed; see 'hashscan history verify'"
                self.lines.append(Line("error", "audit", f"{text} {why}"))
            routes = [route for event in chunk for route in self._routes(event)]
            self._outbox.queue(routes, chunk[-1].seq)

    def _routes(self, event: AuditEvent) -> Iterator[Route]:
        at = _seconds(event.time)
        if self._clock() - at > LONGEST:
            return  # Events this old are from a time without notifications.
        for lane in self._lanes.values():
            settings = lane.settings
            found = for_receiver(event, settings)
            if found is None:
                continue
            if settings.for_owners:
                owner = self._accounts.of(owner_of(event))
                yield Route(settings.name, str(owner), found, at)
            else:
                for recipient in recipients_of(settings):
                    yield Route(settings.name, recipient, found, at)

    # Methods for messages.

    def _make(self, settings: ReceiverSettings, now: float) -> None:
        waiting = self._outbox.waiting(settings.name)
        if not waiting:
            return
        made = self._outbox.made_at(settings.name)
        room = len(waiting)
        if settings.for_owners:
            self._outbox.forget_made(settings.name, now - max(settings.interval, 3600.0))
            room = settings.most_an_hour - sum(
                now - max(times.values()) < 3600 for times in made.values()
            )
        for recipient, first, kinds in waiting:
            if room <= 0:
                return
            if not self._ends and 0 <= now - first < settings.collect:
                continue
            times = {} if self._alone else made.get(recipient, {})
            recent = {kind for kind, at in times.items() if 0 <= now - at < settings.interval}
            if not recent or (kinds & _URGENT) - recent:
                self._outbox.make(settings.name, recipient, self._host, now)
                room -= 1

    def _take_results(self) -> None:
        while True:
            try:
                self._took(self._results.get_nowait())
            except queue.Empty:
                return

    def _took(self, result: SendResult) -> None:
        receiver, queued, error = result
        self._lanes[receiver].is_busy = False
        now = self._clock()
        if error is None:
            self._outbox.sent(queued.number, now)
            if receiver in self._failing:
                self._failing.discard(receiver)
                self._add_line("info", receiver, "accepts messages again")
        elif error.fault is SendFault.NOBODY:
            self._outbox.give_up(queued.number, str(error), now)
            self._add_line("error", receiver, f"a message is dropped: {error}")
        elif error.fault is SendFault.REFUSED:
            wait = pause(error, queued.tries)
            lost = self._outbox.refused(queued.number, str(error), now + wait, now)
            self.lines += [Line("error", receiver, text) for text in lost]
            how = f"'hashscan notify test {receiver}' sends it again, else hashscan in some hours"
            self._add_line("error", receiver, f"a message was refused and is kept: {error}; {how}")
        else:
            wait = pause(error, queued.tries)
            self._outbox.failed(queued.number, str(error), now + wait, now, unsure=error.unsure)
            self._failing.add(receiver)
            again = f"sent again in {human_age(wait)}"
            if self._alone:
                again = "the daemon, or the next scan, sends it again"
            self._add_line("warning", receiver, f"{error}; {again}")

    def _add_line(self, level: str, receiver: str, text: str) -> None:
        self.lines.append(Line(level, receiver, f"notify {receiver}: {text}"))


def recipients_of(settings: ReceiverSettings) -> tuple[str, ...]:
    """Return a receiver's recipients; each has its own messages, so no recipient delays another."""
    return settings.to if settings.kind == "mail" else ("",)


def pause(error: NotSentError, tries: int) -> float:
    """Return the seconds to the next attempt, with jitter; at least the time the receiver asks."""
    first = _FIRST if error.fault is SendFault.LATER else _FIRST_SETUP
    last = _LAST
    if error.fault is SendFault.REFUSED:
        first, last = _FIRST_REFUSED, _LAST_REFUSED
    wait = min(last, first * 2.0 ** min(tries, 20)) * random.uniform(0.8, 1.2)
    if error.wait is not None:
        wait = max(wait, min(last, error.wait) * random.uniform(1.0, 1.2))
    return wait


def _seconds(moment: str) -> float:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return 0.0
