"""The audit of the intake: sender, time, path and result of requests, no token, no URL."""

from __future__ import annotations

from typing import NamedTuple

from hashscan.service.record import AuditRecord


class IntakeRow(NamedTuple):
    """One request to the intake with a right token.

    Attributes:
        time: time of the request in seconds since the epoch.
        user: name of the token, which is the name of the sender.
        address: address of the client.
        request: method and path of the request, without the query.
        outcome: id of the notice, answer of the link checker, or status of an error.
    """

    time: float
    user: str
    address: str
    request: str
    outcome: str


class Requests(AuditRecord):
    """The table of requests; requests with wrong tokens have no bound, and are only counted."""

    table = "request"
    columns = (
        "time REAL NOT NULL, user TEXT NOT NULL, address TEXT NOT NULL, request TEXT NOT NULL,"
        " outcome TEXT NOT NULL"
    )
