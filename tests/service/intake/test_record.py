"""The intake's audit."""

import contextlib
import sqlite3

from sent_reports import REPORT

from hashscan.service.intake.serve import data_of


def test_the_audit_has_neither_tokens_nor_urls(tmp_path, run_in):
    with run_in(tmp_path) as one:
        identifier = one.post(REPORT).json()["data"]["id"]
        one.post({"urls": ""})
        one.post(REPORT, token="wrong-token")
    path = data_of(one.state).path("audit.sqlite3")
    with contextlib.closing(sqlite3.connect(path)) as found:
        rows = found.execute("SELECT user, address, request, outcome FROM request").fetchall()
    assert rows == [
        ("hotline", "127.0.0.1", "POST /api/v1/reports", identifier),
        ("hotline", "127.0.0.1", "POST /api/v1/reports", "422"),
    ]
    with open(path, "rb") as file:
        content = file.read()
    for secret in (one.token, "wrong-token", "img.example"):
        assert secret.encode() not in content
