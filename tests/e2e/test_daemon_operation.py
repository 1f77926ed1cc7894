"""The daemon in operation: full disks, deaths, reloads, its end, ``status``, the service manager."""

import json
import os
import signal
import socket
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import get_type_hints

import pytest
import surroundings
from daemon_files import gone, processes_of
from running_daemon import Daemon

from hashscan.daemon.timers import Cron
from hashscan.jobs.daemon_status import DaemonStatus

KNOWN = os.urandom(3000)
OTHER = os.urandom(3000)


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path, watch="auto", known=[KNOWN, OTHER]) as one:
        yield one


def test_a_full_disk_ends_nothing(tmp_path):
    if os.geteuid():
        pytest.skip("needs root")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(small)], check=True)
    try:
        with Daemon(tmp_path, known=[KNOWN]) as daemon:
            daemon.state = small / "state"
            daemon.write_config()
            daemon.values = {"hashscan.daemon.daemon._TRY_AGAIN": 3.0}
            daemon.start()
            filler = os.open(small / "filler", os.O_WRONLY | os.O_CREAT)
            with pytest.raises(OSError, match="No space"):
                while True:
                    os.write(filler, b"x" * 4096)
            os.close(filler)
            for number in range(3000):
                (daemon.volume / f"a-rather-long-name-{number}").write_bytes(b"%d" % number)
            daemon.wait(lambda: daemon.logged("nothing is scanned"), 40)
            (daemon.volume / "known").write_bytes(KNOWN)
            assert daemon.process.poll() is None
            (small / "filler").unlink()
            gone_within(daemon, daemon.volume / "known", 50)
            daemon.wait_accounted()
            assert daemon.end() == 0
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def gone_within(daemon, path, seconds):
    daemon.wait(lambda: not path.exists(), seconds)


def test_the_watching_process_dies(daemon):
    daemon.start()
    (watcher,) = processes_of(daemon)["watch"]
    os.kill(watcher, signal.SIGKILL)
    daemon.wait(lambda: daemon.logged("started again"))
    path = daemon.volume / "x"
    path.write_bytes(KNOWN)
    gone(daemon, path)
    daemon.wait(lambda: len(daemon.summaries) >= 2, 15)
    assert daemon.end() == 0


def test_worker_processes_die(daemon):
    daemon.start()
    for pid in processes_of(daemon)["other"]:
        os.kill(pid, signal.SIGKILL)
    path = daemon.volume / "x"
    path.write_bytes(KNOWN)
    gone(daemon, path)
    assert daemon.end() == 0


def test_a_reload_takes_a_good_configuration_and_refuses_a_wrong_one(daemon):
    daemon.start()
    good = daemon.config.read_text()
    daemon.config.write_text(good + "nonsense: 1\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait(lambda: daemon.logged("reload refused"))
    path = daemon.volume / "x"
    path.write_bytes(KNOWN)
    gone(daemon, path)
    more = daemon.directory / "more"
    more.mkdir()
    (more / "there").write_bytes(KNOWN)
    daemon.config.write_text(
        good.replace("volumes: [", f"volumes: [{{path: {more}, watch: inotify}}, ")
    )
    daemon.process.send_signal(signal.SIGHUP)
    gone(daemon, more / "there")
    (more / "new").write_bytes(KNOWN)
    gone(daemon, more / "new")
    daemon.config.write_text(good.replace(str(daemon.state), str(daemon.directory / "other")))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait(lambda: daemon.logged("cannot be changed by a reload"))
    assert daemon.end() == 0


def test_the_end_comes_within_seconds_in_the_middle_of_a_scan(tmp_path):
    with Daemon(
        tmp_path, known=[KNOWN], extra="scan: {pause_above_io_pressure: none, max_rate: 100KiB}"
    ) as daemon:
        for number in range(100):
            (daemon.volume / f"f{number}").write_bytes(os.urandom(100_000))
        daemon.start(until=None)
        daemon.wait(lambda: daemon.logged("scan (start)"))
        time.sleep(1)
        began = time.monotonic()
        assert daemon.end() == 0
        assert time.monotonic() - began < 60
        assert daemon.summaries[-1]["interrupted"]
        assert daemon.facts()["stopped"]


def test_one_instance_and_what_works_beside_it(daemon, tmp_path):
    daemon.start()
    second = daemon.hashscan("daemon")
    assert second.returncode == 4, second
    assert str(daemon.process.pid) in second.stderr
    path = daemon.volume / "x"
    path.write_bytes(KNOWN)
    gone(daemon, path)
    beside = daemon.hashscan("scan", "--json")
    assert beside.returncode == 0, beside
    assert "a catalog of its own" in beside.stderr
    identity = daemon.quarantined()[0]["quarantine_id"]
    assert daemon.hashscan("quarantine", "restore", identity).returncode == 0
    daemon.wait(lambda: any(m["action"] == "held" for m in daemon.matches))
    assert path.read_bytes() == KNOWN
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "y").write_bytes(KNOWN)
    ran = daemon.hashscan("scan", elsewhere, "--action", "quarantine")
    assert ran.returncode == 1, ran
    assert not (elsewhere / "y").exists()
    status = daemon.hashscan("status")
    assert status.returncode == 0, status
    assert f"process {daemon.process.pid}" in status.stdout
    assert daemon.end() == 0


def test_status_tells_of_a_daemon_that_was_stopped_and_forgotten(daemon):
    never = daemon.hashscan("status")
    assert never.returncode == 3
    assert "nothing has been scanned" in never.stdout
    daemon.start()
    assert set(daemon.facts()) == set(get_type_hints(DaemonStatus))
    daemon.end()
    stopped = daemon.hashscan("status")
    assert stopped.returncode == 3
    assert "the daemon was stopped" in stopped.stdout
    assert str(daemon.state / "daemon.json") in stopped.stdout
    os.unlink(daemon.state / "daemon.json")
    assert daemon.hashscan("status").returncode == 0


def test_status_tells_at_once_what_was_found(daemon):
    daemon.start()
    path = daemon.volume / "one"
    path.write_bytes(KNOWN)
    gone(daemon, path)
    time.sleep(1.5)
    told = daemon.hashscan("status").stdout
    assert "1 matches in " in told
    assert ": 1 moved to quarantine" in told
    told = json.loads(daemon.hashscan("status", "--json").stdout)["daemon"]
    assert (told["matches"], told["quarantined"]) == (1, 1)
    for moment in (
        told["counting_since"],
        told["started"],
        told["time"],
        told["next_scan"],
        told["sync"]["next"],
    ):
        assert moment.endswith("Z"), told


def test_status_tells_of_a_daemon_that_was_killed(daemon):
    daemon.start()
    daemon.end(signal.SIGKILL)
    status = daemon.hashscan("status")
    assert status.returncode == 70
    assert "has died" in status.stdout
    told = json.loads(daemon.hashscan("status", "--json").stdout)
    assert told["daemon"]["running"] is False
    assert told["well"] is False


def test_the_service_manager_hears_of_it(daemon, tmp_path):
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(20)
        daemon.start(env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}, until=None)
        heard = [manager.recv(4096).decode()]
        assert heard[0].startswith("READY=1\nSTATUS=")
        while not any("WATCHDOG=1" in one for one in heard):
            heard.append(manager.recv(4096).decode())
        daemon.process.send_signal(signal.SIGHUP)
        while not any("RELOADING=1\nMONOTONIC_USEC=" in one for one in heard):
            heard.append(manager.recv(4096).decode())
        while not heard[-1].startswith("READY=1"):
            heard.append(manager.recv(4096).decode())
        # stopped: nothing goes on, and nothing is said to go on
        os.kill(daemon.process.pid, signal.SIGSTOP)
        manager.settimeout(1.5)
        with pytest.raises(TimeoutError):
            while True:
                manager.recv(4096)
        os.kill(daemon.process.pid, signal.SIGCONT)
        manager.settimeout(20)
        daemon.process.send_signal(signal.SIGTERM)
        while not any("STOPPING=1" in one for one in heard):
            heard.append(manager.recv(4096).decode())
    assert daemon.end() == 0


def test_what_changes_goes_before_a_scan_and_a_scan_has_the_lowest_priority(tmp_path):
    with Daemon(
        tmp_path, known=[KNOWN], extra="scan: {pause_above_io_pressure: none, max_rate: 200KiB}"
    ) as daemon:
        for number in range(60):
            (daemon.volume / f"f{number}").write_bytes(os.urandom(100_000))
        daemon.start(until=None)
        daemon.wait(lambda: daemon.facts().get("scan"))
        path = daemon.volume / "now"
        path.write_bytes(KNOWN)
        written = time.time()
        gone(daemon, path)
        assert daemon.quarantined()[0]["heard"] - written < 5
        assert daemon.summaries == [], "the scan still goes on"
        told = daemon.hashscan("status").stdout
        assert "scan now    start:" in told
        nice = {}
        for pids in processes_of(daemon).values():
            for pid in pids:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                nice[pid] = int(fields[16])
        assert list(nice.values()).count(19) >= 2, nice
        (watcher,) = processes_of(daemon)["watch"]
        assert nice[watcher] == os.getpriority(os.PRIO_PROCESS, 0), "it empties the kernel's queue"
        assert daemon.end() == 0


def test_large_files_do_not_hold_up_small_ones(tmp_path):
    # At this rate a large one takes more than six seconds, whoever reads it.
    extra = "scan: {pause_above_io_pressure: none, jobs: 2, max_rate: 10MiB}"
    large = os.urandom(66 << 20)
    with Daemon(tmp_path, known=[KNOWN, large], extra=extra) as daemon:
        # In directories of their own: each is a task that could take one of the two processes.
        paths = [daemon.volume / f"d{number}" / "large" for number in range(2)]
        for path in paths:
            path.parent.mkdir()
        daemon.start()
        for path in paths:
            path.write_bytes(large)
        time.sleep(0.8)  # by now they are being read
        small = daemon.volume / "small"
        small.write_bytes(KNOWN)
        gone(daemon, small)
        assert os.path.basename(daemon.quarantined()[0]["path"]) == "small"
        gone(daemon, *paths)
        assert daemon.end() == 0


def test_a_match_is_moved_while_the_scan_that_found_it_goes_on(tmp_path):
    # At this rate the other file takes twenty seconds.
    extra = "scan: {pause_above_io_pressure: none, jobs: 1, max_rate: 1MiB}"
    with Daemon(tmp_path, watch="off", known=[KNOWN], extra=extra) as daemon:
        (daemon.volume / "d").mkdir()
        (daemon.volume / "d" / "large").write_bytes(os.urandom(20 << 20))
        (daemon.volume / "x").write_bytes(KNOWN)
        daemon.start(until="")
        gone(daemon, daemon.volume / "x")
        assert daemon.summaries == []
        assert daemon.end() == 0


def test_what_is_in_quarantine_for_too_long_is_removed(daemon):
    text = daemon.config.read_text()
    daemon.config.write_text(
        text.replace("action: quarantine}", "action: quarantine, retention: 1s}")
    )
    (daemon.volume / "x").write_bytes(KNOWN)
    daemon.start()
    gone(daemon, daemon.volume / "x")
    time.sleep(1.2)
    daemon.process.send_signal(signal.SIGHUP)  # housekeeping comes with a start, then now and then
    daemon.wait(lambda: daemon.logged("older than its retention were removed"))
    assert "is empty" in daemon.hashscan("quarantine", "list").stdout
    assert "purged" in daemon.hashscan("quarantine", "list", "--all").stdout
    assert daemon.end() == 0


def test_a_scheduled_scan_comes_by_the_clock(tmp_path):
    with Daemon(
        tmp_path, watch="off", known=[KNOWN],
        extra="scan: {pause_above_io_pressure: none, schedule: '* * * * *'}",
    ) as daemon:  # fmt: skip
        daemon.values = {
            "hashscan.daemon.daemon.Cron": partial(Cron, clock=surroundings.quick_minutes)
        }
        daemon.start()
        path = daemon.volume / "x"
        path.write_bytes(KNOWN)
        daemon.wait(lambda: not path.exists())
        assert daemon.logged("scan (schedule)")
        assert daemon.logged("watch: off")
        status = daemon.hashscan("status")
        assert "schedule" in status.stdout
        assert daemon.end() == 0
