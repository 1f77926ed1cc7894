"""Checks the configured Maildir, and reads from the configuration which senders may move files."""

from __future__ import annotations

import errno
import os
import shlex
from typing import TYPE_CHECKING

from hashscan.jobs.volume_probe import check_all
from hashscan.notices.maildir import why_unusable
from hashscan.notices.senders import ANYBODY, Senders
from hashscan.text import names_of, shown

if TYPE_CHECKING:
    from hashscan.config.settings import Settings


def maildir_fault(settings: Settings) -> tuple[str, str] | None:
    """The fault of the configured Maildir and its fix; ``None``: no fault, or no Maildir.

    A child process opens the Maildir first, because the Maildir's file server may never answer.
    """
    path = settings.notices.maildir
    if path is None:
        return None
    (seen,) = check_all([path])
    if seen.error is not None:
        what = f"{shown(path)}: {seen.error}"
        fix = "correct notices.maildir, or check its mount and its file server"
        if os.strerror(errno.ENOENT) in seen.error:
            make = f"mkdir -p {shlex.quote(path)}/{{cur,new,tmp}}"
            fix += f"; the user who delivers mails can make a new Maildir: {shown(make)}"
        return what, fix
    trouble = why_unusable(path)
    return None if trouble is None else (trouble, "")


def senders_of(settings: Settings) -> Senders:
    """The senders whose mails may move files, as the configuration names the senders."""
    return Senders(settings.notices.senders, settings.notices.verified_by)


def authority_of_mails(settings: Settings) -> tuple[str, str]:
    """What the Maildir's mails may do to files, and advice if strangers can misuse the Maildir."""
    notices = settings.notices
    if notices.action != "quarantine":
        return "a mail moves no file that no list knows (notices.action)", ""
    what = fix = ""
    if ANYBODY in notices.senders:
        what = "each mail in the Maildir moves the files that it names, from any sender"
        fix = (
            "let the mail server deliver only verified mails there, or name the hotlines in"
            " notices.senders"
        )
    elif not notices.senders:
        what = (
            "a mail moves no file that no list knows until you approve its notice"
            " ('hashscan notice approve ID --reason TEXT')"
        )
        fix = "name the hotlines whose verified mails may move files in notices.senders"
    else:
        what = (
            f"mails of {names_of(notices.senders)} move the files that they name, if the first"
            f" Authentication-Results of {shown(notices.verified_by or '')} verifies the sender"
        )
    return what, fix
