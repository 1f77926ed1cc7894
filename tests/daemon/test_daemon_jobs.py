"""hashscan.daemon.daemon: if the machine has no process for a job, it is reported and tried again."""

import errno
import io
import os

import pytest

from hashscan.config.loader import load
from hashscan.daemon import background
from hashscan.daemon.daemon import Daemon
from hashscan.daemon.log import Log
from hashscan.state import State


@pytest.fixture
def out():
    return io.StringIO()


@pytest.fixture
def daemon(tmp_path, out, monkeypatch):
    for name in ("root.json", "known.txt"):
        (tmp_path / name).write_text(f"{'0' * 40}\n")
    (tmp_path / "volume").mkdir()
    config = tmp_path / "config.yaml"
    config.write_text(
        f"state: {tmp_path}/state\nvolumes: [{{path: {tmp_path}/volume}}]\n"
        f"service: {{kind: local, known: [{tmp_path}/known.txt]}}\n"
        f"filter: {{source: 'http://127.0.0.1:9/', root: {tmp_path}/root.json}}\n"
        "quarantine: {action: report, retention: 30d}\n"
    )
    settings = load(str(config))

    def no_process(_process):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(background, "start", no_process)
    return Daemon(settings, State(settings.state), lambda: settings, Log(out, out))


@pytest.mark.parametrize(("job", "words"), [("sync", "no sync: "), ("keep", "quarantine: ")])
def test_what_no_process_can_be_had_for_is_tried_again(daemon, out, job, words):
    timer = daemon._refresh if job == "sync" else daemon._housekeeping._due
    before = timer.next
    if job == "sync":
        daemon._begin_sync()
    else:
        daemon._lists.changed = lambda: False
        daemon._refresh.due = daemon._again.due = lambda: False
        daemon._by_the_clock()
    assert daemon._sync is None
    assert daemon._housekeeping.connections == []
    assert words in out.getvalue()
    assert "again in" in out.getvalue()
    assert timer.next != before


def test_a_sync_that_died_is_reported_and_tried_again(daemon, out):
    class Died:
        def take(self):
            return background.Failure("HashscanError", "the process that did it died")

    before = daemon._refresh.next
    daemon._take_sync(Died())
    assert "the process that did it died; again in" in out.getvalue()
    assert daemon._synced["message"] == "the process that did it died"
    assert daemon._synced["failing_since"] is not None
    assert daemon._refresh.next != before
