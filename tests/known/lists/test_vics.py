"""VICS JSON: the shapes that exporters write, and broken documents."""

from __future__ import annotations

import hashlib
import json
import os
import random
import tracemalloc

import pytest

from hashscan.errors import DigestListError
from hashscan.known.lists import vics
from hashscan.known.lists.reader import Lists

# The same in each of the processes that share the tests: they are part of the tests' names.
_random = random.Random(2)
MD5, MD5_B = (_random.randbytes(16).hex() for _ in range(2))
SHA1, SHA1_B = (_random.randbytes(20).hex() for _ in range(2))
SHA256 = _random.randbytes(32).hex()

FIRST = {
    "odata.id": f'Media("{MD5}")',
    "MediaFiles": [{"MD5": MD5.upper(), "FileName": "a", "FilePath": "b"}],
    "MediaID": 0,
    "Category": 1,
    "MD5": MD5.upper(),
    "SHA1": SHA1.upper(),
    "MediaSize": "488",
    "VictimIdentified": False,
    "Exifs": [],
}
SECOND = {
    "MediaID": 1,
    "Category": 2,
    "MD5": MD5_B.upper(),
    "SHA1": None,
    "MediaSize": 2835,
    "AlternativeHashes": [
        {"HashName": "PhotoDNA", "HashValue": "AAAA"},
        {"HashName": "SHA-256", "HashValue": SHA256},
    ],
}
EXPECTED = [
    ("md5", MD5, "vics-1", 488),
    ("sha1", SHA1, "vics-1", 488),
    ("sha256", SHA256, "vics-2", 2835),
    ("md5", MD5_B, "vics-2", 2835),
]
CASES = {
    "odata.metadata": "http://github.com/ICMEC/ProjectVic/DataModels/1.3.xml#Cases",
    "value": [{"CaseID": "x", "CaseMetadata": [{"a": 1}], "Media": [FIRST, SECOND]}, {"Media": []}],
}
MEDIA = {
    "@odata.context": "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/D/$metadata#Media",
    "value": [FIRST, SECOND],
}


@pytest.fixture
def source(tmp_path):
    def write(content: str | bytes, **options) -> Lists:
        options = {"only_categories": ["vics-1", "vics-2"], **options}
        path = tmp_path / "list.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Lists([str(path)], **options)

    return write


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("document", [CASES, MEDIA, [FIRST, SECOND]])
def test_shapes(source, document, encoding, indent):
    lists = source(json.dumps(document, indent=indent).encode(encoding))
    assert [entry[:4] for entry in lists] == EXPECTED
    assert lists.reports[0].kind == "json"


def test_json_lines_and_bare_digests(source):
    assert [e[:2] for e in source(f'{{"md5":"{MD5}"}}\n{{"SHA1":"{SHA1}"}}\n')] == [
        ("md5", MD5),
        ("sha1", SHA1),
    ]
    assert [e.hex for e in source(json.dumps([MD5, SHA256]))] == [MD5, SHA256]


def test_documents_larger_than_any_buffer(source, monkeypatch):
    """Tiny windows: every value is cut somewhere, and cases are too long to decode at once."""
    monkeypatch.setattr("hashscan.known.lists.vics._CHUNK", 7)
    monkeypatch.setattr("hashscan.known.lists.vics.VALUE_LIMIT", 600)
    for document in (CASES, MEDIA):
        for indent in (None, 1):
            lists = source(json.dumps(document, indent=indent))
            assert sorted(entry[:4] for entry in lists) == sorted(EXPECTED)


def test_a_large_case_in_flat_memory(source, monkeypatch):
    monkeypatch.setattr("hashscan.known.lists.vics.VALUE_LIMIT", 64 * 1024)
    media = [{"MD5": os.urandom(16).hex(), "Category": 1, "Note": "n" * 200} for _ in range(5000)]
    lists = source(json.dumps({"value": [{"Media": media}]}))
    del media
    tracemalloc.start()
    try:
        assert sum(1 for _ in lists) == 5000
        assert tracemalloc.get_traced_memory()[1] < 3 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_an_object_of_many_names_in_flat_memory(source, monkeypatch):
    monkeypatch.setattr("hashscan.known.lists.vics.VALUE_LIMIT", 600)
    names = ",".join(f'"n{number}":"{number}"' for number in range(20_000))
    lists = source(f'{{{names},"MD5":"{MD5}","Category":2}}')
    del names
    tracemalloc.start()
    try:
        assert [entry[:3] for entry in lists] == [("md5", MD5, "vics-2")]
        assert tracemalloc.get_traced_memory()[1] < 2.5 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_lines_and_records_are_told(source):
    text = json.dumps({"value": [FIRST, {**SECOND, "MD5": MD5[:-1]}]}, indent=1)
    line = text[: text.index('"AlternativeHashes"')].count("\n") + 1
    with pytest.raises(DigestListError) as caught:
        list(source(text))
    message = str(caught.value)
    assert "record 2: md5 has 31 hexadecimal digits instead of 32" in message
    assert MD5[:12] not in message
    assert int(caught.value.findings[0].where.rsplit(":", 1)[1]) >= line


@pytest.mark.parametrize(
    ("medium", "what"),
    [
        ({**FIRST, "MD5": 5}, "md5 is no text"),
        ({**FIRST, "Category": "x" * 100}, "the category is no name"),
        (7, "neither an object nor a digest"),
        (None, "neither an object nor a digest"),
    ],
)
def test_invalid_media(source, medium, what):
    document = json.dumps({"value": [medium, SECOND]})
    with pytest.raises(DigestListError, match=what):
        list(source(document))
    lists = source(document, skip_invalid=True)
    assert [entry[:4] for entry in lists] == EXPECTED[2:]
    assert lists.reports[0].invalid == 1


@pytest.mark.parametrize("size", [-1, 1.5, "x"])
def test_a_medium_whose_size_is_none(source, size):
    document = json.dumps({"value": [{**FIRST, "MediaSize": size}, SECOND]})
    with pytest.raises(DigestListError, match="the size is no number"):
        list(source(document))
    found = [entry[:4] for entry in source(document, skip_invalid=True)]
    assert found == [(*one[:3], None) for one in EXPECTED[:2]] + EXPECTED[2:]


@pytest.mark.parametrize(
    "more",
    [
        {"MediaSize": 5, "Size": 6},
        {
            "AlternativeHashes": [
                {"HashName": "XXH3-4096", "HashValue": "01" * 16},
                {"HashName": "xxh3-4096", "HashValue": "02" * 16},
            ]
        },
    ],
)
def test_a_digest_whose_key_contradicts_itself_is_taken_without_it(source, more):
    document = json.dumps({"value": [{"MediaID": 1, "MD5": MD5, "Category": 1, **more}]})
    (found,) = source(document, skip_invalid=True)
    assert (found.hex, found.size, found.head) == (MD5, None, None)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(MEDIA)[:-1],
        json.dumps(MEDIA)[:-40],
        json.dumps(MEDIA) + "garbage",
        json.dumps(MEDIA).replace("},", "}", 1),
        '{"value":[' + "[" * 100_000,
        '{"value":' * 100,
        "[" + "9" * 5000 + "]",
        '{"value":[{"MD5":"' + "a" * 100,
        "{1:2}",
    ],
)
def test_a_broken_document_is_refused_even_when_invalid_lines_are_skipped(source, text, skip):
    """What lies behind the break would be missed in silence."""
    with pytest.raises(DigestListError, match=r"list\.json:1: record \d+: "):
        list(source(text, skip_invalid=skip))


def test_size_zero_says_nothing_about_the_content(source):
    """Some tools write 0 for "unknown"; only the digests of empty content are left out."""
    empty = hashlib.md5(b"").hexdigest()
    lists = source(json.dumps([{**FIRST, "MediaSize": 0, "MD5": empty}, SECOND]))
    assert [entry.hex for entry in lists] == [SHA1, SHA256, MD5_B]
    assert (lists.reports[0].empty, lists.reports[0].zero_size) == (1, 1)


@pytest.mark.parametrize(
    ("category", "name"),
    [
        (1, "vics-1"),
        ("1", "vics-1"),
        (" 01 ", "vics-1"),
        (0, "vics-0"),
        (5, "vics-5"),
        (None, "vics-none"),
        ("", "vics-none"),
        (True, "vics-none"),
        (-1, "vics-none"),  # never 1
        ("-1", "vics-none"),
        ("+1", "vics-none"),
        (1.0, "vics-none"),
        ("1.0", "vics-none"),
        ([1], "vics-none"),
        (11, "vics-11"),
        ("Child Abuse Material (CAM)", "child-abuse-material-cam"),
    ],
)
def test_only_category_1_is_child_abuse_material(source, category, name):
    plain = os.urandom(20).hex()
    document = json.dumps([{**FIRST, "Category": category}, {"SHA1": plain}])
    taken = [entry.hex for entry in source(document, only_categories=None)]
    meant = name in {"vics-1", "child-abuse-material-cam"}
    assert taken == ([MD5, SHA1] if meant else []) + [plain]
    assert [entry.category for entry in source(document, only_categories=[name])] == [
        name,
        name,
        None,
    ]


def test_a_medium_without_category_is_none_that_is_meant(source):
    without = {key: value for key, value in FIRST.items() if key != "Category"}
    lists = source(json.dumps([without, {**SECOND, "Category": 1}]), only_categories=None)
    assert [entry.category for entry in lists] == ["vics-1"] * 2
    assert lists.reports[0].unwanted == {"vics-none": 2}


def test_each_element_that_is_refused_has_its_number(tmp_path):
    path = tmp_path / "list.json"
    broken = json.dumps(FIRST).replace('"SHA1"', '"md5"')  # a name twice
    path.write_text(f"[{json.dumps(FIRST)}, 5, {broken}, {json.dumps(SECOND)}, true]")
    lists = Lists([str(path)])
    with pytest.raises(DigestListError) as caught:
        list(lists)
    for number in (2, 3, 5):
        assert f"record {number}:" in str(caught.value)


@pytest.fixture
def read(tmp_path):
    """The digests of a document in JSON, and how many records were refused."""

    def read(document, **options):
        path = tmp_path / "list.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        lists = Lists([str(path)], **options)
        return [one.hex for one in lists], lists.reports[0].invalid

    return read


@pytest.mark.parametrize("limit", [vics.VALUE_LIMIT, 110])
@pytest.mark.parametrize(
    ("document", "digests", "invalid"),
    [
        ([{"value": []}, {"MD5": MD5}], [MD5], 0),
        ({"x": {}, "value": [{"MD5": MD5}]}, [MD5], 0),
        ([{"MD5": MD5}], [MD5], 0),
        ([5, {"MD5": MD5}], [MD5], 1),
        (f'[{{"MD5": "{MD5}", "md5": "{MD5}"}}, {{"SHA1": "{SHA1}"}}]', [SHA1], 1),
        ([{"MD5": MD5, "AlternativeHashes": 5}, {"SHA1": SHA1}], [SHA1], 1),
        ([{"MD5": MD5, "AlternativeHashes": [5]}, {"SHA1": SHA1}], [SHA1], 1),
        (
            [{"AlternativeHashes": [{"HashName": "SHA1", "HashValue": SHA1}]}, {"MD5": MD5}],
            [SHA1, MD5],
            0,
        ),
    ],
)
def test_odd_records_are_refused_alone(read, monkeypatch, limit, document, digests, invalid):
    monkeypatch.setattr(vics, "VALUE_LIMIT", limit)
    monkeypatch.setattr(vics, "_CHUNK", 16)
    assert read(document, skip_invalid=True) == (digests, invalid)


@pytest.mark.parametrize("limit", [vics.VALUE_LIMIT, 110])
@pytest.mark.parametrize(("depth", "fine"), [(5, True), (40, False)])
def test_containers_are_nested_up_to_a_depth(read, monkeypatch, limit, depth, fine):
    monkeypatch.setattr(vics, "VALUE_LIMIT", limit)
    monkeypatch.setattr(vics, "_CHUNK", 16)
    document = '{"value":[' * depth + json.dumps({"MD5": MD5}) + "]}" * depth
    if fine:
        assert read(document) == ([MD5], 0)
    else:
        with pytest.raises(DigestListError, match="nested too deeply"):
            read(document)


@pytest.mark.parametrize(
    "document",
    [
        '{"x": "%s"}' % ("a" * 100),
        "[" + "9" * 100 + "]",
    ],
)
def test_a_value_that_is_too_long_ends_the_list(read, monkeypatch, document):
    monkeypatch.setattr(vics, "VALUE_LIMIT", 50)
    monkeypatch.setattr(vics, "_CHUNK", 16)
    with pytest.raises(DigestListError, match=r"too long|neither an object|is no JSON"):
        read(document)


@pytest.mark.parametrize("document", ['{"value":[{"MD5":', '{"MD5"', "[", '{"value"', '{"a":1'])
def test_a_document_that_ends_in_the_middle(read, document):
    with pytest.raises(DigestListError, match="ends in the middle"):
        read(document)
