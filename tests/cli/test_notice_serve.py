"""``hashscan notice serve`` as an administrator calls them."""

import os
import signal
import subprocess
import sys

import pytest
import requests
from notice_commands import runner

from hashscan.audit.reader import read
from hashscan.notices.reader import open_existing
from hashscan.output.history import sentence


@pytest.fixture
def run(tmp_path):
    return runner(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "80"], "ADDRESS:PORT"),
        (["--listen", "unix:relative"], "ADDRESS:PORT"),
        (["--socket-group", "root"], "--listen unix:PATH"),
        (["--rate", "nan"], "not a number"),
    ],
)
def test_usage(arguments, words, run):
    result = run("serve", *arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_it_does_not_listen_for_others_without_tls(run):
    assert "readable on the way" in str(run("serve", "--listen", "0.0.0.0:0").exception)


def test_an_answered_report_outlives_a_kill(run, tmp_path):
    token = run("token", "add", "hotline").stdout.strip()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "hashscan", "--config", str(tmp_path / "config.yaml"),
         "notice", "serve", "--listen", "127.0.0.1:0"],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_PROXY": "127.0.0.1"},
    ) as process:  # fmt: skip
        try:
            line = process.stderr.readline()
            assert line.startswith("hashscan: the intake of notices listens on http://127.0.0.1:")
            refused, answer = (
                requests.post(
                    line.split()[-1] + "/api/v1/reports",
                    data={"ip": "192.0.2.7", "urls": urls},
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=60,
                )
                for urls in ("some words", "http://a.example/1")
            )
        finally:
            process.send_signal(signal.SIGKILL)
        assert process.stderr.read() == ""
    with open_existing(f"{tmp_path}/state/notices.sqlite3") as reader:
        assert [one.id for one in reader.notices()] == [answer.json()["data"]["id"]]
    assert refused.status_code == 422
    token_added, line, received = read(f"{tmp_path}/state")
    assert (token_added.event, token_added.who.by) == ("sender-changed", "command")
    assert (line.event, line.who.by) == ("notice-refused", "notice")
    assert (line.facts["channel"], line.facts["sender"]) == ("http", "hotline")
    assert sentence(line) == f"an input of hotline is no notice: {refused.json()['message']}"
    assert (received.event, received.facts["notice"]) == (
        "notice-received",
        answer.json()["data"]["id"],
    )
