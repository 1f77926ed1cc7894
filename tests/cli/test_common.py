"""Options and answers that several commands share."""

import io
import os
import stat
from datetime import UTC, timedelta, timezone

import click
import pytest
from click.testing import CliRunner

from hashscan.cli.common import (
    ModuleGroup,
    Number,
    ask_password,
    checked_option,
    iso_time,
    require_consent,
    warn_of_lists,
    write_output,
)
from hashscan.config import values
from hashscan.errors import MachineError, UsageError


class Stdin:
    """Standard input of these bytes."""

    def __init__(self, content, *, terminal=False):
        self.buffer = io.BytesIO(content)
        self.isatty = lambda: terminal


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "0", "11", "x"])
def test_a_number_is_finite_and_within_its_bounds(text):
    kind = Number(min=1, max=10)
    assert kind.convert("1e1", None, None) == 10.0
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)


def test_an_unbounded_number_is_finite():
    with pytest.raises(click.BadParameter, match="inf is not a number"):
        Number().convert("inf", None, None)


def test_the_module_of_a_command_is_imported_when_it_is_used():
    group = ModuleGroup("group", commands={"show": click.Command("show")})
    group.modules = {"list": "no_such_module"}
    context = click.Context(group)
    assert group.list_commands(context) == ["list", "show"]
    assert group.get_command(context, "show").name == "show"
    assert group.get_command(context, "other") is None
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        group.get_command(context, "list")


def test_an_option_is_checked_like_a_setting():
    assert checked_option("--older-than", "2h", values.duration) == 7200.0
    with pytest.raises(UsageError) as error:
        checked_option("--older-than", "2 moons\n", values.duration)
    assert str(error.value).startswith("--older-than: 2 moons\\n ")
    assert "; " in str(error.value), "the fix"


@pytest.mark.parametrize(
    ("text", "zone", "seconds"),
    [
        ("1970-01-01T00:00:01Z", None, 1.0),
        ("1970-01-01T02:00+02:00", None, 0.0),
        ("1970-01-01T02:00+02:00", UTC, 0.0),
        ("1970-01-02", UTC, 86400.0),
    ],
)
def test_a_time_with_or_without_its_zone(text, zone, seconds):
    assert iso_time(text, zone) == seconds


def test_the_zone_of_a_time_that_names_none():
    zone = timezone(timedelta(hours=2))
    assert iso_time("1970-01-01T02:00", UTC) - iso_time("1970-01-01T02:00", zone) == 7200.0


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01"])
def test_a_text_that_is_no_time(text):
    with pytest.raises(ValueError, match=r"isoformat|month"):
        iso_time(text, UTC)


def test_a_time_before_all_times_is_none():
    first = "0001-01-01T00:00"
    with pytest.raises(ValueError, match=first):
        iso_time(first, timezone(timedelta(hours=14)))


def test_a_list_that_others_can_change_is_named_on_standard_error(tmp_path, capsys):
    trusted, other = tmp_path / "trusted", tmp_path / "other"
    for path, mode in ((trusted, 0o600), (other, 0o666)):
        path.touch()
        path.chmod(mode)
    warn_of_lists([str(trusted), "-"])
    assert capsys.readouterr().err == ""
    warn_of_lists([str(trusted), str(other)])
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"hashscan: {other}: ")


@pytest.mark.parametrize("answer", [b"y\n", b"YES", b" yes \r\n", b"y\nn\n"])
def test_yes_is_consent(answer, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", Stdin(answer))
    require_consent("delete?")
    assert capsys.readouterr() == ("", "delete? [y/N]: ")


@pytest.mark.parametrize("answer", [b"n\n", b"yy", b"\n", b"y" + b" " * 63, b"y\0"])
def test_everything_else_is_none(answer, monkeypatch):
    monkeypatch.setattr("sys.stdin", Stdin(answer))
    with pytest.raises(UsageError, match="is not y, so nothing was done; give --yes"):
        require_consent("delete?")
    monkeypatch.setattr("sys.stdin", Stdin(answer, terminal=True))
    with pytest.raises(click.Abort):
        require_consent("delete?")


def test_without_an_answer_the_option_is_named(monkeypatch):
    monkeypatch.setattr("sys.stdin", Stdin(b""))
    with pytest.raises(UsageError, match="no terminal to ask for your consent; give --yes"):
        require_consent("delete?")


def test_without_a_terminal_no_password_is_asked_for(monkeypatch):
    monkeypatch.setattr("sys.stdin", Stdin(b"word\n"))

    def missing(path, *_):
        raise FileNotFoundError(2, "no such device", path)

    monkeypatch.setattr("hashscan.cli.common.os.open", missing)
    with pytest.raises(UsageError, match="ask for the passphrase of k; give --password-file"):
        ask_password("passphrase of k", "give --password-file")


def test_an_output_is_new_and_whole(tmp_path):
    path = tmp_path / "out"
    write_output([b"a", b"b"], str(path), force=False)
    assert path.read_bytes() == b"ab"
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    with pytest.raises(UsageError, match=f"{path}: it exists already; .* -o, or add --force"):
        write_output([b"c"], str(path), force=False)
    with pytest.raises(UsageError, match=r"name another file with --csv$"):
        write_output([b"c"], str(path), force=False, option="--csv")
    assert path.read_bytes() == b"ab"
    write_output([b"c"], str(path), force=True)
    assert path.read_bytes() == b"c"


@pytest.mark.parametrize("force", [False, True])
def test_a_part_that_fails_leaves_no_output(force, tmp_path):
    def parts():
        yield b"a"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_output(parts(), str(tmp_path / "out"), force=force)
    assert os.listdir(tmp_path) == []


def test_an_output_that_cannot_be_written_is_named(tmp_path):
    path = f"{tmp_path}/missing/out"
    with pytest.raises(MachineError, match=f"{path}: cannot be written: "):
        write_output([b"a"], path, force=False)


def test_standard_output_gets_the_bytes_unchanged():
    @click.command
    def command():
        write_output([b"\xff", b"\n"], None, force=False)

    assert CliRunner().invoke(command).stdout_bytes == b"\xff\n"
