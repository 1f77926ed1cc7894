"""Sends notifications from processes that are no daemon: a one-off scan at its end, and tests."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from hashscan.audit.events import NOTIFY_TEST
from hashscan.audit.reader import newest
from hashscan.audit.recorder import Recorder
from hashscan.errors import LockedError
from hashscan.files import NOTIFICATIONS, NOTIFICATIONS_LOCK
from hashscan.jobs.daemon_status import status_of_running_daemon
from hashscan.notify.dispatch import Dispatcher, DispatchLog, attempt, recipients_of
from hashscan.notify.message import for_test
from hashscan.notify.open_notifier import open_notifier
from hashscan.notify.outbox import Outbox
from hashscan.state import Lock, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashscan.config.notify import ReceiverSettings
    from hashscan.config.settings import Settings
    from hashscan.notify.notifier import NotSentError

#: Seconds that a scan may spend on sending messages at its end.
LONGEST = 20.0


def begin_notifying(settings: Settings, state: State) -> None:
    """Note the present end of the audit log, so that later events are sent to the receivers.

    Raises:
        StateError: the outbox or the audit log cannot be used.
    """
    if settings.notify:
        with Outbox(state.directory) as outbox:
            outbox.begin_at(newest(state.directory))


def send_now(
    settings: Settings, state: State, notice: Callable[[str], None], seconds: float = LONGEST
) -> None:
    """Send the waiting messages, unless another process sends them; report failures.

    Raises:
        StateError: the outbox or the audit log cannot be used.
    """
    if not settings.notify or status_of_running_daemon(state) is not None:
        return
    try:
        with Lock(lock_of(state)), Outbox(state.directory) as outbox:
            outbox.begin_at(newest(state.directory))
            dispatcher = Dispatcher(
                settings.notify,
                outbox,
                DispatchLog(state.directory),
                socket.gethostname(),
                alone=True,
            )
            if not dispatcher.finish(seconds):
                notice(
                    f"notify: not all messages were sent within {seconds:.0f} s; the next scan or"
                    " the daemon sends them"
                )
            dispatcher.stop()
            for line in dispatcher.take_lines():
                if line.level != "info":
                    notice(line.text)
    except LockedError:
        return  # Another scan sends the messages.


def lock_of(state: State) -> str:
    """Return the lock that a process holds while it sends messages."""
    return os.path.join(state.directory, NOTIFICATIONS_LOCK)


def try_receiver(settings: ReceiverSettings) -> Iterator[tuple[str, NotSentError | None]]:
    """Send a test message to each recipient; yield each recipient, and why sending failed."""
    notifier = open_notifier(settings)
    for recipient in ("",) if settings.for_owners else recipients_of(settings):
        message = for_test(socket.gethostname(), recipient)
        yield recipient, attempt(notifier, message)


def note_test(settings: Settings, receiver: str) -> None:
    """Write to the audit log that a test message will be sent, if there is a state directory.

    Raises:
        HashscanError: the state directory cannot be used.
    """
    if os.path.lexists(settings.state):
        recorder = Recorder.of(settings, "command", State(settings.state, make=False))
        recorder.write(NOTIFY_TEST, receiver=receiver)


def note_success(state_directory: str, receiver: str, now: float) -> None:
    """Plan the waiting messages of a receiver for immediate sending, because a test reached it.

    Raises:
        StateError: the outbox of notifications cannot be used.
    """
    if os.path.lexists(os.path.join(state_directory, NOTIFICATIONS)):
        with Outbox(state_directory) as outbox:
            outbox.works_again(receiver, now)
