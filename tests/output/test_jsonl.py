"""JSON lines: their keys and order, any bytes in a path, and streams that cannot be written."""

import io
import json
import os
from dataclasses import replace

import pytest
from reported_matches import event

from hashscan.authority import Authority
from hashscan.errors import OutputError
from hashscan.model import Acted, MatchEvent, PendingEvent, ProblemEvent, Summary
from hashscan.output.jsonl import JsonReporter, line


class Full(io.StringIO):
    """A stream on a full disk; ``OutputError`` is what the command line's streams raise."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, _text):
        raise self.error


@pytest.fixture
def written():
    """A reporter, and a function that returns the lines that it wrote."""
    out, log = io.StringIO(), io.StringIO()
    reporter = JsonReporter(out, log)

    def lines():
        assert out.getvalue().isascii()
        return [json.loads(one) for one in out.getvalue().splitlines()]

    return reporter, lines, log


def test_a_line_has_its_event_first_and_no_line_end():
    assert line("x", b=1, a=None, path="\n\u2028é\udcff") == (
        r'{"event":"x","b":1,"a":null,"path":"\n\u2028\u00e9\udcff"}'
    )


@pytest.mark.parametrize("name", [b"a", b"\xff\n\r\x1b[31m", b'"}\\', "é\u2028".encode()])
def test_every_path_comes_back_as_its_bytes(name, written):
    reporter, lines, _ = written
    reporter.match(event(name))
    reporter.pending(PendingEvent(event(name).match.candidate, "why"))
    reporter.problem(ProblemEvent(b"/v/" + name, "denied", "why"))
    reporter.skipped(ProblemEvent(b"/v/" + name, "size", "why"))
    assert [os.fsencode(one["path"]) for one in lines()] == [b"/v/" + name] * 4
    assert [one["event"] for one in lines()] == ["match", "pending", "problem", "skipped"]
    assert [one.get("reason") for one in lines()] == [None, None, "denied", "size"]


def test_a_match_with_all_that_is_known(written):
    reporter, lines, _ = written
    acted = Acted("quarantined", "q1", remaining_links=2)
    found = event(acted=acted)
    authority = Authority("notice", "n1", sender="Hotline")
    reporter.match(MatchEvent(replace(found.match, authority=authority), acted))
    (one,) = lines()
    assert one.pop("time").endswith("Z")
    assert one == {
        "event": "match", "path": "/v/a", "size": 1, "digests": {"sha1": b"a".hex() * 20},
        "algorithm": "sha1", "category": "baseline", "action": "quarantined",
        "quarantine_id": "q1", "uid": 0, "filter_version": "1", "service": "s", "message": "",
        "problem": None, "remaining_links": 2,
        "authority": {"kind": "notice", "notice": "n1", "reference": None, "sender": "Hotline"},
        "hold": None,
    }  # fmt: skip


def test_the_counts_of_a_summary_add_up(written):
    reporter, lines, _ = written
    summary = Summary(hashed=1, unchanged=2, skipped={"fifo": 3}, problems=4, seconds=0.12345)
    reporter.summary(summary)
    (one,) = lines()
    assert (one["files"], one["skipped"], one["seconds"]) == (10, {"fifo": 3}, 0.123)
    assert not one["interrupted"]


def test_notices_and_progress_are_no_results(written):
    reporter, lines, log = written
    reporter.notice("a filter is old")
    assert (lines(), log.getvalue()) == ([], "hashscan: a filter is old\n")
    seen = []
    JsonReporter(io.StringIO(), log, on_progress=seen.append).progress("half")
    assert seen == ["half"]


def test_the_bar_is_away_before_each_line():
    out, seen = io.StringIO(), []
    reporter = JsonReporter(out, out, on_line=lambda: seen.append(out.getvalue().count("\n")))
    reporter.match(event())
    reporter.problem(ProblemEvent(b"/a", "denied", "why"))
    assert seen == [0, 1]


def test_a_log_that_cannot_be_written_ends_no_scan():
    JsonReporter(io.StringIO(), Full(OSError(28, "No space left"))).notice("x")


def test_a_moved_file_that_cannot_be_reported_is_named():
    reporter = JsonReporter(Full(OutputError("No space left")), io.StringIO())
    with pytest.raises(OutputError, match="/v/a was quarantined as q1, but not reported"):
        reporter.match(event(acted=Acted("quarantined", "q1")))
    with pytest.raises(OutputError) as error:
        reporter.match(event())
    assert "quarantined" not in str(error.value)
