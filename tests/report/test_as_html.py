"""The HTML page: nothing from outside becomes markup, everybody can read it, it loads nothing."""

import os

from html_report import Structure, page_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_report import empty, report

LONG = bool(os.environ.get("HASHSCAN_LONG"))


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
