"""The plots of the HTML page."""

import logging
import re
from dataclasses import replace

import pytest
from html_report import Structure, page_of
from sample_report import empty, report

from hashscan.report import plots


def test_without_matplotlib_there_are_tables_and_a_remark(without_plots):
    page = page_of(report())
    assert "<svg" not in page
    assert "install the extra report (matplotlib)" in page
    assert "By month of receipt" in page


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


@pytest.mark.xdist_group("matplotlib")
def test_a_slow_machine_gets_no_warning_that_the_cache_of_fonts_is_built(caplog):
    pytest.importorskip("matplotlib")
    with plots._matplotlib():
        logging.getLogger("matplotlib.font_manager").warning("This may take a moment.")
    assert caplog.records == []
