"""hashscan.jobs.receiver_check: what doctor finds wrong with receivers, without a message."""

from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.jobs import receiver_check as module
from hashscan.jobs.receiver_check import ReceiverCheck, check_receivers
from hashscan.notify.receiver_state import ReceiverState

RUN = {"name": "run", "kind": "command", "command": ["/bin/true"]}
MAIL = {"name": "mail", "kind": "mail", "to": ["a@b.example"], "server": "smtp.b.example"}
OWNERS = {"name": "own", "kind": "mail", "contacts": "/c", "sender": "a@b.example"}


@pytest.fixture
def found(monkeypatch, tmp_path):
    def check(*given, states=()):
        monkeypatch.setattr(module, "receiver_states", lambda *_: states)
        settings = Settings.of(state=str(tmp_path / "state"), notify=list(given))
        return list(check_receivers(settings))

    return check


def test_a_receiver_without_a_fault(found):
    run, mail = found(RUN, MAIL, states=[ReceiverState("run"), ReceiverState("x", trouble="no")])
    assert run == ReceiverCheck(
        "notify run", True, "command; 'hashscan notify test run' sends a test message"
    )
    assert mail.well, "with a server nobody needs sendmail"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"trouble": "no route", "events": 3}, "3 events waiting: no route"),
        ({"given_up": 1, "refused_why": "refused"}, "0 events waiting: refused"),
        ({"trouble": "no route", "given_up": 1, "refused_why": "x"}, "0 events waiting: no route"),
    ],
)
def test_one_that_does_not_take_its_messages(found, facts, why):
    (one,) = found(RUN, states=[ReceiverState("run", **facts)])
    assert one == ReceiverCheck("notify run", False, why, "then run 'hashscan notify test run'")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({**RUN, "command": ["/gone/x"]}, "command: /gone/x is missing, or not executable"),
        (
            {**MAIL, "server": "none", "sendmail": ["/gone/x", "-t"]},
            "sendmail: /gone/x is missing, or not executable",
        ),
        (
            {"name": "own", "kind": "mail", "sender": "a@b.example", "sendmail": ["/bin/true"],
             "contacts_command": ["/gone/x"]},
            "contacts_command: /gone/x is missing, or not executable",
        ),
        ({**MAIL, "username": "u", "password_file": "/gone/x"}, "/gone/x"),
        ({**OWNERS, "sendmail": ["/bin/true"], "template": "/gone/x"}, "/gone/x"),
    ],
)  # fmt: skip
def test_what_a_receiver_lacks(found, given, why):
    (one,) = found(given, states=[SimpleNamespace(name=given["name"], trouble="more", events=1)])
    assert (one.well, one.fix) == (False, "correct it, then run 'hashscan notify test'")
    assert why in one.message
