"""The HTML page: nothing from outside becomes markup, everybody can read it, it loads nothing."""

import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_report import empty, report

from hashscan.report import as_html, plots

LONG = bool(os.environ.get("HASHSCAN_LONG"))
VOID = {"meta", "link", "br", "img", "input"}


class Structure(HTMLParser):
    """Collects tags with their attributes' names, and the text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.open, self.attributes = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == [], "every element ends"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(tag, *one) for one in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, *one) for one in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page_of(found):
    return as_html.as_html(found).decode("ascii")


@pytest.fixture
def without_plots(monkeypatch):
    def missing(_report):
        raise ImportError("No module named 'matplotlib'")

    monkeypatch.setattr(plots, "plots", missing)


PIECES = st.sampled_from(
    ["<", ">", "&", '"', "'", "</td>", "<script>alert(1)</script>", "<img src=x onerror=y>", "{{ 1 }}",
     "{% raw %}", "&lt;", "]]>", "<!--", "\x00", "\u202e", "\udcff", "javascript:", "é", "💥", "\n"]
)  # fmt: skip


def test_texts_from_outside_never_become_markup(without_plots):
    expected = Structure(page_of(report(names=True))).tags

    @settings(max_examples=500 if LONG else 15)
    @given(st.lists(PIECES | st.text(max_size=5), min_size=1, max_size=6).map("".join))
    def check(text):
        hostile = report(names=True, sender=text, value=text, host=text)
        found = Structure(page_of(hostile))
        assert found.tags == expected

    check()


def test_without_matplotlib_there_are_tables_and_a_remark(without_plots):
    page = page_of(report())
    assert "<svg" not in page
    assert "install the extra report (matplotlib)" in page
    assert "By month of receipt" in page


def test_the_page_loads_nothing_and_names_nobody(without_plots):
    page = page_of(report(unread=("catalog",)))
    found = Structure(page)
    assert not {tag for tag, _ in found.tags} & {"script", "img", "link", "iframe", "object"}
    assert not [one for one in found.attributes if one[1] in {"src", "srcset", "href", "action"}]
    assert "url(" not in page
    assert "@import" not in page
    assert "a.example" not in page
    assert "Parts of the state could not be read, so their figures are missing: catalog" in page


def test_the_page_is_marked_up_for_everybody(without_plots):
    found = Structure(page_of(report(names=True)))
    assert ("html", "lang", "en") in found.attributes
    assert [tag for tag, _ in found.tags if tag == "h1"] == ["h1"]
    ids = [value for _, name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for _, name, value in found.attributes:
        if name == "aria-labelledby":
            assert set(value.split()) <= set(ids)
    cells = [(tag, names) for tag, names in found.tags if tag in {"th", "td"}]
    assert all("scope" in names for tag, names in cells if tag == "th")
    assert {"header", "main", "footer"} <= {tag for tag, _ in found.tags}


def test_only_long_texts_are_broken_into_lines(without_plots):
    for length, name in ((24, "short"), (25, "long")):
        page = page_of(report(sender="x" * length))
        assert f'<th scope="row" class="{name}">{"x" * length}</th>' in page


def test_an_empty_report_shows_no_number(without_plots):
    text = " ".join(Structure(page_of(empty())).text)
    assert "no data" in text
    assert "None" not in text


def colours(page, after, until="}"):
    begin = page.index(after)
    block = page[begin : page.index(until, page.index(":root", begin))]
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))


def luminance(colour):
    """WCAG 2.2, "relative luminance"."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("mode", ["<style>", "(prefers-color-scheme: dark)", "@media print"])
def test_contrast_is_that_of_wcag_aa(without_plots, mode):
    found = colours(page_of(empty()), mode)
    assert set(found) == {"page", "card", "ink", "soft", "line", "bar", "late", "warn"}
    # The shadow at the edge of a table that can be scrolled has the colour "line".
    on = {"page": ("ink", "soft", "warn"), "card": ("ink", "soft"), "line": ("ink", "soft")}
    for text, ground in [(text, ground) for ground, texts in on.items() for text in texts]:
        assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
    for graphic in ("bar", "late", "ink"):  # 1.4.11, non-text contrast
        assert contrast(found[graphic], found["page"]) >= 3, graphic
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.xdist_group("matplotlib")
def test_plots_have_text_alternatives_and_the_colours_of_the_page():
    pytest.importorskip("matplotlib")
    page = page_of(report())
    found = Structure(page)
    assert [tag for tag, _ in found.tags if tag == "svg"] == ["svg"] * 3
    for key in ("months", "hours", "scanned"):
        assert ("svg", "aria-labelledby", f"{key}-title {key}-text") in found.attributes
        assert re.search(rf'<desc id="{key}-text">[^<]*\d', page), "the description has the figures"
    ids = [value for _, name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for _, name, value in found.attributes:
        if name in {"href", "xlink:href"}:
            assert value[0] == "#"
            assert value[1:] in ids
        for used in re.findall(r"url\(#(.*?)\)", value or ""):
            assert used in ids
    assert "var(--bar)" in page
    assert "var(--late)" in page
    assert not re.search(r"#0[1-4]0[1-4]0[1-4]", page)
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)


@pytest.mark.xdist_group("matplotlib")
def test_a_month_without_data_has_no_bar():
    pytest.importorskip("matplotlib")
    notices = report().notices
    first, last = notices.months
    nothing = replace(first, from_sent=replace(first.from_sent, within_24h=None))
    months = replace(notices, months=(nothing, last), from_sent=empty().notices.from_sent)
    (plot,) = plots.plots(empty(notices=months))
    assert "2026-02 no data" in plot.svg
    assert ">n/a<" in plot.svg
