"""The command line as a whole: help, start-up, exit codes, and what stands on which stream."""

import json
import os
import subprocess
import sys

import click
import pytest
import ready
from scanning import sha1

from hashscan import __version__
from hashscan.cli import COMMANDS, cli


def run(*words, cwd=None, env=None):
    return ready.hashscan(*words, cwd=cwd, env={**os.environ, **(env or {})})


@pytest.fixture
def place(tmp_path):
    """A volume with one known file, its list, and a state directory."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "bad").write_bytes(b"bad content")
    (tmp_path / "v" / "good").write_bytes(b"good content")
    (tmp_path / "list").write_text(sha1(b"bad content") + "\n")
    return tmp_path


def scan(place, *words):
    return run("scan", place / "v", "--known", place / "list", "--state", place / "s", *words)


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


def test_the_exit_codes_of_status_are_a_list_with_a_cause_on_each_line():
    (command,) = (one for path, one in commands(cli) if path == ("status",))
    context = click.Context(command, terminal_width=80)
    lines = command.get_help(context).partition("With --nagios")[0].splitlines()
    codes = [line.split()[0] for line in lines if line.startswith("  ") and line[2:3].isdigit()]
    assert codes == ["5", "70", "1", "6", "2", "3", "0"], "the most urgent one first"
    assert sum(line.startswith("      - ") for line in lines) > 20
    assert all(len(line) <= 80 for line in lines)


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


def test_exit_codes_of_a_scan(place):
    done = scan(place)
    assert done.returncode == 1
    assert b"MATCH " + os.fsencode(place / "v" / "bad") in done.stdout
    assert done.stderr == b""
    (place / "v" / "bad").unlink()
    assert scan(place).returncode == 0


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
def test_usage_errors_say_what_to_do(place, words, code, said):
    if words[0] in {"scan", "check"}:
        words = [*words, "--state", "s"]
    done = run(*words, cwd=place)
    assert done.returncode == code, done
    assert said in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""


def test_check(place):
    known = ["--known", place / "list", "--state", place / "s"]
    done = run("check", place / "v" / "bad", place / "v" / "good", *known)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith(b"KNOWN ")
    assert done.stdout.splitlines()[1].startswith(b"unknown ")
    assert run("check", place / "v" / "good", *known).returncode == 0
    assert run("check", sha1(b"bad content").upper(), *known).returncode == 1
    assert run("check", sha1(b"other"), *known).returncode == 0
    done = run("check", "0" * 64, *known)
    assert (done.returncode, b"holds no sha256" in done.stderr) == (2, True)
    done = run("check", "--json", place / "v" / "bad", *known)
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (line["event"], line["verdict"], line["candidate"]) == ("check", "known", True)
    done = run("check", place / "v", "missing", place / "v" / "bad", *known)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"hashscan scan" in done.stderr
    assert b"missing: there is no such file" in done.stderr


def test_a_state_directory_that_is_none_is_refused(place):
    done = run("scan", place / "v", "--known", place / "list", "--state", place / "v")
    assert done.returncode == 2
    assert b"holds other files" in done.stderr
    assert (place / "v").stat().st_mode & 0o777 != 0o700


def test_a_filter_that_lacks_digests_of_the_lists_is_told(place):
    (place / "other").write_text(sha1(b"another") + "\n")
    assert run("filter", "build", place / "other", "-o", place / "f").returncode == 0
    (place / "config").write_text(
        f"service: {{kind: local, known: ['{place}/list']}}\nfilter: {{source: '{place}/f'}}\n"
    )
    done = run("--config", place / "config", "scan", place / "v", "--state", place / "s")
    assert b"1 of the 1 digests of the lists are not in the filter" in done.stderr


def test_the_state_is_private(place):
    scan(place)
    for found in (place / "s").rglob("*"):
        assert found.stat().st_mode & 0o077 == 0, found
    assert (place / "s").stat().st_mode & 0o777 == 0o700


def test_verbose_says_what_is_used(place):
    done = run("-v", "scan", place / "v", "--known", place / "list", "--state", place / "s")
    for word in (b"local:", b"1 digests", b"worker processes", os.fsencode(place / "s")):
        assert word in done.stderr


def test_quiet_says_nothing_when_there_is_nothing(place):
    (place / "v" / "bad").unlink()
    done = run("-q", "scan", place / "v", "--known", place / "list", "--state", place / "s")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--warning", "5"], "No such option '--warning'"),
        (["--json"], "--nagios and --json exclude each other"),
        (["--state", ""], "nothing is written after --state"),
        (["--state="], "nothing is written after --state="),
    ],
)
def test_a_wrong_command_line_of_a_plug_in_is_unknown(typed, words):
    done = ready.in_words(ready.hashscan("status", "--nagios", *typed))
    assert done.returncode == 3
    assert done.stdout.startswith(f"HASHSCAN UNKNOWN - {words}")
    assert done.stderr == ""


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
