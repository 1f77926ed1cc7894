"""The command line as a whole: help, start-up, exit codes, and what stands on which stream."""

import os
import subprocess
import sys

import click
import pytest
import ready

from hashscan import __version__
from hashscan.cli import COMMANDS, cli


def run(*words, cwd=None, env=None):
    return ready.hashscan(*words, cwd=cwd, env={**os.environ, **(env or {})})


def commands(command, path=()):
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


def test_every_command_and_option_has_help():
    found = list(commands(cli))
    assert len(found) > 12
    for path, command in found:
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (path, parameter.name)


def test_help_lists_the_commands_without_importing_them():
    done = run("--help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert name in done.stdout.decode()


def test_version_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['hashscan', '--version']\n"
        "from hashscan.cli import _run\n"
        "_run()\n"
        "heavy = {'pydantic', 'requests', 'rich', 'yaml', 'pybloom_live', 'sqlite3'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"hashscan, version {__version__}\n".encode()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["scan"], 2, b"there is none to scan"),
        (["scan", "/no/such/volume"], 2, b"/no/such/volume"),
        (["scan", "/etc/passwd"], 2, b"hashscan check"),
        (["scan", "."], 2, b"--known"),
        (["scan", ".", "--known", "/no/such/list"], 2, b"/no/such/list"),
        (["scan", ".", "--jobs", "0"], 2, b"--jobs"),
        (["scan", "", "--known", "list"], 2, b"nothing is written after scan: is a variable of"),
        (["scan", ".", "--known="], 2, b"nothing is written after --known="),
        (["scan", ".", "--known", ""], 2, b"nothing is written after --known:"),
        (["frobnicate"], 2, b"frobnicate"),
        (["-v", "-q", "scan"], 2, b"exclude each other"),
        (["--config", "/no/such/config", "scan", "."], 2, b"/no/such/config"),
        (["check", "/no/such/file", "--known", "list"], 2, b"no such file"),
    ],
)
def test_usage_errors_say_what_to_do(files, words, code, said):
    if words[0] in {"scan", "check"}:
        words = [*words, "--state", "s"]
    done = run(*words, cwd=files)
    assert done.returncode == code, done
    assert said in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["check", "ab" * 19 + "a"], "40 (sha1) or 64 (sha256) digits, not 39"),
        (["check", "no-such-file"], "there is no such file; see"),
        (["quarantine", "restore", "--since", "yesterday"], "write e.g. 2026-11-27, "),
        (["quarantine", "restore", "--since", "2026-13-01"], "write e.g. 2026-11-27, "),
    ],
)
def test_what_is_typed_for_a_digest_or_a_time(typed, words, tmp_path):
    done = ready.in_words(ready.hashscan(*typed, "--state", tmp_path / "state"))
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["stauts"], "No such command 'stauts'. Did you mean 'status'?"),
        (["scna", "/"], "Did you mean 'scan'?"),
        (["SCAN", "/"], "Did you mean 'scan'?"),
        (["repo", "init", "x"], "Did you mean 'report' or 'repository'?"),
        (["scan", "--config", "x"], "before the command: hashscan --config ... scan\n"),
        (["quarantine", "list", "-q"], "before the command: hashscan -q ... quarantine list\n"),
        (["--json", "status"], "after the command: hashscan status --json\n"),
        (["--frob", "status"], "No such option '--frob'"),
        (["xyzzy"], "No such command 'xyzzy'.\n"),
        (["quarantine", "lst"], "Did you mean 'list'?"),
        (["scan", "--actoin", "report"], "--action"),
    ],
)
def test_a_typing_error_is_answered_with_what_was_meant(typed, words):
    done = ready.in_words(ready.hashscan(*typed))
    assert done.returncode == 2
    assert words in done.stderr
    assert "--help" in done.stderr
