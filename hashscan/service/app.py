"""The HTTP side of the service (docs/service.md, "What it answers").

A request is ``POST /v1/check/{md5|sha1|sha256}``, or the same for its twin ``/v1/test/check/…``,
with Basic authentication and one hexadecimal digest as the body. The answer's whole body is
``true`` or ``false``. Any other answer is an HTTP error, whose text names the fault, and never a
verdict.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from hashscan.errors import HashscanError
from hashscan.known.sync.layout import METADATA_DIRECTORY, TARGETS_DIRECTORY
from hashscan.model import HEX_LENGTH, Algorithm, Digest
from hashscan.service.answers import address_of, body_of, later
from hashscan.service.audit import ServiceRow
from hashscan.service.limits import Limiter
from hashscan.service.passwords import PasswordChecks, TooManyError
from hashscan.service.users import PASSWORD_LIMIT, Credentials

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from hashscan.known.confirmers.digest_index import LocalConfirmer
    from hashscan.service.audit import Audit
    from hashscan.service.data import Which

#: Number of bytes of the longest question: the longest digest, and white space around the digest.
_BODY, _TOO_LONG = 256, "the body is more than one digest"


class Desk:
    """The state that all requests to the service share; ``serve`` keeps this state up to date.

    Attributes:
        credentials: the credentials of the users who may ask questions.
        sets: the known sets from which the service answers; ``None`` for a set that was not loaded.
    """

    def __init__(self, audit: Audit, *, rate: float) -> None:
        """``rate``: number of questions that a user may send in a second; twice it in a burst."""
        self.credentials = Credentials()
        self.sets: dict[Which, LocalConfirmer | None] = {"known": None, "test": None}
        self.audit = audit
        self._limits = Limiter(rate, max(1.0, 2 * rate))
        self._passwords = PasswordChecks()
        self._passwords.seen(audit.users())

    async def user(self, request: Request) -> str:
        """Return the user who sent a request.

        Raises:
            HTTPException: 401: wrong credentials; or 429: too many wrong passwords.
        """
        found = _basic(request.headers.get("authorization", ""))
        if found is None:
            raise _unauthorized()
        name, password = found
        address = address_of(request)
        state = request.scope["state"]  # set by ``service.protocol`` for the client
        if not self.credentials.remembered(name, password):
            try:
                right = await self._passwords.right(
                    self.credentials, name, password, address, state["gone"]
                )
            except TooManyError as error:
                raise later(429, error.seconds, "too many wrong credentials") from None
            if not right:
                raise _unauthorized()
        self._passwords.seen([(name, address)])
        state["proven"]()
        return name

    async def check(self, request: Request) -> Response:
        """Answer a request ``POST /v1/check/{algorithm}``."""
        return await self._check(request, "known")

    async def test_check(self, request: Request) -> Response:
        """Answer a request ``POST /v1/test/check/{algorithm}``."""
        return await self._check(request, "test")

    async def _check(self, request: Request, which: Which) -> Response:
        user = await self.user(request)
        if wait := self._limits.wait(user):
            raise later(429, wait, "too many questions")
        algorithm = _algorithm(request.path_params["algorithm"])
        digest = _digest(algorithm, await body_of(request, _BODY, _TOO_LONG))
        one = self.sets[which]
        if one is None:
            raise later(503, 60.0, "no list was loaded")
        try:
            known = one.confirm(digest).known
        except HashscanError:
            raise later(503, 60.0, "the list cannot be read") from None
        answer = "true" if known else "false"
        keyed = self.audit.keyed(algorithm, bytes.fromhex(digest.hex))
        row = ServiceRow(
            time.time(), user, address_of(request), which == "test", algorithm, keyed, answer
        )
        if not self.audit.note(row):
            raise later(503, 10.0, "the audit cannot be written")
        return PlainTextResponse(answer)


def application(desk: Desk, *, repository: str | None, private_repository: bool) -> Starlette:
    """Return the ASGI application of the service.

    Args:
        desk: the state that all requests share.
        repository: directory of a signed repository to serve at ``/repository/``.
        private_repository: True to serve the repository only to users of the service.
    """
    routes: list[Route | Mount] = [
        Route("/v1/check/{algorithm}", desk.check, methods=["POST"]),
        Route("/v1/test/check/{algorithm}", desk.test_check, methods=["POST"]),
        Route("/healthz", _health, methods=["GET"]),
    ]
    if repository is not None:
        guard = desk if private_repository else None
        for name in (METADATA_DIRECTORY, TARGETS_DIRECTORY):
            files = _Files(os.path.join(repository, name), guard)
            routes.append(Mount(f"/repository/{name}", files))
    handlers = {HTTPException: _explain, ClientDisconnect: _gone}
    return Starlette(routes=routes, exception_handlers=handlers)


class _Files(StaticFiles):
    """Serves static files except hidden files and links (Starlette itself refuses links)."""

    def __init__(self, directory: str, desk: Desk | None) -> None:
        super().__init__(directory=directory, check_dir=False)
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._desk is not None:
            from starlette.requests import Request as Asked  # noqa: PLC0415

            await self._desk.user(Asked(scope))
        await super().__call__(scope, receive, send)

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        if any(part.startswith(".") for part in path.split("/")):
            return "", None
        found, status = super().lookup_path(path)
        if found and os.path.islink(found):
            return "", None
        return found, status


async def _health(request: Request) -> Response:
    del request
    return PlainTextResponse("ok")


async def _explain(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    """An answer that is never sent: the client disconnected before its question was complete."""
    del request, error
    return PlainTextResponse("", 400)


def _basic(header: str) -> tuple[str, str] | None:
    """Return user and password of Basic authentication (RFC 7617); ``None``: invalid header."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic" or len(rest) > 4 * PASSWORD_LIMIT:
        return None
    try:
        text = base64.b64decode(rest.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    name, colon, password = text.partition(":")
    if not colon or not name or len(password.encode()) > PASSWORD_LIMIT:
        return None
    return name, password


def _algorithm(name: str) -> Algorithm:
    for algorithm in HEX_LENGTH:
        if name == algorithm:
            return algorithm
    raise HTTPException(404, f"no such check; there are {', '.join(HEX_LENGTH)}")


def _digest(algorithm: Algorithm, body: bytes) -> Digest:
    text = body.strip(b" \t\r\n").lower()
    if len(text) != HEX_LENGTH[algorithm] or text.strip(b"0123456789abcdef"):
        raise HTTPException(
            400, f"the body must be one {algorithm} digest: {HEX_LENGTH[algorithm]} hex digits"
        )
    return Digest(algorithm, text.decode("ascii"))


def _unauthorized() -> HTTPException:
    return HTTPException(
        401, "wrong user name or password", {"WWW-Authenticate": 'Basic realm="hashscan"'}
    )
