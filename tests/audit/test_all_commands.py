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
from hashscan.notices.notice import Channel, ItemKind, ParsedItem, ParsedNotice
from hashscan.notices.store import NoticeStore

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
    "hold dismiss",
    "hold release",
    "notice add",
    "notice answer",
    "notice approve",
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
#: Their lines have tests of their own: the file, and words in it.
TESTED_ELSEWHERE = {
    "daemon": ("daemon/test_audit_lines.py", "events.DAEMON_STARTED"),
    "notice serve": ("notices/test_writer.py", "events.NOTICE_RECEIVED"),
    "quarantine withdrawn": ("cli/test_quarantine_withdrawn.py", 'one.event == "withdrawn"'),
    "sync": ("jobs/test_sync.py", "events.SYNC_STARTED"),
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
    assert not set(listed) - set(names(cli))
    for file, words in TESTED_ELSEWHERE.values():
        with open(os.path.join(os.path.dirname(__file__), "..", file), encoding="utf-8") as text:
            assert words in text.read(), file


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


def test_the_commands_of_holds(place):
    for name in "bc":
        (place / "www" / name).write_bytes((place / "www" / "a").read_bytes())
    other = os.urandom(5000)
    for name in "de":
        (place / "www" / name).write_bytes(other)
    with open(place / "list", "a") as file:
        file.write(hashlib.sha1(other).hexdigest() + "\n")
    with open(place / "config.yaml", "a") as file:
        file.write("brakes: {files: 1}\n")
    assert events.HELD in run(place, "scan", "www", "--known", "list", "--action", "quarantine")
    lines = [one.facts for one in read(str(place / "state")) if one.event == events.HELD]
    # The scan may find either digest first; the hold of `other` has one file.
    of_other = [hashlib.sha1(other).hexdigest() in one["digest"].values() for one in lines]
    assert sorted(of_other) == [False, True]
    dismissed = run(place, "hold", "dismiss", lines[of_other.index(False)]["hold"], "--reason", "a")
    assert dismissed == [events.HOLD_DISMISSED]
    released = run(place, "hold", "release", lines[of_other.index(True)]["hold"], "--reason", "a")
    assert released[0] == events.HOLD_RELEASED, "before the first move"
    assert released[1:] == [events.MOVING, events.MOVED]


def test_the_commands_of_a_notice_that_came_by_mail(place):
    (place / "state").mkdir(mode=0o700)
    with open(place / "config.yaml", "a") as file:
        file.write(
            "notices:\n  sendmail: [/bin/true]\n"
            "  organisation: {name: A, contact: a@host.example, domain: host.example}\n"
        )
    with NoticeStore(str(place / "state" / "notices.sqlite3")) as store:
        parsed = ParsedNotice("list", (ParsedItem(ItemKind.URL, "http://site.example/a"),))
        added = store.add(
            parsed, channel=Channel.MAILDIR, key=b"k", content=b"From: a@b.example\n\nx\n",
            unproven="a forged mail",
        )  # fmt: skip
    assert run(place, "notice", "approve", added.id, "--reason", "read") == [events.NOTICE_ACTION]
    assert run(place, "notice", "answer", added.id) == [events.NOTICE_ACTION]
    for how in (["--send"], ["--eml", str(place / "mail")]):
        answer = ["notice", "answer", added.id, "--to", "a@hotline.example", *how]
        assert run(place, *answer) == [events.NOTICE_ANSWERING, events.NOTICE_ACTION]
    (place / "state" / "audit" / "head").unlink()
    (place / "state" / "audit" / "head").mkdir()
    sent = ["--eml", str(place / "second"), "--to", "a@hotline.example"]
    done = CliRunner().invoke(
        cli, ["--config", str(place / "config.yaml"), "notice", "answer", added.id, *sent]
    )
    assert done.exit_code != 0
    assert not (place / "second").exists()


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
    again = CliRunner().invoke(
        cli, ["--config", str(place / "config.yaml"), "notice", "token", "add", "hotline"]
    )
    assert again.exit_code != 0
    assert len(list(read(str(place / "state")))) == 1, "nothing happened"
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
