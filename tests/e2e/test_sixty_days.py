"""Notices of all formats about many sites, over weeks: each item's state and time, and the report.

The gate has 100 items on 40 sites in 20 days, ``make test-long`` 1,000 on 200 sites in 60 days.
"""

import csv
import io
import itertools
import json
import os
import pathlib
import tempfile
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from notice_driver import Provider
from notice_scenario import BEGIN, HOUR, SOON, Scenario
from recount import recount, seconds
from web_farm import Farm

LONG = bool(os.environ.get("HASHSCAN_LONG"))
SITES, DAYS, SCALE = (200, 60, 10) if LONG else (40, 20, 1)
OUTAGES = {2: 14, 5: 5, 6: 26} if LONG else {2: 14}
QUIET, SCHEDULE = (1, '"30 2 * * *"') if LONG else (9, "none")


@pytest.fixture
def top():
    # Apache's processes run as nobody, who may not enter pytest's directories.
    with tempfile.TemporaryDirectory(prefix="hashscan-sites-") as place:
        os.chmod(place, 0o755)
        yield pathlib.Path(place)


@pytest.mark.root
@pytest.mark.timeout(3600 if LONG else 240)
def test_every_item_ends_in_the_right_state_at_the_right_time(top):
    farm = Farm(top, SITES)
    scenario = Scenario(farm, days=DAYS, scale=SCALE, outages=OUTAGES, quiet=QUIET)
    assert sum(len(one.items) for one in scenario.notices[:10]) == 100 * SCALE
    with ExitStack() as stack:
        provider = Provider(top, farm, scenario, stack, schedule=SCHEDULE)
        provider.start_all(BEGIN)
        for when, several in itertools.groupby(scenario.events, key=lambda one: one[0]):
            events = list(several)
            provider.happen(when, events)
            if {one[1] for one in events} <= {"learn", "stop"}:
                continue
            hour = f"hour {(when - BEGIN) / HOUR}"
            assert provider.settle() == [], f"{hour}\n{provider.daemon.told()}"
            assert provider.answers() == [], f"{hour}\n{provider.daemon.told()}"
        assert provider.answers(every=True) == []
        check_stored(provider, scenario)
        check_report(provider, scenario)
        check_intake_log(provider, scenario)
        check_links(provider, scenario)
        provider.stop()


def check_stored(provider, scenario):
    """Formats, channels, times and references are what the scenario wrote."""
    for notice, found in zip(scenario.notices, provider.shown(), strict=True):
        assert (found["format"], found["channel"]) == (notice.format, notice.channel)
        assert found["reference"] == notice.reference
        assert (found["sent"] and seconds(found["sent"])) == notice.sent
        assert notice.arrives - 1 <= seconds(found["received"]) <= notice.arrives + SOON
        begin = notice.sent or seconds(found["received"])
        deadline = seconds(found["history"][0]["detail"]["deadline"])
        assert deadline == pytest.approx(begin + notice.within * HOUR, abs=0.01)
        assert found["remarks"] == [] or notice.moves > notice.works


def check_report(provider, scenario):
    """Its figures are those of a script that knows the histories only, and those of the scenario."""
    since = ("--since", day(BEGIN))
    found = json.loads(provider.command("report", *since, "--format", "json"))
    made = seconds(found["made"])
    other = recount(provider.shown(), BEGIN, made, made)
    for name in ("notices", "items", "repeats", "reopened", "open", "overdue", "without_sent",
                 "open_before", "overdue_before", "not_here", "within_deadline"):  # fmt: skip
        assert found[name] == other[name], name
    assert {name: number for name, number in found["states"].items() if number} == other["states"]
    assert of_removal(found) == near(of_removal(other))
    assert of_removal(found["from_received"]) == near(of_removal(other["from_received"]))
    for one in found["months"]:
        month = other["months"].pop(one["month"])
        assert of_removal(one) == near(month["from_sent"])
        assert of_removal(one["from_received"]) == near(month["from_received"])
    assert other["months"] == {}
    assert {(one["sender"], state): number for one in found["senders"]
            for state, number in one["states"].items() if number} == other["senders"]  # fmt: skip
    assert list(found["hours"].values()) == other["classes"]

    ends = Counter(one.steps[-1].state for one in scenario.items)
    assert other["states"] == ends
    assert found["repeats"] == sum(len(one.items) for one in scenario.notices[10:])
    assert found["reopened"] == sum(
        any(step.state == "received" for step in one.steps) for one in scenario.items
    )
    moved = Counter()
    for one in scenario.items:
        moved["notice"] += sum(step.state == "removed" for step in one.steps)
        moved["notice"] -= one.removed is not None and one.steps[-1].state == "removed"
        moved["notice"] -= one.kind in {"directory", "other"}
        moved["notice"] += one.kind == "copy"
        moved["list"] += one.kind in {"page", "gone"}
    assert found["by_authority"] == moved
    assert (found["quarantined"], found["in_place"]) == (moved.total(), 0)

    figures = {
        tuple(row[:3]): row[3]
        for row in csv.reader(io.StringIO(provider.command("report", *since, "--format", "csv")))
    }
    for name in ("sent", "received"):
        numbers = other if name == "sent" else other["from_received"]
        for key, value in of_removal(numbers).items():
            assert float(figures["removal", name, key]) == pytest.approx(value, rel=1e-5, abs=1e-6)
    for state, number in ends.items():
        assert figures["notices", f"items {state}", "value"] == str(number)
    for (sender, state), number in other["senders"].items():
        assert figures["senders", sender, state] == str(number)
    assert figures["notices", "items reopened", "value"] == str(found["reopened"])
    assert figures["notices", "items overdue", "value"] == str(other["overdue"])


def near(figures):
    """Figures in hours, of times that the JSON rounds to milliseconds."""
    return pytest.approx(figures, abs=1e-6)


def of_removal(found):
    """The figures of the time to removal."""
    names = ("removed", "within_1h", "within_12h", "within_24h", "hours_median", "hours_p90",
             "hours_p95")  # fmt: skip
    return {name: found[name] for name in names}


def check_intake_log(provider, scenario):
    """Row by row, in the order of receipt."""
    text = provider.command("report", "--intake-log", "--since", day(BEGIN))
    rows = list(csv.DictReader(io.StringIO(text)))
    pairs = [
        (notice, item)
        for notice in sorted(scenario.notices, key=lambda one: one.arrives)
        for item in notice.items
    ]
    for row, (notice, item) in zip(rows, pairs, strict=True):
        assert (row["url"], row["channel"], row["reference"]) == (
            item.value, notice.channel, notice.reference or ""
        )  # fmt: skip
        assert (seconds(row["sent"]) if row["sent"] else None) == notice.sent
        assert notice.arrives - 1 <= seconds(row["received"]) <= notice.arrives + SOON
        last = item.removed or item.steps[-1]
        assert bool(row["removed"]) == (last.state == "removed")
        if row["removed"]:
            assert last.begin - 1 <= seconds(row["removed"]) <= last.end


def check_links(provider, scenario):
    """What the hotline's link checker gets."""
    of = {one.kind: one for one in scenario.items}
    assert provider.online(of["file"].url) == "offline"
    assert provider.online(of["back"].url) == "offline"
    for kind in ("stays", "script", "no-site"):
        assert provider.online(of[kind].value) == "unknown"
    assert provider.online(scenario.farm.sites[0].url("/logo.png")) == "online"


def day(when):
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d}"
