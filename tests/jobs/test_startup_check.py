"""hashscan.jobs.startup_check: a start that waits for filters that were never fetched."""

from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.errors import (
    FilterError,
    StateError,
)
from hashscan.jobs import (
    startup_check,
)

URL = "https://filters.example/"


def settings_of(tmp_path, **sections):
    return Settings.of(state=str(tmp_path / "state"), **sections)


@pytest.fixture
def repository(tmp_path):
    return settings_of(
        tmp_path, filter={"source": URL, "root": str(tmp_path / "r"), "categories": ["a", "b"]}
    )


@pytest.mark.parametrize("keep", [True, False])
def test_filters_that_were_never_fetched(monkeypatch, repository, tmp_path, keep):
    calls, error = [], [None]

    def opens(*_a, **_k):
        calls.append("known set")
        if error[0]:
            raise error[0]

    allow = SimpleNamespace(close=lambda: calls.append("closed"))
    monkeypatch.setattr(startup_check, "open_allow", lambda *_: allow)
    monkeypatch.setattr(startup_check, "check_allow", lambda *_: calls.append("allow"))
    monkeypatch.setattr(startup_check, "check_root", lambda *_: calls.append("root"))
    monkeypatch.setattr(startup_check, "open_known_set", opens)
    monkeypatch.setattr(startup_check, "check_known_set", opens)
    service = {"kind": "local", "known": ["/a"]}
    local = settings_of(tmp_path, service=service)
    assert startup_check.not_fetched_yet(local, None, print, keep=keep) is None
    assert calls == (["closed", "known set"] if keep else ["allow", "root", "known set"])
    error[0] = FilterError("not there")
    with pytest.raises(FilterError):
        startup_check.not_fetched_yet(local, None, print, keep=keep)
    both = repository.model_copy(update={"service": local.service})
    assert startup_check.not_fetched_yet(both, None, print, keep=keep) is error[0]
    error[0] = StateError("no room")
    with pytest.raises(StateError):
        startup_check.not_fetched_yet(both, None, print, keep=keep)
