"""Which format an input is in, and what is kept of it."""

import base64
import os

import pytest
from notice_samples import MD5, MEDIA, SHA1, SHA256, mail, picture, plain

from hashscan.errors import ExitCode, NoticeError
from hashscan.notices import intake
from hashscan.notices.notice import ItemKind


def read(content, format=None):  # noqa: A002
    return intake.read(content if isinstance(content, bytes) else content.encode(), format=format)


def values(understood):
    return [one.value for one in understood.notice.items]


def refusal(content, format=None):  # noqa: A002
    with pytest.raises(NoticeError) as caught:
        read(content, format)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value)


# Lists


def test_a_list():
    found = read(
        "# from the hotline\n\nhxxps[:]//x[.]example/a.jpg\n- https://x.example/b\n"
        f"/srv/www/a b.jpg\n{MD5.upper()}\n{MD5} {SHA1},{SHA256}\nSHA1: {SHA1}  https://x.example/d\n"
        f"{'0d' * 20}  name of a file.jpg\r\n3. https://x.example/e\n"
    )
    assert found.notice.format == "list"
    assert values(found) == [
        "https://x.example/a.jpg", "https://x.example/b", "/srv/www/a b.jpg", MD5, SHA256, "https://x.example/d", "0d" * 20,
        "https://x.example/e",
    ]  # fmt: skip
    assert [one.hex for one in found.notice.items[4].digests] == [MD5, SHA1, SHA256]
    assert found.notice.items[5].digests == (("sha1", SHA1),)
    assert found.notice.items[6].note == "name of a file.jpg"
    assert found.notice.sender is found.notice.sent is None


def test_paths_keep_their_bytes():
    found = read(b"/srv/www/\xff\xe9.jpg\nhttp://x.example/\xe9.jpg\n")
    assert [os.fsencode(one) for one in values(found)] == [
        b"/srv/www/\xff\xe9.jpg", "http://x.example/é.jpg".encode(),
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
def test_charsets_of_files(encoding):
    text = "https://x.example/é.jpg\n"
    assert values(read(text.encode(encoding))) == ["https://x.example/é.jpg"]


def test_a_sentence_with_a_url_is_no_list_unless_it_is_called_one():
    text = "Dear provider,\nplease remove (hxxp://x[.]example/a), and https://x.example/b.\n"
    assert "list: it has text around the URL in line 2" in refusal(text)
    assert values(read(text, "list")) == ["http://x.example/a", "https://x.example/b"]


def test_a_digest_is_not_taken_out_of_a_url_and_an_address_is_none():
    assert values(read(f"http://x.example/{MD5}\n")) == [f"http://x.example/{MD5}"]
    assert "names no URL" in refusal("2001:db8:0:0:0:0:0:1\n2025-01-02\n192.0.2.1\n")
    assert "digest of empty content" in refusal("d41d8cd98f00b204e9800998ecf8427e\n")


def test_an_item_that_is_named_twice_is_one_item():
    found = read(f"http://x.example/a {MD5}\nhttp://x.example/a {SHA1}\nhttp://x.example/a\n")
    assert [len(one.digests) for one in found.notice.items] == [2]
    assert found.notice.remarks == ("2 items are named more than once",)


# Mails


def test_a_mail():
    found = read(
        mail(plain("Dear all,\n\nhttps://x.example/a.jpg\n\n-- \nhttps://hotline.example/\n"))
    )
    assert values(found) == ["https://x.example/a.jpg"]
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
    found = read(content)
    assert values(found) == ["https://x.example/a.jpg"]
    assert found.notice.dropped == 4
    for line in base64.encodebytes(MEDIA).splitlines():
        assert line not in found.kept
    assert b"https://x.example/a.jpg" in found.kept
    assert b"From: Hotline" in found.kept
    again = read(found.kept)
    assert again.notice.items == found.notice.items


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
        found = read(content, "list")
        assert lines[:76].encode() not in found.kept
        assert one[:76].encode() not in found.kept
        assert b"https://x.example/a.jpg" in found.kept
        assert b"characters dropped]" in found.kept


def test_content_after_the_end_of_base64_is_not_kept():
    """Padding ends Base64; a mail program may show what comes after it."""
    body = base64.encodebytes(b"https://x.example/a.jpeg\n") + base64.encodebytes(MEDIA)
    found = intake.read(mail(("Content-Type: text/plain\nContent-Transfer-Encoding: base64", body)))
    assert values(found) == ["https://x.example/a.jpeg"]
    assert base64.encodebytes(MEDIA)[:76] not in found.kept
    assert values(intake.read(found.kept)) == ["https://x.example/a.jpeg"]


def test_base64_of_text_is_kept_byte_by_byte():
    body = base64.encodebytes(b"".join(b"https://x.example/%d\n" % one for one in range(200)))
    found = intake.read(mail(("Content-Type: text/plain\nContent-Transfer-Encoding: base64", body)))
    assert len(values(found)) == 200
    assert body.strip() in found.kept


def test_long_lists_of_digests_are_kept():
    text = "".join(f"{os.urandom(32).hex()}\n" for _ in range(100)).encode()
    assert read(text).kept == text


@pytest.mark.parametrize(
    "part",
    [
        plain("https://x.example/é", "latin-1"),
        plain("https://x.example/é", "utf-16"),
        ("Content-Type: text/plain; charset=ascii", "https://x.example/é".encode()),
        ("Content-Type: text/plain; charset=latin-1", "https://x.example/é".encode()),
        ("Content-Type: text/plain; charset=no-such", "https://x.example/é".encode("cp1252")),
        ("Content-Type: text/plain; charset=zlib", "https://x.example/é".encode()),
        ("Content-Type: text/plain", "https://x.example/é".encode()),
        ("Content-Transfer-Encoding: quoted-printable", "https://x.example/=C3=\r\n=A9"),
        ("Content-Transfer-Encoding: base64", base64.b64encode("https://x.example/é".encode()).rstrip(b"=")),
        ("Content-Transfer-Encoding: base64", base64.b64encode("https://x.example/é".encode()) + b"!A"),
        ("Content-Transfer-Encoding: base64", "https://x.example/é\n\nthis is no Base64, is it?"),
        ("Content-Transfer-Encoding: no-such", "https://x.example/é"),
        ("Content-Transfer-Encoding: 8bit", "=3D\r\nhttps://x.example/=C3=\r\n=A9"),
        ("Content-Type: text/html", "<p>https://x.example/&eacute;<br>end"),
    ],
)  # fmt: skip
def test_charsets_and_transfer_encodings(part):
    assert values(read(mail(part))) == ["https://x.example/é"]


def test_the_plain_text_of_two_counts_unless_it_says_nothing():
    both = mail(
        plain("https://x.example/a"), ("Content-Type: text/html", "<p>https://x.example/b"),
        kind="alternative",
    )  # fmt: skip
    assert values(read(both)) == ["https://x.example/a"]
    empty = mail(
        plain("Your program shows no HTML"), ("Content-Type: text/html", "<p>https://x.example/b"),
        kind="alternative",
    )  # fmt: skip
    assert values(read(empty)) == ["https://x.example/b"]


def test_a_mail_that_is_attached_to_a_mail():
    inner = mail(plain("https://x.example/a"), picture())
    outer = mail(
        plain("See https://x.example/ below."),
        ("Content-Type: message/rfc822", inner.replace(b"=_b", b"=_i")),
    )
    found = read(outer)
    assert (values(found), found.notice.dropped) == (["https://x.example/a"], 1)
    assert base64.encodebytes(MEDIA).splitlines()[0] not in found.kept


def test_several_mails_attached_to_a_mail():
    """An abuse desk forwards what it has; nothing of it may be missed in silence."""

    def attached(text, mark):
        return "Content-Type: message/rfc822", mail(plain(text)).replace(b"=_b", mark)

    found = read(
        mail(
            plain("See the mails below."),
            attached("https://x.example/a", b"=_1"),
            attached("Out of office", b"=_2"),
            attached(f"URL: https://x.example/b\nURL: https://x.example/a\nMD5: {MD5}\n", b"=_3"),
        )
    )
    assert values(found) == ["https://x.example/a", "https://x.example/b"]
    assert found.notice.items[0].digests == (("md5", MD5),)
    assert found.notice.remarks == (
        "attached mail: format key-value, sender ntd@hotline.example, reference none, 2 items",
        "1 attached mail holds no notice",
    )


def test_urls_that_are_not_taken_are_a_remark():
    found = read(
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
    notice = read(mail(plain(f"URL: https://x.example/a\nsee {hidden} now\n"), attached)).notice
    assert len(notice.remarks) == 2
    assert max(map(len, notice.remarks)) <= 1000


def test_addresses_that_a_mail_program_broke():
    text = "https://x.example/a-long-\r\nhttps://x.example/name- \r\nof-it.jpg\r\n-- \r\nhttps://y.example/"
    part = "Content-Type: text/plain; format=flowed; delsp=yes", text
    assert values(read(mail(part))) == [
        "https://x.example/a-long-",
        "https://x.example/name-of-it.jpg",
    ]


def test_a_mail_with_a_broken_line_in_its_headers():
    content = b"\xff garbage\n" + mail(plain("https://x.example/a"), picture())
    found = read(content)
    assert (values(found), found.notice.dropped, found.notice.sender) == (
        ["https://x.example/a"], 1, "ntd@hotline.example",
    )  # fmt: skip


def test_a_missing_delimiter_at_the_end():
    content = mail(plain("https://x.example/a")).replace(b"--=_b--", b"")
    assert values(read(content)) == ["https://x.example/a"]


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


def test_a_video_that_is_called_text_is_dropped_without_being_decoded():
    video = "Content-Type: text/plain", b"\x00\x01" * (18 << 20)
    found = read(mail(plain("https://x.example/a"), video))
    assert (values(found), found.notice.dropped) == (["https://x.example/a"], 1)
    long = "Content-Type: text/plain", b"a\n" * (18 << 20)
    assert "more than 16 MiB of text" in refusal(mail(long))


def test_text_that_was_copied_from_a_mail():
    assert values(read("https://x.example/?a=3D1&b=\n=3D2\n")) == ["https://x.example/?a=1&b=2"]
    # Not surely.
    assert values(read("https://x.example/?a=3D1&b=x\n")) == ["https://x.example/?a=3D1&b=x"]


def test_deep_nesting_is_refused():
    content = plain("https://x.example/a")[1]
    for level in range(2000):
        boundary = b"b%d" % level
        content = (
            b"Content-Type: multipart/mixed; boundary=" + boundary + b"\n\n--" + boundary + b"\n"
            + content
        )  # fmt: skip
    assert "nested more than 10 levels" in refusal(b"MIME-Version: 1.0\n" + content)


def test_formats_that_do_not_exist():
    assert "there is no format 'x'" in refusal(b"http://x.example/", "x")
    assert read(b"http://x.example/", "list").notice.items[0].kind is ItemKind.URL
