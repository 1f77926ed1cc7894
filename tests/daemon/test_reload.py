"""Other settings for a daemon that runs: which are used, and when."""

from types import SimpleNamespace

import pytest
from daemon_loop import thrown
from reload_parts import Job

from hashscan.daemon import (
    reload,
)
from hashscan.daemon.background_job import Failure
from hashscan.daemon.log import Repeats
from hashscan.daemon.reload import Reloading
from hashscan.errors import FilterError, UsageError


@pytest.fixture
def tried(monkeypatch, log):
    """Settings that are tried out; ``missing``: what each try finds missing."""
    missing = []
    monkeypatch.setattr(reload, "require_volumes", lambda _settings: None)
    monkeypatch.setattr(reload, "require_service", lambda _settings: None)

    def not_fetched_yet(_settings, state, notice, *, keep):
        assert (state, keep) == ("state", True), "filters made from lists are kept for the scans"
        notice("a notice")
        return missing.pop(0) if missing else None

    monkeypatch.setattr(reload, "not_fetched_yet", not_fetched_yet)
    jobs = []

    def background(job):
        jobs.append(Job("report"))
        jobs[-1].job = job
        return jobs[-1]

    monkeypatch.setattr(reload, "Background", background)
    return Reloading("state", log, Repeats(log)), missing, jobs


OLD, NEW = SimpleNamespace(state="/s"), SimpleNamespace(state="/s")


def test_settings_that_can_be_used_are_used(tried):
    found, _, jobs = tried
    assert found.begin(NEW, OLD) is NEW
    assert (jobs, found.connections) == ([], [])
    with pytest.raises(UsageError, match="cannot be changed by a reload"):
        found.begin(SimpleNamespace(state="/other"), OLD)


def test_settings_without_a_volume_or_a_service_are_refused(tried, monkeypatch):
    found, _, jobs = tried
    for name in ("require_volumes", "require_service"):
        with monkeypatch.context() as patch, pytest.raises(UsageError, match=name):
            patch.setattr(reload, name, thrown(UsageError(name)))
            found.begin(NEW, OLD)
    assert jobs == []


def test_filters_of_new_settings_are_fetched_first(tried, out, monkeypatch):
    found, missing, jobs = tried
    missing.append(FilterError("no baseline yet"))
    assert found.begin(NEW, OLD) is None
    assert "are fetched first, the old one stays until then: no baseline yet" in out.getvalue()
    assert found.connections == ["connection"]
    syncs = []
    monkeypatch.setattr(reload, "run_sync", lambda *given, by: syncs.append((*given, by)))
    jobs[0].job()
    assert syncs == [(NEW, "state", "daemon")]
    assert found.take() is NEW
    assert out.getvalue().count("a notice") == 1
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
