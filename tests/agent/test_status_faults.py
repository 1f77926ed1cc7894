"""hashscan.agent.status: status makes nothing, and names faults of the audit log and of withdrawals."""

import pytest

from hashscan.agent import status as module
from hashscan.agent.reasons import Fault, Reason
from hashscan.agent.status import status_of
from hashscan.config.settings import Settings
from hashscan.errors import StateError


@pytest.fixture
def settings(tmp_path):
    return Settings.of(
        state=str(tmp_path / "state"), quarantine={"directory": str(tmp_path / "quarantine")}
    )


def refuses(error):
    def read(*_given):
        raise error

    return read


def test_a_status_of_nothing_makes_nothing(settings, tmp_path):
    found = status_of(settings)
    assert list(tmp_path.iterdir()) == []
    assert (found.catalog, found.quarantine, found.holds, found.receivers) == (None, {}, (), ())
    assert found.running is None
    assert not found.alive
    assert not any("quarantine" in one.message for one in found.uncovered)


def test_a_fault_of_the_audit_log_is_a_trouble(settings, monkeypatch):
    monkeypatch.setattr(module, "fault_of", lambda _directory: "line 7 is missing")
    assert Fault(Reason.AUDIT, "line 7 is missing") in status_of(settings).trouble


def test_withdrawals_that_cannot_be_read_are_not_called_none(settings, monkeypatch):
    monkeypatch.setattr(module, "held_withdrawals", refuses(StateError("x: it is damaged")))
    assert Fault(Reason.STATE, "x: it is damaged") in status_of(settings).uncovered


@pytest.mark.parametrize(
    ("restore", "words"),
    [("auto", "the daemon puts them back"), ("ask", "they are innocent by now, so put them back")],
)
def test_who_puts_withdrawn_files_back(tmp_path, monkeypatch, restore, words):
    settings = Settings.of(
        state=str(tmp_path / "state"),
        quarantine={"directory": str(tmp_path / "quarantine"), "restore_withdrawn": restore},
    )
    counts = module.Counter({module.WITHDRAWN: 2})
    monkeypatch.setattr(module, "quarantine_counts", lambda *_given: counts)
    (fault,) = [one for one in status_of(settings).uncovered if one.reason is Reason.WITHDRAWN]
    assert f"2 files in quarantine whose digest the service withdrew; {words}" in fault.message
