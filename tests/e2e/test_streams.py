"""Standard streams that are closed, full or gone: an exit code that means what it says."""

import fcntl
import json
import os
import pty
import secrets
import subprocess

import pytest
from commandline import (
    PYTHON,
    Ran,
    ended,
    environment,
    hashscan,
    sha1,
    started,
    unprintable,
    until,
    write,
)

FULL = ("opened", 1, "/dev/full")


def shell(arguments, redirection, tmp_path):
    """Run with a redirection of the shell's; standard error comes back where it is open."""
    words = " ".join(f"'{os.fspath(word)}'" for word in [*PYTHON, *arguments])
    code = tmp_path / "code"
    script = f"{words} {redirection}; echo ${{PIPESTATUS[0]}} > '{code}'"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, check=False, timeout=60, env=environment()
    )
    return Ran(int(code.read_text()), done.stdout.decode(), done.stderr.decode())


def with_known(agent, count):
    known = secrets.token_bytes(100)
    agent.know([known])
    for number in range(count):
        write(os.fsencode(agent.volume), b"d/known%d" % number, known)
    return agent


@pytest.fixture
def filled(agent):
    return with_known(agent, 400)


@pytest.fixture
def few(agent):
    return with_known(agent, 20)


@pytest.mark.parametrize("form", [["--json"], []])
def test_reader_that_goes_away(filled, form):
    """| head: the scan is cut short, and 1 would say that it came to its end and found matches."""
    with started(*filled.arguments(*form)) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(timeout=60) == 130
        assert Ran(130, "", process.stderr.read().decode()).is_clean()
    assert filled.scan().summary["matches"] == 400


@pytest.mark.parametrize("form", [["--json"], []])
def test_full_disk_behind_stdout(filled, form):
    ran = hashscan(*filled.arguments(*form), within=FULL)
    assert ran.code not in {0, 1, 3, 120}
    assert "space" in ran.err
    assert ran.is_clean(), "this is no error of hashscan's"
    assert len(ran.err.splitlines()) == 1
    assert filled.scan().summary["matches"] == 400


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "2>&- <&-", "2> /dev/full"])
def test_closed_streams(few, tmp_path, closed):
    ran = shell(few.arguments("--json", quarantine=True), closed, tmp_path)
    assert ran.code == 1
    assert len(few.records()) == 20


@pytest.mark.parametrize(
    "within", [("closed", 2), ("closed", 0), ("closed", 0, 2), ("opened", 2, "/dev/full")]
)
def test_closed_streams_in_words(few, within):
    assert hashscan(*few.arguments(quarantine=True), within=within).code == 1
    assert len(few.records()) == 20


def gone_pipe():
    """A pipe without a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def gone_terminal():
    """A terminal whose other end was closed, as by a lost ssh session."""
    master, slave = pty.openpty()
    os.close(master)
    return slave


def closed_stream():
    """A descriptor that cannot be written."""
    return os.open(os.devnull, os.O_RDONLY)


@pytest.mark.parametrize("form", [["--json"], []])
@pytest.mark.parametrize("stream", [gone_pipe, gone_terminal, closed_stream])
def test_nothing_is_moved_without_a_reader(few, stream, form):
    """Otherwise the first file would be moved without a report."""
    out = stream()
    try:
        with started(*few.arguments(*form, quarantine=True), stdout=out) as process:
            ran = ended(process)
    finally:
        os.close(out)
    assert ran.code == 130
    assert ran.is_clean(), ran.err
    (line,) = ran.err.splitlines()
    assert "standard output" in line
    assert "quarantine list" in line
    assert few.records() == []
    assert few.scan(quarantine=True).summary["quarantined"] == 20


@pytest.mark.parametrize("form", [["--json"], []])
def test_a_full_disk_stops_after_the_first_move(few, form):
    """Only a write shows that the disk is full: the message names the one file moved before."""
    ran = hashscan(*few.arguments(*form, quarantine=True), within=FULL)
    assert ran.code == 130
    (record,) = few.records()
    assert f"quarantined as {record['id']}" in ran.err
    assert record["path"] in ran.err


def test_a_reader_that_goes_in_the_middle(filled):
    """Every moved file is in the reader's output, or on record."""
    with started(*filled.arguments("--json", quarantine=True)) as process:
        first = process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 130
        told = process.stderr.read().decode()
    assert json.loads(first)["event"] == "match"
    assert "quarantine list" in told
    assert 1 <= len(filled.records()) < 400


def test_a_slow_reader_of_a_stream_that_does_not_block(filled):
    """Another program may have made the pipe non-blocking: still no line is lost."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    with started(*filled.arguments("--json"), stdout=writer) as process:
        os.close(writer)
        with open(reader, "rb") as lines:
            found = [json.loads(line)["event"] for line in lines]
        assert process.wait(timeout=60) == 1
    assert found.count("match") == 400
    assert found[-1] == "summary"


@pytest.mark.parametrize("within", [("closed", 1), FULL])
def test_other_commands_say_that_their_output_is_lost(few, within):
    known = ["--known", few.list, "--state", few.state]
    for arguments in (["check", sha1(b"x"), *known], ["config", "show"], ["--help"]):
        ran = hashscan(*arguments, within=within)
        assert ran.code == 130
        assert ran.is_clean(), ran.err
        assert "standard output" in ran.err


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


def test_a_daemon_without_a_reader_goes_on_and_says_so(agent, tmp_path):
    """The file is moved even if nobody reads the results; log and status report them."""
    known = secrets.token_bytes(100)
    agent.know([known])
    config = tmp_path / "config.yaml"
    config.write_text(
        f"state: {agent.state}\nvolumes: [{{path: {agent.volume}}}]\n"
        f"service: {{kind: local, known: [{agent.list}]}}\nquarantine: {{action: quarantine}}\n"
    )
    write(os.fsencode(agent.volume), b"known", known)
    with (tmp_path / "log").open("wb") as log:
        out = gone_pipe()
        with started("--config", config, "daemon", "--json", stdout=out, stderr=log):
            os.close(out)
            until(lambda: "quarantined as" in (tmp_path / "log").read_text(), 60, "it is moved")
            until(
                lambda: "reader has gone" in hashscan("--config", config, "status").out,
                20,
                "status says so",
            )
            assert hashscan("--config", config, "status").code == 3
    told = (tmp_path / "log").read_text()
    assert "quarantine list" in told
    (record,) = agent.records()
    assert f"quarantined as {record['id']}" in told
