"""Makes the mail that carries an answer to a notice.

Sources: RFC 5322 (headers), RFC 3834 (Auto-Submitted), RFC 3282 (Content-Language).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING

from hashscan.notices import mail

if TYPE_CHECKING:
    from hashscan.config.notices import OrganisationSettings
    from hashscan.notices.answers.templates import AnswerText

_MESSAGE_ID = re.compile(r"<[!-;=?A-~]{1,200}@[!-;=?A-~]{1,200}>")
#: The most message ids in ``References``. If the header would have more, the first id and the last
#: ids are kept (RFC 5537, section 3.4.4).
_MOST_REFERENCES = 20


#: Names of headers that contain only message ids.
_OF_IDS = frozenset({"in-reply-to", "references"})
_LONGEST_LINE = 998  # the most characters of a mail's line: RFC 5322, section 2.1.1


class _Policy(EmailPolicy):
    """Keeps message ids whole; the standard library would encode ids over 76 characters."""

    def fold(self, name: str, value: str) -> str:
        """A mail header as text lines; a header of message ids has one id on each line."""
        if name.lower() in _OF_IDS:
            return f"{name}: {f'{self.linesep} '.join(value.split())}{self.linesep}"
        folded: str = super().fold(name, value)
        return folded

    def fold_binary(self, name: str, value: str) -> bytes:
        """A mail header as bytes, divided into lines as ``fold`` does."""
        return self.fold(name, value).encode("ascii", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Thread:
    """The mail to which an answer replies: its Message-ID, and the ids of the mails before it."""

    message_id: str = ""
    references: tuple[str, ...] = ()


def thread_of(content: bytes) -> Thread:
    """The thread that a notice's mail belongs to; empty without a mail or without a Message-ID."""
    if not mail.is_mail(content):
        return Thread()
    try:
        headers = mail.parse(content).headers
    except mail.MailError:
        return Thread()
    message_id = _MESSAGE_ID.search(headers.get("message-id"))
    if message_id is None:
        return Thread()
    before = _MESSAGE_ID.findall(headers.get("references"))
    if len(before) > _MOST_REFERENCES:
        before = [before[0], *before[1 - _MOST_REFERENCES :]]
    return Thread(message_id[0], tuple(before))


def message_of(
    answer: AnswerText,
    organisation: OrganisationSettings,
    recipient: str,
    *,
    language: str,
    now: float,
    thread: Thread = Thread(),
) -> EmailMessage:
    """The mail that carries an answer to a notice.

    Args:
        answer: subject and text of the answer.
        organisation: the organisation that sends the mail.
        recipient: the mail address that receives the answer; ``config.values.is_mail_address`` must
            accept it.
        language: language of the answer's text.
        now: time at which the mail is sent, in seconds since the epoch.
        thread: the mail to which the answer replies, and the mails before that mail.
    """
    message = EmailMessage(_Policy())
    local, _, domain = organisation.contact.rpartition("@")
    message["From"] = Address(organisation.name, local, domain)
    message["To"] = Address("", *recipient.rsplit("@", 1))
    message["Subject"] = answer.subject
    message["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    message["Message-ID"] = make_msgid(domain=organisation.domain)
    message["Auto-Submitted"] = "auto-replied" if thread.message_id else "auto-generated"
    if thread.message_id:
        message["In-Reply-To"] = thread.message_id
        message["References"] = " ".join((*thread.references, thread.message_id))
    is_plain = answer.body.isascii() and max(map(len, answer.body.split("\n"))) <= _LONGEST_LINE
    message.set_content(
        answer.body, charset="utf-8", cte="7bit" if is_plain else "quoted-printable"
    )
    message["Content-Language"] = language  # set_content would remove this header
    return message


def as_eml(message: EmailMessage) -> bytes:
    """The bytes of a mail as an ``.eml`` file, with CRLF at the end of each line."""
    return message.as_bytes(policy=_Policy(linesep="\r\n"))
