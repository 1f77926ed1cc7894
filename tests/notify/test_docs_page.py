"""What docs/notifications.md shows is true."""

import json
import re
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from notifications import message

from hashscan.config.loader import load
from hashscan.config.notify import EVENTS
from hashscan.notify.command import json_of
from hashscan.notify.webhook import signature

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", blocks("yaml"))
def test_each_configuration_can_be_loaded(tmp_path, block):
    for name in ("notify-password", "slack-url", "matrix-token", "tickets-secret", "contacts"):
        (tmp_path / name).write_text("x\n")
        (tmp_path / name).chmod(0o600)
    program = tmp_path / "page-oncall"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    block = re.sub(r"/(?:etc/hashscan|usr/local/bin)/", f"{tmp_path}/", block)
    path = tmp_path / "config.yaml"
    path.write_text(block)
    path.chmod(0o600)
    assert len(load(str(path)).notify) == len(yaml.safe_load(block)["notify"]) == 1


def test_the_json_object_has_the_keys_of_the_page():
    (block,) = blocks("json")
    shown = json.loads(block)
    assert list(shown) == list(json.loads(json_of(message())))
    assert shown["subject"] == "hashscan on web1.host.example: 1 match"


def test_the_receivers_check_takes_a_genuine_message_only():
    (block,) = blocks("python")
    names = {}
    exec(block, names)
    stamp = str(int(time.time()))
    headers = {
        "X-Hashscan-Timestamp": stamp,
        "X-Hashscan-Signature": signature("key", stamp, b"{}"),
    }
    assert names["is_genuine"](b"key", headers, b"{}")
    assert not names["is_genuine"](b"other", headers, b"{}")
    assert not names["is_genuine"](b"key", headers, b"{ }")
    old = str(int(time.time()) - 3600)
    headers = {"X-Hashscan-Timestamp": old, "X-Hashscan-Signature": signature("key", old, b"{}")}
    assert not names["is_genuine"](b"key", headers, b"{}")


def test_shell_blocks_are_shell():
    for block in blocks("sh"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_each_event_is_described():
    assert set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)) == set(EVENTS)
