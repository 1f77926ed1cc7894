"""hashscan.jobs.sync: a sync in the audit log."""

import io
from contextlib import suppress
from types import SimpleNamespace

import pytest

from hashscan.audit import events
from hashscan.audit.reader import read
from hashscan.config.settings import Settings
from hashscan.daemon import reload
from hashscan.daemon.log import Log
from hashscan.daemon.reload import Reloading
from hashscan.errors import (
    ConfigError,
    FilterError,
    LockedError,
)
from hashscan.jobs import (
    sync,
)
from hashscan.jobs import sync as syncing
from hashscan.known.sync.client import CategoryReport, SyncReport
from hashscan.output.history import sentence
from hashscan.state import State

URL = "https://filters.example/"


@pytest.fixture
def repository(tmp_path):
    source = {"source": URL, "root": str(tmp_path / "r"), "categories": ["a", "b"]}
    return Settings.of(state=str(tmp_path / "state"), filter=source)


@pytest.fixture
def sync_lines(repository, tmp_path, monkeypatch):
    """Runs a sync with a result; returns its lines of the audit log."""

    def run(result, by):
        def sync(_source, _filters, *, on_notice):
            del on_notice
            before = [one.event for one in read(str(tmp_path / "state"))]
            assert before == [events.SYNC_STARTED], "the line comes before the act"
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr("hashscan.known.sync.client.sync", sync)
        monkeypatch.setattr("hashscan.config.trust.require_trusted", lambda *_, **_named: None)
        monkeypatch.setattr("hashscan.config.password.read_filter_password", lambda _: None)
        with suppress(LockedError):
            assert syncing.run_sync(repository, State(str(tmp_path / "state")), by=by) is result
        return list(read(str(tmp_path / "state")))

    return run


def test_a_sync_has_a_line_before_and_one_after_it(sync_lines):
    categories = (
        CategoryReport("a", "updated", version="7"),
        CategoryReport("b", "unreachable", message="no answer"),
    )
    began, ended = sync_lines(SyncReport(URL, categories, 5), "daemon")
    assert (began.who.by, began.facts["source"]) == ("daemon", URL)
    assert ended.facts == {
        "source": URL, "states": ["a updated 7", "b unreachable"], "message": "no answer",
    }  # fmt: skip
    assert sentence(ended) == f"sync of {URL} ended: a updated 7, b unreachable: no answer"


def test_a_sync_that_fails_has_a_line_with_the_reason(sync_lines):
    began, ended = sync_lines(LockedError("another process syncs"), "command")
    assert (began.event, ended.event) == (events.SYNC_STARTED, events.SYNC)
    assert sentence(ended) == f"sync of {URL} ended: another process syncs"


def test_the_sync_of_a_reload_is_the_daemons(monkeypatch, repository):
    by = []
    monkeypatch.setattr(reload, "require_volumes", lambda _: None)
    monkeypatch.setattr(reload, "require_service", lambda _: None)
    monkeypatch.setattr(Reloading, "_try", lambda *_: FilterError("no filter yet"))
    monkeypatch.setattr(reload, "run_sync", lambda *_, **named: by.append(named))
    monkeypatch.setattr(reload, "Background", lambda job: job())
    Reloading(None, Log(io.StringIO(), io.StringIO()), None).begin(repository, repository)
    assert by == [{"by": "daemon"}]


URL = "https://filters.example/"


def settings_of(tmp_path, **sections):
    return Settings.of(state=str(tmp_path / "state"), **sections)


@pytest.mark.parametrize(
    ("sections", "what", "fix"),
    [
        ({}, "no repository is named", "write its URL"),
        (
            {"filter": {"source": "/f.filter"}},
            "is a file, not a repository",
            "scans use it without sync",
        ),
        (
            {"service": {"kind": "local", "known": ["/l"]}},
            "no repository is named",
            "scans make the filter from service.known, without sync",
        ),
    ],
)
def test_without_a_repository_there_is_nothing_to_sync(tmp_path, sections, what, fix):
    settings = settings_of(tmp_path, **sections)
    assert sync.from_repository(settings) is False
    with pytest.raises(ConfigError) as caught:
        sync.source_of(settings)
    (finding,) = caught.value.findings
    assert finding.what == what
    assert finding.fix.startswith(fix)
    assert finding.fix.endswith("write its URL, and the root key to trust as filter.root")
    sync.check_root(settings)  # there is none to check
    with pytest.raises(ConfigError):
        sync.run_sync(settings, None)


def test_the_configured_repository(repository, tmp_path, monkeypatch):
    assert sync.from_repository(repository) is True
    source = sync.source_of(repository, password="p")
    assert (source.url, source.categories, source.password) == (URL, ("a", "b"), "p")
    assert source.root == str(tmp_path / "r")
    with pytest.raises(FilterError):
        sync.check_root(repository)
    kept = [SimpleNamespace(loaded=one) for one in ("one", "two")]
    ages = []
    monkeypatch.setattr(sync, "open_kept", lambda _s, _d, *, max_age: ages.append(max_age) or kept)
    assert sync.open_filters(repository, SimpleNamespace(filters="d")) == ("one", "two")
    assert ages == [repository.filter.max_age]
