"""Which categories count: one that is not understood condemns no file, and is reported."""

from __future__ import annotations

import json

import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from taken_lists import BAD, OTHER

from hashscan.errors import DigestListError
from hashscan.known.lists.categories import EVERY, counted, vics_category


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
