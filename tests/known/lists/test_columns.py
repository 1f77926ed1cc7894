"""The columns that a header names: each digest, the category, and what must not be ignored."""

from __future__ import annotations

import json

import pytest
from taken_lists import BAD, OTHER

from hashscan.errors import DigestListError
from hashscan.known.lists.categories import EVERY
from hashscan.known.lists.columns import (
    columns,
    digest_name,
    is_class,
    is_of_a_file,
    may_be_category,
    may_be_digest,
    plain_name,
)
from hashscan.known.lists.entries import FatalListError, ListReport


@pytest.mark.parametrize(
    "header",
    [
        "Cat",
        "Cat.",
        "Cat ID",
        "Category ID",
        "CategoryId",
        "Category number",
        "Classification",
        "Class",
        "Kategorie",
        "Kategorien",
        "Cat\u00e9gorie",
        "Categor\u00eda",
        "Categorie",
        "Categories",
        "is pre-categorized",
        "Einstufung",
        "VICS",
        "Project VIC class",
        "COPINE",
        "Severity",
        "Level",
        "Pertinence",
        "Is CSAM",
        "Known bad",
        "IWF",
        "\u041a\u0430\u0442\u0435\u0433\u043e\u0440\u0438\u044f",
        "\u5206\u7c7b",
    ],
)
@pytest.mark.parametrize("skip", [False, True])
def test_a_column_that_may_be_the_category_is_named(taken, header, skip):
    for text in (
        f"SHA1,{header}\n{OTHER},0\n{BAD},1\n",
        f"%%%% size,sha1,{header},filename\n5,{OTHER},0,a\n5,{BAD},1,b\n",
    ):
        with pytest.raises(
            DigestListError, match=r":1: the column '[^']+' may be the category"
        ) as e:
            taken(text, skip_invalid=skip)
        assert f"'{header}'" in str(e.value)
        assert taken(text, only_categories=EVERY)[0]


@pytest.mark.parametrize(
    "header", ["Type", "Tags", "Label", "Status", "Remark", "Art", "Gruppe", "\u7ed3\u679c", ""]
)
@pytest.mark.parametrize(
    "text", ["Non-pertinent", "not CSAM", "2 - benign", "Kein Kinderporno", "known good", "legal"]
)
def test_a_column_that_is_the_category_by_what_it_says(taken, header, text):
    for lines in (
        f"SHA1,{header}\n{BAD},\n{OTHER},{text}\n",
        f"%%%% size,sha1,{header},filename\n5,{BAD},,legal\n5,{OTHER},{text},b\n",
    ):
        with pytest.raises(DigestListError, match=r":[34]: the column '.*' has '.*it may be the c"):
            taken(lines, skip_invalid=True)
        assert taken(lines, only_categories=EVERY)[0]
    for value in (text, ["x", text]):
        document = json.dumps([{"SHA1": BAD, "Category": "csam"}, {"SHA1": OTHER, "what": value}])
        assert not taken(document, skip_invalid=True)[0]


def test_free_texts_are_no_category(taken):
    rows = "".join(f"{i:040x},legal,clean,text {i}\n" for i in range(300))
    text = f"SHA1,File Name,other1,Remark\n{BAD},a,b,c\n{rows}{OTHER},legal,clean,legal\n"
    assert taken(text)[0]
    long = "a picture that shows child abuse and was found on a disk in another case"
    assert taken(f"SHA1,Remark\n{BAD},x\n{OTHER},{long}\n")[0]


@pytest.mark.parametrize("header", ["Category,VICS Category", "category,Category", "Category,Cat"])
def test_several_columns_that_may_be_the_category(taken, header):
    with pytest.raises(DigestListError, match="2 columns may be the category: '"):
        taken(f"SHA1,{header}\n{OTHER},0,1\n{BAD},1,0\n")


@pytest.mark.parametrize(
    "header", ["Operating System", "MIME type", "Location", "Services", "name"]
)
def test_other_columns_are_no_category(taken, header):
    assert taken(f"SHA1,{header}\n{OTHER},0\n{BAD},1\n")[0]


def named(header, **report):
    """The columns of a header."""
    return columns(header.split(","), ListReport("list", **report), 1)


@pytest.mark.parametrize(
    "header",
    ["MD5 of the file,sha1", "sha1,md5_2", "sha1,Prüfsumme (MD5)", "sha256,sha1 (upper case)"],
)
def test_a_column_that_may_hold_digests_is_named(header):
    with pytest.raises(FatalListError, match=r"list:1: the column '[^']+' may hold digests"):
        named(header)


@pytest.mark.parametrize(
    ("header", "algorithm"),
    [
        ("File Hash (SHA1)", "sha1"),
        ("SHA-1 checksum", "sha1"),
        ("sha1sum", "sha1"),
        ("Hash value", None),
        ("\ufeffSHA_1", "sha1"),
        ("Media SHA-1 Hex", "sha1"),
        ("SHA2-256 digest", "sha256"),
        ("MD5 Hash Value", "md5"),
        ("checksum", None),
    ],
)
def test_columns_of_digests(header, algorithm):
    found = named(f"name,{header},hash type,PhotoDNA hash")
    assert found.digests == ((algorithm, 1),)
    assert found.unread == ((0, "name"), (2, "hash type"), (3, "PhotoDNA hash"))
    assert found.count == 4


def test_a_header_without_a_digest_names_no_columns():
    for header in ("name,size,category", "value", "file", "", "md5 of it,size"):
        assert named(header) is None


def test_the_index_of_each_column():
    found = named("sha1,File Size,VICS category,xxh3-4096,name,MD5")
    assert found.digests == (("sha1", 0), ("md5", 5))
    assert (found.size, found.category, found.vics, found.head) == (1, 2, True, 3)
    assert found.unread == ((4, "name"),)
    found = named("sha1,category")
    assert (found.size, found.category, found.vics, found.head) == (None, 1, False, None)


@pytest.mark.parametrize("header", ["sha1,SHA-1", "md5,size,MD5 hash", "hash,checksum"])
def test_two_columns_of_one_digest(header):
    with pytest.raises(FatalListError, match=r"list:1: the header names the column .* twice"):
        named(header)


@pytest.mark.parametrize(
    ("header", "size", "number"),
    [
        ("sha1,size", 1, 1), ("sha1,File size in bytes", 1, 1), ("sha1,MediaSizeBytes", 1, 1),
        ("sha1,length in bytes", 1, 1), ("sha1,length", None, 0), ("sha1,size in KB", None, 1),
        ("sha1,size,Physical size", None, 2), ("sha1,size,size", None, 2), ("sha1,bytes", None, 1),
    ],
)  # fmt: skip
def test_the_size_is_taken_if_only_one_column_may_be_it(header, size, number):
    report = ListReport("list", size_columns=0)
    assert columns(header.split(","), report, 1).size == size
    assert report.size_columns == number


def test_the_key_of_the_first_block_is_taken_if_only_one_column_may_be_it():
    assert named("sha1,XXH3-128-4096").head == 1
    assert named("sha1,xxh3-4096,xxh3_4096").head is None


def test_with_every_category_no_column_must_be_the_category():
    found = named("sha1,category,Cat ID,Level", every_category=True)
    assert (found.category, found.vics, found.unclassed) == (None, False, None)
    assert len(found.unread) == 3


def test_cells_are_checked_for_classes_unless_there_is_a_category():
    assert named("sha1,category,Remark").unclassed is None
    found = named("sha1,File Name,other1,Remark").unclassed
    report = ListReport("list")
    found.check([OTHER, "csam", "csam", "a text"], report, 2)
    with pytest.raises(
        FatalListError, match="list:3: the column 'Remark' has 'CSAM': it may be the c"
    ):
        found.check([OTHER, "", "", "CSAM"], report, 3)
    found.check([OTHER], report, 4)


def test_a_column_of_many_texts_is_no_category():
    report = ListReport("list")
    one = named("sha1,Remark").unclassed
    for number in range(257):
        one.check([OTHER, f"text {number}"], report, number)
    one.check([OTHER, "csam"], report, 300)
    other = named("sha1,Remark").unclassed
    for number in range(1000):
        other.check([OTHER, f"text {number % 256}"], report, number)
    with pytest.raises(FatalListError):
        other.check([OTHER, "csam"], report, 300)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("Non-pertinent", True), ("CSAM", True), ("1 - Irrelevant", True), ("not relevant", True),
        ("known good", True), ("False Positive", True), ("uncategorised", True), ("Legal", True),
        ("adult porn", True), ("2legal", True), ("legalese", False), ("a legal text", False),
        ("category", False), ("", False), ("csam" + "x" * 56, True), ("csam" + "x" * 57, False),
    ],
)  # fmt: skip
def test_texts_that_are_classes_of_files(text, is_one):
    assert is_class(text) == is_one


def test_names_without_case_accents_and_signs():
    assert plain_name("Caté-gorie (N° 1)") == "categorien1"
    assert plain_name("\ufeffSHA_1") == "sha1"
    assert plain_name("\uff2d\uff24\uff15 \ufb01le") == "md5file"


@pytest.mark.parametrize(
    ("plain", "digest", "maybe"),
    [
        ("md5", "md5", True), ("sha2256checksum", "sha256", True), ("hash", "", True),
        ("hexdigest", "", True), ("filevalue", None, False), ("value", None, False),
        ("md5old", None, True), ("sha512", None, False), ("photodnahash", None, False),
        ("hashset", None, False),
    ],
)  # fmt: skip
def test_names_of_digests(plain, digest, maybe):
    assert digest_name(plain) == digest
    assert may_be_digest(plain) == maybe


def test_names_of_files_and_of_categories():
    for plain in ("filename", "path", "url", "thefileofit"):
        assert is_of_a_file(plain)
    assert not is_of_a_file("remark")
    for plain in ("category", "cat", "categoryid", "vics", "iscsam", "level", "riskscale"):
        assert may_be_category(plain)
    for plain in ("location", "name", "services", "operatingsystem", "catalog"):
        assert not may_be_category(plain)
