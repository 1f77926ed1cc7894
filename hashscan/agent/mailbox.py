"""Whether mails can be taken from a Maildir, for commands that check the configuration."""

from __future__ import annotations

import errno
import os
import shlex
from typing import TYPE_CHECKING

from hashscan.agent.probing import look_at_all
from hashscan.notices.maildir import why_unusable
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.config.settings import Settings


def maildir_fault(settings: Settings) -> tuple[str, str] | None:
    """What is wrong with the configured Maildir, and its fix; ``None``: nothing is, or no Maildir.

    A process of its own opens it first, because its file server may never answer.
    """
    path = settings.notices.maildir
    if path is None:
        return None
    (seen,) = look_at_all([path])
    if seen.error is not None:
        what = f"{shown(path)}: {seen.error}"
        fix = "correct notices.maildir, or see its mount and its server"
        if os.strerror(errno.ENOENT) in seen.error:
            make = f"mkdir -p {shlex.quote(path)}/{{cur,new,tmp}}"
            fix += f"; a new one is made by the user who delivers: {shown(make)}"
        return what, fix
    trouble = why_unusable(path)
    return None if trouble is None else (trouble, "")
