"""Every state in which nothing is found is a complaint of status, with its exit code."""

import os
import subprocess
import time

import pytest
import ready
from left_state import DAY
from namespaces import why_no_root

from hashscan.config.loader import load

needs_root = pytest.mark.skipif(bool(why_no_root()), reason=why_no_root())


def test_all_is_well(place):
    assert place.scanned(3600).complaints() == []
    assert place.daemon().complaints() == []
    assert place.run().stdout.startswith("all is well\n")


# Without a daemon


def test_no_scan_for_a_month(place):
    place.scanned(30 * DAY).only(3, "no whole scan for 30 days, and no daemon runs", "scan-late")
    place.scanned(7 * DAY)
    assert place.complaints() == [], "a weekly timer"
    place.change("UPDATE scan SET ended = ended - ?", 2 * DAY)
    place.only(3, "no whole scan for 9 days")


def test_one_volume_that_no_scan_has_met(place, tmp_path):
    place.scanned()
    place.volumes.append(tmp_path / "other")
    place.write()
    place.only(3, f"{tmp_path}/other: no whole scan yet")


def test_a_first_scan_that_died(place):
    place.scanned(3600, ended=False)
    found = place.complaints()
    assert {code for code, _ in found} == {3}
    assert "was killed before its end" in found[0][1]


def test_a_later_scan_that_died(place):
    place.scanned(DAY).scanned(3600, ended=False).only(
        3, "was killed before its end", "scan-killed"
    )


def test_a_first_scan_that_was_interrupted(place):
    place.scanned(3600, interrupted=True).only(3, "no whole scan yet")


def test_nothing_was_ever_scanned(place):
    place.only(3, "nothing has been scanned", "scan-late")


def test_a_volume_is_missing(place):
    place.scanned()
    place.volumes[0].rmdir()
    place.only(70, "the volume is not there", "volume-missing")


def test_the_file_system_of_a_volume_is_not_mounted(place):
    place.scanned()
    place.change("INSERT INTO mounted VALUES (?1, ?1)", os.fsencode(place.volumes[0]))
    place.only(70, "its file system is not mounted", "volume-missing")


def test_a_clock_that_was_set_back(place):
    place.scanned(-DAY).only(3, "in the future", "clock")


def test_most_files_cannot_be_read(place):
    place.scanned(files=10)
    place.change("INSERT INTO problem VALUES (1, x'61', 'denied', '', 1)")
    assert place.complaints() == [], "one of ten is for the scan's own exit code"
    for number in range(8):
        place.change("INSERT INTO problem VALUES (1, ?, 'denied', '', 1)", b"%d" % number)
    place.only(3, "9 of 10 files or directories could not be read", "unreadable")


@needs_root
def test_the_quarantine_cannot_be_written_or_is_full(place):
    place.scanned()
    store = os.path.join(place.state.directory, "quarantine")
    os.mkdir(store, 0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", store], check=True)
    try:
        place.only(70, "full file system", "storage")
        subprocess.run(["mount", "-o", "remount,ro,size=64m", store], check=True)
        place.only(70, "read-only", "storage")
    finally:
        subprocess.run(["umount", "-l", store], check=True)


def test_the_catalog_cannot_be_read(place):
    place.scanned()
    with open(place.state.catalog, "r+b") as file:
        file.write(b"x" * 4096)
    assert next(code for code, _ in place.complaints()) == 70


def test_a_list_is_missing(place):
    place.scanned()
    place.known.unlink()
    place.only(5, "no such file", "filter")


# Verdicts


def test_the_password_is_refused(place):
    place.scanned()
    place.candidate(1.0, "https://hcs/v1: answered 401, it refuses the credentials; check")
    place.only(
        6, "the service refuses the password: https://hcs/v1: answered 401", "service-refuses"
    )


def test_candidates_wait_for_too_long(place):
    place.scanned()
    place.candidate(800.0, "time-out")
    assert place.complaints() == []
    place.change("UPDATE candidate SET found = found - 200")
    place.only(6, "1 candidate without a verdict, the oldest for 17 min", "pending")


# With a daemon


def test_syncs_fail_for_an_hour(place):
    place.scanned().daemon(sync={"failing_since": time.time() - 3500, "message": "no route"})
    assert place.complaints() == []
    place.daemon(sync={"failing_since": time.time() - 3700, "message": "no route"})
    place.only(6, "sync has failed for 62 min: no route", "sync")
    # The daemon's status counts only while it runs.
    place.holder.kill()
    place.holder.wait()
    assert 6 not in {code for code, _ in place.complaints()}


def test_a_filter_is_refused(place):
    sync = {"failing_since": time.time(), "refused": True, "message": "the old one stays"}
    place.scanned().daemon(sync=sync).only(6, "the old one stays", "sync")


@pytest.mark.parametrize(
    ("facts", "code", "words", "reason"),
    [
        ({"volume": {"away": "not mounted"}}, 70, "not scanned: not mounted", "volume-missing"),
        ({"volume": {"away": "gone", "unwatched": 1}}, 70, "not scanned: gone", "volume-missing"),
        (
            {"volume": {"unwatched": 1, "message": "limit"}},
            3,
            "it is not watched, only scans find",
            "not-watched",
        ),
        (
            {"volume": {"unwatched": 1, "directories": 9}},
            3,
            "1 directory is not watched",
            "not-watched",
        ),
        (
            {"volume": {"unwatched": 2, "directories": 9}},
            3,
            "2 directories are not watched",
            "not-watched",
        ),
        ({"volume": {"starting": 1.0}}, 3, "its watch has been starting for", "not-watched"),
        ({"trouble": "no filter"}, 5, "nothing is scanned: no filter", "filter"),
        ({"trouble": "TasksMax=", "limit": True}, 70, "nothing is scanned: TasksMax=", "limit"),
        (
            {"notice_rounds": {"trouble": "item 7 was given up"}},
            70,
            "notices: item 7 was given up",
            "notices-input",
        ),
        ({"time": 1000.0}, 70, "the daemon has said nothing for", "daemon"),
        ({"time": 5e9}, 70, "in the future", "clock"),
        ({"reload_refused": "line 3"}, 70, "the last reload was refused: line 3", "configuration"),
        ({"settings": "other"}, 3, "does not use this configuration", "configuration"),
        ({"alive": False}, 70, "has died", "daemon"),
        ({"alive": False, "stopped": True}, 3, "the daemon was stopped", "daemon-stopped"),
    ],
)
def test_what_the_daemon_says(place, facts, code, words, reason):
    place.scanned().daemon(**facts).only(code, words, reason)


def test_no_scheduled_scan_has_come_to_its_end(place):
    place.scanned(2 * DAY).daemon()
    assert place.complaints() == []
    place.scanned(3 * DAY)
    place.change("DELETE FROM scan WHERE id < (SELECT max(id) FROM scan)")
    place.only(3, "no whole scan for 3 days, but scan.schedule wants one every 24 h")
    # The scan of the start counts until the first scheduled scan is due.
    place.daemon(started=time.time() - DAY)
    assert place.complaints() == []
    place.daemon(scan_every=None)
    assert place.complaints() == []


def test_a_daemon_that_starts_each_day_does_not_hide_that_no_scan_comes_to_its_end(place):
    place.scanned(9 * DAY).daemon(started=time.time() - DAY / 2)
    place.only(3, "no whole scan for 9 days, but scan.schedule wants one every 24 h")
    place.daemon(started=time.time() - 60)
    assert place.complaints() == [], "the scan of this start has just begun"


def test_the_scan_of_the_start_has_not_come_to_its_end_and_there_is_no_other(place):
    place.scanned(40 * DAY).daemon(scan_every=None, started=time.time() - 7 * DAY)
    assert place.complaints() == []
    place.daemon(scan_every=None, started=time.time() - 9 * DAY)
    place.only(3, "no whole scan for 9 days, though the daemon began one at its start")


def test_neither_watched_nor_scanned_by_schedule(place):
    place.extra = "scan: {schedule: none}\n"
    place.write()
    place.scanned().daemon(scan_every=None)
    assert place.complaints() == []
    place.config.write_text(place.config.read_text().replace("volume}", "volume, watch: off}"))
    place.settings = load(str(place.config), check_files=False)
    place.daemon(scan_every=None)
    place.only(3, "neither watched (watch: off) nor scanned by schedule", "not-watched")


def test_what_the_daemon_wrote_cannot_be_read(place):
    place.scanned().daemon(alive=False)
    with open(os.path.join(place.state.directory, "daemon.json"), "w") as file:
        file.write('{"pid": 12')
    place.only(70, "daemon.json cannot be read", "state")


def test_a_catalog_that_cannot_be_read_is_not_called_empty(place):
    place.scanned()
    (place.directory / "state" / "catalog.sqlite3").write_bytes(b"no database" * 999)
    place.only(70, "is not a database")


@pytest.mark.parametrize("content", ["", "a\nb\n", " \n", None])
def test_a_password_that_keeps_every_scan_from_starting(place, content):
    password = place.directory / "password"
    if content is not None:
        password.write_text(content)
        password.chmod(0o600)
    (place.directory / "config.yaml").write_text(
        f"state: {place.state.directory}\nvolumes: [{{path: {place.volumes[0]}}}]\n"
        "service: {kind: hashcheckservice, url: 'http://127.0.0.1:9', username: u,"
        f" password_file: {password}}}\nfilter: {{source: {place.directory}/filter}}\n"
    )
    built = ready.hashscan("filter", "build", place.known, "-o", place.directory / "filter")
    assert built.returncode == 0
    place.settings = load(str(place.config), check_files=False)
    place.scanned().only(5, "no scan would start: ")


@needs_root
def test_a_list_that_others_can_change_keeps_every_scan_from_starting(place):
    place.scanned()
    place.known.chmod(0o666)
    place.only(5, "chmod o-w")
