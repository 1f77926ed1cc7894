"""The Python that runs hashscan: isolated, in UTF-8 mode, and this installation."""

import os
import subprocess
import sys

import pytest

from hashscan import __version__, interpreter

ROOT = os.path.dirname(os.path.dirname(interpreter.__file__))


@pytest.mark.parametrize(
    ("executable", "flags", "why"),
    [
        ("", "", "a restart did not change that"),
        ("/nonexistent/python3", "", "No such file"),
        (
            sys.executable,
            "sys.orig_argv = ['python3', '-I', '-X', 'utf8', 'x']",
            "did not change that",
        ),
    ],
)
def test_where_such_a_python_cannot_be_had(executable, flags, why):
    code = (
        f"import sys; sys.executable = {executable!r}; {flags}\n"
        "from hashscan import interpreter; interpreter.require(); print('went on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert "python3 -I -X utf8 -m hashscan" in done.stderr


def test_a_process_of_its_own_is_this_very_hashscan():
    found = interpreter.command()
    assert found[:4] == [sys.executable, "-I", "-X", "utf8"]
    assert found[4] == os.path.join(os.path.dirname(interpreter.__file__), "__main__.py")
    done = subprocess.run([*found, "--version"], capture_output=True, text=True, cwd="/", env={})
    assert (done.returncode, done.stdout) == (0, f"hashscan, version {__version__}\n")


def test_an_isolated_python_in_utf_8_mode_goes_on():
    code = "from hashscan import interpreter; interpreter.require(); print('went on')"
    words = [
        sys.executable,
        "-I",
        "-X",
        "utf8",
        "-c",
        f"import sys; sys.path[:0] = [{ROOT!r}]\n{code}",
    ]
    assert subprocess.run(words, capture_output=True).stdout == b"went on\n"
