"""hashscan.jobs.notices.mailbox: what a mail may do to files, and faults of a Maildir."""

from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.jobs.notices import mailbox


def settings_of(tmp_path, **sections):
    return Settings.of(state=str(tmp_path / "state"), **sections)


def test_what_is_wrong_with_a_maildir(tmp_path, monkeypatch):
    assert mailbox.maildir_fault(settings_of(tmp_path)) is None
    path = str(tmp_path / "mail")
    settings = settings_of(tmp_path, notices={"maildir": path})
    for seen, trouble, found in (
        (
            "no such directory",
            None,
            "correct notices.maildir, or check its mount and its file server",
        ),
        (None, "there is no new/ in it", ""),
        (None, None, None),
    ):
        monkeypatch.setattr(
            mailbox, "check_all", lambda _p, seen=seen: (SimpleNamespace(error=seen),)
        )
        monkeypatch.setattr(mailbox, "why_unusable", lambda _p, trouble=trouble: trouble)
        fault = mailbox.maildir_fault(settings)
        if found is None:
            assert fault is None
        else:
            assert fault == (f"{path}: {seen}" if seen else trouble, found)


def seen(root, number=None, error=None, *, refused=False, identity=None):
    return SimpleNamespace(
        root=root, number=number, error=error, refused=refused, identity=identity,
        mounted=False, empty=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("notices", "what", "fix"),
    [
        ({}, "a mail moves no file that no list knows (notices.action)", ""),
        ({"action": "quarantine"}, "until you approve its notice", "name the hotlines whose"),
        (
            {"action": "quarantine", "senders": ["*"], "maildir": "/m"},
            "moves the files that it names, from any sender",
            "let the mail server deliver only verified mails there",
        ),
        (
            {"action": "quarantine", "senders": ["hotline.example"], "verified_by": "mx.example",
             "maildir": "/m"},
            "if the first Authentication-Results of mx.example verifies the sender",
            "",
        ),
    ],
)  # fmt: skip
def test_what_a_mail_does_to_files(notices, what, fix):
    found, advice = mailbox.authority_of_mails(Settings.of(notices=notices))
    assert what in found
    assert fix in advice
    assert bool(advice) is bool(fix)
