"""The publisher's clock: a wrong one signs nothing and removes nothing."""

import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from publishing import all_files

from hashscan import timeline
from hashscan.errors import (
    UsageError,
)
from hashscan.publisher import clock, repository

DAY = 86400.0


@pytest.fixture
def clocks(monkeypatch):
    """A function that sets the machine's clocks forth: the wall clock, and the time that passes."""
    begin = timeline.instant()

    def set_forth(*, wall, passed, boot=begin.boot):
        now = timeline.Instant(begin.boottime + passed, begin.wall + wall, boot)
        monkeypatch.setattr(clock, "instant", lambda: now)

    return set_forth


def test_a_clock_far_ahead_signs_nothing_unless_somebody_says_that_it_is_right(publisher, clocks):
    before = all_files(publisher.path)
    for boot in ("", "the next"):
        clocks(wall=20 * 365 * DAY, passed=3600, **({"boot": boot} if boot else {}))
        for command in (
            publisher.refresh,
            lambda: publisher.rotate("timestamp"),
            lambda: publisher.add(["ab" * 20]),
        ):
            with pytest.raises(UsageError, match="--clock-is-right"):
                command()
    assert all_files(publisher.path) == before
    publisher.refresh(clock_is_right=True)


def test_a_clock_years_ahead_signs_nothing_though_the_snapshot_is_valid(publisher, clocks):
    publisher.refresh(terms={"snapshot": timedelta(days=3650)})
    clocks(wall=5 * 365 * DAY, passed=3600)
    with pytest.raises(UsageError, match=r"1825 days more than the time counted.*--clock-is-right"):
        publisher.refresh()
    clocks(wall=300 * DAY, passed=3600, boot="the next")  # the machine was off
    publisher.refresh()
    clocks(wall=8 * 365 * DAY, passed=3600 + (8 * 365 - 300) * DAY, boot="the next")
    publisher.refresh()


def test_a_publisher_that_did_nothing_for_long_is_not_refused(publisher, clocks):
    clocks(wall=30 * DAY, passed=30 * DAY)
    publisher.refresh()
    os.unlink(os.path.join(publisher.keys, "clock.json"))
    with pytest.raises(UsageError, match="what was signed last was valid until"):
        publisher.refresh()


def test_a_clock_that_is_some_days_ahead_removes_nothing(publisher, digests, clocks):
    publisher.add(digests[1:])
    publisher.add(digests[2:])
    publisher.let_time_pass(3 * repository.KEEP)
    before = set(all_files(publisher.path))
    clocks(wall=3 * DAY, passed=60)
    publisher.refresh()
    assert before <= set(all_files(publisher.path))
    clocks(wall=5 * DAY, passed=2 * DAY + 60)
    publisher.refresh()
    assert not before <= set(all_files(publisher.path))


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """``check_clock`` with the wall clock so many seconds ahead of the count beside the keys."""
    begin = timeline.Instant(1000.0, 1_700_000_000.0, "boot")
    (tmp_path / "root.json").touch()
    (tmp_path / "clock.json").write_bytes(timeline.Timeline.begin(begin).to_json())

    def check(ahead, *, valid, passed=3600.0, is_right=False):
        now = timeline.Instant(begin.boottime + passed, begin.wall + passed + ahead, "boot")
        monkeypatch.setattr(clock, "instant", lambda: now)
        expires = datetime.fromtimestamp(now.wall + valid, UTC)
        signed = SimpleNamespace(expires=expires)
        one = SimpleNamespace(directory="/repository", snapshot=SimpleNamespace(signed=signed))
        clock.check_clock(one, [str(tmp_path)], is_right=is_right)

    return check


def test_how_far_the_clock_may_be_ahead_of_the_count(counted):
    """A week if the snapshot has expired, and 366 days if it is valid."""
    counted(7 * DAY, valid=-1)
    with pytest.raises(UsageError, match="what was signed last was valid until"):
        counted(7 * DAY + 1, valid=-1)
    counted(7 * DAY + 1, valid=0)
    counted(7 * DAY + 1, valid=-1, is_right=True)
    counted(366 * DAY, valid=DAY)
    with pytest.raises(UsageError, match="366 days more than the time counted beside the keys"):
        counted(366 * DAY + 1, valid=DAY)
    counted(-30 * DAY, valid=-1)


def test_a_clock_that_was_set_once_counts_from_there(counted, tmp_path):
    """Once somebody has said that the clock is right, the count goes on from its time."""
    counted(30 * DAY, valid=-1, is_right=True)
    clock.keep_clock([str(tmp_path)])
    counted(30 * DAY + 5 * DAY, valid=-1, passed=2 * 3600.0)
    with pytest.raises(UsageError):
        counted(30 * DAY + 8 * DAY, valid=-1, passed=2 * 3600.0)


def test_without_a_count_a_valid_snapshot_is_enough(counted, tmp_path):
    (tmp_path / "clock.json").write_bytes(b"damaged")
    counted(0, valid=DAY)
    with pytest.raises(UsageError, match="what was signed last was valid until"):
        counted(0, valid=-1)
