"""What ``status`` says of notices and of the Maildir, and its exit codes."""

import json
import os
import subprocess
import sys
import time

import pytest

from hashscan.cli.status import _as_text
from hashscan.cli.status_json import status_json
from hashscan.config.settings import Settings
from hashscan.jobs.doctor import _notices
from hashscan.jobs.status import moves_named, status_of
from hashscan.notices import unread_inputs
from hashscan.notices.notice import Channel, ItemKind, ItemState, ParsedItem, ParsedNotice
from hashscan.notices.store import NoticeStore
from hashscan.service.intake.serve import data_of
from hashscan.service.intake.tokens import add_token

HOUR = 3600.0
MAIL = {"maildir": "/m", "time": None, "since": None, "stored": 0, "waiting": 0, "examples": [],
        "left": 0, "trouble": ""}  # fmt: skip


@pytest.fixture
def place(place):
    return place.scanned()


def add(place, ago):
    item = ParsedItem(ItemKind.URL, "https://site.example/")
    with NoticeStore(place.state.notices) as store:
        return store.add(
            ParsedNotice("list", (item,)), channel=Channel.HTTP, key=os.urandom(8),
            received=time.time() - ago,
        ).id  # fmt: skip


def test_open_notices_are_counted(place):
    assert "notices " not in place.run().stdout
    assert json.loads(place.run("--json").stdout)["notices"] is None
    add(place, HOUR)
    ran = place.run()
    assert ran.returncode == 0
    assert "  notices     1 open with 1 item: 0 overdue, 0 due soon; next deadline 20" in ran.stdout
    found = json.loads(place.run("--json").stdout)["notices"]
    assert found.pop("next_deadline").endswith("Z")
    assert found == {"open": 1, "items": 1, "due_soon": 0, "overdue": 0, "unread": 0}
    assert (
        "notices=1;;;0 notices_due_soon=0;0;;0 notices_overdue=0;;0;0"
        in place.run("--nagios").stdout
    )


def test_a_notice_that_waits_for_an_approval_is_a_warning(place):
    """Else the first that a monitoring check says is that it is due soon, perhaps at night."""
    item = ParsedItem(ItemKind.URL, "https://site.example/")
    with NoticeStore(place.state.notices) as store:
        one = store.add(
            ParsedNotice("list", (item,)), channel=Channel.MAILDIR, key=b"k", unproven="by mail"
        ).id
        place.extra = "notices: {action: quarantine}\n"
        place.write()
        assert place.complaints() == [], "its file is not here"
        store.advance(store.items(one)[0].number, ItemState.LOCATED)
        place.only(
            3,
            f"1 notice is waiting for your approval, because the sender is not proven, the first is {one}",
        )
        ((_, message),) = place.complaints()
        assert message.endswith(f"'hashscan notice approve {one} --reason TEXT', or close it")
        place.extra = "notices: {action: report}\n"
        place.write()
        assert place.complaints() == [], "an approval would move nothing"
        place.extra = "notices: {action: quarantine}\n"
        place.write()
        store.approve_notice(one, "yes")
    assert place.complaints() == []


def test_due_soon_is_a_warning_and_overdue_is_critical(place):
    one = add(place, 21 * HOUR)
    place.only(3, f"1 notice is due within 4 h, the first is {one}")
    assert place.run("--nagios").returncode == 1
    two = add(place, 25 * HOUR)
    assert [code for code, _ in place.complaints()] == [1, 3]
    ran = place.run("--nagios")
    assert ran.returncode == 2
    assert ran.stdout.startswith("HASHSCAN CRITICAL - 1 notice is overdue, the first is " + two)
    assert place.run().returncode == 1
    with NoticeStore(place.state.notices) as store:
        for notice in (one, two):
            store.close_notice(notice, "done")
    assert place.complaints() == []


def test_a_notice_from_the_future_and_an_input_that_nobody_understood(place):
    add(place, -2 * HOUR)
    place.only(3, "1 open notice received in the future, with a wrong deadline")
    unread_inputs.keep(place.state.directory, b"lunch")
    code, message = place.complaints()[1]
    where = f"{place.state.directory}/notices-unread"
    assert code == 3
    assert message.startswith(
        f"1 input not understood as a notice: read each file in {where}, add it with"
    )


def test_a_file_of_notices_that_cannot_be_read_is_not_called_empty(place):
    with open(place.state.notices, "wb") as file:
        file.write(b"no database" * 999)
    place.only(70, "the file of notices")


def test_nothing_moves_while_the_service_is_in_test():
    given = {
        "service": {"url": "https://x", "username": "u", "test": True},
        "filter": {"source": "/f"},
        "notices": {"action": "quarantine"},
    }
    assert not moves_named(Settings.of(**given))
    given["service"]["test"] = False
    assert moves_named(Settings.of(**given))


def test_mails_without_a_daemon_are_a_complaint(place):
    place.extra = "notices: {maildir: /m}\n"
    place.write()
    place.only(3, "the mails in /m are not read, because no daemon runs")
    place.daemon(notices=MAIL)
    assert place.complaints() == []
    assert "  mail        /m: not read yet, 0 notices taken, 0 not understood" in place.run().stdout


def test_the_daemons_facts_on_mails_are_complaints(place):
    now = time.time()
    place.daemon(notices={**MAIL, "trouble": "/m cannot be used as a Maildir"})
    place.only(70, "notices: /m cannot be used as a Maildir")
    place.daemon(notices={**MAIL, "since": now - 60, "time": now - 7500, "stored": 2, "left": 3})
    assert place.complaints() == []
    assert "/m: read 2 h ago, 2 notices taken, 3 to be read, 0 not" in place.run().stdout
    place.daemon(notices={**MAIL, "since": now - 3000})
    place.only(70, "notices: /m has not answered for 50 min, so the daemon reads no mail")
    examples = [{"path": "/m/new/1", "why": "in no known format"}]
    place.daemon(notices={**MAIL, "waiting": 2, "examples": examples})
    place.only(3, "2 mails not understood as notices: add each with")
    assert "e.g. /m/new/1: in no known format" in place.complaints()[0][1]
    assert "mails_not_understood=2;0;;0" in place.run("--nagios").stdout
    found = json.loads(place.run("--json").stdout)["daemon"]["notices"]
    assert found["waiting"] == 2


def test_the_intake_over_http(place):
    assert place.complaints() == []
    add_token(data_of(place.state), "hotline")
    place.only(3, "notices over HTTP are not taken, but 1 sender may have a token: start")
    found = status_of(place.settings)
    assert "  intake      not running; 1 token" in _as_text(found, []).splitlines()
    code = (
        "import sys; from hashscan.service.intake.serve import *; from hashscan.state import State\n"
        "serve(State(sys.argv[1]), (), IntakeOptions(path=sys.argv[2]), lambda text: print(text, flush=True))"
    )
    socket = place.directory / "socket"
    process = subprocess.Popen(
        [sys.executable, "-c", code, place.state.directory, socket], stdout=subprocess.PIPE
    )
    try:
        assert b"listens on" in process.stdout.readline()
        assert place.complaints() == []
        found = status_of(place.settings)
        (line,) = (one for one in _as_text(found, []).splitlines() if one.startswith("  intake"))
        assert line.startswith("  intake      runs for ")
        assert line.endswith(f", process {process.pid}, listens on the socket {socket}; 1 token")
        shown = json.loads(status_json(found, []))["intake"]
        assert (shown["running"], shown["process"], shown["tokens"]) == (True, process.pid, 1)
        checks = {one.name: one.result for one in _notices(place.settings)}
        assert checks["notices over HTTP"] == "ok"
    finally:
        process.kill()
        process.communicate()
    place.only(3, "notices over HTTP are not taken")
    checks = {one.name: one.result for one in _notices(place.settings)}
    assert checks["notices over HTTP"] == "note"


@pytest.mark.parametrize(("program", "result"), [("/bin/true", "ok"), ("/nowhere/x", "note")])
def test_the_program_that_sends_answers(place, program, result):
    organisation = "{name: Host BV, contact: a@b.example, domain: b.example}"
    given = place.settings.notices.model_copy(update={"sendmail": (program,)})
    place.settings = place.settings.model_copy(update={"notices": given})
    assert "mail program" not in {one.name for one in _notices(place.settings)}
    place.extra = f"notices: {{organisation: {organisation}}}\n"
    place.write()
    given = place.settings.notices.model_copy(update={"sendmail": (program,)})
    place.settings = place.settings.model_copy(update={"notices": given})
    assert {one.name: one.result for one in _notices(place.settings)} == {"mail program": result}
