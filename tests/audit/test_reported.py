"""hashscan.audit.reported: a match in place is logged once, not again after a restart."""

import io
import os
from dataclasses import replace

import pytest
from reported_matches import HELD, event

from hashscan.audit import reported as module
from hashscan.audit.reported import Reported
from hashscan.daemon.log import Log
from hashscan.files import REPORTED
from hashscan.model import (
    Acted,
    Stamp,
    Summary,
)


@pytest.fixture
def daemon(tmp_path):
    """A daemon that scans once; the lines of its log."""

    def scan(*events):
        err = io.StringIO()
        log = Log(io.StringIO(), err)
        log.reported = Reported(str(tmp_path / REPORTED))
        for one in events:
            log.match(one)
        log.summary(Summary())
        return err.getvalue().splitlines()

    return scan


def matches(lines):
    return [one for one in lines if "match /v" in one]


def test_a_restart_logs_no_match_again_but_how_many_there_are(daemon):
    some = [event(b"%d" % number) for number in range(15)]
    assert len(matches(daemon(*some))) == 15
    again = daemon(*some)
    assert matches(again) == []
    assert again[-1].endswith("15 matches in place as logged before; 'hashscan scan' names all")
    mixed = daemon(*some, event(b"new"))
    assert len(matches(mixed)) == 1
    assert "match /v/new: held" in matches(mixed)[0]


def test_what_is_another_file_or_another_action_is_news(daemon):
    daemon(event())
    assert len(matches(daemon(event(stamp=Stamp(1, 2, 4))))) == 1
    assert len(matches(daemon(event(acted=replace(HELD, action="reported"))))) == 1


def test_what_needs_somebody_is_always_logged(daemon):
    failed = event(acted=Acted("reported", message="full", problem="no-space"))
    moved = event(acted=Acted("quarantined", "id"))
    for _ in range(2):
        assert len(matches(daemon(failed, moved))) == 2


def test_nothing_is_written_without_news(tmp_path):
    path = tmp_path / "reported"
    reported = Reported(str(path))
    reported.save()
    assert not path.exists()
    assert reported.is_new(event())
    reported.save()
    path.unlink()
    assert not reported.is_new(event())
    reported.save()
    assert not path.exists()


def test_the_keys_are_bounded_and_a_damaged_file_counts_as_none(daemon, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MOST", 3)
    daemon(*(event(b"%d" % number) for number in range(5)))
    assert os.path.getsize(tmp_path / "reported") == 3 * 8
    assert matches(daemon(event(b"4"))) == []
    (tmp_path / "reported").write_bytes(b"123")
    assert len(matches(daemon(event(b"4")))) == 1
