"""Small parts of hashscan.daemon: what becomes due when, and what a failure leads to."""

import errno
import os
from types import SimpleNamespace

import pytest
from faulty import break_os, raising
from reload_parts import Job

from hashscan.catalog.store import Catalog
from hashscan.config.settings import Settings
from hashscan.daemon import (
    background_job,
    quarantine_process,
    retention,
    scan_queue,
    status_file,
)
from hashscan.daemon import retry as verdicts_module
from hashscan.daemon import watch_coverage as coverage_module
from hashscan.daemon import watchers as watches_module
from hashscan.daemon.background_job import Background, Failure
from hashscan.daemon.rejudge import RejudgeProcesses
from hashscan.daemon.retention import Housekeeping
from hashscan.daemon.retry import Retry
from hashscan.daemon.scan_queue import ScanQueue
from hashscan.daemon.timers import Every, Files
from hashscan.errors import HashscanError
from hashscan.fs.volume import Volume
from hashscan.quarantine.retention import Purged
from hashscan.scan.rejudge import Judged
from hashscan.state import State
from hashscan.watch.source import Coverage


def thrown(error):
    def throw(*_a, **_k):
        raise error

    return throw


# schedule


def test_a_file_that_was_replaced_counts_when_it_has_come_to_rest(tmp_path):
    now = [0.0]
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    (tmp_path / "a").write_text("1")
    files = Files(paths, every=15, clock=lambda: now[0])

    def after(seconds):
        now[0] += seconds
        return files.changed()

    assert [after(15), after(15)] == [False, False]
    (tmp_path / "b").write_text("new")
    assert after(14.9) is False
    assert after(0.1) is False, "it may still be written"
    (tmp_path / "a").write_text("22")
    assert after(15) is False
    assert [after(14), after(1), after(15)] == [False, True, False], "reported once"
    os.unlink(paths[0])
    assert [after(15), after(15), after(15)] == [False, True, False]
    assert Files([], clock=lambda: 1e9).changed() is False


def test_an_interval_with_its_retries():
    now = [1000.0]
    jitter = lambda low, high: (low + high) / 2  # noqa: E731
    every = Every(3600, clock=lambda: now[0], jitter=jitter)
    assert every.next == 4600
    assert every.due() is False
    now[0] = 4600
    assert every.due() is True
    assert every.next == 8200
    assert [every.failed() for _ in range(8)] == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    every.succeeded()
    assert every.failed(at_least=90) == 90
    assert every.failed(at_least=90_000) == 86_400, (
        "no server delays the daemon for more than a day"
    )
    assert every.next == 4600 + 86_400
    now[0] -= 100_000  # the clock was set back
    assert every.due() is True
    now[0] = every.next - 1
    assert every.due() is False
    never = Every(None)
    assert (never.next, never.due()) == (None, False)
    assert Every(5, at_once=True, clock=lambda: now[0]).due() is True


# verdicts


class Confirmation(SimpleNamespace):
    """What ``Retry`` sees of a confirmation; ``moves``: from which id moves were tried."""

    def __init__(self):
        super().__init__(
            failed=0, answered=0, refused=None, last_failure=None, busy=False, more=False,
            links_wait=False, unmoved=False, moves=[], left=[], waits=False, acted=[],
        )  # fmt: skip

    def ask_again(self):
        return self.waits

    def ask_more(self):
        self.more = False

    def move_unmoved(self, after):
        self.moves.append(after)
        return self.left.pop(0) if self.left else None

    def act_on_links(self, stopped):
        self.acted.append(stopped())
        self.late()

    def late(self):
        pass


@pytest.fixture
def timed(monkeypatch, log):
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(verdicts_module, "time", clock)
    confirmation = Confirmation()
    return Retry(confirmation, SimpleNamespace(restart=list), log), confirmation, clock


def test_what_could_not_be_moved_is_tried_again_with_growing_pauses(timed):
    verdicts, confirmation, clock = timed
    verdicts.step()
    assert verdicts.next_move is None
    waits = []
    for _ in range(10):
        confirmation.unmoved = True
        verdicts.step()
        waits.append(verdicts.next_move)
        clock.now += waits[-1] - 0.1
        verdicts.step()
        assert len(confirmation.moves) == len(waits) - 1, "its time has not come"
        clock.now += 0.2
        verdicts.step()
        assert confirmation.moves[-1] == 0
        assert (verdicts.next_move, confirmation.unmoved) == (None, False)
    assert waits == pytest.approx([5, 10, 20, 40, 80, 160, 320, 640, 900, 900])
    verdicts.step()  # all were moved
    confirmation.unmoved = True
    verdicts.step()
    assert verdicts.next_move == 5


def test_moves_that_are_many_go_on_where_they_stopped(timed):
    verdicts, confirmation, clock = timed
    confirmation.unmoved, confirmation.left = True, [64, 128, None]
    verdicts.step()
    clock.now += 5.5
    assert verdicts.next_move == 0.0, "it is late"
    for _ in range(3):
        verdicts.step()
    assert confirmation.moves == [0, 64, 128]
    assert verdicts.next_move is None
    assert confirmation.unmoved is False
    confirmation.unmoved = True  # set while they are tried: they are tried again
    verdicts.step()
    assert verdicts.next_move == 10


def test_names_of_inodes_are_moved_now_and_then_and_not_for_long(timed):
    verdicts, confirmation, clock = timed
    confirmation.links_wait = True
    verdicts.step()
    assert (confirmation.acted, confirmation.links_wait) == ([False], False)
    confirmation.links_wait = True
    clock.now += 1.9
    verdicts.step()
    assert len(confirmation.acted) == 1
    clock.now += 0.1
    confirmation.late = lambda: setattr(clock, "now", clock.now + 0.6)
    verdicts.step()
    assert len(confirmation.acted) == 2
    assert confirmation.links_wait is True, "there are more"
    clock.now += 0.4
    verdicts.step()
    assert len(confirmation.acted) == 2, "after as much time for everything else"
    clock.now += 0.2
    verdicts.step()
    assert len(confirmation.acted) == 3


# wants


@pytest.fixture
def clocked(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(scan_queue, "time", clock)
    return ScanQueue(), clock


def test_a_scan_for_a_loss_waits_for_the_rest_after_the_one_before(clocked):
    found, clock = clocked
    found.request(1, "schedule")
    assert found.begun([1]) == "schedule"
    found.ended([1, 2], "overflow", 100.0)
    found.request(1, "overflow")
    found.request(2, "schedule")
    assert found.due() == [2], "what an administrator asked for does not wait"
    clock.now += 2 * 100 - 0.1
    assert found.due() == [2]
    clock.now += 0.2
    assert found.due() == [1, 2]


def test_of_two_requests_at_one_time_the_first_is_the_reason(clocked):
    found, _ = clocked
    found.request(1, "schedule")
    found.request(1, "overflow")
    assert found.begun([1]) == "schedule"


def test_a_scan_that_is_wanted_while_another_ends_comes_later(clocked):
    found, clock = clocked
    found.request(1, "overflow")
    found.request(2, "overflow")
    found.ended([1], "overflow", 50.0)
    assert found.due() == [2]
    clock.now += 2 * 50
    assert found.due() == [1, 2]
    found.ended([1], "schedule", 1e6)
    assert found.due() == [2]
    clock.now += 5
    assert found.due() == [1, 2], "an ordinary scan is followed by the shortest rest"


# facts


def test_a_full_disk_does_not_leave_word_that_all_is_well(tmp_path, monkeypatch):
    status_file.write_facts(str(tmp_path), {"a": 1})
    (name,) = os.listdir(tmp_path)
    assert (tmp_path / name).read_bytes() == b'{"a":1}'
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    break_os(monkeypatch, status_file, replace=raising(errno.ENOSPC))
    status_file.write_facts(str(tmp_path), {"b": 22})
    assert os.listdir(tmp_path) == [name], "the new one is not left beside it"
    assert (tmp_path / name).read_bytes() == b'{"b":22}'
    break_os(monkeypatch, status_file, replace=raising(errno.EROFS))
    with pytest.raises(OSError):
        status_file.write_facts(str(tmp_path), {"c": 3})
    assert os.listdir(tmp_path) == [name], "half a file is not left beside it"
    assert (tmp_path / name).read_bytes() == b'{"b":22}'


# acting, background


def test_what_a_process_has_computed_is_unknown_when_it_is_gone():
    ticks = quarantine_process.cpu_ticks(os.getpid())
    assert len(ticks) == 2
    assert all(int(one) >= 0 for one in ticks)
    assert quarantine_process.cpu_ticks(2**22 + 1) is None


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EMFILE, errno.EIO])
def test_a_limit_of_the_machine_is_named_and_anything_else_is_not_hidden(monkeypatch, number):
    monkeypatch.setattr(background_job, "Child", raising(number))
    with pytest.raises(OSError if number == errno.EIO else HashscanError) as caught:
        Background(int)
    assert isinstance(caught.value, HashscanError) is (number != errno.EIO)


# housekeeping


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Failure("HashscanError", "it died"), "quarantine: it died"),
        (Purged(0, 2), "2 contents are kept, though the clock says that they are older than 30 d"),
        (Purged(1, 0), "1 contents older than its retention were removed for good"),
        (Purged(0, 0), ""),
    ],
)
def test_the_result_of_a_removal(tmp_path, log, out, monkeypatch, result, words):
    quarantine = {"action": "report", "retention": "30d"}
    keeping = Housekeeping(
        Settings.of(state=str(tmp_path), quarantine=quarantine), log, State(str(tmp_path))
    )
    monkeypatch.setattr(retention, "Background", lambda _job: Job(result))
    keeping.step(None)
    keeping.take(["connection"])
    assert words in out.getvalue()
    assert bool(out.getvalue()) is bool(words)


# reloading


# judging


def test_what_a_judging_process_finds_is_stored_and_looked_at(tmp_path, log):
    volume = Volume(b"/srv")
    catalog = Catalog(str(tmp_path / "catalog"))
    (root,) = catalog.queue_directories(7, 0, b"", [(b"/srv", 0)])
    looked, rejudged = [], []
    changed_files = SimpleNamespace(check_known=lambda *given: looked.append(given))
    rejudging = RejudgeProcesses(catalog, changed_files, [volume], log, lambda: None, jobs=1)
    rejudging._filterset = 3
    catalog.rejudge = lambda *given: rejudged.append(given)
    number = root.number
    rejudging._store(
        Judged(
            [(number, b"found")],
            [(number, b"due")],
            [(number, b"clear"), (99, b"x")],
            4,
            done=False,
        )
    )
    assert looked == [(0, number, [b"found", b"due"])]
    assert rejudged == [
        (number, 3, [(b"found", True), (b"due", True)]),
        (number, 3, [(b"clear", False)]),
        (99, 3, [(b"x", False)]),
    ]
    assert rejudging._due == 1
    catalog.close()


def test_when_too_many_files_are_due_a_scan_reads_them(tmp_path, log, monkeypatch):
    from hashscan.daemon import rejudge as module

    monkeypatch.setattr(module, "_DUE_AT_ONCE", 2)
    catalog = Catalog(str(tmp_path / "catalog"))
    (root,) = catalog.queue_directories(7, 0, b"", [(b"/srv", 0)])
    looked = []
    changed_files = SimpleNamespace(check_known=lambda *given: looked.append(given[2]))
    rejudging = RejudgeProcesses(
        catalog, changed_files, [Volume(b"/srv")], log, lambda: None, jobs=1
    )
    catalog.rejudge = lambda *_: None
    for names in ([b"a"], [b"b", b"c"], [b"d"]):
        rejudging._store(Judged([], [(root.number, name) for name in names], [], 1, done=False))
    assert looked == [[b"a"], [b"b"]]
    assert rejudging._due == 4
    catalog.close()


# coverage


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Coverage(0, "inotify", directories=2), "INFO /srv: watched by inotify, 2 directories"),
        (Coverage(0, "fanotify"), "INFO /srv: watched by fanotify"),
        (Coverage(0, "off"), "INFO /srv: is not watched: only scans find changes"),
        (
            Coverage(0, "inotify", unwatched=1, directories=5, example=b"/srv/a", message="limit"),
            (
                "WARNING /srv: 1 directory (e.g. /srv/a) is not watched, only scans find changes there;"
                " 5 watched by inotify: limit"
            ),
        ),
        (
            Coverage(0, "inotify", unwatched=2, directories=1),
            (
                "WARNING /srv: 2 directories are not watched, only scans find changes there;"
                " 1 watched by inotify"
            ),
        ),
        (
            Coverage(0, "inotify", unwatched=2),
            "WARNING /srv: is not watched: only scans find changes",
        ),
        (
            Coverage(0, "inotify", directories=1, blind="what a mount hides"),
            "INFO /srv: watched by inotify, 1 directory; what a mount hides: scans find it",
        ),
    ],
)
def test_how_a_volume_is_watched_in_words(told, words):
    said = []
    logs = SimpleNamespace(
        limited=lambda _key, level, message: said.append(f"{level.upper()} {message}")
    )
    found = coverage_module.Coverages([Volume(b"/srv")], None, logs)
    found.heard(told)
    assert said == [words]
    assert found.partly_watched() == ([0] if told.unwatched or told.blind else [])


# watches


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_a_watching_process_that_a_limit_forbids_is_started_again_later(
    log, out, monkeypatch, number
):
    heard = []
    coverage = SimpleNamespace(
        heard=heard.append, awaits=lambda _numbers: None, awaits_no_more=lambda _numbers: None
    )
    monkeypatch.setattr(watches_module, "Watching", raising(number))
    again = []

    def make():
        return watches_module.Watches(
            [Volume(b"/srv"), Volume(b"/off")], ["inotify", "off"], coverage, log,
            before_fork=lambda: None, on_again=again.append,
            on_silent=lambda _number: None, is_silent=lambda _number: False,
        )  # fmt: skip

    if number == errno.EIO:
        with pytest.raises(OSError):
            make()
        return
    watches = make()
    assert "the process that watches was not started" in out.getvalue()
    assert "it is started again in " in out.getvalue()
    (one,) = heard
    assert (one.volume, one.backend, one.unwatched) == (0, "off", 1)
    assert (again, watches.pids) == ([], [])
