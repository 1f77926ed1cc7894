"""An answer as a mail: valid, in its thread, and without a header that a sender wrote."""

import email
import email.policy
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashscan.config.notices import OrganisationSettings
from hashscan.config.values import is_mail_address
from hashscan.notices.answers.message import Thread, as_eml, message_of, thread_of
from hashscan.notices.answers.templates import AnswerText

HOST = OrganisationSettings(
    name='Höst "B,V"', contact="abuse@host.example", domain="host.example"
)  # fmt: skip
NO_THREAD = Thread()
HEADERS = {
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language",
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}  # fmt: skip


def sent(subject="Decision", body="text\n", thread=NO_THREAD):
    message = message_of(
        AnswerText(subject, body),
        HOST,
        "ntd@hotline.example",
        language="nl",
        now=0.0,
        thread=thread,
    )
    raw = as_eml(message)
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert not parsed.defects
    assert not any(value.defects for value in parsed.values())
    return parsed


def test_an_answer_is_a_mail():
    found = sent("Besluit over één melding", "Één regel: €\n.\nFrom here\n")
    assert set(found.keys()) == HEADERS
    (sender,) = found["From"].addresses
    assert (sender.display_name, sender.addr_spec) == (HOST.name, HOST.contact)
    assert found["To"] == "ntd@hotline.example"
    assert found["Subject"] == "Besluit over één melding"
    assert found["Date"].datetime == datetime.fromtimestamp(0, UTC)
    assert found["Message-ID"].endswith("@host.example>")
    assert found["Auto-Submitted"] == "auto-generated"
    assert found["Content-Language"] == "nl"
    assert found.get_content_charset() == "utf-8"
    assert found.get_content().replace("\r\n", "\n") == "Één regel: €\n.\nFrom here\n"


def test_an_answer_to_a_mail_is_in_its_thread():
    ids = ["<first@x.example>", f"<{'a' * 150}@{'b' * 40}.example>"]
    found = sent(thread=Thread(ids[1], (ids[0],)))
    assert found["In-Reply-To"] == ids[1]
    assert found["References"].split() == ids
    assert found["Auto-Submitted"] == "auto-replied"


def test_the_thread_of_a_notice():
    mail = (
        b"From: a@b.example\r\nMessage-ID: <1@b.example>\r\nReferences: <x@b.example>\r\n"
        b"\t<y@b.example> junk\r\n\r\nhttp://site.example/a\r\n"
    )
    assert thread_of(mail) == Thread("<1@b.example>", ("<x@b.example>", "<y@b.example>"))
    many = b"From: a@b.example\nMessage-ID: <1@b.example>\nReferences: %s\n\nx" % b" ".join(
        b"<%d@b.example>" % number for number in range(50)
    )
    found = thread_of(many).references
    assert (len(found), found[0], found[-1]) == (20, "<0@b.example>", "<49@b.example>")
    assert thread_of(b"http://site.example/a\n") == Thread()
    assert thread_of(b"From: a@b.example\nSubject: x\n\nx") == Thread()
    assert thread_of(b"From: a@b.example\nMessage-ID: none\n\nx") == Thread()
    assert thread_of(b"From: a@b.example\nMessage-ID: <1@b>\n" + b"x: y\n" * 20000) == Thread()


@pytest.mark.parametrize(
    "evil", ["<a\r\nBcc: x@y.example@b>", "<a b@c>", "<<a@b>", "<ä@b.example>"]
)
def test_a_senders_message_id_adds_no_header(evil):
    raw = f"From: a@b.example\nMessage-ID: {evil}\nReferences: {evil}\n\nx".encode()
    found = sent(thread=thread_of(raw))
    assert set(found.keys()) <= HEADERS | {"In-Reply-To", "References"}


@settings(max_examples=30, deadline=None)
@given(
    subject=st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), min_size=1, max_size=200),
    body=st.lists(st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=400), max_size=3),
)  # fmt: skip
def test_any_text_is_read_back(subject, body):
    subject = " ".join(subject.split()) or "x"
    text = "\n".join(body) + "\n"
    found = sent(subject, text)
    assert set(found.keys()) == HEADERS
    assert found["Subject"] == subject
    assert found.get_content().replace("\r\n", "\n") == text


@settings(max_examples=25, deadline=None)
@given(
    st.from_regex(
        r"[A-Za-z0-9_][A-Za-z0-9_.+=&'~-]{0,9}@[a-z0-9]{1,5}(\.[a-z0-9-]{1,5}){0,2}", fullmatch=True
    ),
    st.sampled_from(["", *' ,;:<>()|/@\r\n\t\\"\u00e9', "\r\nBcc: x@y.example"]),
    st.integers(0, 20),
)
def test_an_accepted_address_is_one_recipient(address, more, place):
    recipient = address[:place] + more + address[place:]
    if is_mail_address(recipient):
        message = message_of(AnswerText("s", "x\n"), HOST, recipient, language="en", now=0.0)
        found = email.message_from_bytes(as_eml(message), policy=email.policy.default)
        assert [one.addr_spec for one in found["To"].addresses] == [recipient]
        assert set(found.keys()) == HEADERS
    else:
        assert more or ".." in address or ".@" in address or "-" in address.rpartition("@")[2]
