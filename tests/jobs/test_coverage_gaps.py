"""hashscan.jobs.coverage_gaps and status_complaints: the second from which on something is a complaint."""

import errno
import os
from types import SimpleNamespace

import pytest
from faulty import break_os, raising

from hashscan.catalog.status_overview import LastScan
from hashscan.config.settings import Settings
from hashscan.errors import ExitCode
from hashscan.jobs import (
    coverage_gaps,
    status_complaints,
)
from hashscan.jobs.complaint_reasons import Reason

NOW = 1_800_000_000.0
DAY = 86400.0


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    clock = SimpleNamespace(time=lambda: NOW)
    monkeypatch.setattr(coverage_gaps, "time", clock)
    monkeypatch.setattr(status_complaints, "time", clock)


def reasons(found):
    return [one.reason for one in found]


def scan(ended=NOW, started=NOW, files=1000):
    return LastScan(started, ended, files, False, (b"/v",), "scan", {}, is_whole=True)


def catalog(**given):
    given = {"scan": scan(), "whole": scan(), "by_volume": {}, "problems": 0, **given}
    return SimpleNamespace(mounted=frozenset(), **given)


def settings(**sections):
    return Settings.of(state="/state", **sections)


# The daemon


@pytest.mark.parametrize(
    ("silent", "found"),
    [
        (0, []), (60, []), (61, [Reason.DAEMON]),
        (-3600, []), (-3601, [Reason.CLOCK]),
    ],
)  # fmt: skip
def test_a_daemon_gives_a_sign_of_life_each_minute(silent, found):
    assert reasons(coverage_gaps._daemon_trouble({"time": NOW - silent}, alive=True)) == found
    assert reasons(coverage_gaps._daemon_trouble({"time": NOW - silent}, alive=False)) == [
        Reason.DAEMON
    ]


def test_what_a_daemon_says_is_wrong():
    volumes = [{"path": "/a", "away": "gone"}, {"path": "/b", "away": None}, {"path": "/c"}]
    daemon = {"time": NOW, "reload_refused": "no YAML", "volumes": volumes}
    found = coverage_gaps._daemon_trouble(daemon, alive=True)
    assert [one.message for one in found] == [
        "the last reload was refused: no YAML", "/a: not scanned: gone",
    ]  # fmt: skip
    assert coverage_gaps._daemon_trouble({**daemon, "stopped": True}, alive=False) == []
    assert coverage_gaps._stopped("/state", {}) == ()
    (told,) = coverage_gaps._stopped("/state", {"stopped": True, "time": NOW - 7200})
    assert "the daemon was stopped 2 h ago" in told.message
    assert told.message.endswith("remove /state/daemon.json")


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        ({"starting": NOW - 60}, None),
        ({"starting": NOW - 61}, "/v: its watch has been starting for 61 s"),
        ({"unwatched": 1, "directories": 0}, "/v: it is not watched, only scans find changes: why"),
        ({"unwatched": 1, "directories": 9}, "/v: 1 directory is not watched, only scans find"),
        ({"unwatched": 2, "directories": 9}, "/v: 2 directories are not watched, only scans find"),
        ({"unwatched": 0, "directories": 0}, None),
        ({"unwatched": 2, "directories": 0, "away": "gone"}, None),
    ],
)
def test_what_is_not_watched(volume, words):
    given = {"path": "/v", "directories": 1, "message": "why", **volume}
    found = coverage_gaps._uncovered({"volumes": [given]})
    assert [one.message[: len(words)] for one in found] == ([] if words is None else [words])
    assert reasons(found) == ([] if words is None else [Reason.NOT_WATCHED])


def test_a_reader_that_does_not_read():
    output = {"lost": 1234, "since": NOW, "message": "the reader is gone"}
    (found,) = coverage_gaps._uncovered({"output": output})
    assert found.reason == Reason.OUTPUT
    assert "did not take 1,234 results since" in found.message
    assert ": the reader is gone; the log has them" in found.message


EVERY = 4 * DAY


@pytest.mark.parametrize(
    ("every", "ended", "started", "late"),
    [
        # By the schedule: two intervals and an hour after the last one, or the daemon's start.
        (EVERY, NOW - 2 * EVERY - 3600, NOW - 90 * DAY, False),
        (EVERY, NOW - 2 * EVERY - 3601, NOW - 90 * DAY, True),
        (EVERY, None, NOW - 2 * EVERY - 3600, False),
        (EVERY, None, NOW - 2 * EVERY - 3601, True),
        # A daemon that has just started gets an hour, one that starts each day no more.
        (EVERY, NOW - 30 * DAY, NOW - 3600, False),
        (EVERY, NOW - 30 * DAY, NOW - 3601, True),
        (DAY, NOW - 8 * DAY, NOW - 3601, False),
        (DAY, NOW - 8 * DAY - 1, NOW - 3601, True),
        # Without a schedule: the scan of the start.
        (None, None, NOW - 8 * DAY, False),
        (None, None, NOW - 8 * DAY - 1, True),
        (None, NOW - 9 * DAY, NOW - 9 * DAY, False),
        (None, NOW - 10 * DAY, NOW - 9 * DAY, True),
    ],
)
def test_when_a_scan_is_late(every, ended, started, late):
    by_volume = {} if ended is None else {b"/v": scan(ended)}
    daemon = {"scan_every": every, "started": started, "volumes": [{"path": "/v"}]}
    found = coverage_gaps._not_scanned(daemon, catalog(by_volume=by_volume))
    assert reasons(found) == [Reason.SCAN_LATE] * late
    why = "though the daemon began one" if every is None else "but scan.schedule wants one every"
    assert all(why in one.message for one in found)
    daemon["volumes"][0]["away"] = "gone"
    assert coverage_gaps._not_scanned(daemon, catalog(by_volume=by_volume)) == []


def test_a_scan_without_an_end_counts_from_its_start():
    daemon = {"scan_every": DAY, "started": NOW - 90 * DAY, "volumes": [{"path": "/v"}]}
    running = catalog(by_volume={b"/v": scan(None, NOW - DAY)})
    assert coverage_gaps._not_scanned(daemon, running) == []
    assert reasons(coverage_gaps._not_scanned(daemon, None)) == [Reason.SCAN_LATE]


# Without a daemon


def seen(**given):
    given = {
        "settings": settings(volumes=[{"path": "/v"}]), "catalog": catalog(), "running": None,
        "daemon": None, "alive": False, **given,
    }  # fmt: skip
    return coverage_gaps.VolumeFacts(**given)


@pytest.mark.parametrize(
    ("ended", "schedule", "found"),
    [
        (NOW - 8 * DAY, None, []), (NOW - 8 * DAY - 1, None, [Reason.SCAN_LATE]),
        (NOW - 14 * DAY - 3600, "0 0 * * 0", []),
        (NOW - 14 * DAY - 3601, "0 0 * * 0", [Reason.SCAN_LATE]),
        (NOW + 3600, None, []), (NOW + 3601, None, [Reason.CLOCK]),
    ],
)  # fmt: skip
def test_when_a_scan_by_hand_is_late(ended, schedule, found):
    given = settings(volumes=[{"path": "/v"}], scan={"schedule": schedule or "none"})
    one = seen(settings=given, catalog=catalog(by_volume={b"/v": scan(ended)}))
    assert reasons(coverage_gaps._late_by_hand(one)) == found
    without = seen(settings=settings(), catalog=catalog(whole=scan(ended)))
    if schedule is None:
        assert reasons(coverage_gaps._late_by_hand(without)) == found
        assert all(not one.message.startswith("/") for one in coverage_gaps._late_by_hand(without))


def test_no_whole_scan_yet():
    (found,) = coverage_gaps._late_by_hand(seen())
    assert found.message == "/v: no whole scan yet; run 'hashscan scan' again"
    assert coverage_gaps._late_by_hand(seen(running=77)) == [], "one is running"


def test_the_last_scan_died():
    killed = catalog(scan=scan(None, NOW - 7200))
    (found,) = coverage_gaps._died(seen(catalog=killed))
    assert found.reason == Reason.SCAN_KILLED
    assert "(began 2 h ago)" in found.message
    assert coverage_gaps._died(seen(catalog=killed, running=77)) == []
    assert coverage_gaps._died(seen()) == []
    assert coverage_gaps._died(seen(catalog=None)) == []


@pytest.mark.parametrize(
    ("problems", "files", "found"),
    [
        (0, 0, 0), (1, 2, 0), (1, 1, 1), (500, 1000, 1),
        (100, 999, 0), (101, 1010, 0), (101, 1009, 1), (3, None, 1),
    ],
)  # fmt: skip
def test_when_many_files_cannot_be_read(problems, files, found):
    one = catalog(problems=problems, whole=scan(files=files))
    assert reasons(coverage_gaps._unread(one)) == [Reason.UNREADABLE] * found
    assert list(coverage_gaps._unread(catalog(problems=problems, whole=None))) == []


def test_seconds_between_two_scans():
    assert coverage_gaps._interval(settings()) is None or settings().scan.schedule is not None
    assert coverage_gaps._interval(settings(scan={"schedule": "none"})) is None
    assert coverage_gaps._interval(settings(scan={"schedule": "0 3 * * *"})) == DAY


# Where the state is


@pytest.mark.parametrize(
    ("room", "words"),
    [
        ({}, None),
        ({"f_flag": os.ST_RDONLY}, "is on a read-only file system: mount it writable"),
        ({"f_flag": os.ST_NOSUID}, None),
        ({"f_bavail": 4096}, None),
        ({"f_bavail": 4095}, "is on a full file system"),
        ({"f_files": 10, "f_favail": 0}, "is on a full file system"),
        ({"f_files": 10, "f_favail": 1}, None),
        ({"f_files": 0, "f_favail": 0}, None),
    ],
)
def test_there_must_be_room(monkeypatch, room, words):
    given = {"f_flag": 0, "f_bavail": 1 << 20, "f_frsize": 4096, "f_files": 9, "f_favail": 9}
    break_os(monkeypatch, coverage_gaps, statvfs=lambda _path: SimpleNamespace(**{**given, **room}))
    moving = settings(quarantine={"action": "quarantine", "directory": "/q"})
    for one, places in (
        (settings(quarantine={"action": "report"}), ["the state /state"]),
        (moving, ["the state /state", "the quarantine /q"]),
    ):
        found = [fault.message for fault in coverage_gaps.no_room(one)]
        assert len(found) == (0 if words is None else len(places))
        assert all(
            message.startswith(f"{place} {words}")
            for message, place in zip(found, places, strict=False)
        )


def test_a_place_that_is_not_there_yet_lacks_no_room(monkeypatch):
    break_os(monkeypatch, coverage_gaps, statvfs=raising(errno.ENOENT))
    assert list(coverage_gaps.no_room(settings())) == []


# Complaints


def status(**given):
    names = ("filters", "refusals", "stands_still", "mail", "daemon", "unmoved", "reported")
    empty = dict.fromkeys(names, ())
    return SimpleNamespace(**{**empty, **given})


@pytest.mark.parametrize(("silent", "found"), [(600, 0), (601, 1)])
def test_a_maildir_that_does_not_answer(silent, found):
    mail = {"since": NOW - silent, "maildir": "/mail"}
    told = list(status_complaints._mail_trouble(status(mail=mail)))
    assert reasons(told) == [Reason.NOTICES_INPUT] * found
    assert [one.code for one in told] == [ExitCode.INTERNAL] * found
    assert list(status_complaints._mail_trouble(status(mail=None))) == []
    (told,) = status_complaints._mail_trouble(status(mail={"trouble": "no mail"}))
    assert told.message == "notices: no mail"


@pytest.mark.parametrize(
    ("digests", "trouble", "words"),
    [(0, None, "filter f: it holds no digest"), (1, None, None), (None, None, None),
     (5, "too old", "filter f: too old"), (0, "too old", "filter f: too old")],
)  # fmt: skip
def test_a_filter_that_finds_nothing(digests, trouble, words):
    one = SimpleNamespace(name="f", digests=digests, trouble=trouble)
    found = list(
        status_complaints._filters(status(filters=[one], refusals=["why"], stands_still=""))
    )
    told = [] if words is None else [words]
    if trouble is None:
        told.append("no scan would start: why")
    assert [one.message for one in found] == told
    assert {one.code for one in found} <= {ExitCode.FILTER}


@pytest.mark.parametrize("at_a_limit", [True, False])
def test_a_daemon_that_stands_still(at_a_limit):
    found = status(stands_still="no room", at_a_limit=at_a_limit)
    (one,) = status_complaints._filters(found)
    assert one.code == (ExitCode.INTERNAL if at_a_limit else ExitCode.FILTER)
    assert one.reason == (Reason.LIMIT if at_a_limit else Reason.FILTER)
    assert "nothing is scanned: no room (the daemon tries again" in one.message


@pytest.mark.parametrize("alive", [True, False])
def test_rounds_of_a_daemon_that_runs(alive):
    daemon = {"notice_rounds": {"trouble": "odd"}}
    found = list(status_complaints._round_trouble(status(daemon=daemon, alive=alive)))
    assert [one.message for one in found] == ["notices: odd"] * alive
    assert list(status_complaints._round_trouble(status(daemon=None, alive=alive))) == []


def test_without_proc_no_volume_is_on_a_file_server(monkeypatch):
    def refuses():
        raise OSError(2, "No such file")

    monkeypatch.setattr(coverage_gaps, "mounts_now", refuses)
    assert coverage_gaps._mounts().reach(b"/srv").server == b""


def test_the_path_of_a_volume_on_a_file_server_is_not_resolved(monkeypatch, tmp_path):
    (tmp_path / "link").symlink_to("/")
    mounts = SimpleNamespace(
        reach=lambda path: SimpleNamespace(server=b"nfs" if path.endswith(b"far") else b"")
    )
    monkeypatch.setattr(coverage_gaps, "resolve", lambda path: f"/resolved{path}")
    settings = Settings.of(volumes=[{"path": "/srv/far"}, {"path": "/srv/near"}])
    assert list(coverage_gaps._roots(settings, mounts)) == [
        (b"/srv/far", True), (b"/resolved/srv/near", False),
    ]  # fmt: skip

    def unsafe(_path):
        raise coverage_gaps.UnsafePathError("a customer's link", "x")

    monkeypatch.setattr(coverage_gaps, "resolve", unsafe)
    assert list(coverage_gaps._roots(settings, mounts))[1] == (b"/srv/near", False)


def test_paths_that_lead_to_one_directory_are_one_volume(tmp_path):
    for name in ("www", "mail"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("www")
    paths = [{"path": str(tmp_path / name)} for name in ("www", "mail", "link")]
    paths[2]["exclude"] = ["x"]
    settings = Settings.of(volumes=paths)
    found = coverage_gaps.with_distinct_volumes(settings)
    assert [(one.path, tuple(one.exclude)) for one in found.volumes] == [
        (str(tmp_path / "link"), ("x",)), (str(tmp_path / "mail"), ()),
    ]  # fmt: skip
    assert coverage_gaps.with_distinct_volumes(found) == found
