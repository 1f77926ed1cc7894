"""Lines on a narrow terminal."""

import pytest

from hashscan.output import wrapping
from hashscan.output.wrapping import for_terminal, wrapped

WORDS = "  held        H1: 7 files of 7 owners held: decide with 'hashscan hold show H1'"


def test_words_that_do_not_fit_go_below_the_text():
    assert wrapped(WORDS, 60, 14).split("\n") == [
        "  held        H1: 7 files of 7 owners held: decide with",
        "              'hashscan hold show H1'",
    ]


@pytest.mark.parametrize("width", [None, len(WORDS)])
def test_a_line_that_fits_stays_as_it_is(width):
    assert wrapped(WORDS, width, 14) == WORDS


def test_a_long_path_is_not_broken_and_is_indented_less():
    path = "/srv/www/" + "x" * 55
    lines = wrapped(f"2026-11-27 10:00:00  root      match {path}: held by H1", 80, 31).split("\n")
    assert lines == [
        "2026-11-27 10:00:00  root      match",
        f"    {path}: held by H1",
    ]


def test_a_path_longer_than_the_terminal_is_whole_on_a_line_of_its_own():
    path = "/srv/" + "x" * 200
    assert f"\n    {path}\n    more" in wrapped(f"2026 root match {path} more words", 80, 31)


def test_a_very_narrow_terminal_gets_whole_words():
    assert wrapped(WORDS, 1, 14).split() == WORDS.split()


def test_all_lines_of_a_text_are_wrapped_for_a_terminal_only(monkeypatch):
    monkeypatch.setattr(wrapping, "terminal_width", lambda: 60)
    text = for_terminal(f"needs somebody: {WORDS.strip()}\n{WORDS}", 14)
    assert max(map(len, text.split("\n"))) <= 60
    assert [line[:3] for line in text.split("\n")] == ["nee", "  d", "  h", "   "]
    monkeypatch.setattr(wrapping, "terminal_width", lambda: None)
    assert for_terminal(WORDS, 14) == WORDS


def test_a_command_in_quotes_stays_on_one_line():
    line = "held: 4 files wait; 'hashscan hold show H1' shows them"
    assert wrapped(line, 32, 2) == ("held: 4 files wait;\n  'hashscan hold show H1' shows\n  them")
