"""The place in the audit log up to which its lines are queued."""

import time

from audit_lines import AuditLines

from hashscan.notify.dispatch import Dispatcher
from hashscan.notify.outbox import Outbox


def test_a_line_that_is_being_written_is_queued_when_it_is_complete(tmp_path, monkeypatch):
    audit = AuditLines(time.time)
    audit.match()
    audit.match()
    with Outbox(str(tmp_path)) as outbox:
        outbox.begin_at(0)
        dispatcher = Dispatcher((), outbox, audit, "web1")
        with monkeypatch.context() as patch:  # its writer has not noted it as the newest one yet
            patch.setattr(audit, "newest", lambda: 1)
            for _ in range(2):
                dispatcher.step()
                assert outbox.position == 1
        dispatcher.step()
        assert outbox.position == 2
        assert dispatcher.take_lines() == []
