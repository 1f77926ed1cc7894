"""hashscan.quarantine.withdrawn_digests: withdrawals, and when a brake holds them."""

from types import SimpleNamespace

import pytest

from hashscan.model import Digest, FileDigests
from hashscan.quarantine import withdrawn_digests
from hashscan.quarantine.recheck_answers import (
    ACCEPTED,
    CHECKED,
    KNOWN,
    RIPE,
    UNKNOWN,
    WITHDRAWN,
    Answered,
    Subject,
    When,
)
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.withdrawn_digests import WithdrawnGroup, brake, due, sentenced

DAY = 86400.0


def subject(number):
    return Subject(Digest("sha1", f"{number:040x}"), f"{number:064x}")


def answered(number, state=UNKNOWN, *, asked=0.0, since=0.0, filters="f", held=""):
    return Answered(
        subject(number), state == KNOWN, filters, When(asked, "a"), When(since, "a"), state, held
    )


class Ages:
    """A timeline on which all is as old as its time says."""

    def age(self, wall, _span):
        return wall


@pytest.mark.parametrize(
    ("states", "ages", "holds"),
    [
        ([UNKNOWN] * 3 + [KNOWN] * 7, 0, False),
        ([UNKNOWN] * 4 + [KNOWN] * 7, 0, True),
        ([RIPE] * 4 + [KNOWN] * 36, 0, False),  # a tenth
        ([RIPE] * 4 + [KNOWN] * 35, 0, True),
        ([WITHDRAWN] * 4 + [KNOWN] * 7, 90 * DAY, True),
        ([WITHDRAWN] * 4 + [KNOWN] * 7, 90 * DAY + 1, False),
        ([WITHDRAWN] * 3 + [UNKNOWN] + [KNOWN] * 7, 0, True),
        ([CHECKED] * 9 + [UNKNOWN] + [KNOWN] * 7, 0, False),  # by an administrator
        ([UNKNOWN], 0, True),  # nothing shows that the service knows anything
        ([KNOWN], 0, False),
        ([], 0, True),
    ],
)
def test_many_that_turn_unknown_are_held(states, ages, holds):
    answers = {subject(n): answered(n, state, since=ages) for n, state in enumerate(states)}
    found = brake(answers, size=100, size_before=100, timeline=Ages())
    assert bool(found) is holds


def test_old_answers_prove_nothing():
    answers = {subject(1): answered(1, KNOWN, asked=2 * DAY), subject(2): answered(2, UNKNOWN)}
    assert brake(answers, size=1, size_before=None, timeline=Ages()) == ""
    answers[subject(1)] = answered(1, KNOWN, asked=2 * DAY + 1)
    found = brake(answers, size=1, size_before=None, timeline=Ages())
    assert found.startswith("the service knows none of the digests in quarantine")


@pytest.mark.parametrize(
    ("size", "before", "holds"),
    [(900, 1000, False), (899, 1000, True), (2, 5, False), (1, 5, True), (0, None, False)],
)
def test_a_list_that_lost_many_digests_is_held(size, before, holds):
    found = brake({subject(1): answered(1, KNOWN)}, size=size, size_before=before, timeline=Ages())
    assert bool(found) is holds
    assert not holds or found.startswith(f"the known set had {before:,} digests before and has ")


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        (
            [UNKNOWN] * 5 + [KNOWN] * 7,
            "5 of the 12 digests in quarantine that were asked for are unknown now: ",
        ),
        (
            [WITHDRAWN] + [UNKNOWN] * 3 + [KNOWN] * 7,
            (
                "1 digest was withdrawn within 90 days, and no administrator has checked that; 3 more "
                "of 11 are unknown now: "
            ),
        ),
        (
            [WITHDRAWN] * 4 + [UNKNOWN] + [KNOWN] * 7,
            (
                "4 digests were withdrawn within 90 days, and no administrator has checked that; 1 more "
                "of 12 is unknown now: "
            ),
        ),
    ],
)
def test_the_reason_of_a_brake_has_the_numbers(states, reason):
    answers = {subject(n): answered(n, state) for n, state in enumerate(states)}
    found = brake(answers, size=100, size_before=100, timeline=Ages())
    assert found.startswith(reason)


def test_restored_withdrawals_count_among_all_digests():
    answers = {subject(n): answered(n, UNKNOWN if n < 3 else KNOWN) for n in range(10)}
    restored = [answered(10, WITHDRAWN)]
    found = brake(answers, restored=restored, size=100, size_before=100, timeline=Ages())
    assert "; 3 more of 11 are unknown now: " in found


def test_files_that_the_service_has_no_say_about_are_counted(monkeypatch):
    def brief(state=RecordState.QUARANTINED, verdict="known", service="s"):
        return SimpleNamespace(
            state=state, verdict=verdict, service=service, withdrawn="", category="baseline",
            acted="1970-01-01T00:00:07Z", span="a", digests=FileDigests(sha256=b"2" * 32),
            confirmed=Digest("sha1", "a" * 40),
        )  # fmt: skip

    listed = [
        brief(),
        brief(service="other"),
        brief(service="other"),
        brief(service="other", verdict="notice"),
        brief(service="other", state=RecordState.RESTORED),
        None,
    ]
    monkeypatch.setattr(
        withdrawn_digests, "briefs", lambda _store: [("id", one, "") for one in listed]
    )
    found = withdrawn_digests.collect(None, "s", (), Ages())
    assert (found.others, found.unread) == (2, 1)
    ((_, group),) = found.groups.items()
    assert (group.files, group.marked, group.age, group.dropped) == (1, 0, 7.0, True)


def test_a_brake_holds_what_is_ripe_and_not_what_is_accepted():
    every = [answered(n, state) for n, state in enumerate((KNOWN, UNKNOWN, RIPE, ACCEPTED))]
    every.append(answered(9, RIPE, held="before"))
    answers = {one.subject: one for one in every}
    assert sentenced(answers, "") == ([every[3], every[2]], [])
    assert sentenced(answers, "why") == ([every[3]], [every[2]._replace(held="why")])


@pytest.mark.parametrize(
    ("last", "age", "dropped", "is_due"),
    [
        (None, 10 * DAY, False, True),
        (None, 10 * DAY - 1, False, False),
        (None, 0, True, True),
        (answered(0, asked=10 * DAY), 0, False, True),
        (answered(0, KNOWN, asked=10 * DAY - 1), 0, False, False),
        (answered(0, since=DAY), 0, False, True),  # the second answer decides
        (answered(0, since=DAY - 1), 0, False, False),
        (answered(0, KNOWN, since=DAY), 0, False, False),
        (answered(0, KNOWN), 0, True, False),
        (answered(0, KNOWN, filters="old"), 0, True, True),
        (answered(0, KNOWN, filters="old"), 0, False, False),
    ],
)
def test_when_a_digest_is_asked_for_again(last, age, dropped, is_due):
    group = WithdrawnGroup(subject(0), "baseline", (), dropped, age)
    assert due(group, last, 10 * DAY, "f", Ages()) is is_due


def test_questions_about_different_digests_are_spread_over_a_tenth_of_the_interval():
    late = Subject(Digest("sha1", "0" * 40), "f" * 64)
    assert due(WithdrawnGroup(late, "baseline", (), False, 9 * DAY), None, 10 * DAY, "f", Ages())
    assert not due(
        WithdrawnGroup(late, "baseline", (), False, 9 * DAY - 1), None, 10 * DAY, "f", Ages()
    )
