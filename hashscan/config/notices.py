"""The settings for notices: what hotlines and authorities send."""
# No "from __future__ import annotations": pydantic needs the types at run time.

from typing import Annotated, Literal

from pydantic import Field

from hashscan.config import values
from hashscan.config.section import Section, Starter


class NoticesSettings(Section):
    """How notices arrive, and what they do to the files that they name."""

    action: Annotated[Literal["report", "quarantine"], Starter()] = Field(
        default="report",
        description="What a notice does to a file that it names, even if no list knows the file."
        " report: nothing. quarantine: move the file away; `hashscan quarantine restore` puts it"
        " back.",
    )
    maildir: values.PathOrNone = Field(
        default=None,
        description="A Maildir to which the mail server delivers notices, e.g."
        " /var/mail/notices, or none. The daemon takes new mails, and marks those that it"
        " understood as read.",
    )
    due_soon: values.Duration = Field(
        default=4 * 3600.0,
        description="How long before its deadline a notice is due soon, in `status` and the log.",
    )
