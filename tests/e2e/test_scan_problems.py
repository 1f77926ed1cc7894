"""A scan without a daemon reports what prevents it: once, over all scans, and its end."""

import hashlib
import json
import os
import shutil

import pytest
import ready
from receivers import HookPlace
from running_daemon import Daemon

from hashscan.audit.reader import read

KNOWN = b"known of a problem"


@pytest.fixture
def place(tmp_path):
    with HookPlace(tmp_path) as found:
        yield found


@pytest.fixture
def scan(tmp_path, place):
    """Scan two volumes, and return the exit code."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "f").write_bytes(b"unknown")
    (tmp_path / "known").write_text(hashlib.sha1(KNOWN).hexdigest() + "\n")
    (tmp_path / "config.yaml").write_text(
        f"state: {tmp_path}/state\nvolumes: [{{path: {tmp_path}/a}}, {{path: {tmp_path}/b}}]\n"
        f"service: {{kind: local, known: [{tmp_path}/known]}}\n"
        f"notify: [{{name: hook, kind: webhook, url: '{place.settings.url}', collect: 10ms}}]\n"
    )

    def run(*words):
        return ready.hashscan("--config", str(tmp_path / "config.yaml"), "scan", *words).returncode

    return run


def lines(tmp_path):
    wanted = {"problem", "problem-ended", "volume-lost", "volume-back"}
    return [one.event for one in read(str(tmp_path / "state")) if one.event in wanted]


def sent(place):
    return [one["event"] for got in place.received for one in json.loads(got.raw)["events"]]


def test_a_known_set_that_cannot_be_used_is_reported_once_and_its_end(scan, tmp_path, place):
    assert scan() == 0
    os.rename(tmp_path / "known", tmp_path / "away")
    assert [scan(), scan()] == [2, 2]
    assert lines(tmp_path) == sent(place) == ["problem"]
    os.rename(tmp_path / "away", tmp_path / "known")
    assert [scan(), scan()] == [0, 0]
    assert lines(tmp_path) == sent(place) == ["problem", "problem-ended"]


def test_a_lost_volume_is_reported_once_and_its_return(scan, tmp_path, place):
    (tmp_path / "b").rmdir()
    assert [scan(), scan()] == [3, 3]
    assert lines(tmp_path) == sent(place) == ["volume-lost"]
    (tmp_path / "b").mkdir()
    assert [scan(), scan()] == [0, 0]
    assert lines(tmp_path) == sent(place) == ["volume-lost", "volume-back"]


def test_a_scan_of_which_no_volume_is_there_reports_them(scan, tmp_path, place):
    (tmp_path / "b").rmdir()
    shutil.rmtree(tmp_path / "a")
    assert [scan(), scan()] == [2, 2]
    assert lines(tmp_path) == sent(place) == ["volume-lost", "volume-lost"]


def test_what_is_typed_on_the_command_line_reports_no_problem(scan, tmp_path):
    assert scan("--known", str(tmp_path / "missing")) == 2
    assert scan("--known", str(tmp_path / "known")) == 0
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    config = tmp_path / "config.yaml"
    service = (
        f"service: {{url: 'https://service.invalid', username: me,"
        f" password_file: {tmp_path}/password}}\nfilter: {{source: {tmp_path}/a.filter}}\n"
    )
    (tmp_path / "a.filter").touch()
    text = config.read_text()
    config.write_text("".join(service if "known" in one else one for one in text.splitlines(True)))
    assert scan("--only-category", "baseline") == 2  # a service has no categories to choose from
    assert lines(tmp_path) == []


def test_a_scan_beside_a_daemon_leaves_the_report_to_it(tmp_path):
    with Daemon(tmp_path) as daemon:
        daemon.start()
        (tmp_path / "copy").write_bytes(daemon.config.read_bytes())
        with open(tmp_path / "copy", "a") as file:
            file.write("\n")
        text = (tmp_path / "copy").read_text().replace(f"path: {daemon.volume}", "path: /none/v")
        (tmp_path / "copy").write_text(text)
        ready.hashscan("--config", str(tmp_path / "copy"), "scan")
        assert "volume-lost" not in [one.event for one in read(str(daemon.state))]
        assert daemon.end() == 0
