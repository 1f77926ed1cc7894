"""``hashscan service`` on the command line: its users, and what is refused."""

import os
import subprocess
import sys

import pytest
import ready


@pytest.fixture
def place(tmp_path):
    (tmp_path / "list").write_text(f"{os.urandom(20).hex()}\n")
    return tmp_path


def run(place, *arguments, **options):
    return ready.in_words(ready.hashscan(*arguments, cwd=place, **options))


def test_users_of_the_service(place):
    done = run(place, "service", "user", "add", "--data", "data", "--generate", "one")
    assert done.returncode == 0
    assert len(done.stdout.strip()) == 24
    done = run(
        place, "service", "user", "add", "--data", "data", "--password-file", "-", "two",
        input=b"a password of two\n",
    )  # fmt: skip
    assert done.returncode == 0, done
    done = run(place, "service", "user", "list", "--data", "data")
    assert done.stdout.split() == ["one", "two"]
    assert run(place, "service", "user", "remove", "--data", "data", "one").returncode == 0
    done = run(place, "service", "user", "remove", "--data", "data", "one")
    assert done.returncode == 2
    assert "there is no user one" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--data", "data", "--listen", "127.0.0.1"], "ADDRESS:PORT"),
        (["run", "--data", "data", "--listen", "0.0.0.0:0"], "--tls-certificate"),
        (["load", "--data", "list", "list"], "--data"),
        (["load", "--data", "data", "nowhere"], "nowhere"),
        (["user", "add", "--data", "data", "a:b", "--generate"], "no user name"),
        (["user", "add", "--data", "data", "a", "--password-file", "nowhere"], "nowhere"),
        (["user", "add", "--data", "data", "a", "--password-file", "x", "--generate"], "exclude"),
    ],
)
def test_what_the_service_refuses(place, arguments, words):
    done = run(place, "service", *arguments)
    assert done.returncode == 2, done
    assert words in done.stderr


@pytest.mark.parametrize("command", [["demo"], ["service", "run", "--data", "data"]])
def test_without_the_extra_the_line_to_run_is_told(place, command):
    code = (
        "import sys; sys.modules.update(starlette=None, uvicorn=None)\n"
        "from hashscan.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=place, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert f"checkout of hashscan: {sys.executable} -m pip install '.[service]'" in done.stderr
