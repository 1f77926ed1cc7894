"""The link checker: ``GET /api/v1/online?url=…`` says whether a URL's content is still there.

SCART has a link checker of its own for each provider, which ignores the status of an answer. The
only published link checker (AbuseIO/SCART-application, scart/addon/imagetwistCheckonline.php) reads
an empty body as online and any other body as offline. So the answer is *offline* only if the
content is certainly gone, and the form of the answer can be configured.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response

from hashscan.errors import HashscanError
from hashscan.notices.online import Checked, ContentPresence, check
from hashscan.notices.reader import open_existing
from hashscan.notices.sites.sites import Sites
from hashscan.notices.values import LONGEST_URL, url
from hashscan.service.answers import address_of, later
from hashscan.service.connections import network_of
from hashscan.service.intake.form import ReportRefusedError, pairs
from hashscan.service.limits import Limiter
from hashscan.text import one_line, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from hashscan.config.sites import SiteSettings
    from hashscan.state import State

#: Largest number of simultaneous checks of URLs, and of checks that wait.
_THREADS, _WAITING = 2, 64
#: Seconds for the check of a URL. SCART's add-ons wait 20 seconds, and take silence for offline.
_PATIENCE = 10.0
#: Seconds after which changed configurations of web servers are read again.
_FRESH = 10.0
#: Number of checks a second from one address without a token, and largest burst of such checks.
_STRANGERS_RATE, _STRANGERS_BURST = 10.0, 200.0
#: HTTP status of each answer: no error and no redirect, because a client may take these for
#: offline.
_STATUS = {ContentPresence.ONLINE: 200, ContentPresence.OFFLINE: 200, ContentPresence.UNKNOWN: 202}


class LinkAdmission(Protocol):
    """Admits senders, and records their requests; implemented by ``app.Intake``."""

    def sender(self, request: Request) -> str:
        """Return the sender whose token is in the request.

        Raises:
            HTTPException: 401 or 429: the sender may not send this request.
        """
        ...

    def note(self, request: Request, sender: str, outcome: str) -> None:
        """Add a request to the audit."""
        ...


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """The form of the link checker's requests and answers.

    Attributes:
        path: path of the link checker's URL.
        parameter: name of the query's parameter with the URL to check.
        empty: send an empty body unless the answer is *offline*, also for errors.
        without_token: answer clients without a token, too.
        trust_sites: the option of ``notices.online.check``.
    """

    path: str = "/api/v1/online"
    parameter: str = "url"
    empty: bool = False
    without_token: bool = False
    trust_sites: bool = False


class Links:
    """Checks links in separate threads, because a file server may not answer."""

    def __init__(
        self,
        state: State,
        sites: tuple[SiteSettings, ...],
        options: LinkOptions,
        say: Callable[[str], None],
    ) -> None:
        """Start the threads for the checks; the web servers' configurations are read later."""
        self.options = options
        self._state = state
        self._sites = sites
        self._say = say
        self._trouble = ""
        self._threads = ThreadPoolExecutor(_THREADS, "links")
        self._own = threading.local()
        self._waiting = 0
        self._strangers = Limiter(_STRANGERS_RATE, _STRANGERS_BURST)

    def close(self) -> None:
        """End the threads of the checks, without waiting for checks that hang."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def answer(self, intake: LinkAdmission, request: Request) -> Response:
        """Answer a ``GET`` request to the link checker."""
        try:
            sender = self._sender(intake, request)
            found = await self.presence(self._url(request))
        except HTTPException as error:
            if self.options.empty:
                return Response(status_code=error.status_code, headers=error.headers)
            raise
        if sender is not None:
            intake.note(request, sender, found.presence.value)
        return self._response(request, found, detailed=sender is not None)

    async def presence(self, address: str) -> Checked:
        """Check whether the content of a URL is there, within ``_PATIENCE`` seconds."""
        if self._waiting >= _WAITING:
            return Checked(ContentPresence.UNKNOWN, "busy")
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, self._check, address)
        future.add_done_callback(self._done)
        try:
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.shield(future)
        except TimeoutError:
            return Checked(ContentPresence.UNKNOWN, "slow")
        except HashscanError:
            return Checked(ContentPresence.UNKNOWN, "undecided")

    def _sender(self, intake: LinkAdmission, request: Request) -> str | None:
        """Return the sender of a request; ``None``: the client sent no token, and needs none.

        Raises:
            HTTPException: 401 or 429: the sender may not send this request.
        """
        if not self.options.without_token or request.headers.get("authorization"):
            return intake.sender(request)
        if wait := self._strangers.wait(network_of(address_of(request))):
            raise later(429, wait, "too many requests from this address")
        return None

    def _url(self, request: Request) -> str:
        """Return the URL in the request's query.

        Raises:
            ReportRefusedError: the query is not exactly one URL.
        """
        name = self.options.parameter
        found = pairs(request.scope["query_string"])
        if [given for given, _ in found] != [name]:
            raise ReportRefusedError(
                422,
                f"the query must be '{name}=' and one URL, percent-encoded with its ? and &",
                {name: ["is missing, or is not alone"]},
            )
        text = found[0][1]
        address = url(text) if len(text) <= LONGEST_URL else None
        if address is None:
            raise ReportRefusedError(422, "it is no URL", {name: ["is no URL"]})
        return address

    def _response(self, request: Request, found: Checked, *, detailed: bool) -> Response:
        status = _STATUS[found.presence]
        headers = {"Cache-Control": "no-store"}
        if self.options.empty:
            text = found.presence.value if found.presence is ContentPresence.OFFLINE else ""
            return PlainTextResponse(text, status, headers)
        if "json" not in request.headers.get("accept", "").lower():
            return PlainTextResponse(found.presence.value, status, headers)
        known = {ContentPresence.ONLINE: True, ContentPresence.OFFLINE: False}
        data: dict[str, object] = {
            "state": found.presence.value,
            "online": known.get(found.presence),
        }
        if detailed:
            data["reason"] = found.reason
            data["removed"] = None if found.removed is None else rfc3339(found.removed)
        return JSONResponse({"data": data}, status, headers)

    def _done(self, future: asyncio.Future[Checked]) -> None:
        self._waiting -= 1
        if future.cancelled():
            return
        error = future.exception()
        trouble = "" if error is None else one_line(f"a link was not checked: {error}")
        if trouble and trouble != self._trouble:
            self._say(trouble)
        self._trouble = trouble

    def _check(self, address: str) -> Checked:
        now = time.monotonic()
        if not hasattr(self._own, "sites"):
            self._own.sites, self._own.until = Sites(self._sites), now + _FRESH
        if now >= self._own.until:
            self._own.sites.renew()
            self._own.until = now + _FRESH
        reader = open_existing(self._state.notices)
        if reader is None:
            return check(address, None, self._own.sites, trust_sites=self.options.trust_sites)
        with reader:
            return check(address, reader, self._own.sites, trust_sites=self.options.trust_sites)
