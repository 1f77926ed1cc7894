"""Checks the receivers of notifications for ``hashscan doctor``, without sending anything."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from hashscan.config.notify import SECRETS
from hashscan.errors import HashscanError
from hashscan.notify.contacts import read_template
from hashscan.notify.notifier import secret_of
from hashscan.notify.receiver_state import receiver_states
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.config.notify import ReceiverSettings
    from hashscan.config.settings import Settings


class ReceiverCheck(NamedTuple):
    """Describes the state of a receiver of notifications, or its fault.

    ``fix`` says how to mend the receiver's fault; ``fix`` is empty if there is no fault.
    """

    name: str
    well: bool
    message: str
    fix: str = ""


def check_receivers(settings: Settings) -> Iterator[ReceiverCheck]:
    """Check the secrets, templates and waiting messages of all receivers.

    Raises:
        StateError: the outbox of notifications cannot be read.
    """
    states = {one.name: one for one in receiver_states(settings.state, time.time())}
    for receiver in settings.notify:
        name = f"notify {receiver.name}"
        if (fault := _fault(receiver)) is not None:
            yield ReceiverCheck(name, False, fault, "correct it, then run 'hashscan notify test'")
            continue
        state = states.get(receiver.name)
        if state is not None and (state.trouble or state.refused or state.given_up):
            why = state.trouble or state.refused_why
            yield ReceiverCheck(
                name,
                False,
                f"{counted(state.events, 'event')} waiting: {why}",
                f"then run 'hashscan notify test {receiver.name}'",
            )
            continue
        yield ReceiverCheck(
            name,
            True,
            f"{receiver.kind}; 'hashscan notify test {receiver.name}' sends a test message",
        )


def _fault(receiver: ReceiverSettings) -> str | None:
    try:
        for setting in SECRETS:
            secret_of(receiver, setting)
        if receiver.template is not None:
            read_template(receiver.template)
    except HashscanError as error:
        return str(error)
    for setting in ("command", "contacts_command", "sendmail"):
        words = getattr(receiver, setting)
        is_used = setting != "sendmail" or (receiver.kind == "mail" and receiver.server is None)
        if words and is_used and not os.access(words[0], os.X_OK):
            return f"{setting}: {shown(words[0])} is missing, or not executable"
    return None
