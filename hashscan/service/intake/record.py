"""Who sent a report or asked for a link, when, and what came of it; never a token or a URL."""

from __future__ import annotations

from typing import NamedTuple

from hashscan.service.record import Record


class Row(NamedTuple):
    """One request with a right token.

    Attributes:
        user: name of the token.
        request: method and path, without the query.
        outcome: id of the notice, the link's state, or the status of an error.
    """

    time: float
    user: str
    address: str
    request: str
    outcome: str


class Requests(Record):
    """The audit of the intake. Requests with wrong tokens are only counted: they are unbounded."""

    table = "request"
    columns = (
        "time REAL NOT NULL, user TEXT NOT NULL, address TEXT NOT NULL, request TEXT NOT NULL,"
        " outcome TEXT NOT NULL"
    )
