"""``hashscan notice`` as an administrator calls it: list, show, close, reopen."""

import json
import os
import time

import pytest
from click.testing import CliRunner

from hashscan.cli.notice import command
from hashscan.errors import UsageError
from hashscan.model import Digest
from hashscan.notices.notice import (
    Channel,
    ItemFile,
    ItemKind,
    ItemState,
    ParsedItem,
    ParsedNotice,
    Role,
)
from hashscan.notices.store import NoticeStore

HOUR = 3600.0
EVIL = "a\x1b[2J\nb"


@pytest.fixture
def run(tmp_path):
    class Options:
        config_path = str(tmp_path / "config.yaml")
        verbosity = 0

    (tmp_path / "config.yaml").write_text(f"state: {tmp_path}/state\n")

    def call(*args, given=None):
        return CliRunner().invoke(command, args, obj=Options(), input=given)

    return call


@pytest.fixture
def store(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    with NoticeStore(str(tmp_path / "state" / "notices.sqlite3")) as one:
        yield one


def add(store, *urls, ago=0.0, **more):
    deadline = more.pop("deadline", None)
    unproven = more.pop("unproven", "")
    items = tuple(ParsedItem(ItemKind.URL, one) for one in urls)
    return store.add(
        ParsedNotice("plain", items, **more), channel=Channel.COMMAND, key=os.urandom(8),
        received=time.time() - ago, deadline=deadline,
        unproven=unproven,
    ).id  # fmt: skip


def lines(result):
    assert result.exception is None, result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


def refused(result):
    assert isinstance(result.exception, UsageError), result.exception
    assert result.exception.exit_code == 2
    return str(result.exception)


def test_help_lists_the_commands_in_the_order_of_their_use(run):
    listed = run("--help").stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == [
        "add", "list", "show", "approve", "close", "reopen", "answer", "sites", "serve", "token",
    ]  # fmt: skip


def test_nothing_was_ever_stored(run, tmp_path):
    where = str(tmp_path / "state")
    assert run("list").stdout.startswith(
        f"no open notices in {where}; 'hashscan notice list --all'"
    )
    assert run("list", "--all").stdout == f"no notices in {where}\n"
    assert lines(run("list", "--json")) == []
    for arguments in (
        ["show", "x"],
        ["close", "x", "--reason", "y"],
        ["reopen", "x", "--reason", "y"],
    ):
        assert "no notice was ever stored in" in refused(run(*arguments))
    assert not (tmp_path / "state").exists()


def test_the_most_urgent_is_listed_first(run, store):
    later = add(store, "http://x.example/1")
    soon = add(store, "http://x.example/2", ago=21 * HOUR, sender=EVIL, reference="R" * 99)
    overdue = add(store, "http://x.example/3", ago=27 * HOUR, authority="Authority")
    closed = add(store, "http://x.example/4", ago=HOUR)
    store.close_notice(closed, "not ours")
    rows = run("list").stdout.splitlines()
    assert [row.split()[0] for row in rows] == [overdue, soon, later]
    assert rows == run("list", "--open").stdout.splitlines()
    assert "Overdue for 3 h (since 20" in rows[0]
    assert "Due soon, in 3 h (20" in rows[1]
    assert "due in 24 h (20" in rows[2]
    assert "1 of 1 item open" in rows[0]
    assert len({row.index(" of 1 item") for row in rows}) == 1, "columns are aligned"
    assert "a\\x1b[2J\\nb RRR" in rows[1]
    assert "R" * 30 not in rows[1]
    rows = run("list", "--all").stdout.splitlines()
    assert [row.split()[0] for row in rows] == [overdue, soon, later, closed]
    assert "closed 20" in rows[3]
    assert ", in time" in rows[3]
    found = lines(run("list", "--all", "--json"))
    assert [(one["state"], one["due"]) for one in found] == [
        ("open", "overdue"), ("open", "soon"), ("open", "later"), ("closed", "closed")
    ]  # fmt: skip
    assert found[1]["sender"] == EVIL
    assert found[3]["states"] == {"refused": 1}
    assert found[3]["reason"] == "not ours"
    assert "exclude each other" in refused(run("list", "--open", "--all"))


def test_show_has_items_files_and_the_whole_history(run, store):
    sha1 = Digest("sha1", "ab" * 20)
    item = ParsedItem(
        ItemKind.URL, "http://x.example/" + EVIL, (sha1,), "http://x.example/page", "192.0.2.1",
        1.7e9, 1.7e9 + 60, "A1", "no\tte",
    )  # fmt: skip
    parsed = ParsedNotice(
        "scart-csv", (item,), "Hotline", "ntd@hotline.example", "R-1", 1.7e9, "Authority", "law",
        password="se\x00cret", dropped=2, remarks=("line 4 holds no item",),
    )  # fmt: skip
    one = store.add(parsed, channel=Channel.MAILDIR, key=b"k", received=1.7e9 + 6 * 86400).id
    (stored,) = store.items(one)
    store.advance(stored.number, ItemState.LOCATED, path=b"/srv/a\xff")
    store.put_file(
        ItemFile(stored.number, Role.NAMED, b"/srv", b"a\xff", (sha1,), "baseline", "quarantined",
                 "q1", 1.7e9, "moved")
    )  # fmt: skip
    store.advance(stored.number, ItemState.REMOVED, reason="seen")
    second = add(store, "http://x.example/" + EVIL)
    text = run("show", one[-6:]).stdout
    assert "\x1b" not in text
    assert "\x00" not in text
    for words in (
        f"notice      {one}, due in 24 h (", "from        Hotline, answers to ntd@hotline.example",
        "reference   R-1", "authority   Authority", "law         law", "by maildir, as scart-csv",
        "password    se\\x00cret", "dropped     2 attachments, unread",
        "remark      line 4 holds no item", "remark      it arrived 6 days after",
        "items       1 received", "     1  http://x.example/a\\x1b[2J\\nb",
        f"received since 20{second[2:4]}", f": named again by {second}", "removed before, at ",
        "on the page http://x.example/page", "at the IP address 192.0.2.1", "classified A1", "note no\\tte",
        f"sha1 {sha1.hex}",
        "file /srv/a\\xff: named; known, baseline; quarantined as q1; not in its place since ",
        "received with 1 item", "item 1: received -> located",
        "item 1: located -> removed: seen", "closed, all items are settled",
        f"item 1: named again by {second}", "open again: named again by",
    ):  # fmt: skip
        assert words in text, words
    (found,) = lines(run("show", one, "--json"))
    assert list(found)[:11] == [
        "event", "id", "format", "sender", "reference", "sent", "received", "deadline", "state",
        "repeat_of", "items",
    ]  # fmt: skip
    (shown,) = found["items"]
    assert list(shown)[:7] == ["kind", "value", "state", "path", "reason", "digests", "removed"]
    assert os.fsencode(shown["path"]) == b"/srv/a\xff"
    assert shown["digests"] == {"sha1": sha1.hex}
    assert shown["files"][0]["path"] == "/srv/a\udcff"
    assert [step["kind"] for step in found["history"]] == [
        "received", "state", "file", "state", "closed", "repeated", "state", "reopened"
    ]  # fmt: skip
    assert len(store.history(one)) == 8, "showing adds nothing"
    assert f"repeats     {one}" in run("show", second).stdout


def test_approve_by_hand(run, store):
    one = add(store, "http://x.example/1", unproven="its mail is from\x1b a@b.example")
    assert "unproven    its mail is from\\x1b a@b.example" in run("show", one).stdout
    assert lines(run("list", "--json"))[0]["unproven"] == "its mail is from\x1b a@b.example"
    done = run("approve", one, "--reason", "I asked them")
    assert done.stdout.startswith(f"{one}: approved; the daemon")
    found = run("show", one).stdout
    assert "unproven  " not in found
    assert "received with 1 item; its mail is from" in found
    assert "  approved: I asked them\n" in found
    assert "needs no approval" in refused(run("approve", one, "--reason", "again"))
    assert "there is no notice" in refused(run("approve", "nope", "--reason", "x"))


def test_close_and_reopen_by_hand(run, store):
    one = add(store, "http://x.example/1", "http://x.example/2")
    store.advance(store.items(one)[0].number, ItemState.NOT_HERE, reason="no such site")
    done = run("close", one[:-2], "--reason", "a test of the\nhotline")
    assert done.stdout == f"{one}: closed; 1 item refused\n"
    assert [item.state for item in store.items(one)] == [ItemState.NOT_HERE, ItemState.REFUSED]
    assert "a test of the\\nhotline" in run("show", one).stdout
    assert "is closed already" in refused(run("close", one, "--reason", "again"))
    done = run("reopen", one, "--reason", "it was none")
    assert done.stdout == f"{one}: open again; 2 items received again\n"
    assert store.notice(one).closed is None
    assert "no settled item" in refused(run("reopen", one, "--reason", "again"))
    for arguments in (["close", one], ["reopen", one]):
        assert run(*arguments).exit_code == 2, "a reason is asked for"
        assert "--reason is empty" in refused(run(*arguments, "--reason", " "))
        assert "longer than" in refused(run(*arguments, "--reason", "x" * 3000))
        assert "there is no notice" in refused(run(arguments[0], "nope", "--reason", "x"))
