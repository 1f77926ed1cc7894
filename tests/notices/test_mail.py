"""A mail in parts: its headers, its texts, what is dropped, and the bounds of all that."""

import base64

import pytest
from notice_samples import MEDIA, mail, picture, plain
from read_notice import refusal, understood, urls, values

from hashscan.notices.mail import (
    DEEPEST_PART,
    MOST_PARTS,
    MailError,
    TextBounds,
    headers_of,
    is_mail,
    parse,
)


def test_a_mail():
    found = understood(
        mail(plain("Dear all,\n\nhttps://x.example/a.jpg\n\n-- \nhttps://hotline.example/\n"))
    )
    assert urls(found.notice) == ["https://x.example/a.jpg"]
    notice = found.notice
    assert (notice.sender, notice.contact, notice.sent, notice.dropped) == (
        "ntd@hotline.example", "answers@hotline.example", 1735808400.0, 0,
    )  # fmt: skip


def test_media_are_dropped_unread_and_counted():
    content = mail(
        plain("https://x.example/a.jpg"), picture(), picture(kind="application/zip"),
        picture(kind="text/plain"),  # it lies
        picture(kind="application/octet-stream; name=a.txt"),
    )  # fmt: skip
    found = understood(content)
    assert urls(found.notice) == ["https://x.example/a.jpg"]
    assert found.notice.dropped == 4
    for line in base64.encodebytes(MEDIA).splitlines():
        assert line not in found.kept
    assert b"https://x.example/a.jpg" in found.kept
    assert b"From: Hotline" in found.kept
    again = understood(found.kept)
    assert again.notice.items == found.notice.items


def test_content_after_the_end_of_base64_is_not_kept():
    """Padding ends Base64; a mail program may show what comes after it."""
    body = base64.encodebytes(b"https://x.example/a.jpeg\n") + base64.encodebytes(MEDIA)
    found = understood(mail(("Content-Type: text/plain\nContent-Transfer-Encoding: base64", body)))
    assert urls(found.notice) == ["https://x.example/a.jpeg"]
    assert base64.encodebytes(MEDIA)[:76] not in found.kept
    assert values(found.kept) == ["https://x.example/a.jpeg"]


def test_base64_of_text_is_kept_byte_by_byte():
    body = base64.encodebytes(b"".join(b"https://x.example/%d\n" % one for one in range(200)))
    found = understood(mail(("Content-Type: text/plain\nContent-Transfer-Encoding: base64", body)))
    assert len(urls(found.notice)) == 200
    assert body.strip() in found.kept


def test_the_plain_text_of_two_counts_unless_it_says_nothing():
    both = mail(
        plain("https://x.example/a"), ("Content-Type: text/html", "<p>https://x.example/b"),
        kind="alternative",
    )  # fmt: skip
    assert values(both) == ["https://x.example/a"]
    empty = mail(
        plain("Your program shows no HTML"), ("Content-Type: text/html", "<p>https://x.example/b"),
        kind="alternative",
    )  # fmt: skip
    assert values(empty) == ["https://x.example/b"]


def test_a_mail_that_is_attached_to_a_mail():
    inner = mail(plain("https://x.example/a"), picture())
    outer = mail(
        plain("See https://x.example/ below."),
        ("Content-Type: message/rfc822", inner.replace(b"=_b", b"=_i")),
    )
    found = understood(outer)
    assert (urls(found.notice), found.notice.dropped) == (["https://x.example/a"], 1)
    assert base64.encodebytes(MEDIA).splitlines()[0] not in found.kept


def test_addresses_that_a_mail_program_broke():
    text = "https://x.example/a-long-\r\nhttps://x.example/name- \r\nof-it.jpg\r\n-- \r\nhttps://y.example/"
    part = "Content-Type: text/plain; format=flowed; delsp=yes", text
    assert values(mail(part)) == [
        "https://x.example/a-long-",
        "https://x.example/name-of-it.jpg",
    ]


def test_a_mail_with_a_broken_line_in_its_headers():
    content = b"\xff garbage\n" + mail(plain("https://x.example/a"), picture())
    found = understood(content)
    assert (urls(found.notice), found.notice.dropped, found.notice.sender) == (
        ["https://x.example/a"], 1, "ntd@hotline.example",
    )  # fmt: skip


def test_a_missing_delimiter_at_the_end():
    content = mail(plain("https://x.example/a")).replace(b"--=_b--", b"")
    assert values(content) == ["https://x.example/a"]


def test_a_video_that_is_called_text_is_dropped_without_being_decoded():
    video = "Content-Type: text/plain", b"\x00\x01" * (18 << 20)
    found = understood(mail(plain("https://x.example/a"), video))
    assert (urls(found.notice), found.notice.dropped) == (["https://x.example/a"], 1)
    long = "Content-Type: text/plain", b"a\n" * (18 << 20)
    assert "more than 16 MiB of text" in refusal(mail(long))


def test_deep_nesting_is_refused():
    content = plain("https://x.example/a")[1]
    for level in range(2000):
        boundary = b"b%d" % level
        content = (
            b"Content-Type: multipart/mixed; boundary=" + boundary + b"\n\n--" + boundary + b"\n"
            + content
        )  # fmt: skip
    assert "nested more than 10 levels" in refusal(b"MIME-Version: 1.0\n" + content)


def test_a_carriage_return_begins_no_header():
    text = b"Subject: x\rFrom: ntd@hotline.example\r\nTo: a@b.example\r\n\r\n"
    headers = headers_of(text)
    assert (headers.author(), headers.get("to")) == ("", "a@b.example")
    assert headers.get("subject") == "x From: ntd@hotline.example"


def test_the_address_to_answer_is_not_what_a_name_looks_like():
    for author in ('"a@b.example" <c@d.example>', "a@b.example <c@d.example>",
                   "(a@b.example) c@d.example", "c@d.example (a@b.example)",
                   "=?utf-8?q?=3Ca=40b.example=3E?= <c@d.example>"):  # fmt: skip
        assert headers_of(f"From: {author}\n\n".encode()).address("from") == "c@d.example"


def headers(text):
    return headers_of(text.encode() + b"\n\nbody")


def test_headers_by_their_names():
    found = headers("\r\nSubject: a\r\n  b\nSUBJECT: c\nno header\nX-Empty:\n\ttext\nbad name: x")
    assert found.get("subject") == "a b"
    assert found.get("x-empty") == "text"
    assert found.get("to") == ""
    assert found.has("x-empty")
    assert not found.has("to")
    assert list(found.whole("subject")) == ["a\n  b", "c"]
    assert list(found.whole("to")) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?utf-8?q?caf=C3=A9?= =?utf-8?b?w6k=?= x", "caféé x"),
        ("=?latin-1?q?=E9?=", "é"),
        ("=?none?q?=E9?=", "é"),
        ("=?utf-8?b?x?=", "=?utf-8?b?x?="),
        ("é", "é"),
    ],
)
def test_encoded_words(value, text):
    assert headers(f"Subject: {value}").get("subject") == text


def test_long_values_are_cut_or_left_out():
    found = headers(f"Subject: {'x' * 3000}\nFrom: {'y' * 1990}")
    assert len(found.get("subject")) == 2000
    assert [len(one) for one in (*found.whole("subject"), *found.whole("from"))] == [0, 1990]


@pytest.mark.parametrize(
    ("lines", "kind", "name", "charset"),
    [
        ("", "text/plain", "", ""),
        ('Content-Type: TEXT/Html;\n CHARSET="utf-8"; name=a.html', "text/html", "a.html", "utf-8"),
        (
            "Content-Type: x; name=a\nContent-Disposition: attachment; filename=b",
            "text/plain",
            "b",
            "",
        ),
        (
            "Content-Disposition: attachment; filename*=utf-8''caf%C3%A9",
            "text/plain",
            "caf\xc3\xa9",
            "",
        ),
        ("Content-Type: a/b; name==?utf-8?q?caf=C3=A9?=", "a/b", "café", ""),
        ("Content-Type: a/b; charset=" + "x" * 400, "a/b", "", "x" * 300),
        ("Content-Type: a/b; charset", "a/b", "", ""),
    ],
)
def test_the_type_and_name_of_a_part(lines, kind, name, charset):
    found = headers(f"X: y\n{lines}" if lines else "X: y")
    assert (found.content_type(), found.parameter("charset")) == (kind, charset)
    assert found.name() == name


@pytest.mark.parametrize(
    ("lines", "author"),
    [
        ("From: A <a@b.example>", "a@b.example"),
        ("From: a@b.example", "a@b.example"),
        ("From: a@b.example, c@d.example", ""),
        ("From: a@b.example\nFrom: a@b.example", ""),
        ("From: @ <a@b.example>", ""),
        ("From: A", ""),
        ("To: a@b.example", ""),
    ],
)
def test_the_author_is_a_single_address(lines, author):
    assert headers(lines).author() == author


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        (b"Received: x\n\nbody", True),
        (b"\r\n\r\nmime-version : 1.0\r\n", True),
        (b"From: a\nTo: b\n\n", True),
        (b"From: a\n\nTo: b", False),
        (b"From someone\nFrom: a\n To\nDate: x\n", True),
        (b"note: x\nurl: y\n", False),
        (b"garbage\nFrom: a\nTo: b\n", False),
        (b"garbage\nFrom: a\nTo: b\nDate: c\nSubject: d\n", True),
        (b"1\n2\nFrom: a\nTo: b\nDate: c\nSubject: d\n", True),
        (b"1\n2\n3\nFrom: a\nTo: b\nDate: c\nSubject: d\n", False),
        (b"https://x.example/a\n", False),
        (b"", False),
    ],
)
def test_what_begins_like_a_mail(content, is_one):
    assert is_mail(content) == is_one


def texts(content):
    return [(one.kind, one.name, one.text.strip()) for one in parse(content).texts]


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        ("Content-Type: application/json", True),
        ("Content-Type: application/vnd.x+json", True),
        ("Content-Type: message/feedback-report", True),
        ("Content-Type: application/octet-stream; name=a.CSV", True),
        ("Content-Type: application/vnd.ms-excel; name=a.csv", True),
        ("Content-Type: application/octet-stream", False),
        ("Content-Type: application/pdf; name=a.csv", False),
        ("Content-Type: image/png", False),
    ],
)
def test_which_parts_are_texts(head, kept):
    found = parse(mail((head, "x")))
    assert (len(found.texts), found.dropped) == ((1, 0) if kept else (0, 1))
    assert (b"[1 bytes dropped unread]" in found.kept) != kept


def test_a_multipart_without_parts_is_a_text():
    assert texts(b"Content-Type: multipart/mixed; boundary=b\n\nx") == [("text/plain", "", "x")]
    assert texts(b"Content-Type: multipart/mixed\n\nx") == [("text/plain", "", "x")]


def test_parts_end_at_their_delimiters():
    head = b'Content-Type: multipart/mixed; boundary="b (x)"\n\npreamble'
    content = (
        head
        + b"\n--b (x) \t\n\none\n--b (x)y\n\r\n--b (x)\r\n\r\ntwo\n--b (x)--\nend\n--b (x)\n\nno"
    )
    assert [one.text for one in parse(content).texts] == ["one\n--b (x)y\n", "two"]


def test_only_the_other_forms_of_a_text_are_alternatives():
    parts = [("Content-Type: text/html", "a"), plain("b"), ("Content-Type: text/html", "c")]
    found = parse(mail(*parts, kind="alternative")).texts
    assert [one.alternative for one in found] == [False, False, True]
    assert not any(one.alternative for one in parse(mail(*parts)).texts)


def test_pictures_in_headers_are_not_kept():
    content = b"Subject: x\nFace: one\n two\nX-Face: three\nTo: a\n\nbody"
    assert parse(content).kept == b"Subject: x\nTo: a\n\nbody"


def test_the_bounds_of_a_mail():
    with pytest.raises(MailError, match="has more than 64 MiB"):
        parse(bytes((64 << 20) + 1))
    assert len(parse(mail(*[plain("x")] * (MOST_PARTS - 1))).texts) == MOST_PARTS - 1
    with pytest.raises(MailError, match="has more than 200 parts"):
        parse(mail(*[plain("x")] * MOST_PARTS))
    assert parse(b"X: " + b"a" * (64 * 1024 - 3)).texts
    with pytest.raises(MailError, match="has headers of more than 64 KiB"):
        parse(b"X: " + b"a" * (64 * 1024 - 2))


def test_the_bounds_of_texts_count_all_texts_together():
    for most, unit, words in (
        (16 << 20, "x", "16 MiB of text"), (500_000, "\n", "500,000 lines"),
        (3_000_000, "<", "3,000,000 HTML tags"),
    ):  # fmt: skip
        bounds = TextBounds()
        bounds.take(unit * (most - 1))
        bounds.take(unit)
        with pytest.raises(MailError, match=f"has more than {words}"):
            bounds.take(unit)


def nested(levels):
    content = b"\n\nx"
    for level in range(levels):
        content = b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n%s" % (
            level,
            level,
            content,
        )
    return content


def test_parts_are_nested_ten_levels_deep_and_not_more():
    assert len(parse(nested(DEEPEST_PART)).texts) == 1
    with pytest.raises(MailError, match="nested more than 10 levels deep"):
        parse(nested(DEEPEST_PART + 1))
