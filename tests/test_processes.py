"""hashscan.processes: children as real processes, and what is left of them."""

import gc
import os
import pwd
import resource
import signal
import subprocess
import sys
import time

import pytest
from faulty import open_descriptors

from hashscan import processes
from hashscan.priority import _NICE
from hashscan.processes import Child


@pytest.fixture
def begin():
    """Starts children and ends them."""
    begun = []

    def start(main, *arguments, **given):
        begun.append(Child(main, *arguments, **given))
        return begun[-1]

    yield start
    for one in begun:
        one.end()


def sleeps(connection):
    connection.send(os.getpid())
    time.sleep(600)


def echoes(connection, *first):
    connection.send(first)
    try:
        while True:
            connection.send(connection.recv())
    except EOFError:
        sys.exit(7)


def links():
    """What this process's descriptors lead to; objects of earlier tests do not hold some."""
    gc.collect()
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:  # of the listing itself
            continue
    return found


def lists(connection):
    connection.send(links())
    connection.recv()


def pipe_of(child):
    return os.readlink(f"/proc/self/fd/{child.connection.fileno()}")


def test_it_gets_arguments_and_messages_and_ends_by_itself(begin):
    child = begin(echoes, 1, "two")
    assert child.connection.recv() == (1, "two")
    child.connection.send(b"three")
    assert child.connection.recv() == b"three"
    assert child.exit_code is None
    child.connection.close()
    assert (child.wait(60), child.exit_code) == (7, 7)


def test_its_exit_code_is_0_if_its_work_returns_and_1_if_that_raises(begin, capfd):
    def fails(_connection):
        raise ValueError("its own error")

    assert begin(lambda _connection: "something").wait(60) == 0
    child = begin(fails)
    with pytest.raises(EOFError):
        child.connection.recv()
    assert child.wait(60) == 1
    assert "ValueError: its own error" in capfd.readouterr().err


def test_its_end_is_its_kill_and_releases_all_descriptors():
    before = open_descriptors()
    child = Child(sleeps)
    assert child.connection.recv() == child.pid
    child.end()
    assert child.exit_code == -signal.SIGKILL
    assert open_descriptors() == before
    child.end()
    child.kill()
    assert child.wait(60) == -signal.SIGKILL
    assert not os.path.exists(f"/proc/{child.pid}")


def test_kill_ends_its_connection(begin):
    child = begin(sleeps)
    assert child.connection.recv() == child.pid
    child.kill()
    with pytest.raises(EOFError):
        child.connection.recv()


def test_the_end_does_not_change_the_code_of_one_that_ended_before(begin):
    child = begin(lambda _connection: os._exit(9))
    assert child.wait(60) == 9
    child.end()
    assert child.exit_code == 9


def test_one_that_waits_inside_the_kernel_is_abandoned(begin, monkeypatch):
    """The kernel cannot be made to wait, so the signal is kept from the process."""
    child = begin(sleeps)
    assert child.connection.recv() == child.pid
    with monkeypatch.context() as patch:
        patch.setattr(processes, "_ENDS_WITHIN", 0.01)
        patch.setattr(child._process, "kill", lambda: None)
        child.end()
        assert child.connection.closed
        assert child.exit_code is None
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("grandchild", [False, True])
def test_it_ends_with_its_parent_however_that_ends(grandchild):
    # The pipe ends when no process has it open any more.
    here, there = os.pipe()

    def works(connection):
        if grandchild:
            Child(lambda _connection: (os.write(there, b"x"), time.sleep(600)))
        else:
            os.write(there, b"x")
        connection.recv()
        time.sleep(600)

    parent = os.fork()
    if parent == 0:
        os.close(here)
        child = Child(works)
        time.sleep(600)
        os._exit(child.pid)
    os.close(there)
    try:
        assert os.read(here, 1) == b"x"
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        assert os.read(here, 1) == b""
    finally:
        os.close(here)


def test_one_whose_parent_ended_before_it_asked_the_kernel_does_nothing(begin, monkeypatch):
    monkeypatch.setattr(os, "getppid", lambda: 1)
    child = begin(echoes)
    with pytest.raises(EOFError):
        child.connection.recv()
    assert child.wait(60) == 0


def test_the_end_of_python_does_not_wait_for_one_that_nobody_ended():
    program = (
        "import time\n"
        "from hashscan.processes import Child\n"
        "child = Child(lambda connection: (connection.send(1), time.sleep(600)))\n"
        "child.connection.recv()\n"
        "raise SystemExit(5)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=120).returncode == 5


def test_signals_to_all_processes_are_for_the_parent_and_its_input_is_empty(begin):
    def works(connection):
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), name)
        default = signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
        connection.send((os.read(0, 1), signal.set_wakeup_fd(-1), default))

    here, there = os.pipe()
    os.set_blocking(there, False)
    before = signal.set_wakeup_fd(there)
    try:
        assert begin(works).connection.recv() == (b"", -1, True)
    finally:
        signal.set_wakeup_fd(before)
        os.close(here)
        os.close(there)


@pytest.mark.parametrize("lowest", [False, True])
def test_the_lowest_priority_is_for_those_that_ask_for_it(begin, lowest):
    def works(connection):
        connection.send(os.getpriority(os.PRIO_PROCESS, 0))

    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert begin(works, lowest=lowest).connection.recv() == (_NICE if lowest else own)


def test_it_has_no_copy_of_its_parents_ends_of_pipes(begin):
    first, second = begin(lists), begin(lists)
    ends = {pipe_of(first), pipe_of(second)}
    for child in (first, second):
        assert not ends & set(child.connection.recv())
    # Each hears of the end of its pipe while the other is there.
    first.connection.close()
    assert first.wait(60) == 1


def test_one_that_it_starts_has_no_copy_of_its_end(begin):
    def starts(connection):
        own = os.readlink(f"/proc/self/fd/{connection.fileno()}")
        child = Child(lists)
        found = child.connection.recv()
        child.end()
        connection.send((own, found))

    own, found = begin(starts).connection.recv()
    assert own.startswith("socket:")
    assert own not in found


def test_garbage_is_collected_in_both_processes(begin):
    child = begin(lambda connection: connection.send(gc.isenabled()))
    assert (child.connection.recv(), gc.isenabled()) == (True, True)


def test_a_fork_that_fails_leaves_no_descriptor(monkeypatch):
    def refuse():
        raise BlockingIOError

    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr("os.fork", refuse)
        with pytest.raises(BlockingIOError):
            Child(sleeps)
    assert open_descriptors() == before


def test_too_few_descriptors_leave_none(begin):
    before = open_descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    filled = [os.open("/dev/null", os.O_RDONLY)]  # no lower number is free
    while filled[-1] < highest:
        filled.append(os.open("/dev/null", os.O_RDONLY))
    highest, held = max(highest, *filled), open_descriptors()
    refused = 0
    for more in range(12):
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + more, hard))
        try:
            child = Child(echoes)
        except OSError:
            refused += 1
        else:
            child.end()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert open_descriptors() == held
    for number in filled:
        os.close(number)
    assert open_descriptors() == before
    assert 0 < refused < 12


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_too_many_processes_of_the_user_leave_no_descriptor(begin):
    def refused(connection):
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        os.setresuid(*[pwd.getpwnam("nobody").pw_uid] * 3)
        before = links()
        try:
            Child(sleeps)
        except OSError as error:
            connection.send((type(error), sorted(links()) == sorted(before)))

    assert begin(refused).connection.recv() == (BlockingIOError, True)
