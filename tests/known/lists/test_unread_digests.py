"""Digests of a list in places that are not read: refused or reported, never lost in silence."""

from __future__ import annotations

import json
import random
import time

import pytest

from hashscan.errors import DigestListError
from hashscan.known.lists import vics
from hashscan.known.lists.reader import Lists

_random = random.Random(7)
MD5, MD5_B = (_random.randbytes(16).hex() for _ in range(2))
SHA1, SHA1_B = (_random.randbytes(20).hex() for _ in range(2))


@pytest.fixture
def read(tmp_path):
    """The digests of a list with this content, and its report."""

    def read(content: str, **options):
        path = tmp_path / "list"
        path.write_text(content, newline="")
        source = Lists([str(path)], **options)
        return [entry.hex for entry in source], source.reports[0]

    return read


@pytest.fixture(params=[vics.VALUE_LIMIT, 130])
def limit(request, monkeypatch):
    """Objects are decoded as a whole, or key by key."""
    monkeypatch.setattr(vics, "VALUE_LIMIT", request.param)
    monkeypatch.setattr(vics, "_CHUNK", 50)


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("hashes", {"md5": MD5}),
        ("hashes", {"a": MD5}),
        ("hashes", [MD5]),
        ("Digests", [MD5, MD5_B]),
        ("info", {"MD5": MD5}),
        ("info", {"more": {"sha-1": SHA1_B}}),
        ("hashes", [{"type": "md5", "value": MD5}]),
        ("other", [{"algorithm": "SHA-1", "text": SHA1_B}]),
        ("media", {"md5": MD5}),
    ],
)
def test_digests_inside_of_a_medium_refuse_it(read, name, inside):
    for medium in ({"SHA1": SHA1, name: inside}, {name: inside, "id": 1, "SHA1": None}):
        document = json.dumps([{"SHA1": SHA1_B}, medium])
        with pytest.raises(DigestListError, match="has digests inside of it") as caught:
            read(document)
        assert f"record 2: '{name.lower()}'" in str(caught.value)
        taken, report = read(document, skip_invalid=True)
        assert (taken, report.invalid) == ([SHA1_B], 1)


@pytest.mark.parametrize(
    "more",
    [
        {"MediaFiles": [{"MD5": MD5_B, "FileName": "a"}]},
        {"hashes": {"sha1": SHA1.upper()}},
        {"perceptual": {"pdq": "text"}, "tags": [], "size": 5},
        {"AlternativeHashes": [{"HashName": "SHA512", "HashValue": MD5 * 4}]},
    ],
)
def test_what_a_medium_may_hold(read, more):
    taken, report = read(json.dumps([{"SHA1": SHA1, **more}]))
    assert (taken, report.remarks()) == ([SHA1], [])


def test_a_medium_whose_files_alone_have_a_digest_is_refused(read):
    with pytest.raises(DigestListError, match="'mediafiles' has digests inside"):
        read(json.dumps([{"SHA1": SHA1}, {"MediaID": 2, "MediaFiles": [{"MD5": MD5}]}]))


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize(
    "beside", [{"MD5": MD5}, {"hashes": {"md5": MD5}}, {"value": {"md5": MD5}}]
)
def test_a_digest_beside_the_media(read, beside):
    for case in ({"Media": [{"SHA1": SHA1}], **beside}, {**beside, "Media": [{"SHA1": SHA1}]}):
        with pytest.raises(DigestListError, match="a digest is outside of the media"):
            read(json.dumps({"value": [case]}), skip_invalid=True)


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize(
    ("medium", "name"),
    [
        ({"fingerprint": MD5}, "fingerprint"),
        ({"data": [MD5]}, "data"),
        ({"value": MD5}, "value"),
        ({"Media": [{"SHA1": SHA1}], "data": MD5}, "data"),
    ],
)
def test_what_may_be_a_digest_in_json_is_reported(read, medium, name):
    taken, report = read(
        json.dumps([{"SHA1": SHA1, **medium}] if "Media" not in medium else medium)
    )
    assert len(taken) == 1
    assert f"1 rows have what may be a digest under a name that is not read ('{name}')" in str(
        report.remarks()
    )


@pytest.mark.parametrize("header", ["sha1,hash2", "sha1,Fingerprint", "sha1,"])
def test_what_may_be_a_digest_in_a_column_is_reported(read, header):
    taken, report = read(f"{header}\n{SHA1},{MD5}\n{SHA1_B},\n")
    assert taken == [SHA1, SHA1_B]
    name = header.partition(",")[2] or "column 2"
    assert f"1 rows have what may be a digest under a name that is not read ('{name}')" in str(
        report.remarks()
    )


@pytest.mark.parametrize("header", ["sha1,filename", "sha1,path"])
def test_a_file_may_be_called_as_a_digest(read, header):
    taken, report = read(f"{header}\n{SHA1},{MD5}\n")
    assert (taken, report.remarks()) == ([SHA1], [])


@pytest.mark.parametrize("mark", ["\v", "\f", "\x1e", "\x85", "\u2028"])
@pytest.mark.parametrize(
    "text",
    [
        "sha1;name\n{a};x{mark}{b}  y\n",
        "sha1;name{mark}{b}\n{a};x\n",
        "sha1;name\n{a};x\n# said{mark}{b}\n",
        "%%%% size,sha1,name,more\n5,{a},x{mark}{b},y\n",
    ],
)
def test_a_row_in_a_cell_that_is_not_read(read, text, mark):
    with pytest.raises(DigestListError, match=r"list:\d: .* with a digest behind it|after a sign"):
        read(text.format(a=SHA1, b=SHA1_B, mark=mark))


def test_a_row_between_two_stray_quotes(read):
    with pytest.raises(DigestListError, match="check whether a quote is missing"):
        read(f'sha1,name\n{SHA1},"a\n{SHA1_B},b"\n')


def test_the_mark_of_a_name_with_escapes_is_no_path(read):
    for mark in ("\f", " ", "  x ", "  x\v"):
        with pytest.raises(DigestListError, match="more than one digest"):
            read(f"{SHA1}  a{mark}\\{SHA1_B}  b\n")
    assert read(f"{SHA1}  dir\\{SHA1_B}\n")[0] == [SHA1]


@pytest.mark.parametrize("name", ["{}.jpg", "{}\\\\x", "./{}", "/a/{}"])
def test_a_part_of_a_path_behind_a_mark(read, name):
    for mark in "\v\x85\u2028":
        with pytest.raises(DigestListError, match="more than one digest"):
            read(f"{SHA1}  a{mark}{name.format(SHA1_B)}\n")


def test_a_line_of_marks_is_read_in_linear_time(read):
    begin = time.process_time()
    marks = "\x85" * 30_000
    read(f"# {MD5}{marks}\nsha1;name\n{SHA1};{MD5}{marks}\n")
    assert time.process_time() - begin < 10
