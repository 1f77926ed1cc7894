"""hashscan.jobs.status_complaints: from when on notifications, holds, verdicts and syncs are complaints."""

import time
from types import SimpleNamespace

import pytest

from hashscan.errors import ExitCode
from hashscan.jobs import status_complaints
from hashscan.jobs import status_complaints as module
from hashscan.jobs.complaint_reasons import Reason
from hashscan.notify.receiver_state import ReceiverState

NOW = 1_700_000_000.0


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: NOW))
    assert time.time() > NOW


def receivers(**facts):
    return SimpleNamespace(receivers=(ReceiverState("ops", **facts),))


@pytest.mark.parametrize(
    ("since", "is_told"), [(NOW - 900, False), (NOW - 901, True), (None, False), (NOW, False)]
)
def test_a_receiver_that_does_not_answer_for_a_quarter_of_an_hour(since, is_told):
    found = receivers(trouble="no route", trouble_since=since, events=3)
    told = list(module._notifications(found))
    assert bool(told) is is_told
    if is_told:
        ((code, reason, message),) = told
        assert (code, reason) == (ExitCode.UNREADABLE, Reason.NOTIFICATIONS)
        assert message.startswith("notify ops: 3 events not sent for 15 min: no route; then run ")


def test_a_receiver_that_was_in_trouble_and_messages_that_were_refused():
    assert list(module._notifications(receivers(trouble_since=NOW - 9000))) == []
    for facts, how in (({"refused": 2}, "refused and kept"), ({"given_up": 2}, "given up")):
        (one,) = module._notifications(receivers(**facts, refused_why="no such user"))
        assert (one.code, one.reason) == (ExitCode.UNREADABLE, Reason.NOTIFICATIONS)
        assert one.message.startswith(f"notify ops: 2 messages {how}: no such user; ")


def test_a_hold_without_files_waits_for_nobody(monkeypatch):
    monkeypatch.setattr(module, "summary_of", lambda hold: f"{hold.files} files are held")
    holds = [SimpleNamespace(files=0), SimpleNamespace(files=7)]
    found = SimpleNamespace(unmoved=None, reported=0, holds=holds)
    assert list(module._matches(found)) == [
        (ExitCode.MATCHES, Reason.MATCHES_HELD, "7 files are held")
    ]


@pytest.mark.parametrize(
    ("refused", "oldest", "words"),
    [
        ("", None, None), ("", NOW - 900, None),
        ("", NOW - 901, "2 candidates without a verdict, the oldest for 15 min"),
        ("401", NOW - 901, "the service refuses the password: 401"),
    ],
)  # fmt: skip
def test_candidates_wait_for_a_quarter_of_an_hour(refused, oldest, words):
    found = SimpleNamespace(
        refused=refused, catalog=SimpleNamespace(oldest=oldest, pending=2), sync={}
    )
    told = list(module._service(found))
    assert [one.message for one in told] == ([] if words is None else [words])
    assert {one.code for one in told} <= {ExitCode.SERVICE}
    found.catalog = None
    assert len(list(module._service(found))) == bool(refused)


@pytest.mark.parametrize(
    ("sync", "is_told"),
    [
        ({}, False), ({"failing_since": NOW - 3600}, False), ({"failing_since": NOW - 3601}, True),
        ({"failing_since": NOW, "refused": True}, True), ({"refused": True}, False),
    ],
)  # fmt: skip
def test_syncs_fail_for_an_hour_or_bring_what_is_refused(sync, is_told):
    found = SimpleNamespace(refused="", catalog=None, sync={**sync, "message": "no route"})
    told = list(module._service(found))
    assert [(one.code, one.reason) for one in told] == [(ExitCode.SERVICE, Reason.SYNC)] * is_told
    if is_told:
        assert told[0].message.endswith(": no route")


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("no room", "2 matches could not be moved, e.g. /v/a: no room"),
        ("/v/a: no room", "2 matches could not be moved, e.g. /v/a: no room"),
    ],
)
def test_a_match_that_could_not_be_moved_is_named_once(why, words):
    found = SimpleNamespace(unmoved=(2, b"/v/a", why), reported=0, holds=())
    (one,) = status_complaints._matches(found)
    assert (one.message, one.code) == (words, ExitCode.MATCHES)
    found = SimpleNamespace(unmoved=None, reported=1, holds=(), reports_only="service.test is true")
    (one,) = status_complaints._matches(found)
    assert one.message == "1 match not moved, because service.test is true"
    assert (
        list(status_complaints._matches(SimpleNamespace(unmoved=None, reported=0, holds=()))) == []
    )
