"""Which format an input is in, and what is kept of it."""

import base64
import os

import pytest
from notice_samples import MD5, MEDIA, SHA1, mail, plain
from read_notice import refusal, understood, urls

from hashscan.notices.notice import ItemKind

# Lists


def test_an_item_that_is_named_twice_is_one_item():
    found = understood(f"http://x.example/a {MD5}\nhttp://x.example/a {SHA1}\nhttp://x.example/a\n")
    assert [len(one.digests) for one in found.notice.items] == [2]
    assert found.notice.remarks == ("2 items are named more than once",)


# Mails


@pytest.mark.parametrize(
    "hidden",
    [
        "<img src='data:image/jpeg;base64,{one}'>",
        "begin 644 a.jpg\n{lines}end",
        "{lines}",
        "=ybegin line=128 name=a\n{lines}=yend size=1",
    ],
)
def test_content_inside_of_text_is_not_kept(hidden):
    one, lines = base64.b64encode(MEDIA).decode(), base64.encodebytes(MEDIA).decode()
    text = "https://x.example/a.jpg\n" + hidden.format(one=one, lines=lines)
    for content in (text.encode(), mail(plain(text))):
        found = understood(content, "list")
        assert lines[:76].encode() not in found.kept
        assert one[:76].encode() not in found.kept
        assert b"https://x.example/a.jpg" in found.kept
        assert b"characters dropped]" in found.kept


def test_long_lists_of_digests_are_kept():
    text = "".join(f"{os.urandom(32).hex()}\n" for _ in range(100)).encode()
    assert understood(text).kept == text


def test_several_mails_attached_to_a_mail():
    """An abuse desk forwards what it has; nothing of it may be missed in silence."""

    def attached(text, mark):
        return "Content-Type: message/rfc822", mail(plain(text)).replace(b"=_b", mark)

    found = understood(
        mail(
            plain("See the mails below."),
            attached("https://x.example/a", b"=_1"),
            attached("Out of office", b"=_2"),
            attached(f"URL: https://x.example/b\nURL: https://x.example/a\nMD5: {MD5}\n", b"=_3"),
        )
    )
    assert urls(found.notice) == ["https://x.example/a", "https://x.example/b"]
    assert found.notice.items[0].digests == (("md5", MD5),)
    assert found.notice.remarks == (
        "attached mail: format key-value, sender ntd@hotline.example, reference none, 2 items",
        "1 attached mail holds no notice",
    )


def test_urls_that_are_not_taken_are_a_remark():
    found = understood(
        "URL: https://x.example/a\nMore: https://y.example/\nand <https://y.example/>\n",
        "key-value",
    )
    assert found.notice.remarks == (
        "1 URL in the text not taken as items, first: https://y.example/",
    )


def test_remarks_are_short():
    inner = "Reference: " + "\U000e0001" * 900 + "\nURL: https://x.example/b\n"
    attached = "Content-Type: message/rfc822", mail(plain(inner)).replace(b"=_b", b"=_1")
    hidden = "https://x.example/" + "\U000e0001" * 90
    notice = understood(
        mail(plain(f"URL: https://x.example/a\nsee {hidden} now\n"), attached)
    ).notice
    assert len(notice.remarks) == 2
    assert max(map(len, notice.remarks)) <= 1000


# Refusals


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\xff\xd8\xff\xe0" + MEDIA, "is no text"),
        (b"hello", "list: it names no URL, path or digest"),
        (mail(*[plain("x")] * 300), "more than 200 parts"),
        (b"http://x.example/a\n" * 600_000, "more than 500,000 lines"),
        (b"Received: x\nX: " + b"a" * 70_000, "headers of more than 64 KiB"),
    ],
)
def test_what_is_not_understood(content, why):
    assert why in refusal(content)


def test_formats_that_do_not_exist():
    assert "there is no format 'x'" in refusal(b"http://x.example/", "x")
    assert understood(b"http://x.example/", "list").notice.items[0].kind is ItemKind.URL
