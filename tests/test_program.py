"""A program of the administrator: its output, its time, its surroundings, and its processes."""

import os
import time

import pytest

from hashscan.program import ENVIRONMENT, Ran, run_program

LONG = 60.0


def shell(script, seconds=LONG, limit=1000, **options):
    return run_program(["/bin/sh", "-c", script], seconds, limit, **options)


def is_gone(pid):
    """Whether the process ends; a killed process may take a moment."""
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                if file.read().rpartition(b")")[2].split()[0] == b"Z":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("script", "ran"),
    [
        ("echo a; echo b >&2", Ran(0, b"a\n", False, True)),
        ("exit 7", Ran(7, b"", False, True)),
        ("kill -9 $$", Ran(-9, b"", False, True)),
    ],
)
def test_a_program_that_ends(script, ran):
    assert shell(script) == ran


def test_standard_error_only_if_asked_for():
    assert shell("echo a; echo b >&2", errors_too=True).output == b"a\nb\n"


@pytest.mark.parametrize("count", [99, 100, 101, 300_000])
def test_the_first_bytes_are_kept_and_more_stop_nothing(count):
    ran = shell(f"head -c {count} /dev/zero; exit 3", limit=100)
    assert ran == Ran(3, b"\0" * min(count, 100), count > 100, True)


def test_its_input_is_given_or_empty():
    content = os.urandom(200_000)
    assert shell("cat", limit=300_000, given=content).output == content
    assert shell("cat").output == b""


def test_it_gets_nothing_of_the_surroundings(monkeypatch):
    monkeypatch.setenv("SECRET", "word")
    found = run_program(["/usr/bin/env"], LONG, 1000).output.decode().splitlines()
    assert dict(line.split("=", 1) for line in found) == ENVIRONMENT
    assert shell("pwd").output == b"/\n"


def test_words_are_no_script():
    assert run_program(["/bin/echo", "$HOME; false", "*"], LONG, 100).output == b"$HOME; false *\n"


def test_too_late_it_is_killed():
    assert shell("sleep 600", 0.3) == Ran(-9, b"", False, False)


def test_its_group_is_killed_with_it(tmp_path):
    begun = tmp_path / "begun"
    script = f"sleep 600 & echo $! $$ > '{begun}.new'; mv '{begun}.new' '{begun}'; wait"
    ran = shell(script, stopped=begun.exists)
    assert (ran.code, ran.in_time) == (-9, False)
    child, program = begun.read_text().split()
    assert is_gone(int(child))
    assert is_gone(int(program))


def test_a_child_that_keeps_the_output_open_delays_nobody():
    ran = shell("sleep 600 & echo $!; exit 5")
    assert (ran.code, ran.in_time) == (5, True)
    assert is_gone(int(ran.output))


def test_it_is_stopped_when_the_caller_ends():
    calls = []

    def stopped():
        calls.append(0)
        return len(calls) > 1

    ran = shell("sleep 600", stopped=stopped)
    assert (ran.code, ran.in_time, len(calls)) == (-9, False, 2)


def test_a_program_that_is_missing():
    with pytest.raises(FileNotFoundError):
        run_program(["/no/such/program"], LONG, 10)


def test_no_descriptor_is_left():
    shell("true")
    before = len(os.listdir("/proc/self/fd"))
    shell("echo x", given=b"y")
    assert len(os.listdir("/proc/self/fd")) == before
