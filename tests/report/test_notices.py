"""The figures of notices: equal to an independent count, and right at their edges."""

import itertools
import json
import os
import random
import tracemalloc

import histories
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recount import recount
from sample_report import HOUR, outcome

from hashscan.notices.notice import ItemState
from hashscan.notices.reader import open_existing
from hashscan.notices.store import NoticeStore
from hashscan.output import notices as output
from hashscan.report.notices import MOST_SENDERS, notice_figures, reason_kind

LONG = bool(os.environ.get("HASHSCAN_LONG"))


def shown(store, now):
    """What ``notice show --json`` prints of each notice."""
    found = []
    for one in store.notices():
        history = [output.event_json(event) for event in store.history(one.id)]
        text = output.notice_json(one, store.items(one.id), {}, now, 0.0, history=history)
        found.append(json.loads(text))
    return found


def of_removal(found):
    return {
        "removed": found.removed,
        **{f"within_{limit}h": getattr(found, f"within_{limit}h") for limit in (1, 12, 24)},
        **{f"hours_{name}": getattr(found, name) for name in ("median", "p90", "p95")},
    }


@settings(
    max_examples=500 if LONG else 25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10**9),
    size=st.integers(1, 12),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_figures_equal_an_independent_count(tmp_path_factory, seed, size, cut):
    path = str(tmp_path_factory.mktemp("state") / "notices.sqlite3")
    made = histories.make(path, seed, notices=size)
    begin, end = sorted(
        histories.BEGIN + float(int(part * (made - histories.BEGIN))) for part in cut
    )
    with NoticeStore(path) as store:
        mine = notice_figures(
            store.outcomes(begin, end), made, open_before=store.open_before(begin, made)
        )
        other = recount(shown(store, made), begin, end, made)
    for name in ("notices", "items", "repeats", "reopened", "open", "overdue", "without_sent",
                 "open_before", "overdue_before", "within_deadline"):  # fmt: skip
        assert getattr(mine, name) == other[name], name
    assert of_removal(mine.from_sent) == {name: other[name] for name in of_removal(mine.from_sent)}
    assert of_removal(mine.from_received) == other["from_received"]
    for name in ("from_sent", "from_received"):
        mine_by_month = {one.month: of_removal(getattr(one, name)) for one in mine.months}
        assert mine_by_month == {month: one[name] for month, one in other["months"].items()}
    assert mine.states == other["states"]
    counted = {
        (one.name, state): number for one in mine.senders for state, number in one.states.items()
    }
    assert counted == other["senders"]
    assert sum(mine.from_sent.classes) == mine.from_sent.removed
    assert sum(mine.not_here.values()) == mine.states.get("not-here", 0)


def test_the_hours_of_an_item():
    found = notice_figures([outcome()], 100 * HOUR)
    assert (found.from_sent.median, found.from_received.median) == (2.0, 1.0)
    without = notice_figures([outcome(sent=None)], 100 * HOUR)
    assert (without.from_sent.median, without.without_sent) == (1.0, 1)
    ahead = notice_figures([outcome(sent=50 * HOUR)], 100 * HOUR)
    assert ahead.from_sent.median == 1.0, "a sender's wrong clock does not count"
    back = notice_figures([outcome(removed=-5.0)], 100 * HOUR)
    assert back.from_sent.median == 0.0, "a clock that was set back gives no negative hours"


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({}, 1.0),
        ({"removed": 24 * HOUR}, 1.0),  # the limit belongs to it
        ({"removed": 24 * HOUR + 0.001}, 0.0),
        ({"state": ItemState.RECEIVED, "removed": None}, 0.0),
        ({"state": ItemState.LOCATED, "removed": 2 * HOUR}, 0.0),  # it came back
        (
            {"state": ItemState.LOCATED, "sent": 80 * HOUR, "received": 80 * HOUR},
            None,
        ),  # not decided
        ({"state": ItemState.GONE}, None),
        ({"state": ItemState.NOT_HERE}, None),
        ({"state": ItemState.REFUSED}, None),
    ],
)
def test_which_items_enter_the_share_within_24_hours(changes, share):
    found = notice_figures([outcome(**changes)], 100 * HOUR)
    assert found.from_sent.within_24h == share
    assert found.items == 1


def test_no_data_is_no_number():
    found = notice_figures([], 0.0)
    assert of_removal(found.from_sent) == {"removed": 0, **dict.fromkeys(
        ("within_1h", "within_12h", "within_24h", "hours_median", "hours_p90", "hours_p95")
    )}  # fmt: skip
    assert (found.within_deadline, found.months, found.senders) == (None, (), ())


def test_what_is_as_old_as_a_limit_is_not_older():
    items = [outcome(state=ItemState.LOCATED, sent=0.0, received=0.0, deadline=24 * HOUR)]
    at = notice_figures(items, 24 * HOUR)
    assert (at.from_sent.within_24h, at.overdue) == (None, 0)
    later = notice_figures(items, 24 * HOUR + 1)
    assert (later.from_sent.within_24h, later.overdue) == (0.0, 1)
    removed = [outcome(removed=24 * HOUR, deadline=24 * HOUR)]
    assert notice_figures(removed, 99 * HOUR).within_deadline == 1.0


def test_the_month_is_that_of_receipt_by_utc():
    january = 1769903999.0  # 2026-01-31T23:59:59Z
    found = notice_figures(
        [outcome(1, received=january), outcome(2, received=january + 1)], january + 100 * HOUR
    )
    assert [(one.month, one.items) for one in found.months] == [("2026-01", 1), ("2026-02", 1)]


def test_open_and_overdue_items_are_counted_and_named_only_if_asked_for():
    items = [
        outcome(1, state=ItemState.RECEIVED, deadline=99 * HOUR, is_open=True, value="http://x/"),
        outcome(2, state=ItemState.LOCATED, deadline=101 * HOUR, is_open=True),
        outcome(2),
    ]
    found = notice_figures(items, 100 * HOUR)
    assert (found.open, found.overdue, found.open_notices, found.notices) == (2, 1, 2, 2)
    assert found.open_items == ()
    named = notice_figures(items, 100 * HOUR, names=True).open_items
    assert [(one.value, one.overdue) for one in named] == [("http://x/", True), ("u", False)]


def test_reasons_are_counted_by_their_kind_without_what_follows():
    assert reason_kind("no-site: a.example is in no site") == "no-site"
    assert reason_kind("script") == "script"
    assert reason_kind("/srv/www/customer: gone") == "other"
    assert reason_kind("Customer: gone") == "other"
    assert reason_kind("https://a.example/: gone") != "https://a.example/"
    assert reason_kind("") == "other"


def test_the_anonymous_sender_comes_last_among_equals():
    found = notice_figures([outcome(1, sender=None), outcome(2, sender="z")], 1.0)
    assert [one.name for one in found.senders] == ["z", None]


def test_senders_beyond_the_first_share_a_row():
    items = [outcome(number, sender=f"s{number:03}") for number in range(MOST_SENDERS + 3)]
    found = notice_figures([*items, outcome(999, sender=None), outcome(999, sender=None)], 1.0)
    assert len(found.senders) == MOST_SENDERS
    assert found.senders[0].name is None, "the most items first"
    assert (found.other_senders, found.others.items, found.others.notices) == (4, 4, 4)


def test_memory_is_a_few_bytes_for_each_item():
    chance = random.Random(1)

    def peak(items):
        tracemalloc.start()
        try:
            notice_figures(
                (outcome(one // 100, removed=chance.random() * 1e6) for one in range(items)), 1e7
            )
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small = peak(500)
    assert (peak(4500) - small) / 4000 < 100  # three arrays and a sorted copy of each


@pytest.mark.parametrize("at_once", [1, 100], ids=["one item each", "large notices"])
def test_the_work_grows_with_the_number_of_items(tmp_path, at_once):
    """Counted in SQLite's own steps; make test-long reads 100,000 items, and measures the memory."""
    size = 1000 * at_once if LONG and at_once > 1 else 20_000 if LONG else 800
    steps = []
    for items in (size // 4, size):
        path = str(tmp_path / f"{items}.sqlite3")
        histories.make_many(path, items, at_once=at_once)
        with open_existing(path) as store:
            ticks = itertools.count()
            store._connection.set_progress_handler(lambda ticks=ticks: next(ticks) < 0, 100)
            tracemalloc.start()
            found = notice_figures(store.outcomes(0, 1e12), 1e12)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        steps.append(next(ticks))
        assert (found.items, found.reopened, found.notices) == (items, items, items // at_once)
        assert found.from_sent.median == pytest.approx(1 + items / 2 / HOUR, abs=0.01)
    assert 10 < steps[1] < 5 * steps[0]
    assert peak < 1_000_000 + 100 * size
