"""The names of events."""

import re

from hashscan.audit import events


def test_each_event_has_its_own_name_in_its_usual_form():
    named = {name: value for name, value in vars(events).items() if isinstance(value, str)}
    named = {name: value for name, value in named.items() if name.isupper()}
    assert set(named.values()) == events.ALL
    assert len(events.ALL) == len(named)
    for name, value in named.items():
        assert value == name.lower().replace("_", "-")
        assert re.fullmatch("[a-z-]+", value)
