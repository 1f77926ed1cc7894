"""The summary of the day."""

import time

import pytest

from hashscan.audit import log as audit_log
from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog
from hashscan.audit.reader import read
from hashscan.audit.recorder import Recorder
from hashscan.notify.daily import Daily, last_time
from hashscan.text import rfc3339

WHO = Who(0, "root", "daemon")


@pytest.fixture
def at(monkeypatch):
    """Sets the time of the audit log's lines."""
    monkeypatch.setenv("TZ", "Europe/Amsterdam")
    time.tzset()
    now = [1_795_000_000.0]
    monkeypatch.setattr(audit_log, "rfc3339", lambda: rfc3339(now[0]))
    yield now
    monkeypatch.undo()
    time.tzset()


def writer(state):
    return Recorder(AuditLog(str(state)), WHO)


def digests(state):
    return [one.facts for one in read(str(state)) if one.event == "daily-digest"]


def test_a_summary_once_a_day_with_the_counts_of_the_day(tmp_path, at):
    log = AuditLog(str(tmp_path))
    due = last_time("08:00", at[0] + 86400)
    at[0] = due - 90000
    log.append("match", WHO, action="quarantined")
    at[0] = due - 100
    daily = Daily(str(tmp_path), ["08:00"], writer(tmp_path), clock=lambda: at[0])
    daily.step()
    before = len(digests(tmp_path))
    for action in ("quarantined", "quarantined", "reported"):
        log.append("match", WHO, action=action)
    log.append("scan-ended", WHO)
    for _ in range(5):
        at[0] += 40
        daily.step()
    (found,) = digests(tmp_path)[before:]
    assert found["at"] == "08:00"
    assert found["counts"] == {"matches quarantined": 2, "matches reported": 1, "scans": 1}
    # A process that starts later the same day writes none.
    Daily(str(tmp_path), ["08:00"], writer(tmp_path), clock=lambda: at[0]).step()
    assert len(digests(tmp_path)) == before + 1
    at[0] += 86400
    daily.step()
    assert len(digests(tmp_path)) == before + 2


def test_a_new_installation_gets_no_summary_of_the_time_before(tmp_path, at):
    AuditLog(str(tmp_path)).append("scan-ended", WHO)
    at[0] += 60
    Daily(str(tmp_path), ["08:00", "20:00"], writer(tmp_path), clock=lambda: at[0]).step()
    assert digests(tmp_path) == []
