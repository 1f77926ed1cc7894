"""A line of the audit log for each notice that is due soon, and for each overdue one."""

import os
from contextlib import suppress

import pytest

from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog
from hashscan.audit.reader import read
from hashscan.daemon import notice_deadlines
from hashscan.daemon.notice_deadlines import DeadlineLines
from hashscan.files import ANNOUNCED
from hashscan.notices.notice import Channel, ItemKind, ParsedItem, ParsedNotice
from hashscan.notices.store import NoticeStore
from hashscan.state import State
from hashscan.text import rfc3339

NOW = 1_700_000_000.0
HOUR = 3600.0


class Desk:
    def __init__(self, directory):
        self.state = State(str(directory))
        self.written = []
        self.works = True
        self.start()

    def start(self):
        self.lines = DeadlineLines(self.state, self._write)

    def _write(self, event, notice, deadline):
        if self.works:
            self.written.append((event, notice, deadline))
        return self.works

    def add(self, deadline):
        parsed = ParsedNotice("list", (ParsedItem(ItemKind.URL, "http://x.example/"),))
        with NoticeStore(self.state.notices) as store:
            key = os.urandom(8)
            return store.add(
                parsed, channel=Channel.COMMAND, key=key, received=NOW, deadline=deadline
            ).id

    def step(self, now):
        self.lines.step(4 * HOUR, now)
        written, self.written = self.written, []
        return written


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "state")


def test_one_line_when_it_is_due_soon_and_one_when_it_is_overdue(desk):
    assert desk.step(NOW) == []
    first = desk.add(NOW + 24 * HOUR)
    assert desk.step(NOW) == []
    deadline = rfc3339(NOW + 24 * HOUR)
    assert desk.step(NOW + 20 * HOUR - 1) == []
    assert desk.step(NOW + 20 * HOUR) == [("notice-due", first, deadline)]
    assert desk.step(NOW + 22 * HOUR) == []
    desk.start()
    assert desk.step(NOW + 23 * HOUR) == []
    assert desk.step(NOW + 24 * HOUR) == [], "it is not overdue yet"
    second = desk.add(NOW + 24.5 * HOUR)
    assert {line[:2] for line in desk.step(NOW + 24.2 * HOUR)} == {
        ("notice-overdue", first),
        ("notice-due", second),
    }
    desk.start()
    assert desk.step(NOW + 24.3 * HOUR) == []


def test_a_kill_after_the_line_doubles_it_not(desk, monkeypatch):
    first, second = desk.add(NOW + HOUR), desk.add(NOW + 2 * HOUR)
    log = AuditLog(desk.state.directory)
    kills = [1]

    def write(event, notice, deadline):
        if notice == second and kills:
            kills.pop()
            raise KeyboardInterrupt
        return bool(log.append(event, Who.current("daemon"), notice=notice, deadline=deadline))

    monkeypatch.setattr(desk, "_write", write)
    for _ in range(2):
        desk.start()
        with suppress(KeyboardInterrupt):
            desk.step(NOW)
    written = [one.facts["notice"] for one in read(desk.state.directory)]
    assert [one for one in written if one in {first, second}] == [first, second]


def test_a_line_that_could_not_be_written_is_written_later(desk):
    notice = desk.add(NOW + HOUR)
    desk.works = False
    assert desk.step(NOW) == []
    desk.works = True
    assert desk.step(NOW) == [("notice-due", notice, rfc3339(NOW + HOUR))]


def test_a_notice_that_is_open_again_gets_new_lines(desk):
    notice = desk.add(NOW + HOUR)
    assert len(desk.step(NOW)) == 1
    with NoticeStore(desk.state.notices) as store:
        store.close_notice(notice, "done")
    assert desk.step(NOW) == []
    with NoticeStore(desk.state.notices) as store:
        store.reopen_notice(notice, "not done")
    assert len(desk.step(NOW)) == 1


def test_only_so_many_lines_are_written_at_a_time(desk, monkeypatch):
    monkeypatch.setattr(notice_deadlines, "_MOST", 2)
    notices = [desk.add(NOW + hour * HOUR) for hour in (3, 1, 2)]
    assert [line[1] for line in desk.step(NOW)] == [notices[1], notices[2]]
    assert [line[1] for line in desk.step(NOW)] == [notices[0]]
    assert desk.step(NOW) == []


@pytest.mark.parametrize("damage", [b"{", b"[]", b"7", b'{"N1": 7}', b'{"N1": ["a"]}', None])
def test_without_a_readable_note_of_lines_they_are_written_again(desk, damage):
    desk.add(NOW + HOUR)
    assert len(desk.step(NOW)) == 1
    path = f"{desk.state.directory}/{ANNOUNCED}"
    if damage is None:
        os.unlink(path)
    else:
        with open(path, "wb") as file:
            file.write(damage)
    desk.start()
    assert len(desk.step(NOW)) == 1
