"""hashscan.daemon.log: one line a fact, no forged line, no flood."""

import io
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from hashscan.daemon.log import MOST_LINES, WINDOW, Log, Repeats
from hashscan.errors import OutputError
from hashscan.model import (
    Acted,
    Candidate,
    Confirmed,
    Digest,
    FileDigests,
    FilterHit,
    Identity,
    MatchEvent,
    PendingEvent,
    ProblemEvent,
    Stamp,
    Summary,
)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def made(**options):
    out, err, clock = io.StringIO(), io.StringIO(), Clock()
    return Log(out, err, clock=clock, **options), out, err, clock


HIT = FilterHit(Digest("sha1", "ab" * 20), "baseline", "v1")


def candidate(name):
    return Candidate(
        volume=b"/v",
        path=name,
        identity=Identity(1, 2),
        stamp=Stamp(1, 2, 3),
        digests=FileDigests(sha1=b"s" * 20),
        links=1,
        uid=0,
        hits=(),
    )


def problem(path=b"/v/x", reason="io-error", message="Input/output error"):
    return ProblemEvent(path, reason, message)


def test_a_million_failures_are_a_few_lines_and_a_number():
    log, _, err, clock = made()
    for number in range(100_000):
        log.problem(problem(b"/v/%d" % number))
    log.problem(problem(reason="denied"))
    assert len(err.getvalue().splitlines()) == MOST_LINES + 1
    clock.now += WINDOW
    log.tick()
    assert "problem io-error: 99,980 more such lines were left out" in err.getvalue()
    log.problem(problem())
    assert err.getvalue().splitlines()[-1].endswith("Input/output error")


def test_counts_go_on_where_lines_are_left_out():
    log, _, _, _ = made(verbosity=-1)
    for _ in range(3 * MOST_LINES):
        log.problem(problem())
    log.problem(problem(reason="denied"))
    log.info("quiet")
    counts = log.counts()
    assert counts["problems"] == {"io-error": 3 * MOST_LINES, "denied": 1}
    assert counts["log"] == {"warning": MOST_LINES + 1, "info": 1}
    assert counts["matches"] == {}


def test_matches_that_stay_are_no_flood_and_others_are_all_told():
    match = Confirmed(candidate(b"x"), HIT, category="c", service="s", detected="now")
    log, _, err, clock = made()
    for acted in (
        Acted("quarantined", "id"),
        Acted("held", "id", message="restored"),
        Acted("reported", message="no space", problem="no-space"),
        Acted("reported"),
        Acted("allowed", message="stands in a list"),
    ):
        for _ in range(1000):
            log.match(MatchEvent(match, acted))
    lines = err.getvalue().splitlines()
    words = ("held", "no space", "reported [", "allowed")
    assert {word: sum(word in line for line in lines) for word in words} == dict.fromkeys(
        words, MOST_LINES
    )
    assert len(lines) == 1000 + len(words) * MOST_LINES
    clock.now += WINDOW
    log.tick()
    for kind in ("held", "reported", "reported no-space"):
        told = f"warning: match {kind}: {1000 - MOST_LINES} more such lines"
        assert told in err.getvalue()
    assert f"info: match allowed: {1000 - MOST_LINES} more such lines" in err.getvalue()


def test_levels():
    for verbosity, expected in ((-1, "ew"), (0, "ewi"), (1, "ewi")):
        log, _, err, _ = made(verbosity=verbosity)
        log.error("e")
        log.warning("w")
        log.info("i")
        assert "".join(line[-1] for line in err.getvalue().splitlines()) == expected


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name), st.text(), st.booleans())
def test_no_name_and_no_message_makes_a_line(name, message, as_json):
    log, out, err, _ = made(as_json=as_json)
    log.problem(problem(b"/v/" + name, message=message))
    log.warning(f"about {message}")
    lines = (out.getvalue() + err.getvalue()).split("\n")
    assert lines[-1] == ""
    assert len(lines) == 3
    for line in lines[:2]:
        assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202e]", line), line
        if as_json:
            assert json.loads(line)["event"] in {"problem", "log"}
        else:
            assert re.match(r"\d{4}-\d\d-\d\dT[0-9:.]+Z warning: ", line)


def test_a_name_is_escaped_once():
    log, _, err, _ = made()
    log.problem(problem(b"/v/a\n\x1b[31m\\b", message="no\n  luck"))
    assert r" problem /v/a\n\x1b[31m\\b: " in err.getvalue()
    assert err.getvalue().endswith("no | luck\n")


def test_the_journal_gets_levels_and_no_times():
    script = (
        "import sys, os\n"
        "status = os.fstat(2)\n"
        "os.environ['JOURNAL_STREAM'] = f'{status.st_dev}:{status.st_ino}'\n"
        "from hashscan.daemon.log import standard_log\n"
        "log = standard_log(as_json=False, verbosity=0)\n"
        "log.error('bad'); log.warning('odd'); log.info('good')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    assert ran.stderr == "<3>bad\n<4>odd\n<6>good\n"


def test_a_reader_that_went_away_ends_nothing():
    script = (
        "import os\n"
        "from hashscan.daemon.log import standard_log\n"
        "from hashscan.model import ProblemEvent\n"
        "log = standard_log(as_json=True, verbosity=0)\n"
        "log.problem(ProblemEvent(b'/x', 'io-error', 'm'))\n"
        "log.info('still here')\n"
        "os._exit(7)\n"
    )
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run(
        [sys.executable, "-c", script], stdout=write, stderr=write, check=False, env=os.environ
    )
    os.close(write)
    assert ran.returncode == 7


class Breaking(io.StringIO):
    """A standard output that can be made to fail."""

    broken = False

    def write(self, text):
        if self.broken:
            raise OutputError("standard output cannot be written: its reader has gone")
        return super().write(text)


def test_what_standard_output_does_not_take_is_in_the_log():
    out, err = Breaking(), io.StringIO()
    log = Log(out, err, as_json=True)
    out.broken = True
    log.problem(ProblemEvent(b"/lost", "io-error", "m"))
    log.problem(ProblemEvent(b"/lost-too", "io-error", "m"))
    lines = [json.loads(line) for line in err.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["error", "warning", "warning"]
    assert "reader has gone" in lines[0]["message"]
    assert "quarantine list" in lines[0]["message"]
    assert "/lost:" in lines[1]["message"]
    assert "/lost-too:" in lines[2]["message"]
    assert log.output_trouble()["lost"] == 2
    out.broken = False
    log.problem(ProblemEvent(b"/read", "io-error", "m"))
    assert json.loads(out.getvalue())["path"] == "/read"
    assert log.output_trouble() is None
    assert "2 results" in json.loads(err.getvalue().splitlines()[-1])["message"]


def test_a_standard_output_that_was_closed_is_reported_and_its_results_are_in_the_log():
    out, err = io.StringIO(), io.StringIO()
    log = Log(out, err, as_json=True)
    out.close()
    log.problem(ProblemEvent(b"/lost", "io-error", "m"))
    first, second = (json.loads(line) for line in err.getvalue().splitlines())
    assert first["message"].startswith("I/O operation on closed file; the daemon goes on")
    assert second["message"].startswith("problem /lost: io-error")
    assert log.output_trouble()["message"] == "I/O operation on closed file"


def test_what_a_job_says_each_time_is_logged_once():
    log, _, err, _ = made()
    repeats = Repeats(log)

    def runs(*messages, fails=False):
        before = len(err.getvalue())
        with suppress(ZeroDivisionError), repeats.run() as notice:
            for message in messages:
                notice(message)
            assert not fails or 1 / 0
        return [line.rpartition(" ")[2] for line in err.getvalue()[before:].splitlines()]

    assert runs("a", "b", "a") == ["a", "b"]
    assert runs("a", "b") == []
    assert runs("b", "c") == ["c"], "one that comes no more is forgotten"
    assert runs("a") == ["a"]
    assert runs("b", fails=True) == ["b"]
    assert runs("a", "b") == []


def test_one_line_for_each_kind_of_event():
    log, _, err, _ = made()
    log.skipped(ProblemEvent(b"/v/big", "too-large", "8 GiB"))
    log.pending(PendingEvent(candidate(b"new"), "the service does not answer"))
    log.summary(
        Summary(
            seconds=2.04,
            hashed=7,
            unchanged=1220,
            skipped={"special": 3, "too-large": 2},
            problems=2,
            matches=3,
            quarantined=1,
            held=2,
        )
    )
    log.summary(Summary(interrupted=True))
    first, second, third, fourth = err.getvalue().splitlines()
    assert first.endswith(" info: skipped /v/big: too-large: 8 GiB")
    assert second.endswith(" warning: pending /v/new: the service does not answer")
    assert (
        "scanned 1,234 files in 2.0 s: 7 hashed, 1,220 unchanged, 5 skipped, 2 problems; 3 matches,"
    ) in third
    assert "quarantined 1, held 2" in third
    assert "interrupted after 0 files" in fourth


def test_events_are_json_lines_if_they_are_wanted():
    log, out, err, _ = made(as_json=True)
    log.skipped(ProblemEvent(b"/v/big", "too-large", "8 GiB"))
    log.problem(problem())
    log.pending(PendingEvent(candidate(b"new"), "no answer"))
    log.summary(Summary())
    kinds = [json.loads(line)["event"] for line in out.getvalue().splitlines()]
    assert kinds == ["skipped", "problem", "pending", "summary"]
    assert err.getvalue() == ""


def test_a_scan_says_how_many_matches_were_logged_before():
    log, _, err, _ = made()
    saved = []
    log.reported = SimpleNamespace(again=0, save=lambda: saved.append(1))
    log.summary(Summary())
    assert "as logged before" not in err.getvalue()
    log.reported.again = 2
    log.summary(Summary())
    assert "2 matches in place as logged before; 'hashscan scan' names all" in err.getvalue()
    assert saved == [1, 1]


def test_a_hold_has_one_line():
    log, _, err, _ = made()
    match = MatchEvent(
        Confirmed(candidate(b"x"), HIT, "baseline", "s", "2026-01-01T00:00:00Z"),
        Acted("held", message="/v/x: held by H7", hold="H7"),
    )
    for _ in range(3):
        log.match(match)
    assert err.getvalue().count("held by H7") == 1
    assert log.counts()["matches"] == {"held": 3}


def test_a_match_that_stays_and_was_logged_before_has_no_line():
    log, _, err, _ = made()
    match = Confirmed(candidate(b"x"), HIT, category="c", service="s", detected="now")
    asked = []
    log.reported = SimpleNamespace(is_new=asked.append)
    for acted in (Acted("reported"), Acted("held"), Acted("allowed")):
        log.match(MatchEvent(match, acted))
    assert len(asked) == 3
    assert err.getvalue() == ""
    log.match(MatchEvent(match, Acted("reported", message="no space", problem="no-space")))
    log.match(MatchEvent(match, Acted("quarantined", "id7")))
    assert [line.partition(" ")[2] for line in err.getvalue().splitlines()] == [
        f"error: match /v/x: reported (no space) [{match.why}]",
        f"warning: match /v/x: quarantined as id7 [{match.why}]",
    ]
    assert log.counts()["matches"] == {
        "reported": 2, "held": 1, "allowed": 1, "quarantined": 1,
    }  # fmt: skip


def test_matches_are_json_lines_if_they_are_wanted():
    log, out, err, _ = made(as_json=True)
    match = Confirmed(candidate(b"x"), HIT, category="c", service="s", detected="now")
    for _ in range(2 * MOST_LINES):
        log.match(MatchEvent(match, Acted("reported")))
    assert [json.loads(line)["action"] for line in out.getvalue().splitlines()] == (
        ["reported"] * 2 * MOST_LINES
    )
    assert err.getvalue() == ""


def test_a_window_in_which_every_line_was_logged_says_nothing():
    log, _, err, clock = made()
    for _ in range(20):
        log.limited("kind", "warning", "message")
    clock.now += 600
    log.tick()
    assert "left out" not in err.getvalue()


def test_a_flood_is_bounded_to_twenty_lines_in_ten_minutes():
    log, _, err, clock = made()
    for _ in range(2):
        for _ in range(25):
            log.limited("kind", "warning", "message")
        clock.now += 599
        log.tick()
        assert "left out" not in err.getvalue()
        clock.now += 1
        log.tick()
        assert "kind: 5 more such lines were left out" in err.getvalue()
        assert err.getvalue().count("message") == 20
        err.truncate(0)
