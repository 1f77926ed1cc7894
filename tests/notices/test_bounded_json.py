"""JSON of senders: within bounds, and with one meaning."""

import re

import pytest

from hashscan.notices.bounded_json import MOST_VALUES, load


def test_values():
    assert load(' {"a": [1, 2.5, null, true, "\\u00e9"]} ') == {"a": [1, 2.5, None, True, "é"]}
    assert load('[{"a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is no JSON: line 1: Expecting value"),
        ('{"a":\n1,}', "it is no JSON: line 2: "),
        ('{"a": 1} x', "it is no JSON: line 1: Extra data"),
        ("[NaN]", "NaN is no number"),
        ("-Infinity", "-Infinity is no number"),
        ('{"a": 1, "b": {"c": 1, "d": 2, "c": 3}}', "the name c is there twice"),
        ('{"a\\n": 1, "b": 2, "a\\n": 1}', r"the name a\n is there twice"),
        ("[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_is_refused(text, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        load(text)


def test_a_long_name_is_cut():
    name = "n" * 200
    with pytest.raises(ValueError, match="is there twice") as caught:
        load(f'{{"{name}": 1, "{name}": 2}}')
    assert str(caught.value) == f"the name {name[:100]} is there twice"


def test_the_number_of_values_is_bounded():
    assert len(load("[" + "0," * (MOST_VALUES - 2) + "0]")) == MOST_VALUES - 1
    for text in ("[" + "0," * MOST_VALUES + "0]", "[" + "{}," * (MOST_VALUES // 2) + "{}]"):
        with pytest.raises(ValueError, match="it has more than 300,000 values"):
            load(text)
