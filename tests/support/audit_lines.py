"""An audit log in memory, for tests of what reads it."""

from hashscan.audit.actor import Who
from hashscan.audit.line import AuditEvent
from hashscan.text import rfc3339

BY_DAEMON = Who(0, "root", "daemon")


class AuditLines:
    """Lines with numbers from 1."""

    def __init__(self, clock):
        self._clock = clock
        self.lines = []

    def add(self, event, **facts):
        seq = len(self.lines) + 1
        now = rfc3339(self._clock())
        self.lines.append(AuditEvent(seq, now, event, BY_DAEMON, facts, "0" * 64, "0" * 64))
        return seq

    def match(self, path="/srv/www/a.jpg", uid=1000, action="quarantined", **more):
        facts = {"size": 10, "digests": {"sha1": "a" * 40}, "algorithm": "sha1"}
        return self.add(
            "match", path=path, uid=uid, action=action, category="baseline", **facts, **more
        )

    def newest(self):
        return len(self.lines)

    def read(self, after):
        return self.lines[after:]
