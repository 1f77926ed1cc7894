"""hashscan.known.lists: what cannot be read, lines that are no CSV, and JSON that is odd."""

import errno
import json
import sqlite3

import pytest
from faulty import break_os, open_descriptors, raising

from hashscan.errors import DigestListError, StateError
from hashscan.known.lists import entries, line_formats, reader, staging, vics
from hashscan.known.lists.reader import STDIN, Lists

MD5, SHA1 = "ab" * 16, "cd" * 20


@pytest.fixture
def read(tmp_path):
    """The digests of a document in JSON, and how many records were refused."""

    def read(document, **options):
        path = tmp_path / "list.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        lists = Lists([str(path)], **options)
        return [one.hex for one in lists], lists.reports[0].invalid

    return read


def test_a_list_on_a_disk_that_fails(tmp_path, monkeypatch):
    path = tmp_path / "list"
    path.write_text(MD5 + "\n")
    assert [one.hex for one in Lists([str(path)])] == [MD5]
    before = open_descriptors()
    break_os(monkeypatch, reader, read=raising(errno.EIO))
    with pytest.raises(DigestListError, match="cannot be read: Input/output error") as caught:
        list(Lists([str(path)]))
    assert "check the disk and the path" in str(caught.value)
    assert open_descriptors() == before


def test_standard_input_is_not_closed(monkeypatch):
    class Input:
        def fileno(self):
            return 77

    monkeypatch.setattr(reader.sys, "stdin", Input())
    with reader.open_list(STDIN) as descriptor:
        assert descriptor == 77


def test_a_line_that_is_no_csv_has_no_cells():
    assert line_formats._cells('a,"b,c",d\r\n', ",") == ["a", "b,c", "d"]
    assert line_formats._cells("\ufeffa;b", ";") == ["a", "b"]
    assert line_formats._cells("", ",") == []
    assert line_formats._cells("a," + "b" * 200_000, ",") == []


@pytest.mark.parametrize(
    ("algorithm", "text", "words"),
    [
        (None, "xyz", "the digest is not hexadecimal"),
        ("md5", "xyz", "md5 is not hexadecimal"),
        (None, "ab", "2 hexadecimal digits are no md5 (32), sha1 (40) or sha256 (64)"),
        ("sha1", "ab", "sha1 has 2 hexadecimal digits instead of 40"),
    ],
)
def test_why_a_text_is_no_digest(algorithm, text, words):
    assert entries._no_digest(algorithm, text) == words


def test_without_room_for_temporary_files_the_way_out_is_named():
    with (
        pytest.raises(StateError, match="the filter cannot be made: disk full") as caught,
        staging.staging("the filter"),
    ):
        raise sqlite3.OperationalError("disk full")
    assert "SQLITE_TMPDIR" in str(caught.value)


def test_the_size_of_all_lists_is_known_if_all_are_files(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    path = str(tmp_path / "a")
    assert staging._total([path, path]) == 10
    assert staging._total([path, STDIN]) is None
    assert staging._total([path, str(tmp_path / "none")]) is None


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
