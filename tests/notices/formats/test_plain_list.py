"""Lists of URLs, paths and digests: what a line holds, and which texts are no list."""

import os

import pytest
from notice_samples import MD5, SHA1, SHA256, mail, plain
from read_notice import read, refusal, understood, urls, values

from hashscan.notices.formats.plain_list import item_in


def test_a_list():
    found = understood(
        "# from the hotline\n\nhxxps[:]//x[.]example/a.jpg\n- https://x.example/b\n"
        f"/srv/www/a b.jpg\n{MD5.upper()}\n{MD5} {SHA1},{SHA256}\nSHA1: {SHA1}  https://x.example/d\n"
        f"{'0d' * 20}  name of a file.jpg\r\n3. https://x.example/e\n"
    )
    assert found.notice.format == "list"
    assert urls(found.notice) == [
        "https://x.example/a.jpg", "https://x.example/b", "/srv/www/a b.jpg", MD5, SHA256, "https://x.example/d", "0d" * 20,
        "https://x.example/e",
    ]  # fmt: skip
    assert [one.hex for one in found.notice.items[4].digests] == [MD5, SHA1, SHA256]
    assert found.notice.items[5].digests == (("sha1", SHA1),)
    assert found.notice.items[6].note == "name of a file.jpg"
    assert found.notice.sender is found.notice.sent is None


def test_paths_keep_their_bytes():
    found = understood(b"/srv/www/\xff\xe9.jpg\nhttp://x.example/\xe9.jpg\n")
    assert [os.fsencode(one) for one in urls(found.notice)] == [
        b"/srv/www/\xff\xe9.jpg", "http://x.example/é.jpg".encode(),
    ]  # fmt: skip


def test_a_sentence_with_a_url_is_no_list_unless_it_is_called_one():
    text = "Dear provider,\nplease remove (hxxp://x[.]example/a), and https://x.example/b.\n"
    assert "list: it has text around the URL in line 2" in refusal(text)
    assert values(text, "list") == ["http://x.example/a", "https://x.example/b"]


def test_a_digest_is_not_taken_out_of_a_url_and_an_address_is_none():
    assert values(f"http://x.example/{MD5}\n") == [f"http://x.example/{MD5}"]
    assert "names no URL" in refusal("2001:db8:0:0:0:0:0:1\n2025-01-02\n192.0.2.1\n")
    assert "digest of empty content" in refusal("d41d8cd98f00b204e9800998ecf8427e\n")


@pytest.mark.parametrize(
    ("line", "kind", "value", "digests"),
    [
        ("https://x.example/a", "url", "https://x.example/a", []),
        ("  x.example/a ", "url", "http://x.example/a", []),
        ("<https://x.example/a>,", "url", "https://x.example/a", []),
        ("- https://x.example/a", "url", "https://x.example/a", []),
        ("* https://x.example/a", "url", "https://x.example/a", []),
        ("\u2022 https://x.example/a", "url", "https://x.example/a", []),
        ("12) https://x.example/a", "url", "https://x.example/a", []),
        (">> https://x.example/a", "url", "https://x.example/a", []),
        (f"https://x.example/a {MD5};{SHA1}", "url", "https://x.example/a", [MD5, SHA1]),
        (f"MD5: {MD5} sha-1= {SHA1}", "digest", SHA1, [MD5, SHA1]),
        (f"{SHA1} *a b.jpg", "digest", SHA1, [SHA1]),
        (f"\\{SHA1}  a", "digest", SHA1, [SHA1]),
        ("/srv/a b", "path", "/srv/a b", []),
        ("/srv/\udcff", "path", "/srv/\udcff", []),
        ("/" + "a" * 4095, "path", "/" + "a" * 4095, []),
    ],
)
def test_the_item_in_a_line(line, kind, value, digests):
    found = item_in(line)
    assert (found.kind, found.value) == (kind, value)
    assert [one.hex for one in found.digests] == digests


@pytest.mark.parametrize(
    "line",
    [
        "", "a word", "see https://x.example/a", "https://x.example/a https://x.example/b",
        f"{MD5} word", "//x.example/a", "/" + "a" * 4096, "/srv/\0a", "/srv/\ud800",
        "1234567. https://x.example/a", "md5:",
    ],
)  # fmt: skip
def test_lines_without_an_item(line):
    assert item_in(line) is None


def test_the_note_of_a_sum_is_its_file_name():
    assert item_in(f"{SHA1}  a  b").note == "a b"
    assert item_in(f"{SHA1} {MD5}").note is None


def test_remarks_name_what_is_left_out():
    empty = "d41d8cd98f00b204e9800998ecf8427e"
    text = f"https://x.example/a\nfirst remark\n# no remark\nsecond\n{empty}\n/{'a' * 20_000}\n"
    assert read(text).remarks == (
        "2 lines hold no item, first: first remark",
        "1 digest of empty content left out",
        "1 line is too long to be read",
    )
    assert read("https://x.example/a\n").remarks == ()


def test_the_signature_of_a_mail_is_no_part_of_the_list():
    text = "https://x.example/a\n-- \nhttps://hotline.example\n"
    assert values(text) == values(mail(plain(text))) == ["https://x.example/a"]


def test_a_mail_with_much_text_around_its_items_is_no_list():
    def letter(lines):
        return mail(plain("https://x.example/a\n" + "text\n" * lines))

    assert values(letter(23)) == ["https://x.example/a"]
    assert "list: it has 24 lines of text around 1 item" in refusal(letter(24))
    assert values(letter(24), "list") == ["https://x.example/a"]
    assert values("https://x.example/a\n" + "text\n" * 99) == ["https://x.example/a"]
