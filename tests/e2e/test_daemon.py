"""The daemon as a whole: real processes, real files, both back-ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import namespaces
import pytest
from commandline import needs_root
from daemon_files import gone, processes_of
from running_daemon import Daemon

from hashscan.fs.volume import Volume
from hashscan.watch.fanotify import why_not

KNOWN = os.urandom(3000)
OTHER = os.urandom(3000)


def backends(tmp_path):
    return ["inotify"] + ([] if why_not([Volume(os.fsencode(tmp_path))]) else ["fanotify"])


@pytest.fixture(params=["inotify", "fanotify"])
def watch(request, tmp_path):
    if request.param not in backends(tmp_path):
        pytest.skip(f"fanotify: {why_not([Volume(os.fsencode(tmp_path))])}")
    return request.param


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path, watch="auto", known=[KNOWN, OTHER]) as one:
        yield one


def test_whatever_brings_a_file_it_is_found(tmp_path, watch):
    outside = tmp_path / "outside"
    (outside / "tree" / "deep" / "er").mkdir(parents=True)
    for path in (outside / "one", outside / "linked", outside / "tree" / "deep" / "er" / "two"):
        path.write_bytes(KNOWN)
    with Daemon(tmp_path, watch=watch, known=[KNOWN]) as daemon:
        volume = daemon.volume
        (volume / "dir" / "sub").mkdir(parents=True)
        daemon.start()
        written = volume / "dir" / "written"
        written.write_bytes(KNOWN)
        gone(daemon, written)
        moved = volume / "moved"
        (outside / "one").rename(moved)
        linked = volume / "dir" / "sub" / "linked"
        os.link(outside / "linked", linked)
        gone(daemon, moved, linked)
        (outside / "tree").rename(volume / "tree")
        gone(daemon, volume / "tree" / "deep" / "er" / "two")
        # a tree that was renamed, and one that was moved in, tell of what comes later, too
        (volume / "dir").rename(volume / "renamed")
        later = [volume / "renamed" / "sub" / "later", volume / "tree" / "deep" / "later"]
        for path in later:
            path.write_bytes(KNOWN)
        gone(daemon, *later)
        odd = os.path.join(os.fsencode(volume), b"a\nb\xff\x1b[2J")
        with open(odd, "wb") as file:
            file.write(KNOWN)
        gone(daemon, odd)
        new = volume / "n1" / "n2" / "n3"
        new.mkdir(parents=True)
        (new / "x").write_bytes(KNOWN)
        gone(daemon, new / "x")
        daemon.wait_accounted()
        assert daemon.end() == 0
    assert all(b"\n" not in os.fsencode(one.get("message", "")) for one in daemon.logs)


def test_a_burst_loses_nothing(tmp_path, watch):
    with Daemon(tmp_path, watch=watch, known=[KNOWN]) as daemon:
        directories = [daemon.volume / f"d{number}" for number in range(300)]
        for directory in directories:
            directory.mkdir()
        daemon.start()
        known = []
        for number in range(1200):
            path = directories[number % 300] / f"f{number}"
            path.write_bytes(KNOWN if number % 60 == 0 else b"%d" % number)
            if number % 60 == 0:
                known.append(path)
        gone(daemon, *known)
        daemon.wait_accounted()
        assert len(daemon.quarantined()) == 20
        # each once: what is told several times is looked at together
        daemon.wait(lambda: daemon.facts()["backlog"] == 0 and daemon.facts()["hashed"] >= 1100)
        assert daemon.facts()["hashed"] + daemon.summaries[0]["hashed"] <= 1300
        assert daemon.end() == 0


def test_a_file_that_is_still_written_waits_until_it_is_whole(daemon):
    daemon.start()
    path = daemon.volume / "growing"
    with open(path, "wb") as file:
        file.write(KNOWN[:100])
        file.flush()
        time.sleep(1.5)
        file.write(KNOWN[100:])
        file.flush()
        time.sleep(1.0)
        assert path.exists()
        assert daemon.quarantined() == []
    gone(daemon, path)
    assert daemon.facts()["lost"] == 0


def test_a_file_under_a_lease_is_looked_at_again(daemon):
    holder = (
        "import fcntl, os, signal, sys, time\n"
        "signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
        "path, content = sys.argv[1], bytes.fromhex(sys.argv[2])\n"
        "fd = os.open(path, os.O_WRONLY | os.O_CREAT)\n"
        "os.write(fd, content)\n"
        "os.close(fd)\n"
        "fd = os.open(path, os.O_RDONLY)\n"
        "fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n"
        "time.sleep(3)\n"
    )
    daemon.start()
    path = daemon.volume / "leased"
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", holder, path, KNOWN.hex()]) as process:
        gone(daemon, path)
        assert process.wait(60) == 0
    assert time.monotonic() - began > 2.5, "the lease was held"
    assert daemon.end() == 0


def test_what_changed_while_nobody_watched_is_found_at_the_next_start(daemon):
    (daemon.volume / "a").mkdir()
    for number in range(200):
        (daemon.volume / "a" / f"f{number}").write_bytes(b"%d" % number)
    daemon.start()
    assert daemon.end() == 0
    (daemon.volume / "a" / "between").write_bytes(KNOWN)
    daemon.events.clear()
    daemon.start()
    gone(daemon, daemon.volume / "a" / "between")
    assert daemon.summaries[0]["hashed"] == 1, "the catalog knows the others"
    assert daemon.summaries[0]["unchanged"] == 200
    daemon.end()


def test_killed_in_the_middle_of_a_burst(tmp_path, watch):
    with Daemon(tmp_path, watch=watch, known=[KNOWN]) as daemon:
        daemon.start()
        known = []
        for number in range(1000):
            directory = daemon.volume / f"d{number % 50}"
            directory.mkdir(exist_ok=True)
            path = directory / f"f{number}"
            path.write_bytes(KNOWN if number % 50 == 0 else b"%d" % number)
            if number % 50 == 0:
                known.append(path)
            if number == 500:
                daemon.end(signal.SIGKILL)
        daemon.start(until=None)
        daemon.wait(lambda: not any(path.exists() for path in known))
        daemon.wait_accounted()
        assert daemon.end() == 0
        listed = daemon.hashscan("quarantine", "list", "--json").stdout.splitlines()
        paths = [json.loads(line)["path"] for line in listed]
        assert sorted(paths) == sorted(str(path) for path in known), "each in exactly one place"


def test_the_children_end_with_a_killed_daemon(daemon):
    daemon.start()
    children = [pid for pids in processes_of(daemon).values() for pid in pids]
    assert len(children) >= 4
    daemon.end(signal.SIGKILL)
    daemon.wait(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), 5)


def test_an_overflow_of_the_kernels_queue_becomes_a_scan(tmp_path):
    with Daemon(tmp_path, watch="inotify", known=[KNOWN]) as daemon:
        for number in range(20):
            (daemon.volume / f"d{number}").mkdir()
        daemon.start()
        (watcher,) = processes_of(daemon)["watch"]
        os.kill(watcher, signal.SIGSTOP)
        limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        for number in range(limit + 2000):  # the kernel merges only events that are alike and
            fd = os.open(daemon.volume / f"d{number % 20}" / "f", os.O_WRONLY | os.O_CREAT)
            os.close(fd)  # follow each other
        late = daemon.volume / "d3" / "late"
        late.mkdir()
        (late / "known").write_bytes(KNOWN)
        os.kill(watcher, signal.SIGCONT)
        daemon.wait(lambda: daemon.logged("max_queued_events"))
        gone(daemon, late / "known")
        (late / "again").write_bytes(OTHER + KNOWN)
        (late / "second").write_bytes(KNOWN)
        gone(daemon, late / "second")
        daemon.wait_accounted()
        assert daemon.facts()["lost"] >= 1
        assert daemon.end() == 0


def test_directories_that_cannot_be_watched_are_told_and_scanned(tmp_path):
    namespaces.needed(namespaces.why_no_users)
    daemon = Daemon(
        tmp_path, watch="inotify", known=[KNOWN],
        extra="scan: {pause_above_io_pressure: none, unwatched: 2s}",
    )  # fmt: skip
    for number in range(60):
        (daemon.volume / f"d{number}").mkdir()
    # a user namespace has a limit of its own, so that no other test is disturbed
    daemon.wrap = ["unshare", "-U", "-r", "sh", "-c",
                   'echo 20 > /proc/sys/user/max_inotify_watches && exec "$@"', "sh"]  # fmt: skip
    with daemon:
        daemon.start()
        daemon.wait(lambda: daemon.logged("are not watched"))
        status = daemon.hashscan("status")
        assert status.returncode == 3, status
        assert "sysctl fs.inotify.max_user_watches" in status.stdout
        paths = [daemon.volume / f"d{number}" / "x" for number in range(60)]
        for path in paths:
            path.write_bytes(KNOWN)
        gone(daemon, *paths)
        assert daemon.end() == 0


@needs_root
def test_unmounted_and_mounted_again(tmp_path, watch):
    with Daemon(tmp_path, watch=watch, known=[KNOWN]) as daemon:
        mount = ["mount", "-t", "tmpfs", "none", str(daemon.volume)]
        subprocess.run(mount, check=True)
        try:
            (daemon.volume / "a").mkdir()
            (daemon.volume / "a" / "x").write_bytes(b"harmless")
            daemon.start()
            # nothing that the daemon holds keeps it from being unmounted
            until = time.monotonic() + 60
            while subprocess.run(["umount", str(daemon.volume)], check=False).returncode:
                assert time.monotonic() < until
                time.sleep(0.1)
            daemon.wait(lambda: daemon.logged("not mounted"))
            daemon.wait(lambda: daemon.hashscan("status").returncode == 70)
            assert daemon.rows() == {b"a/x"}, "what is known of its files is kept"
            subprocess.run(mount, check=True)
            (daemon.volume / "early").write_bytes(KNOWN)
            gone(daemon, daemon.volume / "early")
            daemon.wait(lambda: daemon.logged("it is there again"))
            time.sleep(0.5)
            (daemon.volume / "late").write_bytes(KNOWN)
            gone(daemon, daemon.volume / "late")
            assert daemon.end() == 0
        finally:
            subprocess.run(["umount", "-l", str(daemon.volume)], check=False, capture_output=True)


def test_what_is_excluded_is_left_alone(tmp_path, watch):
    with Daemon(
        tmp_path, watch=watch, known=[KNOWN], volume_extra=", exclude: [cache, 'tmp/*', '*.part']"
    ) as daemon:
        for name in ("cache/deep", "tmp", "open"):
            (daemon.volume / name).mkdir(parents=True)
        daemon.start()
        left = [
            daemon.volume / name for name in ("cache/a", "cache/deep/b", "tmp/c", "open/d.part")
        ]
        for path in left:
            path.write_bytes(KNOWN)
        (daemon.volume / "open" / "e").write_bytes(KNOWN)
        gone(daemon, daemon.volume / "open" / "e")
        time.sleep(1.5)
        assert all(path.exists() for path in left)
        assert daemon.end() == 0


def test_a_quarantine_inside_a_volume_is_left_alone(tmp_path, watch):
    with Daemon(tmp_path, watch=watch, known=[KNOWN]) as daemon:
        daemon.state = daemon.volume / "var" / "state"
        daemon.state.parent.mkdir()
        daemon.write_config()
        daemon.start()
        (daemon.volume / "x").write_bytes(KNOWN)
        gone(daemon, daemon.volume / "x")
        time.sleep(1.5)
        assert len(daemon.matches) == 1
        assert daemon.end() == 0


def test_a_customers_directory_with_a_name_of_hashscans_hides_nothing(daemon):
    daemon.start()
    hidden = daemon.volume / ".hashscan"
    hidden.mkdir(mode=0o755)
    (hidden / "x").write_bytes(KNOWN)
    gone(daemon, hidden / "x")


def test_links_pipes_and_swapped_directories_lead_nowhere(tmp_path, watch):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(KNOWN)
    with Daemon(tmp_path, watch=watch, known=[KNOWN]) as daemon:
        daemon.start()
        os.mkfifo(daemon.volume / "pipe")
        os.symlink(outside / "x", daemon.volume / "link")
        os.symlink("loop", daemon.volume / "loop")
        place, aside = daemon.volume / "d", daemon.volume / "aside"
        for _ in range(300):
            place.mkdir()
            (place / "x").write_bytes(b"bait")
            place.rename(aside)
            os.symlink(outside, place)
            (aside / "x").unlink()
            aside.rmdir()
            place.unlink()
        place.mkdir()
        (place / "x").write_bytes(KNOWN)
        gone(daemon, place / "x")
        daemon.wait(lambda: daemon.facts()["backlog"] == 0)
        assert (outside / "x").read_bytes() == KNOWN
        assert len(daemon.matches) == 1
        assert daemon.end() == 0


def test_a_storm_of_renames_of_directories_hides_nothing(tmp_path, watch):
    with Daemon(tmp_path, watch=watch, known=[KNOWN]) as daemon:
        for number in range(5):
            (daemon.volume / f"d{number}" / "sub").mkdir(parents=True)
        daemon.start()
        for tick in range(400):
            number = tick % 5
            here, there = daemon.volume / f"d{number}", daemon.volume / f"r{number}"
            here.rename(there)
            (there / "sub" / f"f{tick}").write_bytes(KNOWN if tick % 20 == 0 else b"%d" % tick)
            there.rename(here)
        daemon.wait(lambda: len(daemon.quarantined()) == 20)
        daemon.wait_accounted()
        assert daemon.end() == 0


def test_another_directory_in_the_volumes_place(tmp_path, watch):
    with Daemon(tmp_path, watch=watch, known=[KNOWN]) as daemon:
        (daemon.volume / "a").mkdir()
        daemon.start()
        other = tmp_path / "other"
        (other / "b").mkdir(parents=True)
        (other / "b" / "x").write_bytes(KNOWN)
        daemon.volume.rename(tmp_path / "old")
        other.rename(daemon.volume)
        gone(daemon, daemon.volume / "b" / "x")
        daemon.wait(lambda: len(daemon.summaries) >= 2)
        (daemon.volume / "b" / "y").write_bytes(KNOWN)
        gone(daemon, daemon.volume / "b" / "y")
        assert daemon.end() == 0
