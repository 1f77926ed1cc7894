"""Options that several commands share, and functions that open the files that options name."""

from __future__ import annotations

import importlib
import math
import os
import sys
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import click
from pydantic_core import PydanticCustomError

from hashscan.durable import new_file, replace_file
from hashscan.errors import Finding, MachineError, UsageError
from hashscan.text import said_by, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import tzinfo

    from hashscan.cli import Options
    from hashscan.config.settings import Settings
    from hashscan.state import State

T = TypeVar("T")
#: Largest number of bytes of an answer to a question with yes or no; a longer answer counts as no.
_LONGEST_ANSWER = 64


class Number(click.FloatRange):
    """An option's number within bounds; raises for ``nan`` and ``inf``, which pass any bound."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the option's number; after an invalid number, the command ends with a message."""
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value} is not a number.", param, ctx)
        return found


class ModuleGroup(click.Group):
    """A group of commands; some commands have modules of their own, for large libraries.

    Attributes:
        modules: modules of ``hashscan.cli`` by the names of their commands.
    """

    modules: ClassVar[dict[str, str]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, first the names of commands in other modules."""
        own = super().list_commands(ctx)
        return [*self.modules, *(one for one in own if one not in self.modules)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; import the module of the command if it has its own module."""
        if cmd_name not in self.modules:
            return super().get_command(ctx, cmd_name)
        command = importlib.import_module(f"hashscan.cli.{self.modules[cmd_name]}").command
        assert isinstance(command, click.Command)
        return command


class OptionalGroup(ModuleGroup):
    """A group of commands that also runs without the name of a command."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the command's usage line without COMMAND, because COMMAND is optional."""
        del ctx
        return ["[OPTIONS]"]


class PathNotLookedAt(click.Path):
    """An option's path, not checked: click's own check would wait for a dead file server."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the option's path unchanged."""
        del param, ctx
        return value


state_option = click.option(
    "--state",
    metavar="DIR",
    type=PathNotLookedAt(),
    help="State directory with catalog, filters and, unless quarantine.directory names another,"
    " the quarantine; overrides the configuration's state.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
known_option = click.option(
    "--known",
    metavar="FILE",
    multiple=True,
    type=click.Path(),
    help="A digest list to use as the known set, without service and network; may be given several"
    " times.",
)
only_category_option = click.option(
    "--only-category",
    "only_categories",
    metavar="NAME",
    multiple=True,
    help="Take only digests of this category from lists that name categories; may be given several"
    " times; default: vics-1 (child abuse material) of VICS lists; baseline and names of child"
    " abuse material, e.g. csam, of other lists.",
)


no_tiers_option = click.option(
    "--no-tiers",
    is_flag=True,
    help="Make no tiers. With tiers, scans do not open files of a size that no digest has, and"
    " stop reading files with a first block that no digest has.",
)


def checked_option(option: str, value: str, check: Callable[[str], T]) -> T:
    """Return the value of an option, parsed by the configuration's own check.

    Raises:
        UsageError: the configuration's check does not accept the value.
    """
    try:
        return check(value)
    except PydanticCustomError as error:
        context = error.context or {}
        fix = f"; {context['fix']}" if context.get("fix") else ""
        raise UsageError(f"{option}: {shown(value)} {context.get('what')}{fix}") from None


def iso_time(text: str, zone: tzinfo | None = None) -> float:
    """Return an ISO 8601 time in seconds since the epoch.

    ``zone``: the zone of a time whose text names no zone; default: this machine's zone.

    Raises:
        ValueError: ``text`` is no ISO 8601 time.
    """
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone).astimezone()).timestamp()
    except OverflowError as error:
        raise ValueError(text) from error


def warn_of_lists(paths: Iterable[str]) -> None:
    """Warn on standard error of each list that other users can change; ``-``: standard input.

    The filter or index that hashscan makes from the lists does not name its lists, and hashscan
    later trusts this filter or index.
    """
    from hashscan.config.trust import fault_of  # noqa: PLC0415 - heavy

    for path in paths:
        if path != "-" and (fault := fault_of(path)) is not None:
            click.echo(f"hashscan: {Finding(shown(path), *fault)}", err=True)


def _has_terminal() -> bool:
    """Return whether a user can type a password: standard input or /dev/tty is a terminal."""
    if sys.stdin.isatty():
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def ask_password(prompt: str, instead: str, *, confirm: bool = False) -> str:
    """Ask for a password at the terminal; ``instead``: the option to name without a terminal.

    Raises:
        UsageError: the command runs without a terminal.
    """
    if not _has_terminal():
        raise UsageError(f"there is no terminal to ask for the {prompt}; {instead}")
    shown_prompt = prompt[0].upper() + prompt[1:]
    found: str = click.prompt(shown_prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    return found


def require_consent(question: str) -> None:
    """Ask a question on standard error; return only if the answer on standard input is yes.

    Only the first bytes of the answer are read, because standard input may be endless
    (``/dev/zero``).

    Raises:
        click.Abort: the user at the terminal does not answer yes.
        UsageError: standard input is no terminal, and its text is not the answer yes.
    """
    click.echo(f"{question} [y/N]: ", nl=False, err=True)
    answer = b""
    with suppress(OSError):  # e.g. standard input is open for writing only
        answer = sys.stdin.buffer.readline(_LONGEST_ANSWER)
    is_whole = answer.endswith(b"\n") or len(answer) < _LONGEST_ANSWER
    if is_whole and answer.strip().lower() in {b"y", b"yes"}:
        return
    if sys.stdin.isatty():
        raise click.Abort
    click.echo(err=True)  # The question has no line end, and no answer was typed.
    if not answer:
        raise UsageError("there is no terminal to ask for your consent; give --yes")
    raise UsageError("the answer on standard input is not y, so nothing was done; give --yes")


def open_configuration(
    options: Options, state: str | None, *, check_files: bool = True
) -> Settings:
    """Read the configuration for a command, with the state directory of the option ``--state``.

    ``check_files``: True to check that the lists and password files in the configuration exist;
        False
    for a command that needs none of these files.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    from hashscan.config.loader import load_or_default  # noqa: PLC0415 - heavy

    return load_or_default(options.config_path, state=state, check_files=check_files)


def open_settings(
    options: Options, state: str | None, *, check_files: bool = True
) -> tuple[Settings, State]:
    """Call ``open_configuration``, and make the state directory if it is missing.

    Raises:
        ConfigError: the configuration cannot be used.
        StateError: the state directory cannot be used.
    """
    from hashscan.state import State  # noqa: PLC0415

    settings = open_configuration(options, state, check_files=check_files)
    return settings, State(settings.state)


def open_own_configuration(
    options: Options, state: str | None, *, check_files: bool = False
) -> Settings:
    """Read the configuration of a command that works with the user's own lists or state.

    An error in /etc/hashscan/config.yaml does not end the command if that file is for another user.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    from hashscan.config.loader import load_for_lists  # noqa: PLC0415 - heavy

    settings, remark = load_for_lists(options.config_path, state=state, check_files=check_files)
    if remark and options.verbosity >= 0:
        click.echo(f"hashscan: {remark}", err=True)
    return settings


def open_own_settings(
    options: Options, state: str | None, *, check_files: bool = False
) -> tuple[Settings, State]:
    """Call ``open_own_configuration``, and make the state directory if it is missing.

    Raises:
        ConfigError: the configuration cannot be used.
        StateError: the state directory cannot be used.
    """
    from hashscan.state import State  # noqa: PLC0415

    settings = open_own_configuration(options, state, check_files=check_files)
    return settings, State(settings.state)


def write_output(
    parts: Iterable[bytes], output: str | None, *, force: bool, option: str = "-o"
) -> None:
    """Write a text to standard output, or to a new file that has the whole text or does not exist.

    ``option``: the option that names the new file, for messages.

    Raises:
        OutputError: standard output cannot be written.
        UsageError: the new file exists already.
        MachineError: the new file cannot be written.
    """
    if output is None:
        for part in parts:
            if sys.stdout.isatty():  # standard output can have an encoding without some characters
                click.echo(part.decode("utf-8", "replace"), nl=False)
            else:
                sys.stdout.buffer.write(part)
        return
    try:
        if force:
            replace_file(output, b"".join(parts))
            return
        with new_file(output) as file:
            file.writelines(parts)
    except FileExistsError as error:
        raise UsageError(
            f"{shown(output)}: it exists already; name another file with {option}"
            + (", or add --force" if option == "-o" else "")
        ) from error
    except OSError as error:
        raise MachineError(f"{shown(output)}: cannot be written: {said_by(error)}") from error
