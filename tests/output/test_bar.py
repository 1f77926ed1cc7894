"""The progress bar, as a terminal of a given width gets it."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from hashscan.output.bar import ScanBar, build_bar, fields, fitted
from hashscan.reporter import Expected, Progress

STATE = Progress(
    files=1_234_567, hashed=1_234_567, unchanged=0, bytes_hashed=987 << 30, fraction=0.3,
    matches=12, expected=Expected(5_000_000, 5_000_000, 4000 << 30), seconds=100.0,
    remaining=4000.0,
)  # fmt: skip


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


def drawn(stream):
    """The last line that was drawn, without its escape codes."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", stream.getvalue())
    return [line for line in plain.replace("\r", "\n").split("\n") if "ETA" in line][-1]


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 120, 200])
def test_the_bar_is_never_cut_off(terminal, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    bar = ScanBar(terminal)
    bar.show(STATE)
    line = drawn(terminal)
    assert re.search(r"ETA \d+:\d\d", line)
    assert "…" not in line
    assert len(line) <= width
    assert width < 60 or "12 matches" in line
    assert width < 120 or "GiB/s" in line


def test_what_a_narrow_terminal_leaves_out():
    shown = fields(STATE)
    texts = [fitted(shown, width) for width in range(80, 1, -1)]
    assert texts[0].split("  ")[0] == "ETA 1:06:40"
    assert texts[-1] == "ETA 1:06:40", "the last that is left out is never the time"
    with_matches = [text for text in texts if "files" in text]
    assert all("12 matches" in text for text in with_matches)


def test_a_match_does_not_reset_the_bar(terminal):
    bar = ScanBar(terminal)
    for seconds in (6, 15, 30):
        bar.clear()  # each is a match whose line is printed
        bar.show(replace(STATE, matches=seconds, seconds=float(seconds), remaining=60.0 - seconds))
        assert f"ETA 0:{60 - seconds}" in drawn(terminal)
        assert f"{seconds * 100 // 60}%" in drawn(terminal)


def test_without_an_estimate_the_bar_shows_the_share_of_files(terminal):
    bar = ScanBar(terminal)
    bar.show(replace(STATE, remaining=None))
    assert "ETA -:--" in drawn(terminal)
    assert "25%" in drawn(terminal)
    bar.show(replace(STATE, remaining=None, expected=None))
    assert "30%" in drawn(terminal)


@pytest.mark.parametrize("name", ["dumb", "DUMB", "unknown", "", None])
def test_a_terminal_that_cannot_redraw_gets_nothing(monkeypatch, name):
    if name is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", name)
    stream = Terminal()
    bar = ScanBar(stream)
    bar.show(STATE)
    bar.clear()
    with build_bar(stream) as show:
        assert show is None
    assert stream.getvalue() == ""


def test_no_terminal_gets_nothing(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    bar = ScanBar(stream)
    bar.show(STATE)
    bar.clear()
    with build_bar(stream) as show:
        assert show is None
    assert stream.getvalue() == ""
