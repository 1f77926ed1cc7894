"""The program that sends a mail: without a shell, within a time, and with its error shown."""

import os
import time

import pytest

from hashscan.errors import MachineError
from hashscan.notices.answers.sending import send


@pytest.fixture
def program(tmp_path):
    def make(text):
        path = tmp_path / "send"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_the_mail_and_the_arguments_arrive(program, tmp_path):
    path = program(f"cat > {tmp_path}/mail; printf '%s|' \"$@\" > {tmp_path}/arguments; pwd; env")
    send([path, "-t", "-i", "$(id); x y"], b"To: a@b.example\n\n.\nx\n")
    assert (tmp_path / "mail").read_bytes() == b"To: a@b.example\n\n.\nx\n"
    assert (tmp_path / "arguments").read_text() == "-t|-i|$(id); x y|"


def test_an_error_is_shown(program):
    path = program("printf 'no queue\\n\\033[2Jfull\\n' >&2; exit 75")
    with pytest.raises(MachineError) as caught:
        send([path], b"x")
    assert "ended with code 75; the answer is not marked as sent" in str(caught.value)
    assert "no queue | \\x1b[2Jfull" in str(caught.value)
    with pytest.raises(MachineError, match="its output: none"):
        send([program("kill -9 $$")], b"x")


def test_a_program_that_is_missing():
    with pytest.raises(MachineError, match=r"cannot be started: No such file.*install a mail"):
        send(["/nowhere/sendmail"], b"x")


def test_a_program_that_hangs_is_killed_with_its_children(program, tmp_path):
    path = program(f"sleep 300 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(MachineError, match="did not end within"):
        send([path], b"x", seconds=1.0)
    child = int((tmp_path / "child").read_text())
    end = time.monotonic() + 60
    while time.monotonic() < end and _runs(child):
        time.sleep(0.01)
    assert not _runs(child)


def _runs(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_left_behind_holds_up_nobody(program, tmp_path):
    path = program(f"sleep 300 & echo $! > {tmp_path}/child")
    begin = time.monotonic()
    send([path], b"x")
    assert time.monotonic() - begin < 60
    os.kill(int((tmp_path / "child").read_text()), 9)


def test_a_program_that_reads_nothing_has_the_mail(program):
    send([program("exit 0")], b"x" * (1 << 20))
