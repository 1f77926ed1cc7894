"""A run of the tests that is killed leaves nothing mounted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLED = """
import os, signal, subprocess
def test_killed(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "none", str(tmp_path)], check=True)
    assert str(tmp_path) in open("/proc/self/mountinfo").read()
    print("mounted at", tmp_path, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts")
def test_a_killed_run_leaves_nothing_mounted(tmp_path):
    (tmp_path / "test_it.py").write_text(KILLED)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "conftest", "-p", "no:cacheprovider",
         "-c", os.devnull, f"--basetemp={tmp_path}/base", f"--rootdir={tmp_path}", "test_it.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == -9, ran.stdout + ran.stderr
    assert "mounted at" in ran.stdout
    assert f"{tmp_path}/base" not in Path("/proc/self/mountinfo").read_text()
