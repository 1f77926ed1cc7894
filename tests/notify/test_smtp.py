"""A session with a mail server: its bounds of time and of the answers' bytes."""

import smtplib
import ssl
import time

import pytest
from notifications import failure
from receivers import RawServer, mail_settings

from hashscan.notify.notifier import SendFault
from hashscan.notify.smtp import BoundedSMTP


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


def session(seconds=60.0):
    return BoundedSMTP(seconds, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), implicit=False)


def test_answers_have_sixty_four_kib_in_all():
    def talk(sock):
        for _ in range(16):
            sock.sendall(b"250-" + b"x" * 4090 + b"\r\n")
        sock.sendall(b"250 end\r\n" * 100)

    with RawServer(talk) as server:
        one = session()
        with pytest.raises(smtplib.SMTPServerDisconnected, match="the answers are too long"):
            one.connect("127.0.0.1", server.port)
        assert one.left < 0
        assert not one.is_late
        one.close()


def test_a_session_that_was_stopped_connects_to_nothing():
    with RawServer(lambda sock: sock.sendall(b"220 hello\r\n")) as server:
        one = session()
        one.stop()
        with pytest.raises(ConnectionAbortedError, match="because hashscan ends"):
            one.connect("127.0.0.1", server.port)


def test_the_deadline_is_that_of_the_whole_session():
    assert session(0.0).is_late
    assert not session(60.0).is_late


@pytest.mark.parametrize(
    ("mail", "sent"),
    [
        (b"a\r\n.b\r\n", b"a\r\n..b\r\n.\r\n"),
        (b".a\r\n..\r\n", b"..a\r\n...\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a.\r\n", b"a.\r\n.\r\n"),
    ],
)
def test_lines_that_begin_with_a_dot(mail, sent):
    got = []

    def talk(sock):
        sock.sendall(b"220 hello\r\n")
        with sock.makefile("rb") as lines:
            assert lines.readline() == b"data\r\n"
            sock.sendall(b"354 go on\r\n")
            got.append(lines.read(len(sent)))
            sock.sendall(b"250 ok\r\n")

    with RawServer(talk) as server:
        one = session()
        one.connect("127.0.0.1", server.port)
        assert not one.payload_sent
        assert one.data(mail) == (250, b"ok")
        assert one.payload_sent
        one.close()
    assert got == [sent]


def test_a_mail_that_is_refused_before_its_data_was_not_sent():
    def talk(sock):
        sock.sendall(b"220 hello\r\n")
        sock.recv(100)
        sock.sendall(b"451 later\r\n")

    with RawServer(talk) as server:
        one = session()
        one.connect("127.0.0.1", server.port)
        with pytest.raises(smtplib.SMTPDataError):
            one.data(b"a")
        assert not one.payload_sent
        one.close()
