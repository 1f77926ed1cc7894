"""The daemon within the limits of its machine: it works, or names the limit that stops it."""

import os
import resource
import signal
import sys
import time
from contextlib import suppress

import pytest
from commandline import needs_root
from running_daemon import Daemon

KNOWN = os.urandom(3000)
#: A daemon that tries again every half second, not every half minute.
IMPATIENT = """
import sys
import hashscan.daemon.daemon as daemon
daemon._TRY_AGAIN = 0.5
from hashscan.cli import main
sys.argv = ["hashscan", *sys.argv[4:]]
main()
"""
PIDS = "/sys/fs/cgroup/pids"


def many(daemon, count):
    """Add ``count`` volumes to the first one."""
    paths = [daemon.directory / "many" / str(number) for number in range(count)]
    for path in paths:
        path.mkdir(parents=True)
    daemon.volume_extra = "".join(f"}}, {{path: {path}" for path in paths)
    daemon.write_config()
    return paths


def put(path):
    (path / "x").write_bytes(KNOWN)
    return path / "x"


@pytest.mark.parametrize("watch", ["auto", "inotify"])
def test_few_descriptors_are_enough_for_many_volumes(tmp_path, watch):
    with Daemon(tmp_path, watch=watch, known=[KNOWN]) as daemon:
        paths = many(daemon, 150)
        daemon.wrap = ["prlimit", "--nofile=100:100"]
        daemon.start()
        daemon.wait(lambda: daemon.facts().get("volumes"))
        known = [put(paths[0]), put(paths[-1])]
        daemon.wait(lambda: not any(one.exists() for one in known))
        assert daemon.end() == 0


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one(tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with Daemon(tmp_path) as daemon:
        daemon.wrap = ["prlimit", "--nofile=60:"]
        daemon.start()
        assert resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
        assert daemon.end() == 0


@pytest.fixture
def tasks():
    """Sets the limit of processes of a process, as TasksMax= of its unit does."""
    if os.geteuid() != 0 or not os.path.isdir(PIDS):
        pytest.skip("needs root and the controller of processes (cgroup v1)")
    group = f"{PIDS}/hashscan-test-{os.getpid()}"
    os.mkdir(group)

    def limit(most, process=None):
        with open(f"{group}/pids.max", "w") as file:
            file.write(str(most))
        if process is not None:
            with open(f"{group}/cgroup.procs", "w") as file:
                file.write(str(process))
        return group

    yield limit
    end = time.monotonic() + 60
    while True:
        try:
            os.rmdir(group)
            return
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_a_limit_of_processes_is_told_and_the_daemon_works_once_it_is_raised(tmp_path, tasks):
    with Daemon(tmp_path, known=[KNOWN]) as daemon:
        group = tasks(2)
        put(daemon.volume)
        enter = "import os,sys; open(sys.argv[1],'w').write(str(os.getpid()))"
        enter += "; os.execv(sys.argv[2], sys.argv[2:])"
        daemon.wrap = [sys.executable, "-c", enter, f"{group}/cgroup.procs", sys.executable, "-c"]
        daemon.wrap += [IMPATIENT]
        daemon.start(until=None)
        daemon.wait(lambda: daemon.facts().get("trouble"))
        time.sleep(1.5)  # it fails again and again, and says it once
        assert daemon.process.poll() is None
        said = [one for one in daemon.logs if "nothing is scanned" in one.get("message", "")]
        assert len(said) == 1, daemon.told()
        assert "TasksMax=" in said[0]["message"]
        told = daemon.hashscan("status")
        assert told.returncode != 0
        assert "TasksMax=" in told.stdout
        tasks("max")
        daemon.wait(lambda: not (daemon.volume / "x").exists())
        assert daemon.end() == 0


@needs_root
def test_a_signal_to_all_processes_is_a_clean_end(tmp_path):
    """A service manager without KillMode=mixed, or a terminal, sends the signal to all."""
    with Daemon(tmp_path) as daemon:
        daemon.start()
        children = daemon.children()
        assert len(children) >= 3
        for one in children:
            with suppress(ProcessLookupError):  # one of the short ones
                os.kill(one, signal.SIGTERM)
        time.sleep(0.5)  # the daemon would hear of those that died
        assert daemon.end() == 0
        assert not daemon.logged("died"), daemon.told()
