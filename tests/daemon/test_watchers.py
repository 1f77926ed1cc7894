"""hashscan.daemon.watchers: a process that hangs is noticed, given up and started again."""

import errno
import io
import os
import signal
import time

import pytest

from hashscan.daemon.log import Log
from hashscan.daemon.watch_coverage import Coverages
from hashscan.daemon.watchers import Watches
from hashscan.fs.volume import Volume
from hashscan.watch import process


def turn(watches, seconds, until=lambda: False):
    end = time.monotonic() + seconds
    told = []
    while time.monotonic() < end and not until():
        watches.step()
        told += watches.take([one for one in watches.connections if one.poll(0.05)])
    return told


@pytest.fixture
def made(tmp_path, monkeypatch):
    # Signs of life come often here, so that a process on a loaded machine does not seem to hang.
    monkeypatch.setattr(process, "_ALIVE_AFTER", 0.2)
    monkeypatch.setattr(process, "_POLL", 0.2)
    err = io.StringIO()
    log = Log(io.StringIO(), err)
    volumes = [Volume(os.fsencode(tmp_path))]
    coverage = Coverages(volumes, None, log)
    again = []
    watches = Watches(
        volumes,
        ["inotify"],
        coverage,
        log,
        before_fork=lambda: None,
        on_again=again.append,
        on_silent=lambda _number: None,
        is_silent=lambda _number: False,
        silent_after=10.0,
    )
    yield watches, coverage, again, err
    watches.close()


def test_one_that_hangs_is_started_again_and_what_it_missed_is_scanned(made, tmp_path):
    watches, coverage, again, err = made
    turn(watches, 10, lambda: coverage.has_report(0))
    assert coverage.has_report(0)
    (pid,) = watches.pids
    os.kill(pid, signal.SIGSTOP)
    turn(watches, 30, lambda: watches.deaths)
    assert watches.deaths == 1
    assert "no sign of life" in err.getvalue()
    assert coverage.partly_watched() == [0]
    turn(watches, 10, lambda: again and coverage.has_report(0))
    assert again == [0]
    assert not os.path.exists(f"/proc/{pid}")
    assert coverage.partly_watched() == []
    (tmp_path / "x").touch()
    told = turn(watches, 2)
    assert {one.name for one in told} == {b"x"}


def test_one_that_has_nothing_to_tell_does_not_hang(made):
    watches, coverage, _, _ = made
    turn(watches, 30, lambda: coverage.has_report(0))
    (watching,) = [one.process for one in watches._watches]
    signs = {watching.heard}

    def has_shown_life():
        signs.add(watching.heard)
        return len(signs) > 4

    assert turn(watches, 30, has_shown_life) == []
    assert len(signs) > 4
    assert watches.deaths == 0


def test_none_is_left_behind(made):
    watches, *_ = made
    (pid,) = watches.pids
    watches.close()
    assert not os.path.exists(f"/proc/{pid}")
    assert watches.pids == watches.connections == []
    watches.close()


def test_why_nothing_can_be_watched_is_reported(made, monkeypatch):
    watches, coverage, _, err = made
    monkeypatch.setattr(process, "Mounts", refuse)
    (pid,) = watches.pids
    os.kill(pid, signal.SIGKILL)
    turn(watches, 10, lambda: "nothing can be watched" in err.getvalue())
    assert coverage.partly_watched() == [0]
    assert "nothing can be watched: too many open files: this process may have" in err.getvalue()


def refuse(_volumes):
    raise OSError(errno.EMFILE, "Too many open files", "/proc/self/mountinfo")
