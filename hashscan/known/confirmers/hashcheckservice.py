"""The HashCheckService client (docs/service.md, "What it answers").

``POST {url}/v1/check/{algorithm}`` with one hex digest as the body; the answer is ``true`` or
``false``. An answer is a verdict only if it has status 200 and exactly the body ``true`` or
``false``. Every other answer is an error, and hashscan keeps the candidate: no failure of any kind
means "unknown".
"""

from __future__ import annotations

import re
import ssl
import string
import threading
import time
from collections import deque
from random import uniform
from typing import TYPE_CHECKING, NamedTuple

import requests
from requests.auth import HTTPBasicAuth

from hashscan import __version__
from hashscan.errors import (
    CredentialsError,
    Fault,
    ServiceError,
    ServiceRefusedError,
    ServiceUnavailableError,
    UsageError,
)
from hashscan.known.confirmers.circuit_breaker import LONGEST_PAUSE, CircuitBreaker
from hashscan.known.confirmers.service_url import check_url
from hashscan.model import HEX_LENGTH, Answer, Digest
from hashscan.net.bounded_requests import BoundedSession
from hashscan.net.explain import (
    FOREIGN_ERRORS,
    coding_of,
    explain,
    fault_in,
    is_certificate_error,
    redirect_host,
    retry_after,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import urllib3

_VERDICTS = {b"true": True, b"false": False}
_LONGEST_BODY = 64
#: Most seconds for which a question waits because of the breaker; for a longer pause, ``confirm``
#: raises.
_PATIENCE = 5.0
_LONGEST_BACKOFF = 5.0
# Basic authentication (RFC 7617) allows no colon in the user's name, and no control characters in
# the name or the password.
_CONTROL = re.compile("[\x00-\x1f\x7f]")


class _Trouble(NamedTuple):
    """The reason why an attempt to ask the service gave no verdict.

    Holds the error to raise, and whether the same question may succeed in a moment.
    """

    error: ServiceError
    again: bool = False


class HashCheckService:
    """Asks the HashCheckService, or a service with the same protocol.

    Thread-safe: each thread borrows a session of its own while it asks, so there are as many
    connections as threads that ask simultaneously, and each connection is used again. Redirects are
    not followed. Proxies and the CA bundle of the environment (``https_proxy``,
    ``REQUESTS_CA_BUNDLE``) are used for ``https``. ``~/.netrc`` is never used.

    Attributes:
        name: the service's URL, followed by `` (test)`` if the test service is asked.
        remote: always true, because digests are sent to another machine or process.
    """

    remote = True

    def __init__(
        self,
        *,
        url: str,
        username: str,
        password: str,
        timeout: float = 10.0,
        test: bool = False,
        ca_bundle: str | None = None,
        attempts: int = 3,
        backoff: float = 0.25,
        breaker: CircuitBreaker | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """Check the settings of the service; send nothing.

        Args:
            url: the service's URL ``https://host[:port][/path]``; ``http`` only for an address of
                this machine.
            username: the user's name, sent as UTF-8.
            password: the user's password, sent as UTF-8 to this host only.
            timeout: seconds for one attempt, answer included; a question takes at most three
                times as long.
            test: ask ``/v1/test/check/`` instead of ``/v1/check/``.
            ca_bundle: PEM file of the authorities to trust instead of the usual ones.
            attempts: number of times that one question is sent before it fails.
            backoff: longest wait in seconds before the second attempt; doubles with each further
                attempt.
            breaker: the circuit breaker, if other clients of the same service share the breaker.
            clock: function that returns monotonic seconds.
            sleep: function that waits for a number of seconds; the default function ends its wait
                early on ``close``.

        Raises:
            UsageError: a setting of the service is invalid, or would send the credentials
                unencrypted.
        """
        self._url = check_url(url)
        self.name = f"{self._url} (test)" if test else self._url
        self._prefix = f"{self._url}/v1/test/check" if test else f"{self._url}/v1/check"
        _check_credentials(username, password)
        _check_ca_bundle(ca_bundle)
        if not timeout > 0:
            raise UsageError("service.timeout: must be more than 0 seconds; 10s is usual")
        # The credentials are given as bytes: requests encodes str as Latin-1, and shows the
        # password in the error if a character is not in Latin-1.
        self._auth = HTTPBasicAuth(username.encode(), password.encode())
        self._verify: bool | str = True if ca_bundle is None else ca_bundle
        self._timeout = timeout
        self._attempts = attempts
        self._backoff = backoff
        self._clock = clock
        self._closed = threading.Event()
        self._sleep = self._closed.wait if sleep is None else sleep
        self._breaker = CircuitBreaker(clock=clock) if breaker is None else breaker
        self._idle: deque[BoundedSession] = deque()
        self._refusal: str | None = None
        self._last_trouble: str | None = None
        self._last_fault: Fault | None = None

    def __repr__(self) -> str:
        """The service's URL, without the credentials."""
        return f"HashCheckService({self.name})"

    def confirm(self, digest: Digest) -> Answer:
        """Ask whether the service knows ``digest``.

        Raises:
            CredentialsError: the service answered with status 401 or 403, now or earlier; no
                further question is sent.
            ServiceRefusedError: the service answered with another status 4xx, or ``digest`` is
                invalid; other questions may succeed.
            ServiceUnavailableError: the service gave no answer, a late answer, or an answer that is
                not a verdict; the error's ``retry_after``: seconds after which asking again makes
                sense, if known.
        """
        where = f"{self._prefix}/{digest.algorithm}"
        if not _is_digest(digest):
            raise ServiceRefusedError(
                f"{self.name}: not asked, for this is no lower-case hexadecimal digest of a known"
                " algorithm; this is an error in hashscan, please report it"
            )
        deadline = self._clock() + 3 * self._timeout
        attempt = 0
        while True:
            self._await_turn(where, deadline)
            attempt += 1
            trouble = self._attempt(where, digest, min(self._timeout, deadline - self._clock()))
            if isinstance(trouble, Answer):
                return trouble
            # The error is raised outside of any `except`: otherwise its context would be an
            # exception of requests, which holds the request with the credentials.
            error = trouble.error
            if not isinstance(error, ServiceUnavailableError):
                raise error
            turn = self._breaker.look()
            backoff = min(_LONGEST_BACKOFF, self._backoff * 2 ** (attempt - 1))
            wait = max(uniform(0, backoff), turn.wait)
            late = wait > _PATIENCE or self._clock() + wait >= deadline
            if not trouble.again or attempt >= self._attempts or turn.open or late:
                raise ServiceUnavailableError(
                    str(error), retry_after=turn.wait or None, fault=error.fault
                )
            self._sleep(wait)

    def close(self) -> None:
        """Close the connections, and wake the threads that wait; all later questions fail."""
        self._closed.set()
        while self._idle:
            self._idle.pop().close()

    def _await_turn(self, where: str, deadline: float) -> None:
        while True:
            if self._closed.is_set():
                raise ServiceUnavailableError(f"{where}: not asked, the client is closed")
            if self._refusal is not None:
                raise CredentialsError(self._refusal)
            turn = self._breaker.admit()
            if turn.wait <= 0:
                return
            if turn.open or turn.wait > _PATIENCE or self._clock() + turn.wait >= deadline:
                raise ServiceUnavailableError(
                    f"not asked for another {turn.wait:.0f} s, and the candidate is kept; the"
                    f" last answer was: {self._last_trouble or where}",
                    retry_after=turn.wait,
                    fault=self._last_fault,
                )
            self._sleep(turn.wait)

    def _attempt(self, where: str, digest: Digest, seconds: float) -> Answer | _Trouble:
        """Send the question to the service once, and report the result to the breaker."""
        outcome: Answer | _Trouble | None = None
        try:
            outcome = self._exchange(where, digest, seconds)
        finally:
            if outcome is None:
                self._breaker.abandoned()
        if isinstance(outcome, Answer) or not isinstance(outcome.error, ServiceUnavailableError):
            self._breaker.succeeded()
        else:
            if outcome.error.retry_after is not None:
                self._breaker.pause(outcome.error.retry_after)
            self._breaker.failed()
            self._last_trouble = str(outcome.error)
            self._last_fault = outcome.error.fault
        if isinstance(outcome, _Trouble) and isinstance(outcome.error, CredentialsError):
            self._refusal = str(outcome.error)
        return outcome

    def _exchange(self, where: str, digest: Digest, seconds: float) -> Answer | _Trouble:
        """Send one request to the service and read the service's answer.

        If the answer is not a verdict, the session's connections are closed.
        """
        session = self._borrow()
        outcome: Answer | _Trouble | None = None
        try:
            outcome = self._converse(session, where, digest, seconds)
        except FOREIGN_ERRORS as error:
            outcome = _Trouble(
                ServiceUnavailableError(
                    f"{where}: {explain(error, self._timeout)}", fault=fault_in(error)
                ),
                again=not is_certificate_error(error),
            )
        finally:
            if not isinstance(outcome, Answer):
                session.close()
            self._idle.append(session)
            if self._closed.is_set():
                self.close()
        return outcome

    def _borrow(self) -> BoundedSession:
        try:
            return self._idle.pop()
        except IndexError:
            session = BoundedSession()
        session.auth = self._auth  # requests must not read ~/.netrc
        session.headers.update(
            {
                "User-Agent": f"hashscan/{__version__}",
                "Content-Type": "text/plain",
                "Accept-Encoding": "identity",
            }
        )
        return session

    def _converse(
        self, session: BoundedSession, where: str, digest: Digest, seconds: float
    ) -> Answer | _Trouble:
        response = session.ask(
            "POST",
            where,
            max(seconds, 0.001),
            data=digest.hex.encode("ascii"),
            verify=self._verify,
        )
        with response:
            if response.status_code != requests.codes.ok:
                trouble = self._status_trouble(where, response)
                response.raw.close()  # the answer has unread bytes: close the connection
                return trouble
            coding = coding_of(response)
            if coding:
                return _Trouble(
                    ServiceUnavailableError(
                        f"{where}: answered with Content-Encoding: {coding}, though it was asked"
                        " for none; have the service, or the proxy before it, not compress its"
                        " answers",
                        fault=Fault.ANSWER,
                    ),
                    again=True,
                )
            body = _body(response.raw)
            known = None if body is None else _VERDICTS.get(body.strip(string.whitespace.encode()))
            if known is None:
                return _Trouble(
                    ServiceUnavailableError(
                        f"{where}: answered 200, but with something else than true or false; is"
                        " service.url right, and is there a proxy or a login page in between?",
                        fault=Fault.ANSWER,
                    ),
                    again=True,
                )
            return Answer(known=known)

    def _status_trouble(self, where: str, response: requests.Response) -> _Trouble:
        """The error for an HTTP status other than 200; it quotes nothing that the server chose."""
        status = response.status_code
        told = f"{where}: answered {status}"
        if status in {401, 403}:
            return _Trouble(
                CredentialsError(
                    f"{told}, it {CredentialsError.SAYS}; hashscan asks nothing more. Check"
                    " service.username and the password, then start hashscan again: the"
                    " candidates are kept"
                )
            )
        if status in {429, 503}:
            seconds = retry_after(response.headers.get("Retry-After"))
            pause = None if seconds is None else min(seconds, LONGEST_PAUSE)
            return _Trouble(
                ServiceUnavailableError(
                    f"{told}, it is overloaded or wants fewer questions; they are asked again"
                    " later",
                    retry_after=pause,
                    fault=Fault.BUSY,
                ),
                again=True,
            )
        if status == 407:
            return _Trouble(
                ServiceUnavailableError(
                    f"{told}: a proxy wants credentials; check the https_proxy that hashscan's"
                    " environment names",
                    fault=Fault.CREDENTIALS,
                )
            )
        if 300 <= status < 400 and status != requests.codes.not_modified:
            host = redirect_host(response.headers.get("Location"))
            return _Trouble(
                ServiceUnavailableError(
                    f"{told}, a redirect to {host}, which is not followed; if the service has"
                    " moved, change service.url",
                    fault=Fault.ANSWER,
                )
            )
        # The status 408, 421 or 425 asks for another attempt (RFC 9110, RFC 8470); it judges no
        # question.
        if 400 <= status < 500 and status not in {408, 421, 425}:
            return _Trouble(
                ServiceRefusedError(
                    f"{told}, it refuses this question; the candidate is kept. If all are"
                    " refused, check service.url and which algorithms the service takes"
                )
            )
        return _Trouble(
            ServiceUnavailableError(
                f"{told}, which is no verdict; the question is asked again later. If that does"
                " not help, inform the service's operator",
                fault=Fault.ANSWER,
            ),
            again=True,
        )


def _is_digest(digest: Digest) -> bool:
    length = HEX_LENGTH.get(digest.algorithm)
    return length is not None and re.fullmatch(f"[0-9a-f]{{{length}}}", digest.hex) is not None


def _check_credentials(username: str, password: str) -> None:
    for name, value in (("username", username), ("password", password)):
        if not value:
            raise UsageError(f"service.{name}: is empty; ask the service's operator for it")
        if _CONTROL.search(value):
            raise UsageError(
                f"service.{name}: holds a control character, perhaps a line end; remove it"
            )
    if ":" in username:
        raise UsageError("service.username: holds a colon, which Basic authentication forbids")


def _check_ca_bundle(ca_bundle: str | None) -> None:
    if ca_bundle is None:
        return
    problem: str
    try:
        ssl.create_default_context(cafile=ca_bundle)
        return
    except ssl.SSLError:
        problem = "holds no certificate in PEM form"
    except OSError as error:
        problem = error.strerror or "cannot be read"
    raise UsageError(
        f"{ca_bundle}: {problem}; service.ca_bundle must be a PEM file with the certificates of"
        " the authorities to trust"
    )


def _body(raw: urllib3.HTTPResponse) -> bytes | None:
    """The whole raw body of an answer, or ``None`` if the body is longer than any verdict."""
    body = b""
    while len(body) <= _LONGEST_BODY:
        piece = raw.read(_LONGEST_BODY + 1 - len(body), decode_content=False)
        if not piece:
            return body
        body += piece
    return None
