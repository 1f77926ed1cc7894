"""Failures of requests in words, and headers of an answer that a server may forge."""

import errno
import re
import socket
import ssl
import time
from email.utils import formatdate

import pytest
import requests
import urllib3

from hashscan.errors import Fault
from hashscan.net.bounded_requests import BrokenAnswerError, SocksProxyError
from hashscan.net.explain import (
    Names,
    coding_of,
    explain,
    fault_in,
    is_certificate_error,
    is_unsent,
    redirect_host,
    retry_after,
)


def wrapped(inner):
    """The error as requests raises it: in an argument, a reason and a cause."""
    reason = urllib3.exceptions.MaxRetryError(None, "/", inner)
    return requests.ConnectionError(reason)


def unverified():
    error = ssl.SSLCertVerificationError(1, "bad")
    error.verify_message = "self-signed"
    return error


NEW = urllib3.exceptions.NewConnectionError(None, "no connection")
NAMES = Names(url="u.url", ca_bundle="u.ca", timeout="u.timeout", proxy="u.proxy", who="the hook")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (unverified(), r"its TLS certificate does not verify \(self-signed\); .* in u.ca"),
        (SocksProxyError("socks"), "a SOCKS proxy, .*; change u.proxy"),
        (OSError(errno.EMFILE, "Too many open files"), "too many open files on this machine"),
        (urllib3.exceptions.ProxyError("x", OSError()), "check u.proxy"),
        (OSError("Could not find a suitable TLS CA certificate bundle"), "check u.ca and"),
        (socket.gaierror(-2, "Name unknown"), "its name cannot be resolved; check u.url"),
        (ssl.SSLError(1, "wrong version"), "the TLS connection failed; check that u.url"),
        (BrokenAnswerError("invalid chunks"), "invalid chunks; report this to the hook's operator"),
        (OSError(errno.ECONNREFUSED, "Connection refused"), "Connection refused; .* the hook runs"),
        (TimeoutError(), "no whole answer within 2.5 s; .* raise u.timeout"),
        (ValueError("HTTP?"), "no HTTP; check that u.url names the hook"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda one: one, wrapped], ids=["plain", "wrapped"])
def test_each_fault_has_its_fix(error, words, wrap):
    assert re.search(words, explain(wrap(error), 2.5, NAMES))


def test_a_refused_connection_is_no_time_out():
    refused = OSError(errno.ECONNREFUSED, "Connection refused")
    error = urllib3.exceptions.ConnectTimeoutError(None, "no connection")
    error.__cause__ = refused
    assert explain(error, 1.0).startswith("Connection refused")


def test_causes_in_a_circle_end():
    one, two = ValueError("a"), ValueError("b")
    one.__context__, two.__context__ = two, one
    assert not is_certificate_error(one)
    assert is_certificate_error(wrapped(unverified()))


@pytest.mark.parametrize(
    ("error", "unsent"),
    [
        (NEW, True),
        (urllib3.exceptions.ConnectTimeoutError(None, ""), True),
        (SocksProxyError("x"), True),
        (ConnectionResetError(), False),
        (urllib3.exceptions.ReadTimeoutError(None, "/", ""), False),
    ],
)
def test_a_request_that_certainly_did_not_arrive(error, unsent):
    assert is_unsent(wrapped(error)) == unsent


def test_the_kind_of_a_fault():
    assert fault_in(wrapped(BrokenAnswerError("x"))) is Fault.ANSWER
    assert fault_in(wrapped(ConnectionResetError())) is Fault.UNREACHABLE


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 400, 999_999_999_999.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("\u0661", None),
        ("soon", None),
    ],
)
def test_when_to_ask_again(header, seconds):
    assert retry_after(header) == seconds


def test_a_date_to_ask_again_at():
    found = retry_after(formatdate(time.time() + 1000, usegmt=True))
    assert 900 < found <= 1000


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", ""),
        ("identity", ""),
        ("GZIP , identity", "gzip"),
        ("a, b, c, d", "a, b, c"),
        ("gzip\x1b[31m", "(no name of a coding)"),
        ("x" * 21, "(no name of a coding)"),
    ],
)
def test_the_coding_of_a_body_is_printable(header, coding):
    response = requests.Response()
    response.headers["Content-Encoding"] = header
    assert coding_of(response) == coding


@pytest.mark.parametrize(
    ("location", "host"),
    [
        (None, "the same host"),
        ("/login?user=me", "the same host"),
        ("https://me:secret@other.example/x?y", "other.example"),
        ("//[2001:db8::1]:80/", "2001:db8::1"),
        ("file:///etc/passwd", "a place that is no URL of the web"),
        ("https://[bad/", "a place that is no URL"),
        ("https://a\x1bb/", "a place that is no URL"),
        (f"https://{'x' * 300}/", "a place that is no URL"),
    ],
)
def test_only_the_host_of_a_redirect_is_named(location, host):
    assert redirect_host(location) == host
