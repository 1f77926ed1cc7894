"""Messages by mail: the mail itself, servers with TLS and authentication, sendmail, and each fault."""

import os
import smtplib
import socket
import ssl
import threading
import time
from dataclasses import replace

import pytest
import trustme
from aiosmtpd.smtp import AuthResult
from notifications import failure, message, secret
from receivers import MailPlace, RawServer, mail_settings

from hashscan.config.notify import ReceiverSettings
from hashscan.notify.mail import MailNotifier, _explained, mail_of
from hashscan.notify.message import Event, for_test
from hashscan.notify.notifier import NotSentError, SendFault
from hashscan.notify.open_notifier import open_notifier
from hashscan.notify.smtp import BoundedSMTP


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def context(authority, name="127.0.0.1"):
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(found)
    return found


@pytest.fixture
def bundle(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def authenticated(server, session, envelope, mechanism, data):
    found = (data.login, data.password) == (b"me", b"correct horse")
    return AuthResult(success=found, handled=False)


def place_with_login(authority, bundle, tmp_path, password="correct horse"):
    return MailPlace(
        tmp_path,
        server={
            "tls_context": context(authority),
            "require_starttls": True,
            "auth_required": True,
            "authenticator": authenticated,
        },
        encryption="starttls",
        ca_bundle=bundle,
        username="me",
        password_file=secret(tmp_path, password),
    )


def test_starttls_and_a_password(authority, bundle, tmp_path):
    with place_with_login(authority, bundle, tmp_path) as place:
        sent = message()
        open_notifier(place.settings).send(sent)
        (got,) = place.received
        assert got.headers["Message-ID"] == f"<{sent.id}.hashscan@host.example>"
        assert got.headers["Auto-Submitted"] == "auto-generated"
        assert place.mails[0].get_body(("html",)) is not None


def test_a_password_that_is_refused_keeps_the_mail(authority, bundle, tmp_path):
    with place_with_login(authority, bundle, tmp_path, "wrong") as place:
        error = failure(place.settings)
        assert error.fault is SendFault.SETUP
        assert "refuses the user name or the password (code 535)" in error.what
        assert "password_file" in error.fix
        assert "wrong" not in str(error)


def test_a_name_that_is_not_in_the_certificate(authority, bundle, tmp_path):
    server = {"tls_context": context(authority, "other.example"), "require_starttls": True}
    more = {"encryption": "starttls", "ca_bundle": bundle}
    with MailPlace(tmp_path, server=server, **more) as place:
        error = failure(place.settings)
        assert error.fault is SendFault.SETUP
        assert "does not verify" in error.what
        assert "`server`" in error.fix
        assert place.received == []


def test_an_unknown_authority(authority, tmp_path):
    server = {"tls_context": context(authority), "require_starttls": True}
    with MailPlace(tmp_path, server=server, encryption="starttls") as place:
        assert "ca_bundle" in failure(place.settings).fix


def test_a_server_without_starttls_gets_nothing(tmp_path):
    with MailPlace(tmp_path, encryption="starttls") as place:
        error = failure(place.settings)
        assert error.fault is SendFault.SETUP
        assert "does not offer STARTTLS" in error.what
        assert place.attempts == []


def test_nothing_listens(tmp_path):
    with MailPlace(tmp_path) as place:
        settings = place.settings
    error = failure(settings)
    assert error.fault is SendFault.LATER
    assert "connection refused" in error.what


def script(*answers):
    """A server that answers each command, and one line after the mail's data."""

    def talk(sock):
        sock.sendall(b"220 hello\r\n")
        with sock.makefile("rb") as lines:
            for answer in answers:
                if not lines.readline():
                    return
                sock.sendall(answer)
            while lines.readline().rstrip() != b".":
                pass

    return talk


def test_a_connection_that_breaks_after_the_data_leaves_it_open_whether_it_arrived():
    ok = b"250 ok\r\n"
    with RawServer(script(ok, ok, ok, b"354 go on\r\n")) as server:
        error = failure(mail_settings(server.port))
        assert error.fault is SendFault.LATER
        assert error.unsure
    with RawServer(script(ok, ok)) as server:
        assert not failure(mail_settings(server.port)).unsure


def test_a_mail_that_is_being_sent_can_be_stopped(tmp_path):
    with RawServer(lambda sock: time.sleep(100)) as server:
        notifier = MailNotifier(mail_settings(server.port, timeout=300))
        threading.Timer(0.3, notifier.stop).start()
        begun = time.monotonic()
        with pytest.raises(NotSentError):
            notifier.send(message("a@host.example"))
        assert time.monotonic() - begun < 60


def test_through_sendmail(tmp_path):
    program = tmp_path / "sendmail"
    program.write_text(f"#!/bin/sh\ncat >{tmp_path}/mail\nenv >{tmp_path}/env\n")
    program.chmod(0o755)
    settings = ReceiverSettings(
        name="post", kind="mail", to=["a@host.example"], sendmail=[str(program), "-t"]
    )
    open_notifier(settings).send(message("a@host.example"))
    mail = (tmp_path / "mail").read_text()
    assert "\r" not in mail
    assert "To: a@host.example\n" in mail
    assert not {"HOME", "USER"} & {
        one.split("=")[0] for one in (tmp_path / "env").read_text().split()
    }
    program.write_text("#!/bin/sh\nexit 75\n")
    error = failure(settings)
    assert (error.fault, error.unsure) == (SendFault.LATER, True), "it may be in sendmail's queue"
    program.write_text("#!/bin/sh\nexit 67\n")
    error = failure(settings)
    assert (error.fault, error.unsure) == (SendFault.SETUP, False)
    os.unlink(program)
    assert "cannot be started" in failure(settings).what


def owners(tmp_path, **more):
    contacts = tmp_path / "contacts"
    contacts.write_text("root: owner@customer.example\n")
    return ReceiverSettings(
        name="owners", kind="mail", contacts=str(contacts), sender="abuse@host.example", **more
    )


def test_the_headers_of_a_mail():
    sent = replace(message(), made=0.0)
    settings = mail_settings(25, sender="agent@web1.example")
    mail = mail_of(sent, settings, "a@host.example")
    assert mail["From"] == "hashscan <agent@web1.example>"
    assert mail["To"] == "a@host.example"
    assert mail["Date"] == "Thu, 01 Jan 1970 00:00:00 +0000"
    assert mail["Message-ID"] == f"<{sent.id}.hashscan@web1.example>"
    assert mail["X-Hashscan-Message-Id"] == sent.id
    assert mail_of(sent, mail_settings(25), "b@host.example")["From"] == "hashscan <a@host.example>"


def test_a_mail_has_its_text_as_html_too():
    event = Event("match", "match", "2026-11-27T10:00:00Z", {"action": "<b>&"})
    mail = mail_of(message(events=(event,)), mail_settings(25), "a@host.example")
    plain = mail.get_body(("plain",)).get_content()
    page = mail.get_body(("html",)).get_content()
    assert "<b>&" in plain
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page
    assert all(len(line) <= 78 for line in mail.as_bytes().split(b"\r\n"))


def test_the_mail_to_an_owner_is_the_template(tmp_path):
    template = tmp_path / "template"
    template.write_text("Files  of {owner} on {host}\n\n{files} moved\n")
    settings = owners(tmp_path, template=str(template))
    mail = mail_of(message("uid:0"), settings, "owner@customer.example")
    assert mail["Subject"].startswith("Files of ")
    assert mail["Subject"].endswith(" on web1.host.example")
    assert mail.get_body(("html",)) is None
    assert mail.get_content() == "3 files moved\n"
    test = mail_of(for_test("web1", "x@host.example"), settings, "abuse@host.example")
    assert test.get_body(("html",)) is not None


def test_a_missing_password_is_named():
    error = failure(mail_settings(25, username="me", encryption="tls"))
    assert (error.fault, error.what) == (SendFault.SETUP, "username has no password")


def test_certificates_that_cannot_be_read(tmp_path):
    error = failure(mail_settings(25, encryption="tls", ca_bundle=str(tmp_path / "none")))
    assert error.fault is SendFault.SETUP
    assert (
        error.what
        == f"the certificates of {tmp_path}/none cannot be read: No such file or directory"
    )


def explained(error, step="mail", *, sent=False, left=1, late=False, encryption="tls"):
    session = BoundedSMTP(
        0.0 if late else 600.0, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), implicit=False
    )
    session.payload_sent, session.left = sent, left
    settings = mail_settings(25, encryption=encryption)
    return _explained(error, session, step, "mx.example port 25", settings)


REFUSED = smtplib.SMTPRecipientsRefused


@pytest.mark.parametrize(
    ("error", "options", "fault", "words"),
    [
        (UnicodeEncodeError("ascii", "é", 0, 1, "x"), {}, "SETUP", "is not ASCII"),
        (ssl.SSLError(1, "wrong version"), {}, "SETUP", "perhaps it is starttls"),
        (ssl.SSLError(1, "wrong version"), {"encryption": "starttls"}, "SETUP", "perhaps it is tls"),
        (smtplib.SMTPServerDisconnected("x"), {"left": -1}, "LATER", "sends answers without end"),
        (smtplib.SMTPNotSupportedError("x"), {"step": "tls"}, "SETUP", "does not offer STARTTLS"),
        (smtplib.SMTPNotSupportedError("x"), {"step": "login"}, "SETUP", "does not offer authentication"),
        (smtplib.SMTPNotSupportedError("x"), {}, "SETUP", "does not take this mail"),
        (smtplib.SMTPAuthenticationError(535, b"x"), {"step": "login"}, "SETUP", "(code 535)"),
        (smtplib.SMTPAuthenticationError(454, b"x"), {"step": "login"}, "LATER", "accept mails now (code 454)"),
        (smtplib.SMTPSenderRefused(530, b"x", "a"), {}, "SETUP", "asks for authentication (code 530)"),
        (smtplib.SMTPSenderRefused(550, b"x", "a"), {}, "REFUSED", "refuses the sender for good (code 550)"),
        (smtplib.SMTPDataError(554, b"x"), {}, "REFUSED", "refuses the message for good (code 554)"),
        (REFUSED({"a": (550, b""), "b": (551, b"")}), {}, "REFUSED", "refuses the address for good (code 550)"),
        (REFUSED({"a": (450, b""), "b": (550, b"")}), {}, "LATER", "accept mails now (code 450)"),
        (smtplib.SMTPConnectError(554, b"x"), {"step": "greeting"}, "SETUP", "accept mails now (code 554)"),
        (smtplib.SMTPConnectError(421, b"x"), {"step": "greeting"}, "LATER", "accept mails now (code 421)"),
        (smtplib.SMTPConnectError(220, b"x"), {"step": "greeting"}, "LATER", "broke the connection off"),
        (smtplib.SMTPDataError(-1, b"x"), {}, "LATER", "broke the connection off"),
        (TimeoutError("x"), {}, "LATER", "did not answer in time (1 s)"),
        (smtplib.SMTPServerDisconnected("x"), {"late": True}, "LATER", "did not answer in time"),
        (smtplib.SMTPServerDisconnected("x"), {}, "LATER", "broke the connection off"),
        (socket.gaierror(-2, "x"), {}, "LATER", "the name 127.0.0.1 cannot be resolved"),
        (ConnectionRefusedError(111, "x"), {}, "LATER", "connection refused, nothing listens there"),
        (OSError(113, "No route to host"), {}, "LATER", "mx.example port 25: No route to host"),
    ],
)  # fmt: skip
def test_each_fault_has_its_cause_and_its_mend(error, options, fault, words):
    found = explained(error, **options)
    assert (found.fault, words in found.what + found.fix) == (SendFault[fault], True), found
    assert found.fix
    assert not found.unsure


@pytest.mark.parametrize(
    ("error", "unsure"),
    [
        (smtplib.SMTPServerDisconnected("x"), True),
        (TimeoutError("x"), True),
        (OSError(104, "reset"), True),
        (ssl.SSLError(1, "x"), True),
        (smtplib.SMTPDataError(554, b"x"), False),
        (smtplib.SMTPDataError(451, b"x"), False),
    ],
)
def test_after_the_mail_was_sent_only_an_answer_says_whether_it_arrived(error, unsure):
    assert explained(error, sent=True).unsure == unsure
