"""An audit log in a directory of its own."""

import pytest

from hashscan.audit import events
from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog

WHO = Who(1000, "alice", "command")


class Small:
    """A log with small files."""

    def __init__(self, state):
        self.state = str(state)
        self.directory = state / "audit"

    def log(self, **options):
        return AuditLog(self.state, **options)

    def fill(self, count, **options):
        log = self.log(**options)
        for number in range(count):
            log.append(events.MOVED, WHO, n=number)
        return log

    @property
    def files(self):
        return sorted(self.directory.glob("*.jsonl"))

    def lines(self):
        return [line for path in self.files for line in path.read_bytes().splitlines()]


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)
