"""A missing volume does not stop the scan of the others, and is reported."""

import hashlib
import json

import pytest
from commandline import hashscan


@pytest.fixture
def scan(tmp_path):
    """Scan three volumes; the second is missing."""
    content = b"known of a volume"
    (tmp_path / "known").write_text(hashlib.sha1(content).hexdigest() + "\n")
    for name in ("a", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "c" / "f").write_bytes(content)
    (tmp_path / "config.yaml").write_text(
        f"state: {tmp_path}/state\n"
        f"volumes: [{{path: {tmp_path}/a}}, {{path: {tmp_path}/b}}, {{path: {tmp_path}/c}}]\n"
        f"service: {{kind: local, known: [{tmp_path}/known]}}\n"
    )

    def run(*arguments):
        return hashscan("--config", tmp_path / "config.yaml", "scan", *arguments)

    return run


def events(ran):
    return [json.loads(line) for line in ran.out.splitlines()]


def test_a_configured_one(scan, tmp_path):
    ran = scan("--json")
    assert ran.code == 1, "the match in the last volume is found"
    assert f"{tmp_path}/b: not scanned: it cannot be opened" in ran.err
    (problem,) = (one for one in events(ran) if one["event"] == "problem")
    assert (problem["path"], problem["reason"]) == (f"{tmp_path}/b", "not-there")
    assert events(ran)[-1]["problems"] == 1
    status = hashscan("--config", tmp_path / "config.yaml", "status", "--json")
    assert json.loads(status.out)["scan"]["problems"] == 1, "the stored summary has it, too"
    (tmp_path / "c" / "f").unlink()
    assert scan().code == 3


def test_one_that_is_a_file(scan, tmp_path):
    (tmp_path / "b").write_bytes(b"no directory")
    ran = scan("--json")
    assert ran.code == 1
    assert events(ran)[-1]["problems"] == 1


def test_one_that_is_named(scan, tmp_path):
    (tmp_path / "c" / "f").unlink()
    assert scan(tmp_path / "b", tmp_path / "c").code == 3
    ran = scan(tmp_path / "b")
    assert ran.code == 2, "nothing is there of what was named"
    assert "there is no such directory" in ran.err
