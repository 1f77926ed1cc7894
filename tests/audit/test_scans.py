"""hashscan.audit.scans: the lines about the begin and the end of a scan."""

import os

import pytest

from hashscan.audit import events
from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog
from hashscan.audit.reader import read
from hashscan.audit.recorder import Recorder
from hashscan.audit.scans import ScanLines
from hashscan.errors import StateError
from hashscan.model import Summary


@pytest.fixture
def recorder(tmp_path):
    return Recorder(AuditLog(str(tmp_path)), Who(0, "root", "scan"))


def test_a_scan_has_a_line_for_its_begin_and_one_for_its_end(tmp_path, recorder):
    lines = ScanLines(recorder, [b"/v/\xff"], kind="command", action="report")
    lines.ended(Summary(hashed=2, unchanged=3, seconds=1.23456))
    began, ended = read(str(tmp_path))
    assert (began.event, ended.event) == (events.SCAN_STARTED, events.SCAN_ENDED)
    about = {"volumes": [os.fsdecode(b"/v/\xff")], "kind": "command"}
    assert began.facts == {**about, "action": "report", "pid": os.getpid()}
    assert about.items() <= ended.facts.items()
    counts = {name: ended.facts[name] for name in ("files", "hashed", "seconds", "interrupted")}
    assert counts == {"files": 5, "hashed": 2, "seconds": 1.235, "interrupted": False}


@pytest.mark.parametrize(("count", "more"), [(100, None), (101, 1), (250, 150)])
def test_of_many_volumes_a_line_names_some(tmp_path, recorder, count, more):
    ScanLines(recorder, [b"/v%d" % n for n in range(count)], kind="schedule", action="report")
    (began,) = read(str(tmp_path))
    assert began.facts["volumes"] == [f"/v{n}" for n in range(100)]
    assert began.facts.get("more_volumes") == more


@pytest.mark.parametrize(
    ("error", "said"), [(StateError("full"), "full"), (KeyError(), "KeyError")]
)
def test_a_scan_that_fails_says_why(tmp_path, recorder, monkeypatch, error, said):
    lines = ScanLines(recorder, [b"/v"], kind="command", action="report")
    lines.failed(error)
    (_, ended) = read(str(tmp_path))
    assert ended.event == events.SCAN_ENDED
    assert (ended.facts["interrupted"], ended.facts["error"]) == (True, said)
    monkeypatch.setattr(AuditLog, "append_all", lambda *_a, **_k: (_ for _ in ()).throw(error))
    if isinstance(error, StateError):
        lines.failed(error)  # the scan's own error is what the user has to see
