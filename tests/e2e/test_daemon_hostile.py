"""What a customer with a shell does to keep a known file in its place, and the daemon's answer."""

import ctypes
import json
import os
import subprocess
import sys

import pytest
from commandline import needs_root
from running_daemon import Daemon

KNOWN = os.urandom(3000)
LONG = bool(os.environ.get("HASHSCAN_LONG"))


@pytest.fixture(params=["inotify", "fanotify"])
def daemon(request, tmp_path):
    if request.param == "fanotify" and os.geteuid() != 0:
        pytest.skip("fanotify needs root")
    with Daemon(tmp_path, watch=request.param, known=[KNOWN]) as one:
        yield one
        assert one.end() == 0


def test_all_names_of_a_file_that_was_written_by_one_of_them(daemon):
    volume = daemon.volume
    for name in ("a", "b"):
        (volume / name).mkdir()
    (volume / "a" / "one").write_bytes(b"harmless")
    os.link(volume / "a" / "one", volume / "b" / "two")
    os.link(volume / "a" / "one", volume / "a" / "three")
    daemon.start()
    (volume / "a" / "one").write_bytes(KNOWN)
    daemon.wait(lambda: not any(path.is_file() for path in volume.rglob("*")))
    assert len(daemon.summaries) == 1, "no scan was needed"


def test_a_file_that_stays_open_while_its_name_changes(daemon):
    if not LONG:
        daemon.values = {
            "hashscan.daemon.change_queue.BOUND": 3.0,
            "hashscan.daemon.change_queue.LATER": 1.0,
        }
    daemon.start()
    path, other = daemon.volume / "first", daemon.volume / "second"
    with open(path, "wb") as file:
        file.write(b"harmless")
        file.flush()
        os.link(path, other)
        path.unlink()
        # it is hashed as it is after a minute
        daemon.wait(lambda: daemon.facts().get("hashed"), timeout=80)
        file.seek(0)
        file.write(KNOWN)
    daemon.wait(lambda: not other.exists())
    assert len(daemon.summaries) == 1, "no scan was needed"


def test_a_lease_that_is_taken_again_and_again(daemon):
    holder = (
        "import fcntl, os, signal, sys, time\n"
        "until = time.monotonic() + 6\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "def again(*_):\n"
        "    while time.monotonic() < until:\n"
        "        try:\n"
        "            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)\n"
        "            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n"
        "            return\n"
        "        except OSError:\n"
        "            time.sleep(0.001)\n"
        "signal.signal(signal.SIGIO, again)\n"
        "again()\n"
        "print('taken', flush=True)\n"
        "while time.monotonic() < until:\n"
        "    time.sleep(0.1)\n"
    )
    path = daemon.volume / "leased"
    daemon.start()
    outside = daemon.directory / "leased"
    outside.write_bytes(KNOWN)
    with subprocess.Popen(
        [sys.executable, "-c", holder, outside], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"taken\n"
        outside.rename(path)
        assert process.wait(60) == 0
    daemon.wait(lambda: not path.exists())
    assert len(daemon.summaries) == 1, "no scan was needed"


def test_a_name_that_changes_whenever_the_file_is_read(daemon):
    mouse = (
        "import ctypes, os, struct, sys, time\n"
        "libc = ctypes.CDLL(None)\n"
        "one, two = (os.fsencode(name) for name in sys.argv[1:])\n"
        "fd = libc.inotify_init1(0)\n"
        "libc.inotify_add_watch(fd, one, 0x10)\n"  # IN_CLOSE_NOWRITE
        "print('runs', flush=True)\n"
        "while True:\n"
        "    os.read(fd, 4096)\n"
        "    try:\n"
        "        os.rename(one, two)\n"
        "    except OSError:\n"
        "        continue\n"
        "    one, two = two, one\n"
    )
    daemon.start()
    outside = daemon.directory / "mouse"
    outside.write_bytes(KNOWN)
    path, other = daemon.volume / "x", daemon.volume / "y"
    outside.rename(path)
    with subprocess.Popen(
        [sys.executable, "-c", mouse, path, other], stdout=subprocess.PIPE
    ) as process:
        try:
            daemon.wait(lambda: not path.exists() and not other.exists())
        finally:
            process.kill()


def test_hundreds_of_names_of_one_file_hold_up_nobody_else(daemon):
    daemon.start()
    # On a busy machine the names may all be moved before the other file comes: then once more.
    for number in range(5):
        if _moved_after_another(daemon, number) > 30:
            return
    pytest.fail("the other file waited for all of them, five times")


def _moved_after_another(daemon, number):
    """Number of names of one file that are moved after a file that came in between."""
    many, other = daemon.volume / f"many{number}", daemon.volume / f"other{number}"
    many.mkdir()
    other.mkdir()
    first = many / "0"
    first.write_bytes(KNOWN[:-1])
    for name in range(1, 600 if LONG else 120):
        os.link(first, many / str(name))
    with open(first, "ab") as file:
        file.write(KNOWN[-1:])
    count = len(os.listdir(many))
    daemon.wait(lambda: len(os.listdir(many)) < count - 5)  # its other names are moved now
    (other / "x").write_bytes(KNOWN)
    daemon.wait(lambda: not (other / "x").exists(), timeout=45)
    daemon.wait(lambda: not os.listdir(many))
    moved = {}
    for record in (daemon.state / "quarantine").glob("*/record.json"):
        path = json.loads(record.read_text())["path"]
        if path.startswith((f"{many}/", f"{other}/")):
            moved[path] = record.stat().st_mtime_ns
    own = moved.pop(str(other / "x"))
    assert len(moved) == count
    return sum(one > own for one in moved.values())


@needs_root
def test_a_file_system_of_a_customer_in_the_volume_blinds_nobody(daemon):
    libc = ctypes.CDLL(None, use_errno=True)
    place = daemon.volume / "customer" / "mount"
    place.mkdir(parents=True)
    (daemon.volume / "other").mkdir()
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"/dev/fuse: {error.strerror}")
    options = b"fd=%d,rootmode=40000,user_id=1000,group_id=1000" % server
    if libc.mount(b"of-a-customer", os.fsencode(place), b"fuse", 0, options):
        os.close(server)
        pytest.skip(f"a FUSE file system cannot be mounted: {os.strerror(ctypes.get_errno())}")
    try:
        daemon.start()
        (daemon.volume / "customer").rename(daemon.volume / "renamed")
        for name in ("one", "two"):
            path = daemon.volume / "other" / name
            path.write_bytes(KNOWN)
            daemon.wait(lambda path=path: not path.exists())
        assert daemon.facts()["volumes"][0]["backend"] == daemon.watch
    finally:
        os.close(server)
        libc.umount2(os.fsencode(daemon.volume / "renamed" / "mount"), 2)
        libc.umount2(os.fsencode(place), 2)


def test_a_deep_chain_of_directories_stalls_nobody(daemon):
    (daemon.volume / "other").mkdir()
    daemon.start()
    here = os.open(daemon.volume, os.O_RDONLY)
    # Each costs its depth. Both have longer paths than the kernel tells: the one below more levels
    # than are entered, the other by longer names.
    levels, name = (8000, "d") if LONG else (1200, "d-e-e-p")
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    path = daemon.volume / "other" / "x"
    path.write_bytes(KNOWN)
    try:
        daemon.wait(lambda: not path.exists())
    finally:
        subprocess.run(["rm", "-rf", daemon.volume / name], check=True)
