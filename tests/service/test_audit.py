"""The service's audit: every question is on record, and no digest can be read from it."""

import base64
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import requests
from publishing import random_digests
from service_clients import PASSWORD

from hashscan.model import Digest
from hashscan.service.audit import Audit


def test_every_question_is_on_record_and_no_digest_leaks(prepared):
    asked = [*prepared.known[:20], *random_digests(20)]
    with subprocess.Popen(
        [sys.executable, "-m", "hashscan", "service", "run", "--data", prepared.data.directory,
         "--listen", "127.0.0.1:0"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        line = process.stderr.readline().decode()
        prepared.url = line.split()[-1]
        client = prepared.client()
        for digest in asked:
            client.confirm(Digest("sha1", digest))
        client.close()
        requests.post(
            f"{prepared.url}/v1/check/sha1", asked[0], auth=("me", "wrong-word"), timeout=60
        )
        process.send_signal(signal.SIGTERM)
        told = line.encode() + b"".join(process.communicate())
    assert process.returncode == 0
    rows = (
        sqlite3.connect(prepared.data.path("audit.sqlite3"))
        .execute("SELECT user, address, test, algorithm, digest, answer FROM question")
        .fetchall()
    )
    assert [row[5] for row in rows] == ["true"] * 20 + ["false"] * 20
    assert {row[:4] for row in rows} == {("me", "127.0.0.1", 0, "sha1")}
    audit = Audit(prepared.data)
    assert [row[4] for row in rows] == [audit.keyed("sha1", bytes.fromhex(d)) for d in asked]
    audit.close()
    files = {
        path: path.read_bytes()
        for path in Path(prepared.data.directory).rglob("*")
        if path.is_file() and "set-" not in str(path)
    }
    files[Path("stderr")] = told
    for path, content in files.items():
        for digest in asked:
            for form in (digest.encode(), digest.upper().encode(), bytes.fromhex(digest),
                         base64.b64encode(bytes.fromhex(digest))):  # fmt: skip
                assert form not in content, path
        assert PASSWORD.encode() not in content
        assert b"wrong-word" not in content
