"""A killed run of the tests leaves nothing mounted, and a failed run ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from namespaces import why_no_root

HERE = Path(__file__).parent
KILLED = """
import os, signal, subprocess
def test_killed(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "none", str(tmp_path)], check=True)
    assert str(tmp_path) in open("/proc/self/mountinfo").read()
    print("mounted at", tmp_path, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


LEFT = """
import time
from hashscan.processes import Child
def job(connection):
    connection.send("started")
    time.sleep(600)
def test_left():
    child = Child(job)
    assert child.connection.recv() is None
"""


def run(tmp_path, content):
    (tmp_path / "test_it.py").write_text(content)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "conftest", "-p", "no:cacheprovider",
         "-c", os.devnull, f"--basetemp={tmp_path}/base", f"--rootdir={tmp_path}", "test_it.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE}/support"},
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip


def test_a_process_that_a_failed_test_left_does_not_keep_the_run_from_its_end(tmp_path):
    ran = run(tmp_path, LEFT)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "1 failed" in ran.stdout


@pytest.mark.skipif(bool(why_no_root()), reason=why_no_root())
def test_a_killed_run_leaves_nothing_mounted(tmp_path):
    ran = run(tmp_path, KILLED)
    assert ran.returncode == -9, ran.stdout + ran.stderr
    assert "mounted at" in ran.stdout
    assert f"{tmp_path}/base" not in Path("/proc/self/mountinfo").read_text()
