"""Each command leaves a line in the audit log, or changes nothing of the agent's.

A new command fails here until it is in one of the lists.
"""

import hashlib
import os

import click
import pytest
from click.testing import CliRunner

from hashscan.audit import events
from hashscan.audit.reader import read
from hashscan.cli import cli

#: They print, and change nothing.
READ_ONLY = {
    "allow list",
    "allow show",
    "check",
    "config check",
    "config show",
    "doctor",
    "filter info",
    "history",
    "history verify",
    "hold list",
    "hold show",
    "notice list",
    "notice show",
    "notice sites",
    "notice token list",
    "quarantine list",
    "quarantine show",
    "quarantine verify",
    "report",
    "report xarf",
    "repository keys",
    "service user list",
    "status",
}
#: They make a file that the command line names, or work with a state of their own.
ELSEWHERE = {"allow build", "config init", "demo", "filter build"}
#: The publisher's and the central service's: these have records of their own.
OTHER_PROGRAMS = {
    "repository add",
    "repository init",
    "repository refresh",
    "repository rotate",
    "service load",
    "service run",
    "service user add",
    "service user remove",
}
#: Run in this file.
RUN_HERE = {
    "notice add",
    "notice close",
    "notice reopen",
    "notice token add",
    "notice token remove",
    "notify test",
    "quarantine export",
    "quarantine purge",
    "quarantine restore",
    "scan",
}
#: Their lines have tests of their own.
TESTED_ELSEWHERE = {
    "daemon",
    "hold dismiss",
    "hold release",
    "notice answer",
    "notice approve",
    "notice serve",
    "quarantine withdrawn",
    "sync",
}


def names(command, prefix=""):
    context = click.Context(command)
    for name in command.list_commands(context):
        one = command.get_command(context, name)
        if isinstance(one, click.Group):
            if one.invoke_without_command:
                yield prefix + name
            yield from names(one, f"{prefix}{name} ")
        else:
            yield prefix + name


def test_each_command_is_in_one_list():
    lists = [READ_ONLY, ELSEWHERE, OTHER_PROGRAMS, RUN_HERE, TESTED_ELSEWHERE]
    listed = [name for one in lists for name in one]
    assert len(listed) == len(set(listed))
    missing = set(names(cli)) - set(listed)
    assert not missing, f"does it leave a line? {missing}"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "www").mkdir()
    content = os.urandom(5000)
    (tmp_path / "www" / "a").write_bytes(content)
    (tmp_path / "list").write_text(hashlib.sha1(content).hexdigest() + "\n")
    (tmp_path / "config.yaml").write_text(f"state: {tmp_path}/state\n")
    return tmp_path


def run(place, *arguments):
    """The events that a command leaves."""
    state = str(place / "state")
    before = max((event.seq for event in read(state)), default=0)
    done = CliRunner().invoke(
        cli, ["--config", str(place / "config.yaml"), *arguments], standalone_mode=False
    )
    assert done.exception is None, (arguments, done.output, done.exception)
    return [event.event for event in read(state, before)]


def test_the_commands_of_the_quarantine(place):
    scan = ("scan", "www", "--known", "list", "--action", "quarantine")
    assert run(place, *scan) == [
        events.SCAN_STARTED,
        events.MOVING,
        events.MOVED,
        events.MATCH,
        events.SCAN_ENDED,
    ]
    (record,) = (one for one in os.listdir(place / "state" / "quarantine") if "T" in one)
    for name in ("list", "verify"):
        assert run(place, "quarantine", name) == []
    assert run(place, "quarantine", "export", record, "-o", "tar") == [events.EXPORTED]
    assert run(place, "quarantine", "restore", record) == [events.RESTORING, events.RESTORED]
    assert run(place, "quarantine", "purge", record) == [events.PURGING, events.PURGED]


def test_the_commands_of_notices(place):
    (place / "notice").write_text("http://site.example/a\n")
    assert events.NOTICE_RECEIVED in run(place, "notice", "add", "notice")
    (found,) = (e for e in read(str(place / "state")) if e.event == events.NOTICE_RECEIVED)
    notice = found.facts["notice"]
    assert (found.facts["items"], found.who.by) == (1, "command")
    assert run(place, "notice", "list") == []
    reason = ("--reason", "a test")
    assert run(place, "notice", "close", notice, *reason)[-1] == events.NOTICE_CLOSED
    assert events.NOTICE_REOPENED in run(place, "notice", "reopen", notice, *reason)


def test_a_file_that_is_no_notice_has_a_line(place):
    (place / "lunch").write_text("Subject: lunch\n\nAt noon?\n")
    done = CliRunner().invoke(
        cli, ["--config", str(place / "config.yaml"), "notice", "add", "lunch"]
    )
    assert done.exit_code != 0
    (line,) = read(str(place / "state"))
    assert (line.event, line.who.by) == (events.NOTICE_REFUSED, "command")
    assert line.facts["path"] == str(place / "lunch")
    assert "in no known format" in line.facts["message"]
    assert "\n" not in line.facts["message"]


def test_the_commands_of_tokens(place):
    pytest.importorskip("starlette")
    assert run(place, "notice", "token", "add", "hotline") == [events.SENDER_CHANGED]
    assert run(place, "notice", "token", "remove", "hotline") == [events.SENDER_CHANGED]


def test_a_test_of_receivers(place):
    receiver = "{name: page, kind: command, command: [/bin/true]}"
    with open(place / "config.yaml", "a") as file:
        file.write(f"notify: [{receiver}]\n")
    assert run(place, "notify", "test") == []
    assert not (place / "state").exists(), "a test makes no state"
    run(place, "scan", "www", "--known", "list")
    assert run(place, "notify", "test", "page") == [events.NOTIFY_TEST]
    (line,) = (one for one in read(str(place / "state")) if one.event == events.NOTIFY_TEST)
    assert (line.facts["receiver"], line.who.by) == ("page", "command")


@pytest.mark.parametrize("name", ["head", "000001.jsonl"])
def test_what_cannot_be_put_on_record_does_not_happen(place, name):
    (place / "state").mkdir(mode=0o700)
    (place / "state" / "audit").mkdir(mode=0o700)
    (place / "state" / "audit" / name).mkdir()
    done = CliRunner().invoke(
        cli,
        ["scan", "www", "--known", "list", "--action", "quarantine", "--state", "state"],
        standalone_mode=False,
    )
    assert done.exception is not None
    assert f"audit/{name} cannot be written" in str(done.exception)
    assert (place / "www" / "a").exists()
