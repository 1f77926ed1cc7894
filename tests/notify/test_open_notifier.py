"""Each kind of receiver has its notifier."""

import pytest
from receivers import mail_settings

from hashscan.config.notify import ReceiverSettings
from hashscan.notify.command import CommandNotifier
from hashscan.notify.mail import MailNotifier
from hashscan.notify.open_notifier import open_notifier
from hashscan.notify.webhook import WebhookNotifier


@pytest.mark.parametrize(
    ("settings", "notifier"),
    [
        (mail_settings(25), MailNotifier),
        (ReceiverSettings(name="a", kind="webhook", url="https://a.example/x"), WebhookNotifier),
        (ReceiverSettings(name="a", kind="command", command=["/bin/true"]), CommandNotifier),
    ],
)
def test_a_receiver_gets_the_notifier_of_its_kind(settings, notifier):
    assert type(open_notifier(settings)) is notifier
