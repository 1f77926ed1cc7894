"""Hostile inputs: no traceback, no hang, bounded memory, and nothing but clean values.

``make test-long`` tries 200,000 inputs and larger attacks.
"""

import base64
import contextlib
import json
import os
import quopri
import time
import tracemalloc

import notice_samples as samples
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashscan.errors import NoticeError
from hashscan.model import EMPTY_DIGESTS, HEX_LENGTH
from hashscan.notices import intake
from hashscan.notices.notice import MOST_ITEMS, ItemKind

LONG = bool(os.environ.get("HASHSCAN_LONG"))
EXAMPLES = 200_000 if LONG else 340
#: Seconds of the processor for one input of a few kilobytes.
LONGEST = 10.0
PICTURE = samples.picture()[1]

EVERY = samples.every()
TEXTS = {
    "scart-en": samples.SCART_EN, "scart-police": samples.SCART_POLICE, "scart-table": samples.SCART_TABLE,
    "xarf-4": json.dumps(samples.XARF_4), "xarf-3": json.dumps(samples.XARF_3), "xarf-0.2": samples.XARF_02,
    "arf": samples.ARF, "iwf": samples.IWF, "cybertip": samples.CYBERTIP, "fsm": samples.FSM,
    "ncmec": samples.NCMEC, "pharos": samples.PHAROS, "meldpunt": samples.MELDPUNT,
    "key-value": samples.KEY_VALUE, "list": EVERY["list"].decode(),
}  # fmt: skip
SUBJECTS = [
    "Notice", "[Report #1]", "child sexual abuse", "[A0000001234] x", "=?utf-8?q?=FF?= =?x?b?!?=", "\x00",
    "Notice of possible child exploitation on your service",
]  # fmt: skip
KINDS = [
    "text/plain", "text/html", "text/csv", "application/json", "message/feedback-report", "message/rfc822",
    "application/octet-stream; name=report.txt", "image/jpeg", "multipart/mixed", "multipart/mixed; boundary=x",
    "", ";;;", "text/plain; charset*0*=utf-8''%FF; charset*1=x", 'text/plain; boundary="', "\xff/\x00",
]  # fmt: skip
CHARSETS = [
    "utf-8",
    "latin-1",
    "utf-16",
    "utf-7",
    "idna",
    "punycode",
    "zlib",
    "cp037",
    "iso-2022-jp",
    "",
    "\x00",
]
ENCODINGS = ["", "7bit", "base64", "quoted-printable", "x-uuencode", "BASE64 ", "\xff"]
TOKENS = [
    b"\x00", b"\xff", b"\r", b"\n", b"\n\n", b"\r\n\r\n", b"--=_b\r\n", b"--=_b--", b"=?", b"?=",
    b"=?utf-8?q?=", b";", b'"', b"'", b"<", b">", b"<!--", b"-->", b"</table>", b"<table class=urls>", b"<td>",
    b"<script>", b"&#" + b"9" * 5000 + b";", b"&amp", b"[", b"{", b"}", b",", b"\\ud800", b"hxxp://", b"[.]", b"(dot)",
    b"://", b"url;note\n", b":", b"URL:", b"http://[", b"http://x.example/", b"%00", b"\xe2\x80\xa8", b"\xed\xa0\x80",
    b"&a ", b"*a", b"!!python/object:os.system", b"begin 644 a\n", b"data:a/b;base64,", b"-- \n", b"> ", b"9" * 5000,
    b"d41d8cd98f00b204e9800998ecf8427e", b"(" * 500, b"\t" * 500, b"From: a@b.example\n", b"NaN", b"1e999", b"2025-99-99",
    b"0x", b"\xef\xbb\xbf", b"\xff\xfe", b"=\n", b"=3D", b"Content-Type: multipart/mixed; boundary==_b\n\n",
]  # fmt: skip

edits = st.lists(
    st.tuples(
        st.sampled_from(["insert", "replace", "delete", "repeat", "swap", "cut"]),
        st.integers(0, 1 << 20),
        st.integers(0, 1 << 20),
        st.sampled_from(TOKENS) | st.binary(max_size=6),
    ),
    min_size=1,
    max_size=6,
)


def edited(content, changes):
    for what, at, other, token in changes:
        start = at % (len(content) + 1)
        end = min(len(content), start + other % 200)
        if what == "insert":
            content = content[:start] + token + content[start:]
        elif what == "replace":
            content = content[:start] + token + content[start + len(token) :]
        elif what == "delete":
            content = content[:start] + content[end:]
        elif what == "repeat":
            content = content[:start] + content[start:end] * (other % 20) + content[end:]
        elif what == "swap":
            middle = other % (len(content) + 1)
            content = content[middle:] + content[:middle]
        else:
            content = content[: start + 1]
    return content


@st.composite
def parts(draw):
    """A part of a mail with a mutated text, in any transfer encoding, and what is said about it."""
    text = edited(TEXTS[draw(st.sampled_from(sorted(TEXTS)))].encode(), draw(edits))
    kind, charset = draw(st.sampled_from(KINDS)), draw(st.sampled_from(CHARSETS))
    encoding, said = draw(st.sampled_from(ENCODINGS)), draw(st.sampled_from(ENCODINGS))
    if draw(st.booleans()):
        said = encoding
    if encoding.strip().lower() == "base64":
        text = base64.encodebytes(text)
    elif encoding == "quoted-printable":
        text = quopri.encodestring(text)
    head = f"Content-Type: {kind}; charset={charset}\r\nContent-Transfer-Encoding: {said}"
    return head, text


@st.composite
def mails(draw, depth=0):
    """A valid mail whose parts are mutated; sometimes with mails in it."""
    several = draw(st.lists(parts(), min_size=1, max_size=3))
    if depth < 2 and draw(st.integers(0, 3)) == 0:
        inner = draw(mails(depth=depth + 1)).replace(b"=_b", b"=_%d" % depth)
        several.append(
            (
                draw(st.sampled_from(["Content-Type: message/rfc822", "Content-Type: text/plain"])),
                inner,
            )
        )
    if draw(st.booleans()):
        several.append(samples.picture())
    return samples.mail(
        *several, subject=draw(st.sampled_from(SUBJECTS)),
        kind=draw(st.sampled_from(["mixed", "alternative", "report", "related"])),
        headers=draw(st.lists(st.sampled_from(["X-XARF: PLAIN", "Date: 99 Foo 99999999999", "From: ((((", "X: " + "a" * 3000]), max_size=2)),
    )  # fmt: skip


def checked(content, format=None):  # noqa: A002
    """Read an input; only a notice with clean values or a refusal is right."""
    began = time.process_time()
    found, refusal = None, ""
    try:
        found = intake.read(content, format=format)
    except NoticeError as error:
        refusal = str(error)
    assert time.process_time() - began < LONGEST
    assert len(refusal) < 10_000
    if found is None:
        return
    notice = found.notice
    assert notice.format in intake.FORMATS
    assert 1 <= len(notice.items) <= MOST_ITEMS
    assert len({(one.kind, one.value) for one in notice.items}) == len(notice.items)
    assert len(notice.remarks) <= 20
    for text in (notice.sender, notice.contact, notice.reference, notice.password, *notice.remarks):
        assert text is None or (text.encode() and "\n" not in text and len(text) <= 1000)
    for one in notice.items:
        if one.kind is ItemKind.PATH:
            assert os.fsencode(one.value).startswith(b"/")
            assert b"\x00" not in os.fsencode(one.value)
        elif one.kind is ItemKind.URL:
            assert one.value.startswith(("http://", "https://", "ftp://"))
            assert one.value.encode()
            assert not set(map(chr, range(32))) & set(one.value)
        else:
            assert one.value in [digest.hex for digest in one.digests]
        for digest in one.digests:
            assert digest not in EMPTY_DIGESTS
            assert len(digest.hex) == HEX_LENGTH[digest.algorithm]
            bytes.fromhex(digest.hex)
        for text in (one.referrer, one.ip, one.classification, one.note):
            assert text is None or (text.encode() and len(text) <= 8192)
        for moment in (one.first_seen, one.last_seen, notice.sent):
            assert moment is None or 6e8 < moment < 4.2e9
    assert len(found.kept) <= 4 * len(content) + 1000
    if b"characters dropped]" not in found.kept:
        again = intake.read(found.kept, format=format).notice
        assert [one.value for one in again.items] == [one.value for one in notice.items]
    if PICTURE in content:
        assert PICTURE[154:230] not in found.kept  # its first line is in the sample of XARF, too
    assert bool(notice.dropped) == (b" bytes dropped unread]" in found.kept)


#: Hypothesis keeps the examples of a run; Python's search for unused memory among many takes seconds.
BATCH = 2000


def share(number):
    """Decorate a test: one of ``number`` parts of all inputs, in batches."""
    inputs = max(1, EXAMPLES // number)
    chosen = settings(
        max_examples=min(BATCH, inputs),
        suppress_health_check=list(HealthCheck),
        derandomize=not LONG,
    )
    batches = pytest.mark.parametrize("batch", range(-(-inputs // BATCH)))
    return lambda test: batches(chosen(test))


@pytest.mark.timeout(7200 if LONG else 180)
@pytest.mark.parametrize("name", sorted(EVERY))
@share(2 * len(EVERY))
@given(edits, st.booleans())
def test_mutated_inputs(name, batch, changes, forced):
    checked(edited(EVERY[name], changes), name if forced else None)


@pytest.mark.timeout(7200 if LONG else 180)
@share(10)
@given(mails())
def test_mails_with_mutated_parts(batch, content):
    checked(content)


@pytest.mark.timeout(7200 if LONG else 180)
@share(5)
@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_random_bytes(batch, content):
    checked(content)
    checked(b"MIME-Version: 1.0\n" + content)


@pytest.mark.timeout(7200 if LONG else 180)
@share(5)
@given(
    st.lists(st.sampled_from(TOKENS), max_size=60).map(b"".join), st.sampled_from(intake.FORMATS)
)
def test_random_tokens_of_the_formats(batch, content, name):
    checked(content, name)
    checked(content)


#: A kilobyte or so of these, many times over: what costs time or memory that grows with the square.
UNITS = {
    "open comments": "<!-- ", "open tags": "<a ", "quotes in tags": "<a b='\" ", "open tables": "<table>",
    "rows": "<tr><td>", "cells": "<td>http://x.example/</td>", "links": "<a href='http://x.example/'>",
    "entities": "&#38", "ampersands": "&", "scripts": "<script>", "declarations": "<!a<?", "slashes": "</",
    "blanks": " ", "tabs": "\t", "empty lines": "\n", "lines with a blank": " \n", "dashes": "-",
    "colons": ":", "keys": "a:", "separators": ";", "commas": ",", "quotes": '"', "dots": ".", "stars": "*",
    "parentheses": "(", "brackets": "[", "braces": "{", "defanged dots": "[.]", "soft dots": "(dot)", "angles": "<>",
    "schemes": "http://", "defanged": "hxxp[:]//", "urls": "http://x.example/a ", "hex": "0a", "ones": "1",
    "url keys": "URL: http://x.example/1\n", "headings": "url;note\n", "digest keys": "MD5: " + samples.MD5 + "\n",
    "long rows": "http://x.example/;" , "data": "data:a/b;base64,", "blocks": "begin 644 a\n", "yenc": "=ybegin \n",
    "arrays": "[],", "objects": '{"a":1},', "strings": '"a",', "aliases": "a: *a\n", "anchors": "a: &a\n",
    "yaml": "[", "encoded words": "=?utf-8?q?", "ends of words": "=?=", "boundaries": "--=_b\n",
    "addresses": "a@", "numbers": "9", "dates": "2025-01-01 ", "soft ends": "=\n", "www": "www.", "paths": "/a\n",
    "prose": "received a number of reports for the same ", "bullets": "- ", "quoted": "> ", "nul": "\x00", "bom": "\ufeff",
    "payloads": '"payload": "', "base64": "QUJD" * 18 + "\n", "umlauts": "\u00e4", "iwf": "IWF serial number:\n",
}  # fmt: skip
PREFIXES = {
    "": "", "html": "<html>", "scart": samples.SCART_EN, "json": '{"xarf_version": "4.0.0", "a": [',
    "table": "<table class=urls><tr><td>", "iwf": samples.IWF, "yaml": samples.XARF_02,
    "xarf": '{"Version": "3", "Report": {"a": "', "list": "http://x.example/a\n",
}  # fmt: skip
SIZE = 512 << 10 if LONG else 16 << 10
#: Seconds of the processor and bytes of memory for each byte of an attack, all formats tried.
PER_BYTE, BYTES_PER_BYTE = 25e-6, 250


def attacked(content, format=None):  # noqa: A002
    began = time.process_time()
    with contextlib.suppress(NoticeError):
        intake.read(content, format=format)
    spent = time.process_time() - began
    assert spent < 2.5 + PER_BYTE * len(content), spent


def grown(unit, size):
    return (unit * (size // len(unit) + 1))[:size]


@pytest.mark.timeout(7200 if LONG else 180)
@pytest.mark.parametrize("unit", sorted(UNITS))
def test_time_grows_with_the_size_only(unit):
    for prefix in PREFIXES if LONG else ("", "html"):
        text = (PREFIXES[prefix] + grown(UNITS[unit], SIZE)).encode()
        attacked(text)
        if LONG:
            attacked(samples.mail(("Content-Type: text/html", text)))
            attacked(text, "list")


@pytest.mark.parametrize(
    "unit", ["arrays", "cells", "urls", "paths", "open tables", "digest keys", "rows", "url keys"]
)
def test_memory_grows_with_the_size_only(unit):
    size = SIZE if LONG else 10 << 10
    for prefix in ("", "json", "table") if LONG else ("",):
        text = (PREFIXES[prefix] + grown(UNITS[unit], size)).encode()
        tracemalloc.start()
        try:
            attacked(text)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < (1 << 20) + BYTES_PER_BYTE * len(text), (prefix, peak)
