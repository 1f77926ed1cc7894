"""Passes each message of a notification to a program on its standard input, as JSON.

No shell runs the program.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hashscan.notify.notifier import NotSentError, SendFault
from hashscan.notify.wording import subject, text
from hashscan.program import run_program
from hashscan.text import human_age, one_line, said_by, shown

if TYPE_CHECKING:
    from hashscan.config.notify import ReceiverSettings
    from hashscan.notify.message import Message

_MOST_OUTPUT = 4096
_SHOWN = 200


class CommandNotifier:
    """Passes each message to a new process of the configured program."""

    def __init__(self, settings: ReceiverSettings) -> None:
        """Keep the receiver's settings; ``send`` starts the program."""
        assert settings.command is not None
        self._words = settings.command
        self._seconds = settings.timeout
        self._stopped = False

    def send(self, message: Message) -> None:
        """Run the receiver's program with a message; return after the program's exit code 0.

        Raises:
            NotSentError: the program did not accept the message (see ``Notifier``).
        """
        name = shown(self._words[0])
        try:
            ran = run_program(
                self._words,
                self._seconds,
                _MOST_OUTPUT,
                given=json_of(message),
                errors_too=True,
                stopped=lambda: self._stopped,
            )
        except OSError as error:
            raise NotSentError(
                SendFault.SETUP,
                f"{name} cannot be started: {said_by(error)}",
                "check that the file is there and executable, and its first line (#!)",
            ) from error
        if not ran.in_time:
            how = (
                "was ended with hashscan"
                if self._stopped
                else f"did not end within {human_age(self._seconds)} and was killed"
            )
            raise NotSentError(
                SendFault.LATER, f"{name} {how}", "make it faster, or raise `timeout`", unsure=True
            )
        if ran.code:
            said = one_line(ran.output.decode("utf-8", "replace"))[:_SHOWN]
            raise NotSentError(
                SendFault.LATER,
                f"{name} ended with code {ran.code}" + (f": {said}" if said else ""),
                "run it by hand with the JSON of docs/notifications.md",
                # A program that a signal ended may have passed on the message before.
                unsure=ran.code < 0,
            )

    def stop(self) -> None:
        """End the receiver's program if the program runs."""
        self._stopped = True


def json_of(message: Message) -> bytes:
    """Return a message and its texts as the JSON object that commands and webhooks get."""
    found = {**message.as_dict(), "subject": subject(message), "text": text(message)}
    return json.dumps(found, separators=(",", ":")).encode("ascii") + b"\n"
