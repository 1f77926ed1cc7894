"""Results as lines for a person: what a quiet run says, bounds, and the next commands."""

import io

import pytest
from reported_matches import event

from hashscan.model import Acted, PendingEvent, ProblemEvent, Summary
from hashscan.output.text import MOST_LINES, TextReporter


@pytest.fixture
def told():
    """A function that reports to a new reporter, and returns its lines and its log."""

    def tell(*calls, **options):
        out, log = io.StringIO(), io.StringIO()
        reporter = TextReporter(out, log, **options)
        for name, given in calls:
            getattr(reporter, name)(given)
        return out.getvalue().splitlines(), log.getvalue()

    return tell


def test_no_name_forges_a_line(told):
    name = b"\n\x1b[31mMATCH \xff"
    problem = ProblemEvent(b"/v/" + name, "denied", "why")
    pending = PendingEvent(event(name).match.candidate, "why")
    calls = (("match", event(name)), ("problem", problem), ("pending", pending))
    lines, _ = told(*calls)
    assert [one.split()[0] for one in lines] == ["MATCH", "PROBLEM", "PENDING"]
    assert all("/v/\\n\\x1b[31mMATCH \\xff: " in one for one in lines)


@pytest.mark.parametrize(
    ("acted", "words"),
    [
        (Acted("quarantined", "q1"), "/v/a: quarantined as q1 ["),
        (Acted("quarantined", "q1", remaining_links=2), "as q1; 2 more names of it are outside"),
        (Acted("reported", message="/v/a: only reported"), "/v/a: reported (only reported) ["),
        (Acted("reported", "q1", problem="busy"), "/v/a: reported ["),
    ],
)
def test_a_match_has_its_action(acted, words, told):
    (line,), _ = told(("match", event(acted=acted)))
    assert words in line


def test_the_matches_of_a_hold_are_one_line_and_a_count(told):
    held = [("match", event(bytes([name]), Acted("held", hold="H1"))) for name in b"abc"]
    lines, _ = told(*held, ("summary", Summary(matches=3, held=3)))
    assert sum(one.startswith("MATCH") for one in lines) == 1
    assert "3 matches held by H1: 'hashscan hold show H1' shows them; then decide." in lines


@pytest.mark.parametrize("kind", ["problem", "skipped", "pending"])
def test_lines_of_one_kind_are_bounded(kind, told):
    one = ProblemEvent(b"/a", "denied", "why")
    if kind == "pending":
        one = PendingEvent(event().match.candidate, "why")
    lines, _ = told(*[(kind, one)] * (MOST_LINES + 5))
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == f"{kind.upper()}: more than {MOST_LINES}; --json lists them all"


def test_a_quiet_run_says_only_what_somebody_must_do(told):
    allowed = ("match", event(acted=Acted("allowed")))
    summary = ("summary", Summary(hashed=5, matches=1, allowed=1))
    assert told(allowed, ("notice", "x"), summary, quiet=True) == ([], "")
    for counts in ({"matches": 1}, {"problems": 1}, {"pending": 1}):
        lines, _ = told(("summary", Summary(**counts)), quiet=True)
        assert lines[0].startswith("Scanned "), counts


@pytest.mark.parametrize(
    ("counts", "last"),
    [
        ({}, "Quarantined 0, held 0."),
        ({"matches": 1, "allowed": 1}, "held 0, allowed 1."),
        ({"matches": 1, "held": 1, "restored": 1}, "held 1."),
        ({"matches": 1}, "--action quarantine isolates matches."),
        ({"matches": 1, "quarantined": 1}, "'hashscan quarantine restore ID' puts a file back"),
        ({"pending": 1}, "The next scan asks for the pending candidates again."),
        ({"interrupted": True}, "the same command goes on from here."),
    ],
)
def test_a_summary_ends_with_the_next_command(counts, last, told):
    lines, _ = told(("summary", Summary(**counts)))
    assert last in lines[-1]


def test_matches_that_could_not_be_moved_are_counted(told):
    failed = ("match", event(acted=Acted("reported", problem="busy")))
    lines, _ = told(failed, failed, ("summary", Summary(matches=2)))
    assert lines[-1] == "2 matches could not be moved; see above for why."


def test_counts_are_all_in_the_summary(told):
    summary = Summary(
        hashed=1000, unchanged=2, skipped={"fifo": 3, "loop": 1}, problems=5, bytes_hashed=2048,
        candidates=6, false_positives=4, seconds=1.25,
    )  # fmt: skip
    lines, _ = told(("summary", summary))
    assert lines == [
        (
            "Scanned 1,011 files in 1.2 s: 1,000 hashed (2.0 KiB), 2 unchanged, 4 skipped"
            " (3 fifo, 1 loop), 5 problems."
        ),
        "Candidates 6: 0 matches, 4 false positives, 0 pending. Quarantined 0, held 0.",
    ]
