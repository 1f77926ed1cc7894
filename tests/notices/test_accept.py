"""An accepted input: its facts, its deadline, its identity, and what makes it unproven."""

import hashlib
import time

import pytest
from notice_samples import mail, plain

from hashscan.errors import NoticeError
from hashscan.notices.accept import InputFacts, accept, key_of
from hashscan.notices.notice import DEFAULT_DEADLINE, Channel
from hashscan.notices.senders import NOBODY
from hashscan.notices.store import NoticeStore

LIST = b"http://site.example/a\n"
SENT = 1735808400.0  #: the date of ``mail``


@pytest.fixture
def store(tmp_path):
    with NoticeStore(str(tmp_path / "notices.sqlite3")) as one:
        yield one


def accepted(store, content=LIST, **more):
    return store.notice(accept(store, content, channel=Channel.COMMAND, **more).id)


def letter():
    return mail(plain("http://site.example/a"))


def test_facts_of_an_administrator_replace_those_of_the_text(store):
    facts = InputFacts(sender="S", reference="R", authority="A", legal_basis="L", received=SENT)
    one = accepted(store, letter(), facts=facts)
    assert (one.sender, one.reference, one.authority, one.legal_basis) == ("S", "R", "A", "L")
    assert (one.received, one.sent, one.channel) == (SENT, SENT, Channel.COMMAND)
    other = accepted(store, letter(), again=True)
    assert (other.sender, other.reference) == ("ntd@hotline.example", None)
    assert (other.authority, other.legal_basis) == (None, None)


def test_without_facts_a_notice_arrives_now_and_has_the_usual_deadline(store):
    before = time.time()
    one = accepted(store)
    assert before <= one.received <= time.time()
    assert one.deadline == one.received + DEFAULT_DEADLINE


@pytest.mark.parametrize(
    ("facts", "deadline"),
    [
        ({"deadline": SENT + 9}, SENT + 9),
        ({"within": 60}, SENT + 60),
        ({"within": 60, "deadline": SENT + 9}, SENT + 60),
        ({"within": 60, "received": SENT - 500}, SENT - 440),
        ({"within": 60, "received": SENT + 500}, SENT + 60),
    ],
)
def test_the_deadline(store, facts, deadline):
    facts = InputFacts(**{"received": SENT + 10} | facts)
    assert accepted(store, letter(), facts=facts).deadline == deadline


def test_a_time_limit_of_a_notice_without_a_date_counts_from_its_arrival(store):
    assert accepted(store, facts=InputFacts(received=SENT, within=60)).deadline == SENT + 60


def test_the_same_bytes_are_stored_once_unless_wanted_again(store):
    first = accept(store, LIST, channel=Channel.COMMAND)
    assert accept(store, LIST, channel=Channel.MAILDIR).id == first.id
    again = [accept(store, LIST, channel=Channel.COMMAND, again=True).id for _ in range(2)]
    assert len({first.id, *again}) == 3
    assert key_of(LIST) == hashlib.sha256(LIST).digest()


def test_the_format_may_be_given(store):
    text = b"remove http://site.example/a please\n"
    with pytest.raises(NoticeError, match="in no known format"):
        accept(store, text, channel=Channel.COMMAND)
    assert accepted(store, text, format="list").format == "list"


def test_only_the_sender_of_a_mail_must_be_proven(store):
    assert accepted(store, letter()).unproven == ""
    assert accepted(store, letter(), senders=NOBODY, again=True).unproven == (
        "it came by mail, and notices.senders has no sender whose mails may move files"
    )
