"""Programs that get messages."""

import json
import os
import threading
import time

import pytest
from notifications import message

from hashscan.config.notify import ReceiverSettings
from hashscan.notify.command import CommandNotifier
from hashscan.notify.notifier import NotSentError, SendFault


def notifier(tmp_path, text, **more):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return CommandNotifier(
        ReceiverSettings(name="page", kind="command", command=[str(program), "word"], **more)
    )


def failure(found):
    with pytest.raises(NotSentError) as caught:
        found.send(message())
    return caught.value


def gone(path):
    """Whether the process whose id is in the file ends soon."""
    number = int(path.read_text())
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with open(f"/proc/{number}/stat") as file:
                if file.read().split()[2] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_the_program_gets_json_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    sent = message()
    notifier(
        tmp_path,
        f'cat >{tmp_path}/in; echo "$0 $*" >{tmp_path}/words; env >{tmp_path}/env; pwd >{tmp_path}/pwd',
    ).send(sent)
    assert json.loads((tmp_path / "in").read_text())["id"] == sent.id
    assert (tmp_path / "words").read_text() == f"{tmp_path}/program word\n"
    assert "SECRET" not in (tmp_path / "env").read_text()
    assert (tmp_path / "pwd").read_text() == "/\n"


def test_a_program_that_does_not_read(tmp_path):
    notifier(tmp_path, "exit 0").send(message())


def test_what_it_says_is_in_the_error(tmp_path):
    error = failure(notifier(tmp_path, "printf 'no\\033[2J way' >&2; exit 3"))
    assert error.fault is SendFault.LATER
    assert "ended with code 3: no\\x1b[2J way" in error.what


@pytest.mark.parametrize(("end", "unsure"), [("exit 1", False), ("kill -9 $$", True)])
def test_a_program_that_a_signal_ends_may_have_passed_on_the_message(tmp_path, end, unsure):
    assert failure(notifier(tmp_path, end)).unsure is unsure


def test_a_child_that_holds_the_output_holds_nobody_and_is_killed(tmp_path):
    begun = time.monotonic()
    notifier(tmp_path, f"sleep 300 & echo $! >{tmp_path}/child; exit 0").send(message())
    assert time.monotonic() - begun < 60
    assert gone(tmp_path / "child")


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path):
    found = notifier(tmp_path, f"sleep 300 & echo $! >{tmp_path}/child; wait", timeout="300ms")
    begun = time.monotonic()
    error = failure(found)
    assert time.monotonic() - begun < 60
    assert error.unsure
    assert "was killed" in error.what
    assert gone(tmp_path / "child")


def memory():
    with open("/proc/self/statm") as file:
        return os.sysconf("SC_PAGE_SIZE") * int(file.read().split()[1])


def test_endless_output_costs_no_memory(tmp_path):
    before = memory()
    error = failure(notifier(tmp_path, "exec yes", timeout="500ms"))
    assert "was killed" in error.what
    assert memory() - before < 32 << 20


def test_a_program_that_is_not_there(tmp_path):
    found = notifier(tmp_path, "exit 0")
    os.unlink(tmp_path / "program")
    error = failure(found)
    assert error.fault is SendFault.SETUP
    assert "cannot be started" in error.what


def test_a_running_program_can_be_stopped(tmp_path):
    found = notifier(tmp_path, "sleep 300")
    threading.Timer(0.2, found.stop).start()
    begun = time.monotonic()
    assert failure(found).unsure
    assert time.monotonic() - begun < 60
