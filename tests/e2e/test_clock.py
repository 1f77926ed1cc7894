"""A wall clock that is wrong, or jumps while the daemon runs, removes nothing for good."""

import signal

import pytest
from running_daemon import Daemon
from shifted_clock import ShiftedClock

KNOWN = b"known content\n" * 40
YEAR = 365 * 86400


@pytest.fixture
def clock(tmp_path):
    return ShiftedClock(tmp_path)


@pytest.fixture
def daemon(tmp_path, clock):
    with Daemon(tmp_path, known=[KNOWN], watch="off") as one:
        text = one.config.read_text()
        one.config.write_text(
            text.replace("action: quarantine}", "action: quarantine, retention: 90d}")
        )
        (one.volume / "x").write_bytes(KNOWN)
        yield one


def contents(daemon):
    return list((daemon.state / "quarantine").glob("*/content"))


def rescanned(daemon):
    """Reload: the daemon then applies the retention again."""
    before = len(daemon.summaries)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait(lambda: len(daemon.summaries) > before)


def test_a_clock_far_ahead_at_the_start(daemon, clock):
    daemon.start(env=clock.env)
    assert daemon.end() == 0
    assert len(contents(daemon)) == 1
    clock.set(20 * YEAR)
    daemon.start(env=clock.env, until="")
    daemon.wait(lambda: daemon.logged("1 contents are kept, though the clock says"))
    assert daemon.end() == 0
    assert len(contents(daemon)) == 1


def test_a_clock_that_jumps_while_the_daemon_runs(daemon, clock):
    daemon.start(env=clock.env)
    for offset in (20 * YEAR, -20 * YEAR, 0):
        clock.set(offset)
        rescanned(daemon)
        assert len(contents(daemon)) == 1
    assert daemon.logged("1 contents are kept, though the clock says")
    assert daemon.end() == 0


def test_status_and_purge_say_why_something_is_kept(daemon, clock, monkeypatch):
    daemon.start(env=clock.env)
    assert daemon.end() == 0
    clock.set(20 * YEAR)
    for name, value in clock.env.items():
        monkeypatch.setenv(name, value)
    status = daemon.hashscan("status")
    assert "see to      quarantine: 1 contents are kept, though the clock says" in status.stdout
    assert "retention   90d: contents quarantined before 2" in status.stdout
    purge = daemon.hashscan("quarantine", "purge", "--yes")
    assert purge.returncode == 0
    assert "nothing to purge" in purge.stdout
    assert "1 contents are kept, though the clock says" in purge.stderr
    assert len(contents(daemon)) == 1
