"""Whose mails may move files: strangers and customers forge what they can."""

import pytest

from hashscan.config.settings import Settings
from hashscan.jobs.notices.mailbox import authority_of_mails, senders_of
from hashscan.notices.senders import ANYBODY, NOBODY, Senders, why_unproven

HOTLINE = Senders(("ntd@hotline.example", "meldpunt.example"), "mx.host.example")
PASS = "mx.host.example; dmarc=pass (p=reject) header.from=hotline.example"


SIGNED = (
    "mx.host.example;\n\tdkim=pass (2048-bit key; unprotected)\n header.d=meldpunt.example"
    ' header.i=@meldpunt.example header.b="ab;/c="; spf=none'
)
TWO = "mx.host.example; dkim=fail header.d=x.example; dkim=pass header.i=ntd@meldpunt.example"
QUOTED = (
    'mx.host.example; spf=pass smtp.mailfrom="a;b c"@x.example;'
    " dmarc=pass header.from=hotline.example"
)


def mail(*results, author="ntd@hotline.example", received="Received: from x by mx.host.example\n"):
    headers = "".join(f"Authentication-Results: {one}\n" for one in results)
    return f"{received}{headers}From: {author}\nSubject: x\n\nhttp://a.example/1\n".encode()


@pytest.mark.parametrize(
    ("author", "result"),
    [
        ("ntd@hotline.example", PASS),
        ("NTD <NTD@Hotline.Example>", PASS.replace("hotline.example", "Hotline.EXAMPLE")),
        ('"x (y) <z>" <ntd@hotline.example>', PASS),
        ("any@meldpunt.example", "MX.host.example 1; dmarc=pass header.from=meldpunt.example"),
        ("a@meldpunt.example", SIGNED),
        ("a@meldpunt.example", TWO),
        ("ntd@hotline.example", "mx.host.example; dkim=pass header.d=example"),
        ("ntd@hotline.example", QUOTED),
    ],
)  # fmt: skip
def test_a_verified_sender_is_proven(author, result):
    assert why_unproven(mail(result, author=author), HOTLINE) == ""


FORGED = "mx.host.example; dmarc=pass header.from=hotline.example"


@pytest.mark.parametrize(
    "result",
    [
        "",
        "mx.host.example",
        "other.example; dmarc=pass header.from=hotline.example",
        "x.mx.host.example; dmarc=pass header.from=hotline.example",
        "other.example mx.host.example; dmarc=pass header.from=hotline.example",
        "mx.host.example; dmarc=fail header.from=hotline.example; dkim=pass header.d=hotline.example",
        "mx.host.example; dmarc=pass header.from=evil.example",
        "mx.host.example; dmarc=pass header.from=hotline.example.evil.example",
        "mx.host.example; dmarc=pass",
        "mx.host.example; dkim=pass header.d=evil.example",
        "mx.host.example; dkim=pass header.d=line.example",
        "mx.host.example; dkim=pass header.d=",
        "mx.host.example; dkim=pass",
        "mx.host.example; spf=pass smtp.mailfrom=hotline.example",
        # What the sender wrote, as the server quotes it.
        'mx.host.example; spf=fail smtp.mailfrom="x; dmarc=pass header.from=hotline.example "@evil',
        'mx.host.example; spf=fail smtp.mailfrom="x\\"; dmarc=pass header.from=hotline.example "@e',
        "mx.host.example; spf=fail (x; dmarc=pass header.from=hotline.example ) smtp.helo=y",
        "mx.host.example; spf=fail (x (y); dmarc=pass header.from=hotline.example ) smtp.helo=y",
        "mx.host.example; spf=fail (x \\); dmarc=pass header.from=hotline.example ) smtp.helo=y",
        'mx.host.example; "dmarc=pass" header.from=hotline.example',
        'mx.host.example; spf=fail x="; dmarc=pass header.from=hotline.example',
        "mx.host.example; spf=fail (; dmarc=pass header.from=hotline.example",
        "mx.host.example; spf=fail ); dmarc=pass header.from=hotline.example",
        "mx.host.example; spf=none " + "x" * 2000 + "; dmarc=pass header.from=hotline.example",
    ],
)
def test_anything_else_is_unproven(result):
    # A header that the sender put below the server's own counts for nothing.
    for below in ((), (FORGED,)) if result.startswith("mx.host.example") else ((),):
        assert "says neither dmarc=pass nor dkim=pass" in why_unproven(
            mail(result, *below), HOTLINE
        )


def test_a_long_result_is_not_read_in_part():
    long = "mx.host.example; dmarc=pass header.from=hotline.example"
    padded = long.replace("; d", ";" + " " * (2000 - len(long)) + "d") + ".evil.example"
    assert why_unproven(mail(padded), HOTLINE)


@pytest.mark.parametrize(
    ("author", "why"),
    [
        ("evil@evil.example", "from evil@evil.example, which is not in notices.senders"),
        ("other@hotline.example", "from other@hotline.example, which is not in"),
        ("ntd@sub.meldpunt.example", "which is not in"),
        ('"ntd@hotline.example" <evil@evil.example>', "from evil@evil.example"),
        ("ntd@hotline.example <evil@evil.example>", "no single address"),
        ("ntd@hotline.example, evil@evil.example", "no single address"),
        ("(ntd@hotline.example) evil@evil.example", "from evil@evil.example"),
        ("=?utf-8?q?=3Cntd=40hotline.example=3E?= <evil@evil.example>", "from evil@evil.example"),
        ("evil@evil.example\nFrom: ntd@hotline.example", "no single address"),
        ("x\rFrom: ntd@hotline.example", "from ntd@hotline.example, but"),
        ("nobody", "no single address"),
        ("<>", "no single address"),
        ('"ntd@hotline.example', "from ntd@hotline.example, but"),
    ],
)
def test_who_wrote_it(author, why):
    text = mail("mx.host.example; dmarc=pass header.from=evil.example", author=author)
    assert why in why_unproven(text, HOTLINE)


def test_nobody_and_anybody():
    assert "has no sender" in why_unproven(mail(PASS), NOBODY)
    assert why_unproven(b"https://a.example/1", Senders((ANYBODY,))) == ""
    assert "no single address" in why_unproven(b"https://a.example/1", HOTLINE)
    assert "has headers of more than 64 KiB" in why_unproven(b"A: b\n" * 20_000, HOTLINE)


@pytest.mark.parametrize(
    ("given", "words", "is_risky"),
    [
        ({}, "until you approve its notice", True),
        ({"senders": ["*"]}, "from any sender", True),
        ({"senders": ["A.example"], "verified_by": "MX"}, "mails of a.example move", False),
        ({"action": "report"}, "a mail moves no file that no list knows (", False),
    ],
)
def test_what_settings_let_a_stranger_do(given, words, is_risky):
    settings = Settings.of(notices={"action": "quarantine", **given})
    what, fix = authority_of_mails(settings)
    assert (words in what, bool(fix)) == (True, is_risky)
    assert senders_of(settings).allowed == settings.notices.senders
