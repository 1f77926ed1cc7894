"""``make cases``: one script that is right, one that is wrong, one that hangs."""

import subprocess
import sys
import time
from pathlib import Path

import cases
import pytest

RIGHT = '[ "$($HS --version)" = yes ] || exit 1; exit 0\n'


@pytest.fixture
def directory(tmp_path):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    command = tmp_path / "hashscan"
    command.write_text("#!/bin/sh\necho yes\n")
    command.chmod(0o755)
    return scripts


def run(directory, *more):
    return subprocess.run(
        [sys.executable, cases.__file__, directory, "--command", directory.parent / "hashscan", *more],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_all_right(directory):
    (directory / "01-right.sh").write_text(RIGHT)
    (directory / "02-skipped.sh").write_text("echo no btrfs; exit 77\n")
    ran = run(directory)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "01-right    right",
        "02-skipped  cannot be tried  no btrfs",
        "1 right, 0 wrong, 1 cannot be tried",
    ]


def test_one_that_is_wrong(directory):
    (directory / "01-right.sh").write_text(RIGHT)
    (directory / "02-wrong.sh").write_text("echo noise; echo WRONG: it says 2; exit 1\n")
    ran = run(directory)
    assert ran.returncode == 1
    assert "02-wrong  wrong            WRONG: it says 2" in ran.stdout.splitlines()
    assert run(directory, "--only", "right").returncode == 0


def test_one_that_hangs_is_wrong_and_leaves_nothing(directory, tmp_path):
    (directory / "hangs.sh").write_text(f"(sleep 2; touch {tmp_path}/left) & sleep 60\n")
    ran = run(directory, "--timeout", "0.5")
    assert ran.returncode == 1
    assert "no end within 0.5 s" in ran.stdout
    time.sleep(2.2)
    assert not (tmp_path / "left").exists()


def test_an_empty_directory_is_no_success(directory):
    assert run(directory).returncode == 2


def test_make_says_where_the_scripts_may_be(tmp_path):
    root = Path(__file__).resolve().parents[1]
    ran = subprocess.run(
        ["make", "--no-print-directory", "-C", root, "cases", f"CASES={tmp_path}/none"],
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert ran.returncode == 2
    assert "CASES=DIR" in ran.stderr
