"""What stands in an agent's way: each fault has its exit code, says what to do, and loses nothing."""

import os
import pty
import secrets
import signal
import subprocess
import sys
import sysconfig
import time

import pytest
from commandline import (
    PYTHON,
    Agent,
    entries,
    environment,
    hashscan,
    members,
    settle,
    started,
    unprintable,
    until,
    write,
)

MS_RDONLY, MS_REMOUNT = 1, 32


def fill(volume, names=30, known=5):
    """Random files, some known; returns the known contents."""
    found = []
    for number in range(names):
        content = secrets.token_bytes(500)
        write(os.fsencode(volume), b"d%d/f%d" % (number % 3, number), content)
        if number < known:
            found.append(content)
    return found


# Usage and configuration: exit 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["scan", "{volume}", "--known", "{tmp}/no-such-list"], "no-such-list"),
        (["scan", "{tmp}/no-such-volume", "--known", "{list}"], "no-such-volume"),
        (["scan", "{list}", "--known", "{list}"], "no directory"),
        (["scan", "--known", "{list}"], "volumes"),
        (["scan", "{volume}"], "--known"),
        (["scan", "{volume}", "--known", "{list}", "--jobs", "0"], "--jobs"),
        (["scan", "{volume}", "--known", "{list}", "--action", "delete"], "--action"),
        (["scan", "{volume}", "--known", "{bad}"], "bad.txt:2"),
        (["check", "{tmp}/no-such-file", "--known", "{list}"], "no-such-file"),
        (["--config", "{tmp}/no-such-config", "scan"], "no-such-config"),
        (["--config", "{bad}", "scan"], "bad.txt"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_calls(agent, tmp_path, arguments, told):
    fill(agent.volume)
    bad = tmp_path / "bad.txt"
    bad.write_text("ab" * 20 + "\nnot a digest\n")
    words = {"volume": agent.volume, "tmp": tmp_path, "list": agent.list, "bad": bad}
    command = [one.format(**words) for one in arguments]
    if command[0] in {"scan", "check"}:
        command += ["--state", os.fspath(agent.state)]
    ran = hashscan(*command, env=environment(XDG_STATE_HOME=os.fspath(tmp_path)))
    assert ran.code == 2, ran.err
    assert told in ran.err
    assert ran.out == ""
    assert ran.is_clean()


def test_state_that_holds_something_else(agent, tmp_path):
    """A slip of the keyboard must not make /home a state directory."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "thesis.txt").write_text("mine")
    mode = (tmp_path / "state").stat().st_mode
    ran = agent.scan()
    assert ran.code == 2
    assert ran.is_clean()
    assert sorted(os.listdir(tmp_path / "state")) == ["thesis.txt"]
    assert (tmp_path / "state").stat().st_mode == mode


# The lock: exit 4


def test_lock(agent, tmp_path):
    known = fill(agent.volume)
    config = tmp_path / "config.yaml"
    config.write_text(
        f"service: {{kind: local, known: ['{agent.list}']}}\nscan: {{max_rate: 1000}}\n"
    )
    agent.know(known)
    slow = Agent(agent.state, agent.volume, known, config=config)
    with started(*slow.arguments("--json")) as first:
        until(lambda: len(members(first.pid)) > 2, 60, "the first one works")
        second = agent.scan()
        assert second.code == 4
        assert str(first.pid) in second.err
        assert "--state" in second.err
        assert second.out == ""
        elsewhere = Agent(tmp_path / "other-state", agent.volume, known)
        assert elsewhere.scan().code == 1
    assert agent.scan().code == 1, "the kernel gives the lock back"


# Filters: exit 5


def _config(tmp_path, agent, source, **more):
    config = tmp_path / "config.yaml"
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    config.write_text(
        f"service: {{kind: local, known: ['{agent.list}']}}\n"
        f"filter: {{source: '{source}'{extra}}}\n"
    )
    agent.config = config


def _damage(path, how):
    body = bytearray(path.read_bytes())
    described = path.with_name(path.name + ".json")
    if how == "bit":
        body[len(body) // 2] ^= 1
    elif how == "truncated":
        del body[-1]
    elif how == "zeros":
        body[24:] = bytes(len(body) - 24)
    elif how == "header":
        body[8:24] = b"\xff" * 16
    elif how == "empty":
        body.clear()
    elif how == "foreign":
        body[:] = secrets.token_bytes(len(body))
    elif how == "no metadata":
        next(one for one in path.parent.iterdir() if one.name.startswith(path.name + ".") or
             one.name == described.name).unlink()  # fmt: skip
    path.write_bytes(body)


@pytest.mark.parametrize(
    "how", ["bit", "truncated", "zeros", "header", "empty", "foreign", "no metadata", "old"]
)
def test_filter_that_is_not_whole(agent, tmp_path, how):
    agent.know(fill(agent.volume))
    directory = tmp_path / "filters"
    directory.mkdir()
    path = directory / "one.filter"
    assert hashscan("filter", "build", agent.list, "-o", path).code == 0
    _config(tmp_path, agent, path, **({"max_age": "1s"} if how == "old" else {}))
    if how == "old":
        time.sleep(1.1)
    else:
        assert agent.scan().code == 1
        _damage(path, how)
    for action in (False, True):
        ran = agent.scan(quarantine=action)
        assert ran.code == 5, ran.err
        assert ran.out == ""
        assert "one.filter" in ran.err
        assert ran.is_clean()
    assert len(entries(agent.volume)) == 30


def test_filter_that_is_missing(agent, tmp_path):
    _config(tmp_path, agent, tmp_path / "no-such.filter")
    ran = agent.scan()
    assert ran.code in {2, 5}
    assert "no-such.filter" in ran.err
    assert ran.is_clean()


# The ways out


def test_terminal(agent):
    """On a terminal there is a bar, and it goes away."""
    known = fill(agent.volume)
    agent.know(known)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PYTHON, *map(os.fspath, agent.arguments())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment(TERM="xterm"),
    )
    os.close(theirs)
    out = process.stdout.read()
    process.stdout.close()
    shown = b""
    try:
        while more := os.read(ours, 65536):
            shown += more
    except OSError:  # EIO: the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 1
    assert out.count(b"MATCH ") == 5
    assert unprintable(out.decode()) == set()
    assert b"Traceback" not in shown


@pytest.mark.parametrize("jobs", [["--jobs", "1"], ["--jobs", "8"]])
def test_number_of_workers_does_not_matter(agent, jobs):
    """Real files, links among them, in one worker and in eight: the same outcome."""
    source = os.path.join(sysconfig.get_path("stdlib"), "encodings")
    subprocess.run(["cp", "-a", source, agent.volume / "real"], check=True)
    known = fill(agent.volume, 400, 100)
    for number in range(50):
        os.link(agent.volume / "d0" / "f0", agent.volume / f"link{number}")
    agent.know(known)
    settle(agent.volume)
    ran = agent.scan(*jobs)
    summary = ran.summary
    assert summary["files"] == len(entries(agent.volume))
    assert summary["matches"] == 100 + 50
    sizes = {}
    for line in entries(agent.volume, "%i %s %y\\0"):
        inode, size, kind = line.split()
        if kind == b"f":
            sizes[inode] = int(size)
    assert summary["bytes_hashed"] == sum(sizes.values()), "each inode once"
    again = agent.scan(*jobs)
    assert (again.paths, again.summary["hashed"]) == (ran.paths, 0)
    full = agent.scan("--full", *jobs)
    assert full.paths == ran.paths
    assert full.summary["hashed"] == summary["hashed"]
    assert full.summary["bytes_hashed"] == summary["bytes_hashed"]


def test_volumes_within_each_other(agent):
    """Each file is counted once, under the innermost volume."""
    known = fill(agent.volume, 60, 20)
    agent.know(known)
    ran = hashscan(
        "scan", agent.volume, agent.volume / "d1", agent.volume, "--known", agent.list, "--state",
        agent.state, "--json",
    )  # fmt: skip
    assert ran.summary["hashed"] == 60
    assert ran.summary["matches"] == 20
    assert len(set(ran.paths)) == 20


def test_state_inside_the_volume(volume):
    """The agent's own files are never scanned, quarantined ones least of all."""
    known = fill(volume)
    agent = Agent(volume / "state", volume, known)
    ran = agent.scan(quarantine=True)
    assert ran.summary["quarantined"] == 5
    assert ran.summary["hashed"] == 31, "the volume's and the digest list"
    again = agent.scan("--full")
    assert (again.code, again.summary["matches"]) == (0, 0)
    assert again.summary["skipped"] == {"hashscan": 1}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_before_it_began(agent, how):
    """While the known set is made from a list: nothing is left that the next start cannot use."""
    agent.list.write_text("".join(f"{number:040x}\n" for number in range(400_000)))
    with started(*agent.arguments("--json")) as process:
        until((agent.state / "filters").exists, 60, "it began")
        time.sleep(0.3)
        process.send_signal(how)
        process.communicate(timeout=60)
        until(lambda: not members(process.pid), 60, "all of it ends")
    assert process.returncode in {130, -how}
    agent.know(fill(agent.volume))
    assert agent.scan().summary["matches"] == 5


def test_version_is_quick():
    assert hashscan("--version").code == 0
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hashscan", "--version"],
        capture_output=True,
        check=True,
    ).stderr.decode()
    for heavy in ("pydantic", "requests", "rich", "yaml", "pybloom_live", "sqlite3"):
        assert f" {heavy}\n" not in loaded
