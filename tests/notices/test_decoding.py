"""Bytes of senders as text: charsets, transfer encodings, and bytes that are no text."""

import base64

import pytest
from notice_samples import mail, plain
from read_notice import values

from hashscan.notices.decoding import base64_bytes, has_more, is_binary, text_of, transferred


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
def test_charsets_of_files(encoding):
    text = "https://x.example/é.jpg\n"
    assert values(text.encode(encoding)) == ["https://x.example/é.jpg"]


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
    assert values(mail(part)) == ["https://x.example/é"]


def test_text_that_was_copied_from_a_mail():
    assert values("https://x.example/?a=3D1&b=\n=3D2\n") == ["https://x.example/?a=1&b=2"]
    # Not surely.
    assert values("https://x.example/?a=3D1&b=x\n") == ["https://x.example/?a=3D1&b=x"]


@pytest.mark.parametrize(
    ("raw", "binary"),
    [
        (b"", False),
        (b"text\r\n\t\x0c\x1b[0m", False),
        ("é".encode("cp1252") * 99, False),
        (b"a" * 99 + b"\x01", False),
        (b"a" * 98 + b"\x01", True),
        (b"a\x00b", True),
        (b"\xef\xbb\xbf\x00\x01", False),
        ("some text".encode("utf-16-le"), False),
        ("some text".encode("utf-16-be") + b"\x00", False),
        (b"\x00\x01" * 100, True),
        (b"a\x00" * 3, True),
        (b"a" * 65536 + b"\x01" * 65536, False),
    ],
)
def test_bytes_that_are_no_text(raw, binary):
    assert is_binary(raw) == binary


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        (b"a\r\nb\rc\n", None, "a\nb\nc\n"),
        ("é".encode(), "latin-1", "é"),
        ("é".encode("latin-1"), "latin-1", "é"),
        ("й".encode("koi8-r"), "KOI8-R", "й"),
        (b"\x80", None, "€"),
        (b"\x81", None, "\x81"),
        (b"\x80", "ascii", "€"),
        ("é".encode("utf-16"), None, "é"),
        (b"\xef\xbb\xbfa", "utf-16", "a"),
        (b"\xff\xfe\x00\x00a\x00\x00\x00", None, "a"),
        (b"\xfe\xff\xd8\x00", None, "\ufffd"),
        ("plain text".encode("utf-16-be"), "utf-8", "plain text"),
        (b"+AGE-", "utf-7", "+AGE-"),
        (b"a-b", "punycode", "a-b"),
        (b"6162", "hex", "6162"),
        (b"~{VP~}", "hz", "中"),
        (b"ab", "utf-16", "ab"),
        (b"ab", "utf-8" + "x" * 40, "ab"),
        (b"ab", "\x00", "ab"),
    ],
)
def test_the_text_of_bytes(raw, charset, text):
    assert text_of(raw, charset) == text


@pytest.mark.parametrize(
    ("raw", "encoding", "content"),
    [
        (b"=41=\r\nb", " Quoted-Printable ", b"Ab"),
        (b"YWJj", "BASE64", b"abc"),
        (b"YW\r\nJj", "base64", b"abc"),
        (b"no Base64, is it? no, no, no!", "base64", b"no Base64, is it? no, no, no!"),
        (b"YWJj....", "base64", b"abc"),
        (b"YWJj" * 100 + b".....", "base64", b"abc" * 100),
        (b"YWJj.....", "base64", b"YWJj....."),
        (b"=3D=\n=41", "", b"=A"),
        (b"=3D=\n=4", "", b"=3D=\n=4"),
        (b"=3D=\n=4a", "7bit", b"=3D=\n=4a"),
        (b"=3D=41", "", b"=3D=41"),
        (b"=41=\n", "", b"=41=\n"),
        (b"YWJj", "8bit", b"YWJj"),
    ],
)
def test_transfer_encodings(raw, encoding, content):
    assert transferred(raw, encoding) == content


@pytest.mark.parametrize(
    ("raw", "content"),
    [
        (b"", b""), (b"YWJj", b"abc"), (b"YWI=", b"ab"), (b"YWI", b"ab"), (b"YQ", b"a"),
        (b"Y", b""), (b"YWJjY", b"abc"), (b"Y W-J?j", b"abc"), (b"YQ==YWJj", b"a"),
    ],
)  # fmt: skip
def test_base64_up_to_an_error(raw, content):
    assert base64_bytes(raw) == content


def test_what_continues_after_the_end_of_base64():
    for raw, more in (
        (b"YWJj", False),
        (b"YQ==", False),
        (b"YQ==\r\n", False),
        (b"YQ==YWJj", True),
    ):
        assert has_more(raw, " Base64", base64_bytes(raw)) == more
    assert not has_more(b"YQ==YWJj", "8bit", b"a")
