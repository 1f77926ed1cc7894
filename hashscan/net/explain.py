"""Explains the failure of an HTTP request in words, from the exceptions and headers.

The texts quote nothing that the server sent, because a server may send the credentials back.
"""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
import time
from email.errors import MessageError
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3.exceptions

from hashscan.errors import Fault
from hashscan.net.bounded_requests import BrokenAnswerError, SocksProxyError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: All exceptions that requests, and the libraries below requests, raise for a fault of the network.
FOREIGN_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    MessageError,
    OSError,
    ValueError,
)

_PROXY_ERRORS = (
    urllib3.exceptions.ProxyError,
    urllib3.exceptions.ProxySchemeUnknown,
    requests.exceptions.InvalidProxyURL,
    requests.exceptions.InvalidSchema,  # a SOCKS proxy is set, and its library is missing
)
_CODING = re.compile(r"[a-z0-9-]{1,20}")
#: Error numbers for faults of this machine, not of the network.
_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return ``error`` and all its causes; requests and urllib3 wrap the causes in several ways."""
    seen: list[BaseException] = [error]
    for one in seen:  # the loop itself adds causes to the list
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        seen.extend(
            other
            for other in inner
            if isinstance(other, BaseException) and not any(other is old for old in seen)
        )


def is_certificate_error(error: BaseException) -> bool:
    """Return True if the server's certificate does not verify, so that a second try cannot help."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def is_unsent(error: BaseException) -> bool:
    """Return True if no connection was made, so that the server got no part of the request."""
    kinds = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        SocksProxyError,
    )
    return any(isinstance(cause, (*kinds, *_PROXY_ERRORS)) for cause in _causes(error))


def fault_in(error: BaseException) -> Fault:
    """Return the kind of fault for an error that is one of ``FOREIGN_ERRORS``."""
    broken = any(isinstance(cause, BrokenAnswerError) for cause in _causes(error))
    return Fault.ANSWER if broken else Fault.UNREACHABLE


class Names(NamedTuple):
    """Names of the settings that can cause the failure of a request."""

    url: str = "service.url"
    ca_bundle: str = "service.ca_bundle"
    timeout: str = "service.timeout"
    proxy: str = "the https_proxy that hashscan's environment names"
    who: str = "the service"


def explain(error: BaseException, timeout: float, names: Names = Names()) -> str:  # noqa: B008
    """Return an explanation and a fix for an error that is one of ``FOREIGN_ERRORS``."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its TLS certificate does not verify ({cause.verify_message}); check this"
                f" machine's clock and {names.url}; for a private authority name its certificate"
                f" in {names.ca_bundle}"
            )
    for cause in causes:
        if isinstance(cause, SocksProxyError):
            return (
                "the proxy on the way is a SOCKS proxy, and hashscan speaks to HTTP proxies only;"
                f" change {names.proxy}, or name the host in no_proxy"
            )
        if isinstance(cause, OSError) and cause.errno in _OURS:
            return (
                f"{(cause.strerror or '').lower()} on this machine; raise LimitNOFILE or MemoryMax"
                " of the unit, or the limits of the shell"
            )
        if isinstance(cause, _PROXY_ERRORS):
            return f"the proxy on the way does not let the question through; check {names.proxy}"
        if isinstance(cause, OSError) and "CA certificate bundle" in str(cause):
            return (
                "its TLS certificate cannot be judged, for the CA bundle is missing; check"
                f" {names.ca_bundle} and the REQUESTS_CA_BUNDLE of hashscan's environment"
            )
        if isinstance(cause, socket.gaierror):
            return f"its name cannot be resolved; check {names.url} and this machine's DNS"
        if isinstance(cause, ssl.SSLError):
            return (
                f"the TLS connection failed; check that {names.url} names a TLS server, and that"
                " nothing on the way tampers with it"
            )
        if isinstance(cause, BrokenAnswerError):
            return f"its answer is broken: {cause}; report this to {names.who}'s operator"
    # Check this before the time-outs: urllib3 reports a refused connection as a time-out.
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno is not None and cause.strerror:
            return f"{cause.strerror}; check the network, the firewall and that {names.who} runs"
    if any(isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError) for cause in causes):
        return f"no whole answer within {timeout:g} s; check the network, or raise {names.timeout}"
    return (
        f"the connection broke or the answer is no HTTP; check that {names.url} names {names.who}"
    )


def retry_after(header: str | None) -> float | None:
    """Return the seconds in a ``Retry-After`` header (RFC 9110, 10.2.3); ``None``: invalid header.

    A date in the past means 0 seconds.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        # 12 digits of seconds are 30,000 years; a hostile server may send too many digits to
        # compute.
        return float(text[:12])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def coding_of(response: requests.Response) -> str:
    """Return the compression of an answer's body as printable text; empty: no compression."""
    named = response.headers.get("Content-Encoding", "").lower().split(",")
    found = [one.strip() for one in named if one.strip() not in {"", "identity"}]
    if not all(map(_CODING.fullmatch, found)):
        return "(no name of a coding)"
    return ", ".join(found[:3])


def redirect_host(location: str | None) -> str:
    """Return only the host of an answer's ``Location`` header, as printable text."""
    try:
        parts = urlsplit(location or "")
        host = parts.hostname
    except ValueError:
        return "a place that is no URL"
    if parts.scheme not in {"", "http", "https"}:
        return "a place that is no URL of the web"
    if not host:
        return "the same host"
    return host if _HOST.fullmatch(host) else "a place that is no URL"
