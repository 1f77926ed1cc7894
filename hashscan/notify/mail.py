"""Sends messages by mail: through a mail server (SMTP, RFC 5321), or through sendmail(8).

The text has only printable lines (``wording``), and all addresses are plain
(``config.values.is_mail_address``), so no event can add a header. Sources: RFC 5322 (headers), RFC
3834 (Auto-Submitted), RFC 3207 (STARTTLS), RFC 4954 (authentication).
"""

from __future__ import annotations

import contextlib
import html
import smtplib
import socket
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING

from hashscan.notify.contacts import Contacts
from hashscan.notify.notifier import NotSentError, SendFault, secret_of
from hashscan.notify.smtp import BoundedSMTP
from hashscan.notify.wording import subject, text
from hashscan.program import run_program
from hashscan.text import human_age, said_by, shown

if TYPE_CHECKING:
    from hashscan.config.notify import ReceiverSettings
    from hashscan.notify.message import Message

_PORTS = {"tls": 465, "starttls": 587, "none": 25}
_AUTH_CODES = frozenset({530, 534, 535, 538})
#: Exit code with which sendmail reports a temporary failure: sysexits(3), EX_TEMPFAIL.
_TEMPORARY = 75
_MOST_OUTPUT = 4096


def mail_of(message: Message, settings: ReceiverSettings, to: str) -> EmailMessage:
    """Return the mail to one address; the mail has its text as plain text and as HTML."""
    sender = sender_of(settings)
    local, _, domain = sender.rpartition("@")
    mail = EmailMessage(SMTP.clone(max_line_length=78))
    mail["From"] = Address("hashscan", local, domain)
    mail["To"] = Address("", *to.rsplit("@", 1))
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.made, UTC))
    mail["Message-ID"] = f"<{message.id}.hashscan@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Hashscan-Message-Id"] = message.id
    if settings.for_owners and not message.is_test:
        first, _, body = Contacts(settings).text(message).partition("\n\n")
        mail["Subject"] = _header(first)
        mail.set_content(body, charset="utf-8", cte="quoted-printable")
        return mail
    mail["Subject"] = _header(subject(message))
    body = text(message)
    mail.set_content(body, charset="utf-8", cte="quoted-printable")
    page = f"<!DOCTYPE html><html><body><pre>{html.escape(body)}</pre></body></html>\n"
    mail.add_alternative(page, subtype="html", charset="utf-8", cte="quoted-printable")
    return mail


def sender_of(settings: ReceiverSettings) -> str:
    """Return the sender's address of hashscan's mails."""
    return settings.sender or settings.to[0]


def _header(value: str) -> str:
    return " ".join(value.split())[:300]


class MailNotifier:
    """Sends messages by mail."""

    def __init__(self, settings: ReceiverSettings) -> None:
        """Keep the receiver's settings; ``send`` connects to the mail server."""
        self._settings = settings
        self._stopped = False
        self._session: BoundedSMTP | None = None

    def send(self, message: Message) -> None:
        """Send a message; return when the mail server has accepted the message.

        Raises:
            NotSentError: the mail server did not accept the message (see ``Notifier``).
            ConfigError: the password of the mail server cannot be read.
        """
        to = self._address(message)
        mail = mail_of(message, self._settings, to)
        if self._settings.server is None:
            self._hand_over(mail.as_bytes())
        else:
            self._deliver(self._settings.server, mail, to)

    def stop(self) -> None:
        """End a running ``send`` soon."""
        self._stopped = True
        session = self._session
        if session is not None:
            session.stop()

    def _address(self, message: Message) -> str:
        if not self._settings.for_owners:
            return message.recipient
        if message.is_test:
            assert self._settings.sender is not None
            return self._settings.sender
        return Contacts(self._settings).address(message.recipient)

    # Methods for sendmail.

    def _hand_over(self, content: bytes) -> None:
        settings = self._settings
        words = settings.sendmail
        name = shown(words[0])
        # sendmail takes the recipients from the mail's headers, but not the envelope's sender.
        try:
            ran = run_program(
                words,
                settings.timeout,
                _MOST_OUTPUT,
                given=content.replace(b"\r\n", b"\n"),
                errors_too=True,
                stopped=lambda: self._stopped,
            )
        except OSError as error:
            raise NotSentError(
                SendFault.SETUP,
                f"{name} cannot be started: {said_by(error)}",
                "install a mail server, or write `server` and `username` of another one",
            ) from error
        if not ran.in_time:
            raise NotSentError(
                SendFault.LATER,
                f"{name} did not end within {human_age(settings.timeout)} and was killed",
                "check the queue and the log of the mail server",
                unsure=True,
            )
        if ran.code:
            fault = SendFault.LATER if ran.code == _TEMPORARY or ran.code < 0 else SendFault.SETUP
            raise NotSentError(
                fault,
                f"{name} ended with code {ran.code}",
                "check the log of the mail server",
                # After EX_TEMPFAIL, the mail may wait in the queue of sendmail(8).
                unsure=fault is SendFault.LATER,
            )

    # Methods for SMTP.

    def _deliver(self, server: str, mail: EmailMessage, to: str) -> None:
        settings = self._settings
        password = secret_of(settings, "password_file") if settings.username else None
        if settings.username and password is None:
            raise NotSentError(
                SendFault.SETUP, "username has no password", "write `password_file: …` beside it"
            )
        try:
            context = ssl.create_default_context(cafile=settings.ca_bundle)
        except (OSError, ssl.SSLError) as error:
            raise NotSentError(
                SendFault.SETUP,
                f"the certificates of {shown(settings.ca_bundle or '')} cannot be read:"
                f" {said_by(error)}",
                "name a PEM file in ca_bundle",
            ) from error
        port = settings.port or _PORTS[settings.encryption]
        where = f"{server} port {port}"
        session = BoundedSMTP(settings.timeout, context, implicit=settings.encryption == "tls")
        self._session = session
        if self._stopped:
            session.stop()
        step = "connect"
        try:
            code, _ = session.connect(server, port)
            step = "greeting"
            if code != 220:
                raise smtplib.SMTPConnectError(code, b"")
            session.ehlo_or_helo_if_needed()
            if settings.encryption == "starttls":
                step = "tls"
                session.begin_tls()
                session.ehlo_or_helo_if_needed()
            if password is not None:
                step = "login"
                session.login(settings.username, password)
            step = "mail"
            session.send_message(mail, sender_of(settings), [to])
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise _explained(error, session, step, where, settings) from error
        finally:
            self._session = None
            with contextlib.suppress(smtplib.SMTPException, OSError):
                if session.payload_sent:
                    session.deadline.begin(2.0)
                    session.quit()
            session.close()


def _explained(
    error: Exception, session: BoundedSMTP, step: str, where: str, settings: ReceiverSettings
) -> NotSentError:
    """Return an SMTP error as ``NotSentError`` with its fix, without text that the server sent."""
    unsure = session.payload_sent
    if isinstance(error, UnicodeError):
        return NotSentError(
            SendFault.SETUP,
            "the user name or the password is not ASCII, which this mail server's login needs",
            "choose another password",
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return NotSentError(
            SendFault.SETUP,
            f"the TLS certificate of {where} does not verify ({error.verify_message})",
            "write the name that is in its certificate into `server`; for a private authority name"
            " its certificate in ca_bundle; check this machine's clock",
        )
    if isinstance(error, ssl.SSLError):
        other = "starttls" if settings.encryption == "tls" else "tls"
        return NotSentError(
            SendFault.SETUP,
            f"TLS with {where} failed",
            f"check `port` and `encryption` (perhaps it is {other})",
            unsure=unsure,
        )
    # smtplib reports an error of a read as a broken connection.
    if session.left < 0:
        return NotSentError(
            SendFault.LATER,
            f"{where} sends answers without end",
            "check that `server` and `port` name a mail server",
            unsure=unsure,
        )
    if isinstance(error, smtplib.SMTPNotSupportedError):
        if step == "tls":
            return NotSentError(
                SendFault.SETUP,
                f"{where} does not offer STARTTLS",
                "write `encryption: tls` if it begins with TLS (port 465), or use another port",
            )
        return NotSentError(
            SendFault.SETUP,
            f"{where} does not offer authentication"
            if step == "login"
            else f"{where} does not take this mail",
            "check `port`, or remove `username`",
        )
    code = _code(error)
    if step == "login" and code is not None and code >= 500:
        return NotSentError(
            SendFault.SETUP,
            f"{where} refuses the user name or the password (code {code})",
            "check `username` and the password in password_file",
        )
    if code in _AUTH_CODES:
        return NotSentError(
            SendFault.SETUP,
            f"{where} asks for authentication (code {code})",
            "write `username` and `password_file`, or check them",
        )
    if code is not None and code >= 500 and step == "mail":
        what = "the address" if isinstance(error, smtplib.SMTPRecipientsRefused) else "the message"
        if isinstance(error, smtplib.SMTPSenderRefused):
            what = "the sender"
        return NotSentError(
            SendFault.REFUSED,
            f"{where} refuses {what} for good (code {code})",
            "check `to` and `sender`, and the log of the mail server",
        )
    if code is not None and code >= 400:
        return NotSentError(
            SendFault.LATER if code < 500 else SendFault.SETUP,
            f"{where} does not accept mails now (code {code})",
            "nothing, if it greylists; else see the log of the mail server",
        )
    if isinstance(error, TimeoutError) or session.is_late:
        return NotSentError(
            SendFault.LATER,
            f"{where} did not answer in time ({human_age(settings.timeout)})",
            "check the network and the firewall",
            unsure=unsure,
        )
    if isinstance(error, smtplib.SMTPServerDisconnected | smtplib.SMTPResponseException):
        return NotSentError(
            SendFault.LATER,
            f"{where} broke the connection off",
            "check that `server`, `port` and `encryption` fit the mail server",
            unsure=unsure,
        )
    if isinstance(error, socket.gaierror):
        return NotSentError(
            SendFault.LATER,
            f"the name {shown(settings.server or '')} cannot be resolved",
            "check `server` and this machine's DNS",
        )
    if isinstance(error, ConnectionRefusedError):
        return NotSentError(
            SendFault.LATER,
            f"{where}: connection refused, nothing listens there",
            "check `server`, `port`, the firewall, and that the mail server runs",
        )
    return NotSentError(
        SendFault.LATER, f"{where}: {said_by(error)}", "check the network", unsure=unsure
    )


def _code(error: Exception) -> int | None:
    """Return the SMTP status code of an error of smtplib."""
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code if 100 <= error.smtp_code < 600 else None
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return min((code for code, _ in error.recipients.values()), default=None)
    return None
