"""The text, the tags and the tables of HTML, also of broken HTML."""

import pytest

from hashscan.notices.markup import HtmlCell, Tag, tables, text_of, tokens, unescaped


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ("a &amp; b", ["a & b"]),
        ("<P CLASS=x>a</p >b", [("p", "P CLASS=x"), "a", ("/p", "/p "), "b"]),
        ("a<!-- <b> -->c", ["a", "c"]),
        ("a<!-->b", ["a", "b"]),
        ("a<!-- b", ["a"]),
        ("<!DOCTYPE html><?xml?></>a", ["a"]),
        ("1 < 2 <3 <a", ["1 ", "<", " 2 ", "<", "3 "]),
        ("<br/>a", [("br", "br/"), "a"]),
        ("<script>if (a<b) x()</script>c", [("script", "script"), ("/script", "/script"), "c"]),
        ("<STYLE>a</StYlE >c", [("style", "STYLE"), ("/style", "/StYlE "), "c"]),
        ("<style>a</styles></style>c", [("style", "style"), ("/style", "/style"), "c"]),
        ("<title>a", [("title", "title")]),
        ("<svg/>a", [("svg", "svg/"), "a"]),
    ],
)
def test_tags_and_texts(document, found):
    assert list(tokens(document)) == found


def test_attributes():
    tag = Tag("a", "a HREF='x&amp;y' class=\"b c\" href=z disabled")
    assert tag.attributes() == {"href": "x&y", "class": "b c", "disabled": ""}
    assert Tag("/a", "/a").attributes() == {}


def test_a_tag_that_is_too_long_has_no_attributes():
    longest = "a href=" + "x" * (16 * 1024 - 7)
    assert len(Tag("a", longest).attributes()["href"]) == 16 * 1024 - 7
    assert Tag("a", longest + "x").attributes() == {}


def test_character_references():
    assert unescaped("&lt;&eacute;&#65;&#x42;&none;&") == "<éAB&none;&"
    assert Tag("a", f"a href='&#{'9' * 5000};'").attributes() == {}
    digits = f"&#{'9' * 5000};"
    assert unescaped(digits) == digits


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("a<b>b</b>c", "abc"),
        (" a \n\t b\xa0c ", "a b c"),
        ("a<br>b<p>c</p>d", "a\nb\nc\nd"),
        ("<ul><li>a<li>b</ul>", "\n\na\nb\n"),
        ("<tr><td>a</td><th>b</th></tr>", "\n\ta\t b".replace("\t b", "\tb") + "\n"),
        ("<div>a<script>x</script></div>", "\na\n"),
    ],
)
def test_the_text_of_a_document(document, text):
    assert text_of(document) == text


def rows(document):
    return [[[tuple(cell) for cell in row] for row in one.rows] for one in tables(document)]


def test_a_table():
    (one,) = tables(
        '<p>no<table CLASS="Report  big"><tr><th>a <b>b</b>&amp;</th><td>c<br>d</td></tr>'
        '<tr><td><a href="x">e</a><a href="y">f</a></td><td>g</table>after'
    )
    assert one.classes == {"report", "big"}
    assert one.rows == [
        [HtmlCell("a b&", ""), HtmlCell("c d", "")],
        [HtmlCell("ef", "x"), HtmlCell("g", "")],
    ]


def test_a_link_belongs_to_its_cell():
    assert rows("<table><td><a href=x>a</a></td><td>b</td></table>") == [[[("a", "x"), ("b", "")]]]


def test_tables_without_the_tags_that_may_be_missing():
    assert rows("<table><td>a<td>b<tr><td>c") == [[[("a", ""), ("b", "")], [("c", "")]]]
    assert rows("<table>x</table><table></table>") == [[], []]
    assert rows("<td>a</td><tr></tr>") == []


def test_a_table_within_a_table_comes_after_it():
    document = "<table><tr><td>a<table><td>b</table>c</td></tr></table>"
    assert rows(document) == [[[("ac", "")], []], [[("b", "")]]]


def test_tables_are_nested_forty_times_and_not_more():
    assert len(tables("<table><td>" * 40 + "x")) == 40
    found = tables("<table><td>" * 45 + "x")
    assert len(found) == 40
    assert found[-1].rows[-1][-1].text == "x"
