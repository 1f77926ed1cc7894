"""``notices:`` in the configuration: defaults, values, and what ``config check`` says of it."""

import pytest
from pydantic import ValidationError

from hashscan.config.notes import summary
from hashscan.config.settings import Settings


def test_defaults_move_nothing_and_take_no_mail():
    notices = Settings.of().notices
    assert (notices.action, notices.maildir, notices.due_soon) == ("report", None, 4 * 3600.0)
    assert dict(summary(Settings.of()))["notices"] == (
        "report; no Maildir; due soon 4h before the deadline"
    )


def test_values_as_people_write_them():
    given = {"action": "quarantine", "maildir": "/var/mail//a\x1b/", "due_soon": "90m"}
    settings = Settings.of(notices=given)
    assert settings.notices.maildir == "/var/mail/a\x1b"
    assert dict(summary(settings))["notices"] == (
        "quarantine; mails from /var/mail/a\\x1b; due soon 90m before the deadline"
    )
    assert Settings.of(notices={"maildir": "none"}).notices.maildir is None


@pytest.mark.parametrize(
    "given",
    [{"action": "delete"}, {"maildir": "mail"}, {"due_soon": "-1h"}, {"due_soon": "0s"}, {"x": 1}],
)
def test_wrong_values_are_refused(given):
    with pytest.raises(ValidationError):
        Settings.of(notices=given)
