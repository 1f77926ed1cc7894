"""Lines of keys, places that mean nothing, and keys in messages."""

from hashscan.config.parsing import parse
from hashscan.config.yaml_lines import Document, short


def test_lines_are_those_of_keys_and_items():
    document = parse(b"\xef\xbb\xbf# first\na:\n  - b: 1\n\n    c: 2\n  - 3\n")
    assert document.data == {"a": [{"b": 1, "c": 2}, 3]}
    assert document.line(("a",)) == 2
    assert document.line(("a", 0, "c")) == 5
    assert document.line(("a", 1)) == 6
    assert document.line(("a", 0, "not there")) == 3


def test_what_is_not_written_down_has_the_line_around_it():
    document = parse(b"\na:\n  b: 1\n")
    lines = [document.line(loc) for loc in (("a", "b"), ("a", "c"), ("x",), ())]
    assert lines[:2] == [3, 2]
    assert parse(b"").line(("x",)) == 1


def test_a_key_in_a_message_has_at_most_sixty_characters():
    assert short("k" * 60) == "k" * 60
    assert short("k" * 61) == "k" * 59 + "…"


def test_all_below_a_spoiled_place_is_spoiled():
    document = Document(spoiled={("a", 0), ("b",)})
    spoiled = [("a", 0), ("a", 0, "x", "y"), ("b", "c")]
    assert all(document.is_spoiled(loc) for loc in spoiled)
    assert not any(document.is_spoiled(loc) for loc in ((), ("a",), ("a", 1), ("c", "b")))
    assert Document(spoiled={()}).is_spoiled(("a",))


def test_a_key_in_a_message_is_printable():
    assert short("a\x1b[31m") == "a\\x1b[31m"
    assert short("\n" * 61).count("\\n") == 59
