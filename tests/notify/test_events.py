"""The events and facts that a receiver gets, and all that it never gets."""

from types import SimpleNamespace

import pytest

from hashscan.config.notify import EVENTS
from hashscan.notify.events import KINDS, for_receiver, owner_of


def receiver(**given):
    facts = {"events": tuple(EVENTS), "include": (), "for_owners": False, "daily": None}
    return SimpleNamespace(**{**facts, **given})


def line(event="match", **facts):
    return SimpleNamespace(event=event, time="2026-11-27T10:00:00.000Z", facts=facts)


MATCH = {
    "action": "quarantined", "path": "/srv/secret", "uid": 4711, "digest": {"sha1": "ab" * 20},
    "category": "baseline", "size": 7, "reason": "of 4711 (brakes.owners)", "message": "/srv/secret",
    "new_fact": "x",
}  # fmt: skip


def test_every_kind_is_one_that_a_receiver_can_name():
    assert set(KINDS.values()) == set(EVENTS)


def test_without_includes_no_name_leaves():
    found = for_receiver(line(**MATCH), receiver())
    assert (found.kind, found.event, found.time) == ("match", "match", "2026-11-27T10:00:00.000Z")
    assert found.facts == {
        "action": "quarantined", "category": "baseline", "size": 7, "reason": "brakes.owners",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("include", "more"),
    [
        ("paths", {"path", "message"}),
        ("digests", {"digest"}),
        ("owners", {"uid"}),
    ],
)
def test_each_include_adds_its_facts_only(include, more):
    plain = for_receiver(line(**MATCH), receiver()).facts
    found = for_receiver(line(**MATCH), receiver(include=(include,))).facts
    assert found.keys() - plain.keys() == more


@pytest.mark.parametrize(
    "value",
    [
        "/srv/a",
        "a\nb",
        "ab" * 16,
        f"x {'0' * 32}",
        "",
        "x" * 81,
        ["a"],
        {"/srv": 1},
        {"a": "b"},
        None,
    ],
)
def test_a_value_that_may_be_a_name_does_not_leave(value):
    assert for_receiver(line(category=value), receiver()).facts == {}


@pytest.mark.parametrize("value", ["baseline 1", 3, 0.5, True, {"scans": 2}])
def test_a_plain_value_leaves(value):
    assert for_receiver(line(category=value), receiver()).facts == {"category": value}


def test_a_long_text_is_cut_off():
    path = for_receiver(line(path="x" * 5000), receiver(include=("paths",))).facts["path"]
    assert path == "x" * 1000 + "…"


@pytest.mark.parametrize(
    ("event", "facts", "given"),
    [
        ("scan-started", {}, {}),
        ("match", {"action": "held"}, {}),
        ("match", {"action": "allowed"}, {}),
        ("match", {"action": "reported"}, {"events": ("hold",)}),
        ("daily-digest", {"at": "08:00"}, {"daily": "09:00"}),
    ],
)
def test_an_event_that_is_not_for_a_receiver(event, facts, given):
    assert for_receiver(line(event, **facts), receiver(**given)) is None


def test_the_summary_of_the_day_is_for_those_who_asked_for_its_time():
    assert for_receiver(line("daily-digest", at="08:00"), receiver(daily="08:00")).kind == "daily"


def test_an_owner_hears_of_moved_files_and_gets_no_facts():
    owners = receiver(for_owners=True)
    found = line(action="quarantined", uid=0, path="/srv/a")
    assert for_receiver(found, owners).facts == {}
    assert owner_of(found) == 0
    for other in (
        line(action="reported", uid=0),
        line(action="quarantined"),
        line(action="quarantined", uid=True),
        line("held", uid=0),
    ):
        assert for_receiver(other, owners) is None
