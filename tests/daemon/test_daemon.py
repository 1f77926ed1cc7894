"""hashscan.daemon.daemon: if the machine has no process for a job, it is reported and tried again."""

import errno
import io
import os
from types import SimpleNamespace

import pytest

from hashscan.config.loader import load
from hashscan.config.settings import Settings
from hashscan.daemon import background_job
from hashscan.daemon import daemon as daemon_module
from hashscan.daemon.counters import Counters
from hashscan.daemon.daemon import Daemon
from hashscan.daemon.log import MOST_LINES, Log
from hashscan.errors import ConfigError, FilterError, StateError
from hashscan.model import Summary
from hashscan.scan.messages import Tally
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

    def no_process(*_arguments, **_given):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(background_job, "Child", no_process)
    return Daemon(settings, State(settings.state), lambda: settings, Log(out, out))


@pytest.mark.parametrize(
    ("given", "words"),
    [({}, "volumes"), ({"volumes": [{"path": "/srv"}]}, "service")],
)
def test_without_a_volume_or_a_service_there_is_no_daemon(state, log, given, words):
    settings = Settings.of(state=state.directory, **given)
    with pytest.raises(ConfigError, match=words):
        Daemon(settings, state, lambda: settings, log)


class Session:
    """The part of ``Session`` that the daemon closes."""

    def __init__(self, error=None):
        self.closed, self.error = False, error
        self.ended, self.events, self.lost = Counters(), 0, 0
        self.running_scan, self.found = None, Summary()
        self.changed_files = SimpleNamespace(tally=Tally())

    def close(self):
        self.closed = True
        if self.error is not None:
            raise self.error


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
            return background_job.Failure("HashscanError", "the process that did it died")

    before = daemon._refresh.next
    daemon._take_sync(Died())
    assert "the process that did it died; again in" in out.getvalue()
    assert daemon._synced["message"] == "the process that did it died"
    assert daemon._synced["failing_since"] is not None
    assert daemon._refresh.next != before


def test_filters_that_expire_are_opened_again_immediately_and_then_now_and_then(
    daemon, monkeypatch
):
    opened = []
    monkeypatch.setattr(daemon, "_refresh_known", lambda: opened.append(True))
    daemon._lists.changed = daemon._refresh.due = daemon._again.due = lambda: False
    daemon._housekeeping.step = lambda _session: None
    daemon._notice_rounds.step = lambda *_: None
    daemon._session, daemon._good_until = Session(), float("inf")
    daemon._by_the_clock()
    assert opened == []
    daemon._good_until = 0.0
    daemon._by_the_clock()
    assert opened == [True]
    daemon._by_the_clock()
    assert opened == [True], "not with each turn"


@pytest.mark.parametrize(
    ("working", "good_until", "words"),
    [
        (False, float("inf"), "nothing is scanned: the filter is damaged"),
        (True, 0.0, "nothing is scanned: the filter is damaged"),
        (True, float("inf"), "the filters in use stay, for: the filter is damaged"),
    ],
)
def test_a_filter_that_cannot_be_used(daemon, out, monkeypatch, working, good_until, words):
    def damaged(*_):
        raise FilterError("the filter is damaged")

    monkeypatch.setattr(daemon_module, "open_known_set", damaged)
    session = daemon._session = Session() if working else None
    daemon._good_until, daemon._facts_at = good_until, float("inf")
    daemon._refresh_known()
    assert words in out.getvalue()
    assert daemon._facts_at == 0.0
    stays = working and good_until > 0
    assert daemon._session is (session if stays else None)
    assert daemon._trouble == ("" if stays else "the filter is damaged")
    assert daemon._synced["refused"] is stays
    assert session is None or session.closed is not stays


def test_a_session_that_cannot_be_closed_is_reported(daemon, out):
    daemon._session = Session(StateError("the disk is full"))
    daemon._close_session()
    assert daemon._session is None
    assert "the disk is full" in out.getvalue()


def test_the_end_says_how_many_lines_were_left_out(daemon, out):
    for _ in range(MOST_LINES + 3):
        daemon._log.limited("sync", "warning", "no sync")
    daemon._end()
    assert "sync: 3 more such lines were left out" in out.getvalue()


@pytest.mark.parametrize("by", ["_load_anew", "_take_fetched"])
def test_a_configuration_that_cannot_be_used_changes_nothing(daemon, out, monkeypatch, by):
    def refused(*_):
        raise FilterError("no such list")

    before, session = daemon._settings, Session()
    daemon._session, daemon._facts_at = session, float("inf")
    monkeypatch.setattr(daemon, "_status_line", lambda: "")
    monkeypatch.setattr(daemon, "_load", refused)
    monkeypatch.setattr(daemon._reloading, "take", refused)
    getattr(daemon, by)()
    assert "reload refused, the old configuration stays: no such list" in out.getvalue()
    assert (daemon._settings, daemon._session, session.closed) == (before, session, False)
    assert daemon._facts_at == 0.0
    monkeypatch.setattr(daemon, "_session", None)
    facts = daemon._facts()
    assert facts["reload_refused"] == "no such list"
    assert facts["stopped"] is False, "else nobody would notice that it was killed"
