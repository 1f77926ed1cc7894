"""hashscan.quarantine.recheck_answers and withdrawn: answers that are kept, and when a brake holds them."""

import pytest

from hashscan.model import Digest
from hashscan.quarantine.recheck_answers import (
    ACCEPTED,
    CHECKED,
    KNOWN,
    RIPE,
    UNKNOWN,
    WITHDRAWN,
    Answered,
    AskedStore,
    Subject,
    When,
    held_withdrawals,
)


def subject(number):
    return Subject(Digest("sha1", f"{number:040x}"), f"{number:064x}")


def answered(number, state=UNKNOWN, *, asked=0.0, since=0.0, filters="f", held=""):
    return Answered(
        subject(number), state == KNOWN, filters, When(asked, "a"), When(since, "a"), state, held
    )


def test_the_size_of_a_known_set_is_kept_until_it_is_not_right(tmp_path):
    path = str(tmp_path / "asked")
    assert AskedStore.to_read(path) is None
    with AskedStore.open(path) as asked:
        assert asked.size("s") is None
        asked.put_size("s", 7)
        asked.put_size("other", 9)
        asked.put_size("s", 0)
        assert asked.size("s") == 0
        asked.put_size("s", None)
        assert (asked.size("s"), asked.size("other")) == (None, 9)


def test_answers_are_kept_by_service_and_read_without_a_change(tmp_path):
    path = str(tmp_path / "asked")
    assert held_withdrawals(path) == (0, "")
    one, two = answered(1, KNOWN, asked=3.0, since=2.0), answered(2, RIPE, held="a list was cut")
    with AskedStore.open(path) as asked:
        asked.put("s", [one])
        asked.put("other", [two])
        assert asked.services() == ["other", "s"]
        assert asked.answers("s") == {one.subject: one}
        assert asked.answers() == {one.subject: one, two.subject: two}
    assert held_withdrawals(path) == (1, "a list was cut")
    with AskedStore.open(path) as asked:
        asked.forget("other", [one.subject])
        asked.forget("s", [one.subject])
        assert asked.answers() == {two.subject: two}


@pytest.mark.parametrize("decided", [ACCEPTED, WITHDRAWN, CHECKED])
def test_what_was_decided_meanwhile_is_kept(tmp_path, decided):
    with AskedStore.open(str(tmp_path / "asked")) as asked:
        asked.put("s", [answered(1, decided)])
        asked.put("s", [answered(1, RIPE)])
        assert asked.answers()[subject(1)].state == decided
        asked.put("s", [answered(1, KNOWN)])
        assert asked.answers()[subject(1)].state == KNOWN
