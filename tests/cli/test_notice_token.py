"""``hashscan notice token``: tokens of senders, and the lines of the audit log about them."""

import re

import pytest
from notice_commands import runner

from hashscan.audit.reader import read
from hashscan.errors import UsageError


@pytest.fixture
def run(tmp_path):
    return runner(tmp_path)


def test_a_change_is_in_the_audit_log_and_a_refusal_is_not(run, tmp_path):
    token = run("token", "add", "hotline").stdout.strip()
    run("token", "add", "hotline")
    run("token", "remove", "nobody")
    run("token", "remove", "hotline")
    lines = list(read(f"{tmp_path}/state"))
    assert [(one.event, one.facts["sender"], one.facts["action"]) for one in lines] == [
        ("sender-changed", "hotline", "gets a token"),
        ("sender-changed", "hotline", "loses its token"),
    ]
    assert token not in str(lines)


def test_only_the_hash_of_a_token_is_kept(run, tmp_path):
    token = run("token", "add", "hotline").stdout.strip()
    for path in (tmp_path / "state").rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes()


def test_a_list_prints_no_token(run):
    tokens = {run("token", "add", name).stdout.strip() for name in ("b", "a")}
    shown = run("token", "list").stdout
    assert [line.split()[0] for line in shown.splitlines()] == ["a", "b"]
    assert not any(token in shown for token in tokens)


def test_tokens(run, tmp_path):
    token = run("token", "add", "hotline").stdout
    assert re.fullmatch(r"[\w-]{43}\n", token)
    assert re.fullmatch(r"hotline  20\d\d-\d\d-\d\d \d\d:\d\d \S+\n", run("token", "list").stdout)
    assert isinstance(run("token", "add", "hotline").exception, UsageError)
    assert isinstance(run("token", "add", "a b").exception, UsageError)
    assert run("token", "remove", "hotline").exception is None
    none = run("token", "list")
    assert (none.stdout, none.stderr[:21]) == ("", "no sender has a token")
    assert "notice token list" in str(run("token", "remove", "hotline").exception)
