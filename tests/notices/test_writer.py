"""The lines of the audit log about notices: written with the change, or neither is."""

import os

import pytest

from hashscan.audit import events
from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog
from hashscan.audit.reader import read
from hashscan.audit.recorder import Recorder
from hashscan.errors import StateError
from hashscan.notices.accept import accept
from hashscan.notices.maildir import take_mails
from hashscan.notices.notice import Channel
from hashscan.notices.senders import Senders
from hashscan.notices.store import NoticeStore
from hashscan.output.history import sentence

WHO = Who(0, "root", "command")


@pytest.fixture
def store(tmp_path):
    recorder = Recorder(AuditLog(str(tmp_path)), WHO)
    with NoticeStore(str(tmp_path / "notices.sqlite3"), recorder) as store:
        yield store


def add(store, content=b"http://site.example/a\n"):
    return accept(store, content, channel=Channel.COMMAND, senders=Senders((), None)).id


def test_each_change_has_its_line(store, tmp_path):
    notice = add(store)
    store.approve_notice(notice, "I called them")
    store.note_answer(notice, {"kind": "receipt"}, now=None)
    store.close_notice(notice, "nothing is there")
    store.reopen_notice(notice, "it is")
    found = [(one.event, one.facts.get("action")) for one in read(str(tmp_path))]
    assert found == [
        (events.NOTICE_RECEIVED, None),
        (events.NOTICE_ACTION, "approved"),
        (events.NOTICE_ACTION, "answered"),
        (events.NOTICE_ACTION, "state"),
        (events.NOTICE_CLOSED, None),
        (events.NOTICE_ACTION, "state"),
        (events.NOTICE_REOPENED, None),
    ]
    assert all(one.facts["notice"] == notice for one in read(str(tmp_path)))


def test_an_input_that_is_no_notice_has_a_line(store, tmp_path):
    maildir = tmp_path / "Maildir"
    for name in ("new", "cur"):
        (maildir / name).mkdir(parents=True)
    mail = maildir / "new" / "1700000000.M1P2.host"
    mail.write_bytes(b"Subject: lunch\n\nAt noon?\n")
    for _ in range(2):
        take_mails(str(maildir), store)
    (line,) = read(str(tmp_path))
    assert (line.event, line.facts["channel"]) == (events.NOTICE_REFUSED, "maildir")
    assert line.facts["path"] == str(mail)
    said = sentence(line)
    assert said.startswith(f"an input in {mail} is no notice: the notice is in no known format")


def test_a_change_that_cannot_be_put_on_record_does_not_happen(store, tmp_path):
    notice = add(store)
    os.rename(tmp_path / "audit", tmp_path / "moved-away")
    (tmp_path / "audit").touch()
    with pytest.raises(StateError, match="audit log"):
        store.close_notice(notice, "nothing is there")
    assert store.notice(notice).closed is None
    with pytest.raises(StateError, match="audit log"):
        add(store, b"http://site.example/b\n")
    (tmp_path / "audit").unlink()
    os.rename(tmp_path / "moved-away", tmp_path / "audit")
    store.close_notice(notice, "nothing is there")
    assert [one.event for one in read(str(tmp_path))][-1] == events.NOTICE_CLOSED
