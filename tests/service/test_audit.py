"""The service's audit: every question is on record, and no digest can be read from it."""

import base64
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import requests
from publishing import random_digests

from hashscan.model import Digest
from hashscan.service.audit import Audit, ServiceRow

PASSWORD = "a pässword: of some length"


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


def test_old_rows_are_removed(prepared):
    audit = Audit(prepared.data, days=1.0)
    for age in (0, 2 * 86400):
        audit.note(ServiceRow(time.time() - age, "me", "::1", False, "sha1", b"x", "true"))
    audit.commit()
    count = audit._connection.execute("SELECT count(*) FROM question").fetchone()
    audit.close()
    assert count == (1,)


def test_a_clock_far_ahead_removes_no_row(prepared, monkeypatch):
    from hashscan.service import record as audit_module
    from hashscan.timeline import instant

    def opened(by, passed=0.0):
        def shifted():
            now = instant()
            return now._replace(wall=now.wall + by + passed, boottime=now.boottime + passed)

        monkeypatch.setattr(audit_module, "instant", shifted)
        one = Audit(prepared.data, days=30.0)
        one.note(ServiceRow(shifted().wall, "me", "::1", False, "sha1", b"x", "true"))
        one.commit()
        count = one._connection.execute("SELECT count(*) FROM question").fetchone()[0]
        one.close()
        return count

    year = 365 * 86400.0
    assert opened(0) == 1
    assert opened(20 * year) == 2
    assert opened(-20 * year) == 3
    os.unlink(prepared.data.path("clock.json"))
    assert opened(0) == 4
    # In time they go, but for those that are still in the future.
    assert opened(0, passed=31 * 86400.0) == 2


def test_what_cannot_be_put_on_record_is_not_answered(prepared):
    """The audit's disk is full: no answers until it has room; `trouble` says why."""
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from hashscan.service.data import Data\n"
        "from hashscan.service.audit import Audit, ServiceRow\n"
        "audit = Audit(Data(sys.argv[1]))\n"
        "row = ServiceRow(1.0, 'me', '::1', False, 'sha1', b'x' * 32, 'true')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
        "assert all(audit.note(row) for _ in range(1000))\n"
        "audit.commit()\n"
        "assert 'questions are refused' in audit.trouble, audit.trouble\n"
        "assert not audit.note(row)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "audit.commit()\n"
        "assert not audit.trouble, audit.trouble\n"
        "assert audit.note(row)\n"
        "audit.close()\n"
    )
    subprocess.run([sys.executable, "-c", script, prepared.data.directory], check=True)
    rows = sqlite3.connect(prepared.data.path("audit.sqlite3"))
    assert rows.execute("SELECT count(*) FROM question").fetchone() == (1001,)
