"""hashscan.jobs.decide_holds: what a killed decision about a hold leaves for the next one."""

import hashlib
from unittest.mock import Mock

import pytest

from hashscan.config.settings import Settings
from hashscan.jobs import decide_holds
from hashscan.jobs.release_holds import Released
from hashscan.model import FileDigests
from hashscan.quarantine.dismissed_digests import Dismissed, entries_of
from hashscan.quarantine.hold_types import HoldState
from hashscan.quarantine.holds import Holds
from hashscan.state import State

DIGESTS = FileDigests(sha1=hashlib.sha1(b"known").digest())


@pytest.fixture
def settings(tmp_path):
    return Settings(state=str(tmp_path / "state"))


@pytest.fixture
def state(settings):
    return State(settings.state)


@pytest.fixture
def holds(state):
    with Holds(state.holds) as one:
        one.hold_list("baseline", "1", 1, [DIGESTS])
        yield one


def test_a_release_undoes_what_a_killed_dismissal_allowed(settings, state, holds, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Holds, "dismiss", _killed)
        decide_holds.dismiss(settings, state, holds, 1, "a stock image")
    assert holds.get(1).state is HoldState.HELD
    assert len(entries_of(state.dismissed)) == 1
    monkeypatch.setattr(decide_holds, "move_released", lambda *_, **__: Released())
    hold, _ = decide_holds.release(settings, state, holds, 1, "", Mock())
    assert hold.state is HoldState.RELEASED
    assert Dismissed(state.dismissed).find(DIGESTS) is None


def _killed(*_args, **_more):
    raise KeyboardInterrupt
