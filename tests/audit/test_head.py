"""hashscan.audit.head: the head names the newest line."""

import pytest
from faulty import break_os

from hashscan.audit import events
from hashscan.audit import head as head_module
from hashscan.audit.actor import Who
from hashscan.errors import StateError

WHO = Who(1000, "alice", "command")


def test_a_head_that_is_not_written_whole_is_an_error(small, monkeypatch):
    small.fill(1)
    break_os(monkeypatch, head_module, pwrite=lambda _fd, raw, _at: len(raw) - 1)
    with pytest.raises(StateError, match="no space left on device"):
        small.log().append(events.MOVED, WHO)
