"""Which categories count: one that is not understood condemns no file, and is reported."""

from __future__ import annotations

import json
import random

import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashscan.errors import DigestListError
from hashscan.known.lists.categories import EVERY, counted, vics_category
from hashscan.known.lists.reader import Lists

_random = random.Random(6)
BAD, OTHER = (_random.randbytes(20).hex() for _ in range(2))


@pytest.fixture
def taken(tmp_path):
    """Whether the digest ``OTHER`` of a list is taken, and the list's report."""

    def read(content: str, **options):
        path = tmp_path / "list"
        path.write_text(content)
        source = Lists([str(path)], **options)
        found = [entry.hex for entry in source]
        assert BAD in found
        return OTHER in found, source.reports[0]

    return read


def vics(category: object) -> str:
    medium = {"MediaID": 1, "Category": category, "SHA1": OTHER}
    return json.dumps({"value": [medium, {"MediaID": 2, "Category": 1, "SHA1": BAD}]})


@pytest.mark.parametrize(
    "category",
    [
        "01",
        " 1 ",
        "Category 1",
        "category-1",
        "CAT1",
        "cat. 1",
        "Cat: 01",
        "VICS Category 1",
        "vics-1",
        "Kategorie 1",
        "1 - Child Abuse Material",
        "1: CSAM",
        "1 (CAM)",
        "1 \u2013 Child Abuse Material (CAM)",
        "Category 1 - Child Abuse Material",
        "Child Abuse Material",
    ],
)
def test_texts_that_mean_category_1(taken, category):
    assert taken(vics(category))[0]
    assert taken(f"sha1,vics category\n{OTHER},{category}\n{BAD},1\n")[0]


@pytest.mark.parametrize(
    "category",
    [
        "0 - Non-pertinent",
        "0",
        "Non-Pertinent",
        "Not pertinent",
        "nonpertinent material",
        "Uncategorised",
        "5 - Uncategorized",
        "1 - Non-pertinent",
        "1 - not CSAM",
        "1 - something",
        "not 1",
        "11",
        "1 or 2",
        "1-2",
        "1/2",
        "1.0",
        "1e0",
        "-1",
        "cat -1",
        "category: -1",
        "+1",
        "\u22121",
        "\u2460",
        "\uff11",
        "one",
        "?",
        "null",
        "2 - Child Abuse Material",
        "3 (CGI)",
        "Comparison",
        "no child abuse",
        "abuse",
        "CAM?1",
        "x" * 64,
    ],
)
def test_texts_that_mean_something_else_or_nothing(taken, category):
    counts, report = taken(vics(category))
    assert not counts
    assert sum(report.unwanted.values()) == 1
    assert "left out: by category: 1 " in report.remarks()[0]
    if category != "?":  # no letter and no digit: the row is refused
        counts, report = taken(f"sha1,vics category\n{OTHER},{category}\n{BAD},1\n")
        assert not counts
        assert sum(report.unwanted.values()) == 1


@pytest.mark.parametrize(
    "category", [True, False, None, 1.0, 1.5, [1], {"id": 1}, [], {}, 10**12, -1, ""]
)
def test_values_that_are_no_category(taken, category):
    counts, report = taken(vics(category))
    assert not counts
    assert report.unwanted == {"vics-none": 1}
    assert taken(vics(category), only_categories=["vics-none", "vics-1"])[0]


def test_an_unknown_text_can_be_named(taken):
    assert taken(vics("0 - Foo"), only_categories=["0 - foo", "vics-1"])[0]
    assert not taken(vics("1 - Foo"), only_categories=["vics-1"])[0]


@pytest.mark.parametrize(
    "category", ["Non pertinent", "Illegal", "A", "no", "Cat 2 / b", "3 - CSAM", "n/a", "unknown"]
)
def test_free_text_that_is_not_understood_does_not_count(taken, category):
    text = f"sha1,category\n{OTHER},{category}\n{BAD},baseline\n"
    counts, report = taken(text)
    assert not counts
    assert sum(report.unwanted.values()) == 1
    assert taken(text, only_categories=[category, "baseline"])[0]


@pytest.mark.parametrize(
    "category",
    ["!csam", "csam?", "-csam", "\u2260csam", "~CSAM", "- csam", "csam -", "csam \u2717",
     "csam\u200b", "CAM?", "<csam>"],
)  # fmt: skip
def test_a_sign_that_may_take_back_what_a_text_says(taken, category):
    for text in (f"sha1,category\n{OTHER},{category}\n{BAD},csam\n", vics(category)):
        counts, report = taken(text)
        assert not counts
        assert len(report.unwanted) == 1
        assert next(iter(report.unwanted)).startswith("doubtful-")
        assert not taken(text, only_categories=["csam", "cam", "1-csam", "vics-1"])[0]
        assert taken(text, only_categories=[category, "csam", "vics-1"])[0]


@pytest.mark.parametrize("category", ["vics-1?", "!vics-1", "VICS:-1", "vics--1", "vics -1"])
def test_a_sign_beside_a_number_of_vics(taken, category):
    assert not taken(vics(category))[0]
    assert not taken(f"sha1,vics category\n{OTHER},{category}\n{BAD},1\n")[0]


@pytest.mark.parametrize("category", ["baseline", "CSAM", "CSAM! ", "1 - Child Abuse Material"])
def test_free_text_that_counts(taken, category):
    assert taken(f"sha1,category\n{OTHER},{category}\n{BAD},csam\n")[0]


@pytest.mark.parametrize("category", ["0", "1", "5", "01", "1.0", "-1", "+1", "cat1", "Category 1"])
@pytest.mark.parametrize("skip", [False, True])
def test_numbers_of_unknown_origin_need_a_decision(taken, category, skip):
    text = f"sha1,category\n{OTHER},{category}\n{BAD},csam\n"
    with pytest.raises(DigestListError, match=r"list: its categories are numbers \(1 ") as caught:
        taken(text, skip_invalid=skip)
    assert "--only-category" in str(caught.value)
    assert not taken(text, only_categories=["csam"])[0]
    assert not taken(text, only_categories=["csam", "vics-1"])[0]
    assert taken(text, only_categories=["csam", category])[0]
    assert taken(text, only_categories=["csam", "1"])[0] == (category == "1")
    assert taken(text, only_categories=EVERY)[0]


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


def test_a_blank_category_of_vics_does_not_count(taken):
    counts, report = taken(f"sha1,VICS Category\n{OTHER},\n{BAD},1\n")
    assert not counts
    assert report.unwanted == {"vics-none": 1}


def test_digests_without_a_category_among_others_are_reported(taken):
    counts, report = taken(f"sha1,category\n{OTHER},\n{BAD},csam\n")
    assert counts
    assert "1 digests without a category are taken as known" in " ".join(report.remarks())


@pytest.mark.parametrize("name", ["Cat", "VICSCategory", "category_id", "Kategorie"])
def test_a_category_under_another_name_in_json(taken, name):
    document = json.dumps([{"SHA1": OTHER, name: 0}, {"SHA1": BAD, "Category": 1}])
    with pytest.raises(DigestListError, match=f"record 1: '{name.lower()}' may be the category"):
        taken(document)
    assert not taken(document, skip_invalid=True)[0]
    assert taken(document, only_categories=EVERY)[0]
    # A medium of VICS has no category then, which does not count.
    document = json.dumps([{"MediaID": 1, "SHA1": OTHER, name: 0}, {"SHA1": BAD, "Category": 1}])
    assert not taken(document)[0]


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("limit", [4 * 1024 * 1024, 100])
def test_a_category_of_a_whole_case(taken, monkeypatch, skip, limit):
    monkeypatch.setattr("hashscan.known.lists.vics.VALUE_LIMIT", limit)
    monkeypatch.setattr("hashscan.known.lists.vics._CHUNK", 50)
    media = [{"SHA1": OTHER}, {"SHA1": BAD}]
    for case in ({"Category": 0, "Media": media}, {"Media": media, "category": "0"}):
        with pytest.raises(DigestListError, match="a category is outside of the media"):
            taken(json.dumps({"value": [case]}), skip_invalid=skip)


@pytest.mark.parametrize("limit", [4 * 1024 * 1024, 60])
def test_two_categories_of_one_medium(taken, monkeypatch, limit):
    monkeypatch.setattr("hashscan.known.lists.vics.VALUE_LIMIT", limit)
    monkeypatch.setattr("hashscan.known.lists.vics._CHUNK", 50)
    for second in ("Category", "category"):
        document = f'[{{"SHA1":"{OTHER}","Category":0,"{second}":1}},{{"SHA1":"{BAD}"}}]'
        assert not taken(document, skip_invalid=True)[0]
        with pytest.raises(DigestListError, match="record 1: a name is here twice"):
            taken(document)


@settings(
    max_examples=examples(200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=4,
    )
)
def test_any_value_as_category(taken, value):
    if not (counts := _counts(taken, vics(value))):
        return
    words = isinstance(value, str) and "csam" in value.lower()
    assert counts[0] == (vics_category(value) == "vics-1" or words)


def _counts(taken, text):
    try:
        return taken(text)
    except DigestListError:
        return None


def test_a_long_text_is_read_in_linear_time():
    for text in ("cat" + " " * 10**6, "1" * 10**6, "category " * 10**5, "1 " + "(" * 10**6):
        assert vics_category(text) in ("vics-none", text)


@pytest.mark.parametrize(
    ("counts", "most", "said"),
    [
        ({}, 2, ""),
        ({"b": 2, "a": 2, "c": 5}, 3, "5 c, 2 a, 2 b"),
        ({"a": 4, "b": 3}, 2, "4 a, 3 b"),
        ({"a": 4, "b": 3, "c": 2, "d": 1}, 2, "4 a, 3 b, 3 in 2 other categories"),
    ],
)
def test_counts_of_categories_for_a_reader(counts, most, said):
    assert counted(counts, most) == said
