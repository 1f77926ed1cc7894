"""hashscan.jobs.status: it makes nothing, and names faults of the audit log and withdrawals."""

from collections import Counter
from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.errors import StateError
from hashscan.jobs import status as module
from hashscan.jobs.complaint_reasons import Reason, ReasonFault
from hashscan.jobs.status import status_of


@pytest.fixture
def settings(tmp_path):
    return Settings.of(
        state=str(tmp_path / "state"),
        quarantine={"directory": str(tmp_path / "quarantine"), "retention": "90d"},
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
    assert ReasonFault(Reason.AUDIT, "line 7 is missing") in status_of(settings).trouble


def test_withdrawals_that_cannot_be_read_are_not_called_none(settings, monkeypatch):
    monkeypatch.setattr(module, "held_withdrawals", refuses(StateError("x: it is damaged")))
    assert ReasonFault(Reason.STATE, "x: it is damaged") in status_of(settings).uncovered


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


def test_the_age_of_a_filter_is_never_negative(monkeypatch):
    """A clock that was set back makes no filter younger than new."""
    one = SimpleNamespace(
        version="1", path="/f", tiers=SimpleNamespace(names=()), tiers_unused="",
        metadata=SimpleNamespace(created_seconds=100.0, created="then", digests=3),
    )  # fmt: skip
    for now, verified, age in (
        (100.25, None, 0.25), (99.0, None, 0.0), (160.0, 130.0, 30.0), (120.0, 130.0, 0.0),
    ):  # fmt: skip
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda now=now: now))
        assert module._filter("a", one, verified).age == age


def test_damaged_records_are_a_trouble_and_doubtful_contents_a_gap(settings, monkeypatch):
    counts = {"damaged": 2, "doubtful": 3, "quarantined": 7}
    monkeypatch.setattr(module, "quarantine_counts", lambda *_given: Counter(counts))
    found = status_of(settings)
    (trouble,) = [one.message for one in found.trouble if one.reason is Reason.QUARANTINE]
    assert trouble.startswith("2 records of the quarantine are damaged: ")
    (gap,) = [one.message for one in found.uncovered if one.reason is Reason.QUARANTINE]
    assert gap.startswith("quarantine: 3 contents are kept, though the clock says that they are ")
    assert found.quarantine == {"damaged": 2, "quarantined": 7}
