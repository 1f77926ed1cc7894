"""The interface of all notifiers, and the error for a message that was not sent."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from hashscan.config.notify import credential_of
from hashscan.config.password import credential, read_secret

if TYPE_CHECKING:
    from hashscan.config.notify import ReceiverSettings
    from hashscan.notify.message import Message


class SendFault(Enum):
    """Ways to go on after a receiver did not get a message."""

    #: Send the message again later: the receiver is down, is busy, or greylists the mail.
    LATER = "later"
    #: Send the message again later, but only a change of the configuration can help.
    SETUP = "setup"
    #: Keep the message, and send the message again much later. The receiver refused this message
    #: for good, but later messages need not wait for this message.
    REFUSED = "refused"
    #: Drop the message: no recipient can get the message.
    NOBODY = "nobody"


class NotSentError(Exception):
    """A receiver did not get a message.

    Attributes:
        fault: the way to go on with the message.
        what: the fault in words, without secrets and without text that the receiver chose freely.
        fix: the administrator's next step; empty: no step of the administrator helps.
        unsure: the receiver may have got the message nevertheless.
        wait: seconds that the receiver asks hashscan to wait; ``None``: the receiver names no
            number.
    """

    def __init__(
        self,
        fault: SendFault,
        what: str,
        fix: str = "",
        *,
        unsure: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(f"{what}; {fix}" if fix else what)
        self.fault = fault
        self.what = what
        self.fix = fix
        self.unsure = unsure
        self.wait = wait


class Notifier(Protocol):
    """Sends messages to one receiver.

    Only one thread at a time may use a notifier. ``send`` ends within the ``timeout`` of the
    receiver's settings and a few seconds, also if the receiver hangs. ``send`` needs at most a few
    hundred KiB of memory for the receiver's answer.
    """

    def send(self, message: Message) -> None:
        """Send a message; return when the receiver has accepted the message.

        Raises:
            NotSentError: the receiver did not accept the message, or it is unknown whether it did.
            ConfigError: a secret of the receiver cannot be read.
        """

    def stop(self) -> None:
        """Make a ``send`` that runs in another thread end soon."""


def secret_of(settings: ReceiverSettings, setting: str) -> str | None:
    """Read the secret in ``password_file``, ``url_file``, ``secret_file`` or ``token_file``.

    Returns ``None`` if the receiver's settings name no such file.

    Raises:
        ConfigError: the secret's file cannot be read, or other users may read the file.
    """
    file: str | None = getattr(settings, setting)
    name = credential_of(settings.name, setting)
    if file is None and credential(name) is None:
        return None
    return read_secret(file, name, f"notify ({settings.name}).{setting}")
