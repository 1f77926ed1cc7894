"""The ASGI application of the intake: ``POST /api/v1/reports`` and the link checker.

SCART's add-ons ignore the status of an answer. The add-ons count a report as delivered unless the
body of the answer is JSON with a ``message``. So the body of each error is JSON with a ``message``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hashscan.service.answers import address_of, body_of, later
from hashscan.service.intake.form import MOST_BYTES, ReportRefusedError, fields, read
from hashscan.service.intake.record import IntakeRow
from hashscan.service.limits import Limiter
from hashscan.service.passwords import TooManyError
from hashscan.service.protocol import Protocol
from hashscan.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.requests import Request

    from hashscan.service.intake.box import Box
    from hashscan.service.intake.links import Links
    from hashscan.service.intake.record import Requests
    from hashscan.service.intake.tokens import TokenSenders

REPORTS = "/api/v1/reports"
_TOO_LONG = f"the report has more than {MOST_BYTES >> 20} MiB; split it"
#: Largest number of simultaneous reports with one token.
_PLACES = 32
#: Largest burst of requests with one token, in seconds of the rate: SCART sends one report for each
#: IP address.
_BURST = 10.0


class JsonProtocol(Protocol):
    """A connection whose refusals are JSON, like all errors of the intake."""

    @staticmethod
    def refusal(why: str) -> tuple[str, bytes]:
        """Return the type and the body of the error for bytes that are no whole request."""
        return "application/json", json.dumps(_error(why)).encode()


class Intake:
    """Handles reports of senders; has the state that all requests share."""

    def __init__(self, senders: TokenSenders, record: Requests, box: Box, *, rate: float) -> None:
        """``rate``: number of requests a second that the intake allows with one token."""
        self.senders = senders
        self.record = record
        self._box = box
        self._limits = Limiter(rate, max(1.0, _BURST * rate))
        self._running: dict[str, int] = {}

    def sender(self, request: Request) -> str:
        """Return the sender whose token is in the request.

        Raises:
            HTTPException: 401: a wrong token; or 429: too many wrong tokens or requests.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorized("there is no token; send the header 'Authorization: Bearer TOKEN'")
        try:
            name = self.senders.name_of(token.strip(), address_of(request))
        except TooManyError as error:
            raise later(429, error.seconds, "too many wrong tokens from this address") from None
        if name is None:
            raise _unauthorized("the token is wrong; ask the provider for another one")
        request.scope["state"]["proven"]()
        if wait := self._limits.wait(name):
            raise later(429, wait, "too many requests with this token")
        return name

    async def report(self, request: Request) -> Response:
        """Answer ``POST /api/v1/reports`` after the notice in the report is on the disk."""
        sender = self.sender(request)
        outcome = "error"
        try:
            with self._place(sender):
                body = await body_of(
                    request,
                    MOST_BYTES,
                    f"the report has more than {MOST_BYTES >> 20} MiB; split it",
                )
                # Reports are read in threads, because a large report takes a second.
                kind, found = request.headers.get("content-type", ""), dict[str, str]()
                try:
                    found = await asyncio.to_thread(fields, body, kind)
                    report = await asyncio.to_thread(read, found, sender)
                except ReportRefusedError as error:
                    await self._box.refuse(sender, error.detail, found.get("urls", ""))
                    raise
                key = hashlib.sha256(sender.encode() + b"\0" + body).digest()
                taken = await self._box.add(report, key)
            outcome = taken.id
        except HTTPException as error:
            outcome = str(error.status_code)
            raise
        finally:
            self.note(request, sender, outcome)
        data: dict[str, object] = {
            "id": taken.id,
            "items": len(report.notice.items),
            "deadline": rfc3339(taken.deadline),
            "repeat_of": taken.repeat_of,
            "remarks": list(report.notice.remarks),
        }
        return JSONResponse({"data": data}, 201, background=BackgroundTask(self._box.answered, key))

    def note(self, request: Request, sender: str, outcome: str) -> None:
        """Add a request to the audit: the request's path, without its query and its token."""
        path = f"{request.method} {request.scope['path']}"
        self.record.note(IntakeRow(time.time(), sender, address_of(request), path, outcome))

    @contextlib.contextmanager
    def _place(self, sender: str) -> Iterator[None]:
        """Count a report of the sender; the limit for each sender bounds the reports in memory.

        Raises:
            HTTPException: 429: the sender has as many reports in progress as the intake allows.
        """
        running = self._running.get(sender, 0)
        if running >= _PLACES:
            raise later(429, 1.0, "too many simultaneous reports with this token")
        self._running[sender] = running + 1
        try:
            yield
        finally:
            self._running[sender] -= 1


def application(intake: Intake, links: Links) -> Starlette:
    """Return the ASGI application of the intake."""

    async def link(request: Request) -> Response:
        return await links.answer(intake, request)

    routes = [
        Route(REPORTS, intake.report, methods=["POST"]),
        Route("/healthz", _health, methods=["GET"]),
        Route(links.options.path, link, methods=["GET"]),
    ]
    handlers = {HTTPException: explain, ClientDisconnect: _gone, Exception: _fault}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


async def _health(request: Request) -> Response:
    del request
    return PlainTextResponse("ok")


async def explain(request: Request, error: Exception) -> Response:
    """Return the JSON answer to a refused request."""
    del request
    assert isinstance(error, HTTPException)
    errors = error.errors if isinstance(error, ReportRefusedError) else {}
    return JSONResponse(_error(error.detail, errors), error.status_code, error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    """Return an answer for a client that disconnected before its request was complete."""
    del request, error
    return JSONResponse(_error("the request is incomplete"), 400)


async def _fault(request: Request, error: Exception) -> Response:
    del request, error
    return JSONResponse(_error("internal error; the report was not taken"), 500)


def _error(message: str, errors: Mapping[str, list[str]] | None = None) -> dict[str, object]:
    return {"message": message, "errors": dict(errors or {})}


def _unauthorized(why: str) -> HTTPException:
    return HTTPException(401, why, {"WWW-Authenticate": 'Bearer realm="hashscan"'})
