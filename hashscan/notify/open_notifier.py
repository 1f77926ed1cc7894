"""Makes the notifier for a receiver, by the receiver's kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashscan.config.notify import ReceiverSettings
    from hashscan.notify.notifier import Notifier


def open_notifier(settings: ReceiverSettings) -> Notifier:
    """Return the notifier for a receiver; import its libraries only now: most runs need none."""
    if settings.kind == "mail":
        from hashscan.notify.mail import MailNotifier  # noqa: PLC0415

        return MailNotifier(settings)
    if settings.kind == "webhook":
        from hashscan.notify.webhook import WebhookNotifier  # noqa: PLC0415 - heavy

        return WebhookNotifier(settings)
    from hashscan.notify.command import CommandNotifier  # noqa: PLC0415

    return CommandNotifier(settings)
