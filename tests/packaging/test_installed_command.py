"""The installed command: only its own installation decides which Python it runs, and how."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scanning import sha1

from hashscan import interpreter

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "packaging" / "bin" / "hashscan"
EVIL = """
import os
with open(os.environ["POISONED"], "a") as file:
    file.write(__name__ + "\\n")
"""


@pytest.fixture
def place(tmp_path):
    """An installation (``bin``), modules to be left alone (``evil``), and a volume with a match."""
    for name in ("bin", "local", "evil", "home", "www"):
        (tmp_path / name).mkdir()
    shutil.copy(SCRIPT, tmp_path / "bin")
    python = tmp_path / "bin" / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "local" / "hashscan").symlink_to("../bin/hashscan")
    content = os.urandom(100)
    (tmp_path / "www" / "known").write_bytes(content)
    (tmp_path / "known.txt").write_text(sha1(content) + "\n")
    return tmp_path


def poison(directory, *names):
    """Put modules that must never be imported into ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / f"{name}.py").write_text(EVIL)


STANDARD = ("re", "json", "sqlite3", "stat", "locale", "site", "runpy")
OTHERS = ("click", "yaml", "pydantic", "xxhash", "usercustomize")


def scan(place, *command, cwd=None, **env):
    done = subprocess.run(
        [*command, "scan", place / "www", "--known", place / "known.txt", "--state", place / "st"],
        env={"PATH": os.environ["PATH"], "HOME": str(place / "home"),
             "POISONED": str(place / "poisoned"), **env},
        cwd=cwd or place, capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "MATCH" in done.stdout
    assert not (place / "poisoned").exists(), (place / "poisoned").read_text()


@pytest.mark.parametrize("command", ["bin/hashscan", "local/hashscan", "./bin/../local/hashscan"])
def test_the_environment_decides_nothing(place, command):
    poison(place / "evil", *STANDARD, *OTHERS, "sitecustomize", "encodings", "hashscan", "os")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    user = place / "home" / ".local" / "lib" / version / "site-packages"
    poison(user, "usercustomize", "click")
    (user / "evil.pth").write_text("import usercustomize\n")
    # By another path it is the same script: what differs is where that finds its Python.
    if command != "./bin/../local/hashscan":
        scan(place, place / command, cwd=place / "evil", PYTHONPATH=f":{place}/evil")
    if command == "bin/hashscan":
        scan(place, place / command, cwd=place / "evil", PYTHONHOME="/nonexistent")
    if command != "local/hashscan":
        scan(place, f"./{command}", PYTHONUSERBASE=f"{place}/home/.local", PYTHONUTF8="0")


def test_it_is_found_by_path_and_started_by_a_shell(place):
    path = f"{place}/local:{os.environ['PATH']}"
    scan(place, "sh", "-c", 'exec hashscan "$@"', "x", PATH=path)


def test_the_module_imports_nothing_from_the_current_directory(place):
    poison(place / "evil", *STANDARD, *OTHERS, "encodings", "sitecustomize")
    poison(place / "third", "click", "yaml", "pydantic", "xxhash")
    command = (sys.executable, "-m", "hashscan")
    scan(place, *command, cwd=place / "evil")
    scan(place, *command, cwd=place / "evil", PYTHONPATH=f"{place}/third")


def test_what_it_starts_is_isolated_too(place):
    poison(place / "evil", *STANDARD, *OTHERS, "sitecustomize")
    scan(place, *interpreter.command(), cwd=place / "evil", PYTHONPATH=f"{place}/evil")


def test_the_process_has_its_name(place):
    process = subprocess.Popen(
        [place / "bin" / "hashscan", "filter", "build", "-", "-o", place / "filter"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0,
    )  # fmt: skip
    with process:
        process.stdin.write(b"0" * 40 + b"\n" * 200_000)  # more than a pipe holds: it is being read
        name = Path("/proc", str(process.pid), "comm").read_text()
        process.kill()
    assert name == "hashscan\n"


def test_setuptools_installs_that_command_and_no_entry_point(tmp_path):
    for name in ("pyproject.toml", "README.md", "packaging/bin/hashscan", "hashscan/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    code = "from setuptools import setup; made = setup(); print(made.entry_points or {}, file=open('e', 'w'))"
    subprocess.run(
        [sys.executable, "-c", code, "build_scripts"], check=True, cwd=tmp_path, capture_output=True
    )
    (made,) = tmp_path.glob("build/scripts*/hashscan")
    assert made.read_bytes() == SCRIPT.read_bytes()
    # pip replaces a first line of #!python, and leaves others alone
    assert SCRIPT.read_bytes().startswith(b"#!/bin/sh\n")
    # What pip makes of an entry point is not isolated.
    assert (tmp_path / "e").read_text() == "{}\n"


@pytest.mark.parametrize("how", ["of another mode", "a link that leads nowhere"])
def test_its_own_python_is_named_if_it_cannot_run(place, how):
    """Another Python, which has no hashscan, would only say that there is none."""
    python = place / "bin" / "python3"
    if how == "of another mode":
        python.chmod(0o644)
    else:
        python.unlink()
        python.symlink_to("/none/python3")
    done = subprocess.run([place / "bin" / "hashscan"], capture_output=True, text=True)
    assert done.returncode in {126, 127}
    assert str(python) in done.stderr


@pytest.mark.parametrize(
    ("streams", "code"), [("</", 0), ("2</", 0), ("<&-", 0), ("1</", 130), (">&-", 130)]
)
def test_a_standard_stream_may_be_a_directory_or_closed(place, streams, code):
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" --version {streams}', place / "bin" / "hashscan"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done
    if code:
        assert done.stderr.startswith("hashscan: error: standard output cannot be written: ")
    else:
        assert (done.stdout[:9], done.stderr) == ("hashscan,", "")
