"""Other settings for a daemon that runs: which are used, and when."""

from types import SimpleNamespace

import pytest
from reload_parts import Job

from hashscan.daemon import (
    reload,
)
from hashscan.daemon.background_job import Failure
from hashscan.daemon.reload import Reloading
from hashscan.errors import FilterError, UsageError


@pytest.fixture
def tried(monkeypatch, log):
    """Settings that are tried out; ``missing``: what each try finds missing."""
    missing = []
    monkeypatch.setattr(reload, "require_volumes", lambda _settings: None)
    monkeypatch.setattr(reload, "require_service", lambda _settings: None)
    monkeypatch.setattr(
        Reloading, "_try", lambda _self, _settings: missing.pop(0) if missing else None
    )
    jobs = []
    monkeypatch.setattr(reload, "Background", lambda _job: jobs.append(Job("report")) or jobs[-1])
    return Reloading(None, log, None), missing, jobs


OLD, NEW = SimpleNamespace(state="/s"), SimpleNamespace(state="/s")


def test_settings_that_can_be_used_are_used(tried):
    found, _, jobs = tried
    assert found.begin(NEW, OLD) is NEW
    assert (jobs, found.connections) == ([], [])
    with pytest.raises(UsageError, match="cannot be changed by a reload"):
        found.begin(SimpleNamespace(state="/other"), OLD)


def test_filters_of_new_settings_are_fetched_first(tried, out):
    found, missing, jobs = tried
    missing.append(FilterError("no baseline yet"))
    assert found.begin(NEW, OLD) is None
    assert "are fetched first, the old one stays until then: no baseline yet" in out.getvalue()
    assert found.connections == ["connection"]
    assert found.take() is NEW
    assert found.connections == []
    missing += [FilterError("not yet"), FilterError("still not")]
    found.begin(NEW, OLD)
    with pytest.raises(FilterError, match="still not"):
        found.take()
    missing.append(FilterError("not yet"))
    found.begin(NEW, OLD)
    jobs[-1].result = Failure("HashscanError", "no route")
    with pytest.raises(UsageError, match="no route"):
        found.take()


def test_a_second_reload_gives_up_what_the_first_one_fetches(tried):
    found, missing, jobs = tried
    missing.append(FilterError("not yet"))
    found.begin(NEW, OLD)
    assert found.begin(NEW, OLD) is NEW
    assert jobs[0].is_closed
    assert found.connections == []
    found.close()
