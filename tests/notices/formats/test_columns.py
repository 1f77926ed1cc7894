"""The columns of tables of URLs, by their headings, and the item in a row."""

import pytest
from notice_samples import MD5, SHA1, SHA256

from hashscan.notices.formats.columns import Column, headings, item


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ("url;IP;firstseen;lastseen;note", "url ip first last note"),
        ("url;IP;eerste keer;laatste keer;notitie", "url ip first last note"),
        (
            "url;IP-adres;Eerste  keer gezien;Laatste keer gezien;Opmerking",
            "url ip first last note",
        ),
        ("URLs; IP address ;First seen;Last seen;Reden", "url ip first last reason"),
        ('"link";"MD5";"SHA-1";"sha256"', "url md5 sha1 sha256"),
        ("url;sha1;sha-256;x", "url sha1 sha256 other"),
        ("url;reason;ip adres", "url reason ip"),
        ("url", "url"),
        ("url;x;y", None),
        ("ip;note", None),
        ("url;link", None),
        ("https://x.example/url;note", None),
        ("", None),
        (";".join(["url", "note"] + ["x"] * 48), "url note" + " other" * 48),
        (";".join(["url", "note"] + ["x"] * 49), None),
    ],
)
def test_headings(row, columns):
    found = headings(row.split(";"))
    assert (found and " ".join(found)) == columns


def test_a_row_without_cells_has_no_headings():
    assert headings([]) is None


ALL = (Column.URL, Column.IP, Column.FIRST, Column.LAST, Column.NOTE, Column.REASON,
       Column.MD5, Column.SHA1, Column.SHA256)  # fmt: skip


def test_an_item_has_the_value_of_each_column():
    found = item(ALL, [' "https://x.example/a" ', "192.0.2.7", "2025-01-02 10:00:00",
                       "2025-07-02 10:00:00", " a  note ", "reason", MD5, SHA1, SHA256])  # fmt: skip
    assert (found.kind, found.value, found.ip) == ("url", "https://x.example/a", "192.0.2.7")
    assert (found.first_seen, found.last_seen) == (1735808400.0, 1751443200.0)  # Dutch time
    assert (found.note, found.classification) == ("a note", "reason")
    assert [one.hex for one in found.digests] == [MD5, SHA1, SHA256]


def test_missing_and_invalid_values_are_left_out():
    found = item(ALL, ["x.example/a", "x", "x", "", "", "", SHA1])
    assert found.value == "http://x.example/a"
    assert (found.ip, found.first_seen, found.last_seen) == (None, None, None)
    assert (found.note, found.classification, found.digests) == (None, None, ())
    assert item((Column.IP, Column.URL), ["192.0.2.7", "x.example/"]).value == "http://x.example/"


def test_a_row_without_a_url_is_an_item_by_its_digest():
    assert item((Column.URL, Column.SHA1, Column.MD5), ["", SHA1, MD5]).value == SHA1
    assert item((Column.URL, Column.NOTE), ["", "note"]) is None
    assert item((Column.URL, Column.SHA1), ["", "x"]) is None
