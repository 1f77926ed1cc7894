"""The interface of all notifiers, and why a message was not sent."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from hashscan.config.notify import credential_of
from hashscan.config.password import credential, read_secret

if TYPE_CHECKING:
    from hashscan.config.notify import ReceiverSettings
    from hashscan.notify.message import Message


class SendFault(Enum):
    """What to do after a message was not sent."""

    #: Send it again later: the receiver is down, busy or greylists.
    LATER = "later"
    #: Send it again later, but only a change of the configuration can help.
    SETUP = "setup"
    #: Keep this message and send it again much later: the receiver refused it for good.
    #: Later messages need not wait for it.
    REFUSED = "refused"
    #: Give this message up: nobody can get it.
    NOBODY = "nobody"


class NotSentError(Exception):
    """A message was not sent.

    Attributes:
        fault: what to do with the message.
        what: what happened, without secrets and without text that the receiver chose freely.
        fix: what to do about it; empty: nothing.
        unsure: the receiver may have got it nevertheless.
        wait: seconds that the receiver asks for; ``None``: it does not.
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

    One thread at a time uses it. ``send`` ends within ``timeout`` of the receiver's settings and a
    few seconds, whatever the receiver does, and uses no more than a few hundred KiB for its answer.
    """

    def send(self, message: Message) -> None:
        """Send a message; return when the receiver has accepted it.

        Raises:
            NotSentError: it was not accepted, or nobody knows whether it was.
            ConfigError: a secret cannot be read.
        """

    def stop(self) -> None:
        """End a running ``send`` of another thread soon."""


def secret_of(settings: ReceiverSettings, setting: str) -> str | None:
    """The secret of ``password_file``, ``url_file``, ``secret_file`` or ``token_file``.

    ``None``: the receiver has none.

    Raises:
        ConfigError: it cannot be read, or others may read it.
    """
    file: str | None = getattr(settings, setting)
    name = credential_of(settings.name, setting)
    if file is None and credential(name) is None:
        return None
    return read_secret(file, name, f"notify ({settings.name}).{setting}")
