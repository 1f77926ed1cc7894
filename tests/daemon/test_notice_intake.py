"""hashscan.daemon.notice_intake: mails in a process of its own, and deadlines in the log."""

import io
import itertools
import os
import time

import pytest

from hashscan.config.settings import Settings
from hashscan.daemon import notice_intake as module
from hashscan.daemon.log import Log
from hashscan.daemon.notice_intake import Notices
from hashscan.daemon.status_file import write_facts
from hashscan.errors import HashscanError
from hashscan.jobs.notices.deadlines import DUE_SOON, OVERDUE
from hashscan.notices import maildir
from hashscan.notices.maildir import MaildirRound
from hashscan.notices.notice import Channel, ItemKind, Mail, ParsedItem, ParsedNotice
from hashscan.notices.store import NoticeStore
from hashscan.state import State

HOUR = 3600.0


class Clock:
    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


class Desk:
    """The daemon's part, its log, a Maildir and a clock."""

    def __init__(self, directory):
        self.maildir = directory / "Maildir"
        for name in ("new", "cur"):
            (self.maildir / name).mkdir(parents=True)
        self.state = State(str(directory / "state"))
        self.clock = Clock()
        self.out = io.StringIO()
        self.notices = Notices(
            self.settings(), self.state, Log(self.out, self.out), clock=self.clock
        )

    def settings(self, **more):
        given = {"maildir": str(self.maildir), **more}
        return Settings.of(state=self.state.directory, notices=given)

    def put(self, name, content=b"https://site.example/1\n"):
        (self.maildir / "new" / name).write_bytes(content)

    def round(self):
        """One round to its end, whenever it is due."""
        self.clock.now += 60
        self.notices.step()
        (connection,) = self.notices.connections
        assert connection.poll(30)
        self.notices.take([connection])
        assert self.notices.connections == []
        return self.notices.facts()

    def lines(self, words):
        return [line for line in self.out.getvalue().splitlines() if words in line]


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    yield made
    made.notices.close()


def add(desk, received, *items):
    parsed = ParsedNotice(
        "list", tuple(ParsedItem(ItemKind.URL, one) for one in items or ("http://x.example/",))
    )
    with NoticeStore(desk.state.notices) as store:
        return store.add(
            parsed, channel=Channel.COMMAND, key=os.urandom(8), received=received
        ).id  # fmt: skip


def test_mails_are_taken_and_reported(desk):
    desk.put("1.a")
    desk.put("2.b", b"At noon?\n")
    facts = desk.round()
    with NoticeStore(desk.state.notices) as store:
        (one,) = store.notices()
    assert desk.lines(f"info: notice {one.id} stored from the Maildir")
    (line,) = desk.lines(f"warning: {desk.maildir}/new/2.b: not understood as a notice")
    assert "left unread: the notice is in no known format" in line
    assert (facts["stored"], facts["waiting"], facts["trouble"]) == (1, 1, "")
    assert facts["examples"][0]["path"] == f"{desk.maildir}/new/2.b"
    assert facts["time"] == desk.clock.now
    assert desk.round()["stored"] == 1
    assert len(desk.lines("not understood")) == 1, "said once"


def test_the_next_round_follows_immediately_if_mails_are_left(desk, monkeypatch):
    monkeypatch.setattr(maildir, "MOST_MAILS", 1)
    desk.put("1.a")
    desk.put("2.b", b"https://site.example/2\n")
    assert desk.round()["left"] == 1
    desk.notices.step()
    assert desk.notices.connections


def test_trouble_is_logged_once_an_hour(desk):
    (desk.maildir / "new").rmdir()
    facts = desk.round()
    assert "cannot be used as a Maildir" in facts["trouble"]
    desk.notices.use(desk.settings())
    desk.notices.step()
    (connection,) = desk.notices.connections
    assert connection.poll(30)
    desk.notices.take([connection])  # in the same second
    for _ in range(4):
        desk.notices._log_deadlines()
        desk.round()
    assert len(desk.lines("cannot be used as a Maildir")) == 1
    desk.clock.now += HOUR
    desk.round()
    assert len(desk.lines("cannot be used as a Maildir")) == 2
    (desk.maildir / "new").mkdir()
    assert desk.round()["trouble"] == ""


def test_a_maildir_that_does_not_answer_holds_up_nobody(desk, monkeypatch):
    monkeypatch.setattr(module, "take_mails", lambda *_, **__: time.sleep(1000))
    desk.notices.step()
    began = time.monotonic()
    for _ in range(5):
        desk.clock.now += 300
        desk.notices.step()
        desk.notices.take([])
    assert len(desk.notices.connections) == 1, "one at a time"
    assert desk.notices.facts()["since"] == desk.clock.now - 1500
    desk.notices.use(desk.settings(maildir="none"))
    assert time.monotonic() - began < 60
    assert desk.notices.facts() is None
    desk.notices.step()
    assert desk.notices.connections == []


def test_a_mail_that_hangs_its_reader_is_given_up(desk, monkeypatch):
    monkeypatch.setattr(module, "_LONGEST", 1)
    real = module._bound_time

    def hangs(seconds):
        real(seconds)
        if seconds and os.listdir(desk.maildir / "new")[0] == "1.bad":
            while True:
                pass

    desk.put("1.bad")
    with NoticeStore(desk.state.notices) as store:
        inode = os.stat(desk.maildir / "new" / "1.bad").st_ino
        store.put_mail(b"1.bad", Mail(inode, tries=2))
    monkeypatch.setattr(module, "_bound_time", hangs)
    assert "no mails were read: the process that did it died" in desk.round()["trouble"]
    monkeypatch.undo()
    facts = desk.round()
    assert "hashscan failed 3 times to read this mail" in facts["examples"][0]["why"]


def test_a_round_has_bounded_memory(desk, monkeypatch):
    monkeypatch.setattr(module, "take_mails", lambda *_, **__: len(bytearray(2 << 30)))
    assert "no mails were read: MemoryError" in desk.round()["trouble"]


def test_due_soon_and_overdue_are_logged_at_most_once_an_hour(desk):
    desk.notices.use(desk.settings(maildir="none"))
    began = desk.clock.now
    one = add(desk, began)
    for step in range(30 * 12):
        desk.clock.now = began + 300.0 * step
        desk.notices.step()
    soon, late = desk.lines("due within 4 h"), desk.lines("is overdue")
    assert len(soon) == 5, "from the 20th to the 24th hour"
    assert " warning: " in soon[0]
    assert len(late) == 6
    assert f" error: 1 notice is overdue, the first is {one}" in late[0]
    assert "overdue for 5 h" in late[-1]
    two = add(desk, began)
    desk.notices.use(desk.settings(maildir="none"))
    desk.notices.step()
    assert len(desk.lines("overdue")) == 6, "a reload and another notice do not repeat it"
    write_facts(desk.state.directory, {"deadlines_logged": desk.notices.logged()})
    restarted = Notices(
        desk.settings(maildir="none"), desk.state, Log(desk.out, desk.out), clock=desk.clock
    )
    restarted.step()
    assert len(desk.lines("overdue")) == 6, "nor does a restart"
    desk.clock.now -= 7200
    desk.notices.use(desk.settings(maildir="none"))
    desk.notices.step()
    assert len(desk.lines("overdue")) == 7, "a clock that is set back does not silence it"
    with NoticeStore(desk.state.notices) as store:
        for notice in (one, two):
            store.close_notice(notice, "done")
    desk.clock.now += 9 * HOUR
    desk.notices.step()
    assert len(desk.lines("overdue")) == 7


def test_a_damaged_file_of_notices_is_reported(desk):
    with open(desk.state.notices, "wb") as file:
        file.write(b"no database" * 999)
    desk.notices.step()
    assert desk.lines("warning: the deadlines of notices are unknown: the file of notices")
    assert "no mails were read: the file of notices" in desk.round()["trouble"]


def test_deadlines_that_the_audit_log_does_not_take_are_reported(desk, monkeypatch):
    def refuses(*_given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(desk.notices._lines, "step", refuses)
    desk.notices.step()
    assert desk.lines("warning: deadlines are not in the audit log: No space left on device")


def test_without_a_process_no_mails_are_read_until_there_is_one(desk, monkeypatch):
    def refuses(_job):
        raise HashscanError("no process can be started")

    with monkeypatch.context() as patch:
        patch.setattr(module, "Background", refuses)
        desk.notices.step()
    trouble = desk.notices.facts()["trouble"]
    assert trouble.startswith("no mails are read: no process can be started; ")
    assert desk.lines(f"warning: {trouble}")
    assert desk.notices.connections == []
    assert desk.round()["trouble"] == ""


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ({"deadlines_logged": {OVERDUE: 5, DUE_SOON: "x"}}, {OVERDUE: 5.0}),
        ({"deadlines_logged": [OVERDUE]}, {}),
        ({}, {}),
        (None, {}),
    ],
)
def test_the_daemon_before_may_have_left_anything(desk, before, said):
    if before is not None:
        write_facts(desk.state.directory, before)
    again = Notices(desk.settings(), desk.state, Log(desk.out, desk.out), clock=desk.clock)
    assert again.logged() == said


def test_a_round_goes_on_without_a_bound_on_its_memory(desk, monkeypatch):
    def refuses():
        raise OSError(2, "No such file")

    monkeypatch.setattr(module, "_bound_memory", refuses)
    desk.put("1.a")
    assert desk.round()["stored"] == 1


def test_a_mail_every_half_minute_and_the_deadlines_every_minute(desk, monkeypatch):
    jobs, checks = [], []

    class Round:
        connection = "connection"

        def __init__(self, _job):
            jobs.append(desk.clock.now)

        def take(self):
            assert desk.notices.facts()["since"] is None
            return MaildirRound()

        def close(self):
            pass

    monkeypatch.setattr(module, "Background", Round)
    monkeypatch.setattr(desk.notices, "_log_deadlines", lambda: checks.append(desk.clock.now))
    began = desk.clock.now
    for _ in range(200):
        desk.notices.step()
        desk.notices.take(["connection"])
        desk.clock.now += 1
    desk.notices.step()
    assert jobs[0] == checks[0] == began
    pauses = [late - early for early, late in itertools.pairwise(jobs)]
    assert all(26 <= pause <= 34 for pause in pauses), pauses
    pauses = [late - early for early, late in itertools.pairwise(checks)]
    assert all(53 <= pause <= 67 for pause in pauses), pauses


def test_a_notice_that_is_late_when_it_comes_is_logged_at_once(desk):
    desk.notices.step()
    (connection,) = desk.notices.connections
    assert connection.poll(30)
    add(desk, desk.clock.now - 30 * HOUR)
    desk.put("1.a")
    desk.notices.take([connection])
    assert desk.lines("overdue") == []
    desk.notices._mails_due.next = desk.clock.now
    desk.notices._deadlines_due.next = None
    desk.notices.step()
    (connection,) = desk.notices.connections
    assert connection.poll(30)
    desk.notices.take([connection])
    assert len(desk.lines("is overdue")) == 1
