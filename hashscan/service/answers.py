"""Helpers for requests and answers, which all HTTP services of hashscan share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.requests import Request


def later(status: int, seconds: float, why: str) -> HTTPException:
    """Return an HTTP error with ``Retry-After``: the seconds until the client may try again."""
    return HTTPException(status, why, {"Retry-After": str(max(1, math.ceil(seconds)))})


def address_of(request: Request) -> str:
    """Return the client's address; empty if the client is connected over a Unix socket."""
    return request.client.host if request.client else ""


async def body_of(request: Request, most: int, why: str) -> bytes:
    """Return the body of an HTTP request.

    Raises:
        HTTPException: 413 with the text ``why``: the body has more than ``most`` bytes.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(413, why)
    return bytes(body)
