"""hashscan.daemon.notice_rounds: rounds of a real daemon, and rounds that fail or stand still."""

import io
import json
import os
import signal
import time
import types

import notice_machine
import pytest
from running_daemon import Daemon

from hashscan.config.settings import Settings
from hashscan.daemon import notice_rounds
from hashscan.daemon.log import Log
from hashscan.daemon.notice_rounds import NoticeRounds
from hashscan.notices.notice import ItemState
from hashscan.notices.reader import open_existing
from hashscan.notices.sites import plain


@pytest.mark.timeout(120)
def test_a_real_daemon_removes_the_files_of_notices(tmp_path):
    extra = (
        "notices: {action: quarantine}\n"
        f"sites: [{{host: x.example, root: {tmp_path}/volume/x}}]\n"
        "scan: {pause_above_io_pressure: none}\n"
    )
    with Daemon(tmp_path, extra=extra) as daemon:
        site = daemon.volume / "x"
        site.mkdir()
        (site / "1.jpg").write_bytes(os.urandom(40))
        daemon.start()
        (tmp_path / "urls.txt").write_text("https://x.example/1.jpg\n")
        done = daemon.hashscan("notice", "add", tmp_path / "urls.txt")
        assert done.returncode == 0, done.stderr
        assert "a daemon finds the files within" in done.stderr
        notice = done.stdout.partition(":")[0]
        daemon.wait(daemon.quarantined)
        (event,) = daemon.quarantined()
        assert event["authority"]["notice"] == notice
        shown = lambda: json.loads(  # noqa: E731
            daemon.hashscan("notice", "show", notice, "--json").stdout
        )
        daemon.wait(lambda: shown()["state"] == "closed")
        assert [one["state"] for one in shown()["items"]] == ["removed"]
        assert not (site / "1.jpg").exists()
        daemon.wait(lambda: daemon.facts().get("notice_rounds", {}).get("time"))
        assert daemon.facts()["notice_rounds"]["trouble"] == ""
        # Without the daemon the command does the same itself.
        daemon.end()
        (site / "1.jpg").write_bytes(os.urandom(40))
        done = daemon.hashscan("notice", "add", "--again", tmp_path / "urls.txt")
        assert done.stdout.splitlines()[1].endswith(": 1 removed"), done
        assert "1.jpg: quarantined as " in done.stderr
        assert not (site / "1.jpg").exists()


class Parts:
    """The daemon's rounds with a clock, and their log."""

    def __init__(self, directory, **more):
        self.machine = notice_machine.Machine(directory, action="report")
        self.err = io.StringIO()
        self.now = 1000.0
        self.rounds = NoticeRounds(
            self.machine.settings, self.machine.state, Log(self.err, self.err),
            clock=lambda: self.now, **more,
        )  # fmt: skip

    def step(self, later=1.0):
        self.now += later
        self.rounds.step(None, "no filter")
        return bool(self.rounds.connections)

    def end(self):
        (connection,) = self.rounds.connections
        assert connection.poll(30)
        self.rounds.take([connection])

    def close(self):
        self.rounds.close()
        self.machine.close()


@pytest.fixture
def parts(tmp_path):
    one = Parts(tmp_path)
    yield one
    one.close()


def test_when_rounds_begin(parts):
    notice = parts.machine.notice("/nowhere/1")
    assert parts.step()
    parts.end()
    assert parts.step()  # the file of notices has changed: by the round itself, or by others
    parts.end()
    assert not parts.step(31)
    parts.machine.store.reopen_notice(notice, "look again")
    assert parts.step()
    parts.end()
    assert f"notice {notice}: /nowhere/1: not-here: no-volume" in parts.err.getvalue()
    parts.step()
    assert not parts.rounds.connections or parts.end() is None
    assert parts.step(301)


def test_without_notices_nothing_is_started(tmp_path):
    one = Parts(tmp_path)
    one.machine.store.close()
    for path in tmp_path.glob("state/notices.sqlite3*"):
        path.unlink()
    assert not one.step()
    assert not one.step(1000)
    one.close()


def test_a_round_that_fails_is_logged_and_in_the_facts(parts, monkeypatch):
    def fails(*_given, **_more):
        raise OSError("odd")

    parts.machine.notice("/nowhere/1")
    monkeypatch.setattr(notice_rounds, "run_round", fails)
    assert parts.step()
    parts.end()
    assert "the files of notices were not searched: OSError: odd" in parts.err.getvalue()
    assert "odd" in parts.rounds.facts()["trouble"]
    monkeypatch.undo()
    assert not parts.step()
    assert parts.step(31)
    parts.end()
    assert parts.rounds.facts()["trouble"] == ""


def test_a_round_that_stands_still_is_ended_and_its_item_left_out(tmp_path, monkeypatch):
    parts = Parts(tmp_path, still=100.0)
    notice = parts.machine.notice("/nowhere/1", "/nowhere/2")

    def hangs(*_given, begins, **_more):
        begins(1)
        time.sleep(600)

    monkeypatch.setattr(notice_rounds, "run_round", hangs)
    assert parts.step()
    pid = parts.rounds._job.process_id
    deadline = time.monotonic() + 60
    while parts.rounds._item[:1] != b"\1":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    parts.step()
    parts.step(1)
    assert parts.rounds.connections
    parts.step(101)
    assert not parts.rounds.connections
    assert not os.path.exists(f"/proc/{pid}")
    named = f"notice {notice}: /nowhere/1: the daemon leaves it out for an hour"
    assert named in parts.err.getvalue()
    monkeypatch.undo()
    assert parts.step(31)
    parts.end()
    with open_existing(parts.machine.state.notices) as reader:
        states = {number: reader.item(number).state for number in (1, 2)}
    assert states == {1: ItemState.RECEIVED, 2: ItemState.NOT_HERE}
    parts.close()


def test_one_process_does_many_rounds_and_reads_the_sites_once(tmp_path, monkeypatch):
    parts = Parts(tmp_path)
    table, reads = tmp_path / "table", tmp_path / "reads"
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "out").symlink_to("/etc")
    table.write_text(f"x.example {tmp_path}/x\n")
    real = plain.HostTable._read

    def counted(one):
        with open(reads, "a") as file:
            file.write(".")
        return real(one)

    monkeypatch.setattr(plain.HostTable, "_read", counted)
    monkeypatch.setattr("hashscan.notices.sites.read_files._RACY", -(10**18))
    sites = Settings.of(sites=[{"table": str(table)}]).sites
    parts.rounds.use(parts.machine.settings.model_copy(update={"sites": sites}))
    parts.machine.notice("https://x.example/out/waits")
    assert parts.step()
    parts.end()
    pid = parts.rounds._job.process_id
    for _ in range(2):
        assert parts.step(301)
        parts.end()
        assert parts.rounds._job.process_id == pid
    assert reads.read_text() == "."
    os.utime(table)
    assert parts.step(301)
    parts.end()
    assert reads.read_text() == ".."
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert parts.step(301)
    parts.end()
    assert parts.rounds.facts()["trouble"] == ""
    second = parts.rounds._job.process_id
    assert second != pid
    session = types.SimpleNamespace(known=object(), absent=frozenset(), commit=lambda: None)
    parts.now += 2
    parts.rounds.step(session, "")
    assert not os.path.exists(f"/proc/{second}"), "it has another known set"
    parts.close()
