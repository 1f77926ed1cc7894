"""Standard streams that are closed, full or gone: an exit code that means what it says."""

import os
import secrets
import subprocess

import pytest
from commandline import PYTHON, Ran, environment, hashscan, sha1, unprintable, write


def shell(arguments, redirection, tmp_path):
    """Run with a redirection of the shell's; standard error comes back where it is open."""
    words = " ".join(f"'{os.fspath(word)}'" for word in [*PYTHON, *arguments])
    code = tmp_path / "code"
    script = f"{words} {redirection}; echo ${{PIPESTATUS[0]}} > '{code}'"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, check=False, timeout=60, env=environment()
    )
    return Ran(int(code.read_text()), done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def filled(agent):
    known = secrets.token_bytes(100)
    agent.know([known])
    for number in range(400):
        write(os.fsencode(agent.volume), b"d/known%d" % number, known)
    return agent


@pytest.mark.parametrize("form", [["--json"], []])
def test_reader_that_goes_away(filled, tmp_path, form):
    """| head: the scan is cut short, and 1 would say that it came to its end and found matches."""
    ran = shell(filled.arguments(*form), "| head -c 10", tmp_path)
    assert ran.code == 130
    assert ran.is_clean()
    assert filled.scan().summary["matches"] == 400


@pytest.mark.parametrize("form", [["--json"], []])
def test_full_disk_behind_stdout(filled, tmp_path, form):
    ran = shell(filled.arguments(*form), "> /dev/full", tmp_path)
    assert ran.code not in {0, 1, 3, 120}
    assert "space" in ran.err
    assert ran.is_clean(), "this is no error of hashscan's"
    assert len(ran.err.splitlines()) == 1
    assert filled.scan().summary["matches"] == 400


@pytest.mark.parametrize("form", [["--json"], []])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", "2> /dev/full"])
def test_closed_streams(filled, tmp_path, form, closed):
    ran = shell(filled.arguments(*form, quarantine=True), closed, tmp_path)
    assert ran.code == 1
    assert len(filled.records()) == 400


def test_other_commands_with_a_full_disk_behind_stdout(filled, tmp_path):
    known = ["--known", filled.list, "--state", filled.state]
    for arguments in (["check", sha1(b"x"), *known], ["config", "show"], ["--help"]):
        ran = shell(arguments, "> /dev/full", tmp_path)
        assert ran.code not in {0, 1, 3}
        assert ran.is_clean(), ran.err


@pytest.mark.parametrize("mark", ["\u061c", "\u00ad", "\u180e", "\ufff9", "\U000e0041"])
def test_invisible_marks(agent, mark):
    """Arabic letter mark, soft hyphen and their like: two names must not look the same."""
    known = secrets.token_bytes(100)
    agent.know([known])
    write(os.fsencode(agent.volume), f"a{mark}b".encode(), known)
    ran = agent.scan(text=True)
    assert unprintable(ran.out) == set()


def test_unknown_option_with_control_characters(agent):
    ran = hashscan("scan", "--\x1b[2Jx", "\x1b[31m")
    assert ran.code == 2
    assert unprintable(ran.err) == set()
