"""The names of events."""

import re
from pathlib import Path

from hashscan.audit import events


def test_each_event_has_its_own_name_in_its_usual_form():
    named = {name: value for name, value in vars(events).items() if isinstance(value, str)}
    named = {name: value for name, value in named.items() if name.isupper()}
    assert set(named.values()) == events.ALL
    assert len(events.ALL) == len(named)
    for name, value in named.items():
        assert value == name.lower().replace("_", "-")
        assert re.fullmatch("[a-z-]+", value)


def test_the_page_on_the_log_names_each_event():
    page = (Path(__file__).parents[2] / "docs" / "history.md").read_text()
    section = page.partition("## Events\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([a-z-]+)`", section)) - {"--event"} == events.ALL
