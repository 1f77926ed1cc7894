"""Each format: what it is recognised by, and what is taken from it."""

import notice_samples as samples
import pytest
from notice_samples import mail, plain
from read_notice import ONE, read, refusal

from hashscan.notices import intake


@pytest.mark.parametrize("name", intake.FORMATS)
def test_every_format_is_recognised_and_its_evidence_says_the_same(name):
    content = samples.every()[name]
    found = intake.read(content)
    assert found.notice.format == name
    assert found.notice.items[0].value.startswith(ONE)
    assert read(content, name).items == found.notice.items
    again = read(found.kept)
    assert (again.format, again.items) == (found.notice.format, found.notice.items)


@pytest.mark.parametrize("name", intake.FORMATS)
def test_every_format_forwarded_as_an_attachment(name):
    content = samples.every()[name]
    if not content.startswith(b"From:"):
        content = mail(plain(content.decode()))
    forwarded = mail(
        plain("See the mail below."),
        ("Content-Type: message/rfc822", content.replace(b"=_b", b"=_f")),
    )
    assert read(forwarded).format == name


@pytest.mark.parametrize(
    "name", ["list", "scart-csv", "iwf", "cybertip", "fsm", "ncmec", "pharos", "key-value"]
)
def test_every_format_quoted_below_a_signature(name):
    texts = {
        "list": samples.every()["list"].decode(), "scart-csv": samples.SCART_EN, "iwf": samples.IWF,
        "cybertip": samples.CYBERTIP, "fsm": samples.FSM, "ncmec": samples.NCMEC, "pharos": samples.PHAROS,
        "key-value": samples.KEY_VALUE,
    }  # fmt: skip
    text = texts[name] + "-- \nA hotline https://hotline.example/\n"
    quoted = "Please look.\n-- \nAn abuse desk\nhttps://host.example/\n" + "".join(
        f"> {line}\n" for line in text.split("\n")
    )
    found = read(mail(plain(quoted)))
    assert (found.format, found.items) == (name, read(mail(plain(texts[name]))).items)
    dashes = "Please look.\n-- \nAn abuse desk\n----- Forwarded -----\n" + text
    assert read(mail(plain(dashes))).items == found.items


def test_every_format_refuses_the_text_of_a_stranger():
    text = refusal("Dear all,\nwe meet at 10:00.\n")
    for name in intake.FORMATS:
        assert f"  {name}: it " in text, text


# SCART


# XARF and ARF


# Keys and values
