"""Mail servers with TLS and authentication, and what they may do wrong."""

import os
import ssl
import threading
import time

import pytest
import trustme
from aiosmtpd.smtp import AuthResult
from notifications import message, secret
from receivers import MailPlace, RawServer

from hashscan.config.notify import ReceiverSettings
from hashscan.notify.mail import MailNotifier
from hashscan.notify.notifier import NotSentError, SendFault
from hashscan.notify.open_notifier import open_notifier


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


def failure(settings):
    with pytest.raises(NotSentError) as caught:
        open_notifier(settings).send(message())
    return caught.value


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


def mail_settings(port, **more):
    return ReceiverSettings(
        **{
            "name": "post",
            "kind": "mail",
            "to": ["a@host.example"],
            "server": "127.0.0.1",
            "port": port,
            "encryption": "none",
            "timeout": 1,
            **more,
        }
    )


def test_an_endless_answer_costs_no_memory(tmp_path):
    def talk(sock):
        for _ in range(100_000):
            sock.sendall(b"220-more and more\r\n" * 100)

    with RawServer(talk) as server:
        error = failure(mail_settings(server.port))
        assert error.fault is SendFault.LATER
        assert "without end" in error.what


def test_a_drop_at_a_time_is_no_progress(tmp_path):
    def talk(sock):
        for _ in range(1000):
            sock.sendall(b"2")
            time.sleep(0.1)

    with RawServer(talk) as server:
        begun = time.monotonic()
        assert "did not answer in time" in failure(mail_settings(server.port)).what
        assert time.monotonic() - begun < 60


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
