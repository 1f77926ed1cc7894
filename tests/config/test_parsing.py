"""YAML to plain data, with lines and without surprises."""

import pytest

from hashscan.config import parsing
from hashscan.config.parsing import parse
from hashscan.config.yaml_lines import TextError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),
        ("010", "010"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        ("9" * 5000, "9" * 5000),
        ("=", "="),
        ("12", 12),
        ("-12", -12),
        ("1.5", 1.5),
        ("yes", True),
        ("off", False),
        ("'yes'", "yes"),
        ("~", None),
        ("", None),
        ('"\\udc80"', "\udc80"),
    ],
)
def test_only_plain_words_are_more_than_text(text, value):
    data = parse(f"key: {text}\n".encode()).data
    assert data == {"key": value}
    assert type(data["key"]) is type(value)


@pytest.mark.parametrize(
    ("content", "line", "word"),
    [
        (b"a: 1\nb: [1\n", 2, "not YAML"),
        (b"a: 1\n\tb: 1\n", 2, "not YAML"),
        (b"a: 1\nb: \xff\n", 2, "not UTF-8"),
        (b"a: 1\nb: \x00\n", 2, "control"),
        (b"a: 1\n---\nb: 2\n", 2, "single document"),
        (b"[" * 100_000, 1, "deep"),
        (b"{a: " * 100_000, 1, "deep"),
        (b"- " * 100_000, 1, "deep"),
        (b"%YAML 9.9\n---\na: 1\n", 1, "not YAML"),
    ],
)
def test_what_is_no_yaml_says_the_line(content, line, word):
    with pytest.raises(TextError, match=word) as raised:
        parse(content)
    assert raised.value.line == line


def test_more_nodes_than_a_configuration_has_are_too_many(monkeypatch):
    monkeypatch.setattr(parsing, "_MOST", 1000)
    parse(b"x:\n" + b"- 1\n" * 997)
    with pytest.raises(TextError, match="too many") as raised:
        parse(b"x:\n" + b"- 1\n" * 1001)
    assert raised.value.line == 999


def test_billion_laughs_stay_small():
    lines = ["l0: &l0 [ha, ha]"]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 50)]
    document = parse("\n".join(lines).encode())
    assert len(document.faults) == 490
    assert all("alias" in what for _, _, what, _ in document.faults)
    assert document.data["l49"] == [None] * 10


def test_a_structure_that_holds_itself_ends():
    assert [what for _, _, what, _ in parse(b"a: &a [*a]\n").faults] == [
        "this is an alias for YAML (*name), which is not allowed here"
    ]


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [id]", "!!str 1", "!x 1", "! 1", "!!binary aGk="]
)
def test_tags_are_refused_and_nothing_is_made_of_them(tag):
    document = parse(f"a: {tag}\n".encode())
    assert document.data == {"a": None}
    assert document.faults[0][:2] == (("a",), 1)
    assert document.is_spoiled(("a", 0, "x"))


def test_keys_twice_and_keys_that_are_no_words():
    document = parse(b"a: 1\nb: 2\na: 3\n[c]: 4\n*x : 5\non: 6\n1: 7\n")
    assert document.data == {"a": 1, "b": 2, "on": 6, "1": 7}
    assert [(line, what.split(";")[0]) for _, line, what, _ in document.faults] == [
        (3, "the key is here again"),
        (4, "a key here is not a plain word"),
        (5, "a key here is not a plain word"),
    ]


@pytest.mark.parametrize(
    ("text", "words", "fix"),
    [
        ("a: [*.bak]", "scanning an alias", "in quotes"),
        ("a: * 2 * * *", "scanning an alias", "in quotes"),
        ("*/cache: 1", "scanning an alias", "in quotes"),
        ("a: [& b]", "scanning an anchor", "in quotes"),
        ("a: %x", "cannot start any token", "in quotes"),
        ("a: @x", "cannot start any token", "in quotes"),
        ("a: `x`", "cannot start any token", "in quotes"),
        ("a: [{a,b}/c]", "flow sequence", "in quotes"),
        ("a: b: c", "mapping values are not allowed", "in quotes"),
        ("a:\n\tb: 1", "'\\t' that cannot start any token", "with spaces, not with tabs"),
        ("a:\n  b: 1\n\tc: 2", "'\\t'", "with spaces, not with tabs"),
        ('a: "x', "unexpected end of stream", "close the quotes"),
        ('a: "\\d"', "unknown escape character 'd'", "single quotes"),
        ("a: 1\n---\nb: 2", "another document", "one document"),
        ("a: [x", "expected ',' or ']', but got '<stream end>'", "close each ["),
        ("a:\n  b: 1\n c: 2", "expected <block end>", "indentation"),
        (" a: 1\nb: 2", "expected '<document start>'", "indentation"),
        ("a: [#recycle]", "found '<stream end>'", "in quotes"),
        ("a: [!x]", "got '<stream end>'", "in quotes"),
    ],
)
def test_a_fault_of_yaml_is_told_whole_and_with_what_to_do(text, words, fix):
    with pytest.raises(TextError) as raised:
        parse(text.encode())
    assert words in str(raised.value)
    assert "…" not in str(raised.value)
    assert fix in raised.value.fix


@pytest.mark.parametrize("text", ["a:\n - [b,\n  c", "a:\n - 'b\n   c\n", "\na: {b\n\n\n"])
def test_what_is_not_closed_is_named_with_the_line_in_which_it_begins(text):
    with pytest.raises(TextError) as raised:
        parse(text.encode())
    assert raised.value.line == 2


def test_a_line_inside_of_what_is_not_closed_is_named_with_both_lines():
    with pytest.raises(TextError, match=r"\(it begins in line 2\)$") as raised:
        parse(b"a: 1\nb: [{c: d}\ne: f\n")
    assert raised.value.line == 3


@pytest.mark.parametrize(
    ("text", "sign"), [("a: 1\n\ufeffb: 2", "U+FEFF"), ("a:\n\xa0 - b: 2", "U+00A0")]
)
def test_a_false_blank_in_a_key_is_named(text, sign):
    ((_, line, what, fix),) = parse(text.encode()).faults
    assert line == 2
    assert sign in what
    assert "with spaces" in fix


@pytest.mark.parametrize("text", ["a: [*foo]", "a: *foo", "a: &x", "a: [&x]", "a: !x y", "a: !"])
def test_what_yaml_would_take_for_its_own_is_to_be_quoted(text):
    ((_, line, what, fix),) = parse(text.encode()).faults
    assert line == 1
    assert "is not allowed here" in what
    assert "in quotes" in fix
