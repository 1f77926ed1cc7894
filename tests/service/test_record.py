"""The audit's table: old rows, wrong clocks, and rows that cannot be written."""

import os
import sqlite3
import subprocess
import sys
import time

import pytest

from hashscan.errors import StateError
from hashscan.service.audit import Audit, ServiceRow


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


def row_of(user, address="::1"):
    return ServiceRow(time.time(), user, address, False, "sha1", b"x", "true")


def test_users_of_the_rows_the_latest_last(prepared):
    audit = Audit(prepared.data)
    for user, address in (("a", "::1"), ("b", "::1"), ("a", "::2"), ("a", "::1")):
        assert audit.note(row_of(user, address))
    assert audit.users() == []
    audit.commit()
    assert audit.users() == [("b", "::1"), ("a", "::2"), ("a", "::1")]
    audit.close()


def test_rows_that_wait_are_bounded(prepared, monkeypatch):
    monkeypatch.setattr("hashscan.service.record._WAITING", 2)
    audit = Audit(prepared.data)
    assert [audit.note(row_of(user)) for user in "abc"] == [True, True, False]
    audit.commit()
    assert audit.note(row_of("d"))
    audit.close()


def test_an_audit_that_is_no_database_is_named(prepared):
    with open(prepared.data.path("audit.sqlite3"), "wb") as file:
        file.write(b"no database" * 1000)
    with pytest.raises(StateError, match=r"audit\.sqlite3: the audit cannot be opened: .*not a"):
        Audit(prepared.data)
