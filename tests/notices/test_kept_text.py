"""What is kept of a notice, and what it costs to find out."""

import time

import pytest

from hashscan.notices.kept_text import LONGEST_RUN, cut


def test_runs_and_data_addresses_are_cut_whole():
    run = "a" * LONGEST_RUN
    assert cut(f"x {run} y") == f"x [{LONGEST_RUN} characters dropped] y"
    assert cut(f"!{run}a!") == f"![{LONGEST_RUN + 1} characters dropped]!"
    assert cut(f"x {run[1:]} y") == f"x {run[1:]} y"
    for kind in ("image/png;base64", "", "image/svg+xml;charset=utf-8"):
        data = f"data:{kind},{'%20' * 30}"
        assert cut(f'<img src="{data}">') == f'<img src="[{len(data)} characters dropped]">'


@pytest.mark.parametrize(
    "line",
    [
        "a" * (LONGEST_RUN - 1) + "!",
        "data:" + "a" * 300 + " ",
        "data:" + "a" * 100 + "/" + "b" * 200,
    ],
)
def test_almost_content_costs_no_more_than_its_length(line):
    """Eight MiB; with expressions that look back it took twenty seconds."""
    text = f"{line}\n" * ((8 << 20) // len(line))
    begin = time.process_time()
    assert cut(text) == text
    assert time.process_time() - begin < 10
