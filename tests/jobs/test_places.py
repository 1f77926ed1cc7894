"""A one-off scan goes on without volumes that cannot be scanned; the silent server is real."""

import hashlib
import json
import os

import pytest
from click.testing import CliRunner
from silent_fs import forks_hold_no_server, silent

from hashscan.cli import cli
from hashscan.jobs import volume_probe

CONTENT = b"known of a volume"


@pytest.fixture
def scan(tmp_path, monkeypatch):
    """Scan the configured volumes ``a``, ``b`` and ``c``; the last one has a match."""
    forks_hold_no_server(monkeypatch)
    (tmp_path / "known").write_text(hashlib.sha1(CONTENT).hexdigest() + "\n")
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "c" / "f").write_bytes(CONTENT)
    volumes = ", ".join(f"{{path: {tmp_path}/{name}}}" for name in ("a", "b", "c"))
    (tmp_path / "config.yaml").write_text(
        f"state: {tmp_path}/state\nvolumes: [{volumes}]\n"
        f"service: {{kind: local, known: [{tmp_path}/known]}}\n"
    )

    def run(*arguments):
        words = ["--config", str(tmp_path / "config.yaml"), "scan", "--json", "--jobs", "1"]
        ran = CliRunner().invoke(
            cli, [*words, *map(str, arguments)], standalone_mode=False, catch_exceptions=False
        )
        events = [json.loads(line) for line in ran.stdout.splitlines()]
        return ran.return_value, {one["event"]: one for one in events}

    return run


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts")
def test_without_one_on_a_dead_file_server(scan, tmp_path, monkeypatch):
    monkeypatch.setattr(volume_probe, "ANSWER_WITHIN", 3.0)
    with silent(tmp_path / "b"):
        code, events = scan()
        assert code == 1, "the match in another volume is found"
        problem = events["problem"]
        assert (problem["path"], problem["reason"]) == (f"{tmp_path}/b", "not-there")
        assert "does not answer" in problem["message"]
        assert events["summary"]["problems"] == 1
        code, events = scan(tmp_path / "c")
        assert (code, events["summary"]["files"]) == (1, 1), "another one can be scanned alone"
        code, events = scan(tmp_path / "b", tmp_path / "a")
        assert (code, events["problem"]["path"]) == (3, f"{tmp_path}/b")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes a customer's link")
def test_without_one_behind_a_customers_link(scan, tmp_path):
    (tmp_path / "b").rmdir()
    (tmp_path / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    os.chown(tmp_path / "b", 4711, 4711, follow_symlinks=False)
    code, events = scan()
    assert code == 1
    assert f"{tmp_path}/b is a link to {tmp_path}/elsewhere" in events["problem"]["message"]


def test_with_lists_without_one_that_is_missing(scan, tmp_path):
    (tmp_path / "b").rmdir()
    code, events = scan("--known", tmp_path / "known")
    assert (code, events["problem"]["path"]) == (1, f"{tmp_path}/b")
