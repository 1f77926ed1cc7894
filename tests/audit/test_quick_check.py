"""The quick check of the audit log's end, for ``status``."""

import os

import pytest

from hashscan.audit import events
from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog
from hashscan.audit.quick_check import fault_of

WHO = Who(0, "root", "command", 4242)


@pytest.fixture
def log(tmp_path):
    found = AuditLog(str(tmp_path))
    for number in range(3):
        found.append(events.VOLUME_LOST, WHO, volume=f"/srv/{number}", message="no answer")
    return tmp_path / "audit"


def test_no_log_and_a_good_log_have_no_fault(tmp_path, log):
    assert fault_of(str(tmp_path / "other")) == ""
    assert fault_of(str(tmp_path)) == ""


def test_a_line_after_the_head_is_no_fault(tmp_path, log):
    """Its writer was killed before it wrote the head."""
    head = (log / "head").read_bytes()
    AuditLog(str(tmp_path)).append(events.VOLUME_BACK, WHO, volume="/srv/1")
    (log / "head").write_bytes(head)
    assert fault_of(str(tmp_path)) == ""


def test_an_empty_head_before_the_first_line_is_no_fault(tmp_path):
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "head").touch()
    assert fault_of(str(tmp_path)) == ""


def _cut(log):
    file = log / "000001.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))


def _changed(log):
    file = log / "000001.jsonl"
    file.write_bytes(file.read_bytes().replace(b"/srv/2", b"/srv/9"))


def _link(log):
    (log / "000001.jsonl").rename(log / "x")
    (log / "000001.jsonl").symlink_to("x")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_cut, "the end of 000001.jsonl with line 3 is missing; keep a copy"),
        (_changed, "line 3 in 000001.jsonl is not the one that was written"),
        (_link, "000001.jsonl cannot be read: too many levels of symbolic links; remove the link"),
        (lambda log: (log / "000001.jsonl").unlink(), "the newest file, is missing"),
        (lambda log: (log / "head").unlink(), "the file head is missing"),
        (lambda log: (log / "head").write_bytes(b"x"), "the file head is damaged"),
    ],
)
def test_each_fault_names_the_place_and_what_to_do(tmp_path, log, change, words):
    change(log)
    said = fault_of(str(tmp_path))
    assert words in said
    assert os.fspath(log) in said


def test_status_complains(tmp_path, log):
    from hashscan.config.settings import Settings
    from hashscan.jobs.complaint_reasons import Reason
    from hashscan.jobs.status import status_of
    from hashscan.jobs.status_complaints import complaints

    _cut(log)
    found = complaints(status_of(Settings.of(state=str(tmp_path))))
    (one,) = [each for each in found if each.reason is Reason.AUDIT]
    assert one.code == 70
    assert "line 3 is missing" in one.message
