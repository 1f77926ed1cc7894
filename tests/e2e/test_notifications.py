"""Notifications of a real daemon, and of scans without one."""

import json
import os
import signal

import pytest
import ready
from receivers import CommandPlace, HookPlace
from running_daemon import Daemon

from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog

KNOWN = os.urandom(3000)


def held(state, hold):
    facts = {"hold": hold, "files": 9, "owners": 3}
    return AuditLog(str(state)).append("held", Who.current("command"), **facts)


@pytest.fixture
def place(tmp_path):
    with HookPlace(tmp_path) as found:
        yield found


def pids(directory):
    path = directory / "pids"
    return [int(one) for one in path.read_text().split()] if path.exists() else []


def receivers(place, *more):
    hook = (
        f"{{name: hook, kind: webhook, url: '{place.settings.url}', collect: 50ms, at_most: 50ms}}"
    )
    return "notify: [" + ", ".join([hook, *more]) + "]"


def holds(place):
    return [
        event.get("hold") or event["event"]
        for one in place.received
        for event in json.loads(one.raw)["events"]
    ]


def test_a_daemon_sends_what_anybody_writes_and_what_its_own_kill_left(tmp_path, place):
    stuck = tmp_path / "stuck"
    stuck.write_text(f"#!/bin/sh\necho $$ >>{tmp_path}/pids\nexec sleep 600\n")
    stuck.chmod(0o755)
    hangs = f"{{name: stuck, kind: command, command: [{stuck}], collect: 50ms}}"
    with Daemon(tmp_path, extra=receivers(place, hangs)) as daemon:
        daemon.start()
        daemon.wait((daemon.state / "notifications.sqlite3").exists)
        held(daemon.state, "1")
        daemon.wait(lambda: "1" in holds(place))
        held(daemon.state, "2")
        daemon.wait(lambda: "2" in holds(place))
        daemon.wait(lambda: len(pids(tmp_path)) == 1)
        daemon.end(signal.SIGKILL)
        os.kill(pids(tmp_path)[0], signal.SIGKILL)  # as systemd does with all of the unit
        held(daemon.state, "3")
        daemon.start()
        daemon.wait(lambda: {"3", "daemon-stopped"} <= set(holds(place)))
        assert "ended without a stop" in "".join(one.text for one in place.received)
        found = daemon.hashscan("status", "--json")
        found = json.loads(found.stdout)["notify"]
        assert {one["receiver"] for one in found} == {"hook", "stuck"}
        daemon.wait(lambda: len(pids(tmp_path)) == 2)
        assert daemon.end() == 0
        assert not os.path.exists(f"/proc/{pids(tmp_path)[1]}")
    first = {}
    for one in place.received:  # the kill may come between a message and its noting
        assert (one.id in first) <= ("may have been sent before" in one.text)
        first.setdefault(one.id, one)
    place.received = list(first.values())
    assert sorted(one for one in holds(place) if one.isdigit()) == ["1", "2", "3"]


def test_a_reload_takes_other_receivers(tmp_path, place):
    with Daemon(tmp_path) as daemon:
        daemon.start()
        daemon.extra = receivers(place)
        daemon.write_config()
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait((daemon.state / "notifications.lock").exists)
        daemon.wait(lambda: (daemon.state / "notifications.lock").read_text().strip())
        held(daemon.state, "1")
        daemon.wait(lambda: "1" in holds(place))
        assert daemon.end() == 0


def scan(tmp_path, place, *more):
    (tmp_path / "www").mkdir(exist_ok=True)
    (tmp_path / "known").write_text("0" * 40 + "\n")
    config = tmp_path / "config.yaml"
    config.write_text(
        f"state: {tmp_path}/state\nvolumes: [{{path: {tmp_path}/www}}]\n"
        f"service: {{kind: local, known: [{tmp_path}/known]}}\n{receivers(place, *more)}\n"
    )
    found = ready.hashscan("--config", str(config), "scan")
    assert found.returncode == 0, found.stderr
    return found.stderr


def test_a_scan_without_a_daemon_sends_what_waits_and_says_what_it_cannot(tmp_path, place):
    scan(tmp_path, place)
    held(tmp_path / "state", "1")
    scan(tmp_path, place)
    assert holds(place) == ["1"]
    place.behave("later")
    held(tmp_path / "state", "2")
    assert b"status 503" in scan(tmp_path, place)
    place.behave("accept")
    scan(tmp_path, place)
    assert holds(place) == ["1"]  # its time has not come
    config = str(tmp_path / "config.yaml")
    found = ready.hashscan("--config", config, "notify", "test", "hook")
    assert found.returncode == 0, found.stdout
    scan(tmp_path, place)
    assert holds(place) == ["1", "2"]


def test_notify_test_says_what_failed_where(tmp_path, place):
    with CommandPlace(tmp_path) as page:
        page.behave("later")
        config = tmp_path / "config.yaml"
        command = page.settings.command[0]
        config.write_text(
            f"state: {tmp_path}/state\n"
            + receivers(place, f"{{name: page, kind: command, command: [{command}]}}")
        )
        found = ready.hashscan("--config", str(config), "notify", "test")
        assert found.returncode == 2
        lines = found.stdout.decode().splitlines()
        assert lines[0] == "ok    hook: the message was accepted"
        assert lines[1] == f"FAIL  page: {command} ended with code 75"
        assert lines[2].startswith("      -> run it by hand")
        assert "test of hashscan" in place.received[0].text
        assert not (tmp_path / "state").exists()
        found = ready.hashscan("--config", str(config), "notify", "test", "nobody")
        assert found.returncode == 2
        assert b"there is no receiver nobody; the configuration has hook, page" in found.stderr


def test_a_match_reaches_the_receiver_and_names_no_path(tmp_path, place):
    with Daemon(tmp_path, known=[KNOWN], extra=receivers(place)) as daemon:
        daemon.start()
        (daemon.volume / "evil-name").write_bytes(KNOWN)
        daemon.wait(lambda: "match" in holds(place))
        (got,) = (one for one in place.received if b'"match"' in one.raw)
        (event,) = json.loads(got.raw)["events"]
        assert (event["action"], event["category"]) == ("quarantined", "baseline")
        assert event["quarantine_id"]
        assert b"evil-name" not in got.raw
        assert daemon.end() == 0
        daemon.wait(lambda: "daemon-stopped" in holds(place))
