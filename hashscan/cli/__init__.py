"""The command line: thin click commands over ``hashscan.jobs``, one module each.

A command's module is imported only if that command runs. So ``hashscan --version`` and the
completion of a shell do not wait for libraries that they do not use.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import re
import sys
from dataclasses import dataclass
from typing import Any

import click

from hashscan import __version__, interpreter
from hashscan.cli.streams import open_standard_streams
from hashscan.errors import ExitCode, HashscanError, MachineError, UsageError
from hashscan.machine import (
    A_PROCESS_DIED,
    as_machine_error,
    exit_code_with_cause,
    with_cause,
)
from hashscan.text import shown

#: For each command: its name, its module below this package, and its line in ``hashscan --help``.
COMMANDS = {
    "scan": ("scan", "Scan volumes once: hash, ask the filter, confirm, act."),
    "check": ("check", "Say whether a file or a digest is known. Nothing is moved."),
    "daemon": ("daemon", "Run as a service: watch, scan by schedule, sync and confirm."),
    "sync": ("sync", "Fetch and verify the newest filters of a repository."),
    "status": ("status", "Show on one screen whether hashscan works, waiting work and findings."),
    "quarantine": ("quarantine", "List, show, restore, export, purge and verify isolated files."),
    "hold": ("hold", "Show the matches that the brakes hold, and release or dismiss them."),
    "notice": ("notice", "Take notices of hotlines and authorities, work on them, and answer."),
    "notify": ("notify", "Test whether notifications reach their receivers."),
    "report": ("report", "Report how fast reported files were removed, and all matches."),
    "allow": ("allow", "Build an allow-list of stock files, and explain its digests."),
    "history": ("history", "Show what hashscan did and who caused it; verify the audit log."),
    "filter": ("filter", "Build a filter from digest lists, or check a filter."),
    "repository": ("repository", "Publish signed filters as static files."),
    "service": ("service", "Run the reference central service, for pilots and tests."),
    "config": ("config", "Write, check and show the configuration."),
    "doctor": ("doctor", "Find faults that keep hashscan from working, and their fixes."),
    "demo": ("demo", "Run the whole job on a sample volume, without root."),
}


_PLUGIN_UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Options:
    """The values of the options that are before the command's name.

    Attributes:
        config_path: the value of ``--config``; ``None``: the option was not given.
        verbosity: -1 quiet, 0 normal, 1 and more verbose.
    """

    config_path: str | None = None
    verbosity: int = 0


class LazyGroup(click.Group):
    """A group of commands by name; imports the module of a command when the command is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order in which a new user needs the commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return the command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hashscan.cli.{COMMANDS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command by its name; the error for an unknown name suggests similar names.

        Click itself would search ``commands`` for similar names, but this dictionary is empty.
        """
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            import difflib  # noqa: PLC0415 - only this error needs the library

            typed = name.lower()
            begun = [one for one in COMMANDS if len(typed) > 1 and one.startswith(typed)]
            similar = " or ".join(
                f"'{one}'" for one in begun or difflib.get_close_matches(typed, COMMANDS)
            )
            hint = f" Did you mean {similar}?" if similar else ""
            ctx.fail(f"No such command '{name}'.{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself would take every broken pipe for standard output's."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise MachineError(A_PROCESS_DIED) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing their modules."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 nothing found, 1 matches found, 2 usage or configuration, or a limit of "
    "the machine, e.g. no memory or no space, 3 some files could not be read, 4 another instance "
    "holds the lock, 5 filter missing, expired or unverified, 6 service unreachable or refusing, "
    "70 internal error, 130 interrupted, or standard output could not be written.",
)
@click.option(
    "--config",
    "config_path",
    metavar="FILE",
    help="Configuration file; default: /etc/hashscan/config.yaml. For users other than root, "
    "~/.config/hashscan/config.yaml if this file exists.",
)
@click.option(
    "-v",
    "--verbose",
    count=True,
    help="Name on stderr the known set, filters, volumes and state in use.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only faults that need an administrator.")
@click.version_option(__version__, prog_name="hashscan")
@click.pass_context
def cli(ctx: click.Context, config_path: str | None, verbose: int, quiet: bool) -> None:
    """Find known child-abuse material on this server by digest, and quarantine it.

    Files are read to compute digests; their content is never rendered, displayed or sent. Only
    digests of candidates leave the machine, and only to the configured service.
    """
    if verbose and quiet:
        raise click.UsageError("-v and -q exclude each other")
    ctx.obj = Options(config_path, -1 if quiet else verbose)


def main() -> None:
    """Run a command, and end the process with its exit code: the console script's entry point."""
    if sys.getfilesystemencoding() != "utf-8":
        interpreter.require()
    _start_lightly()
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as name:
        name.write("hashscan")  # so that ps and pgrep show "hashscan" in place of "python"
    # At its usual end, Python would wait for threads that still run.
    os._exit(_run())


def _start_lightly() -> None:
    """Switch off two steps that take most of a short command's time besides the imports."""
    # Imported modules are never garbage: a hundred searches of their objects would find no garbage.
    gc.set_threshold(100_000, 20, 20)
    # Without this setting, pydantic searches every installed package for plugins, and runs them.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"


def _refuse_shell_mistakes(words: list[str]) -> None:
    """Raise for an empty argument, and for a path below a ``~`` that no shell has replaced.

    An empty path means the working directory: ``hashscan scan "$DIR"`` without ``DIR`` would scan
    this directory. A ``~`` would become the name of a new directory.

    Raises:
        UsageError: an argument is empty, or begins with ``~``.
    """
    for before, word in zip(["hashscan", *words], words, strict=False):
        if word == "" or re.fullmatch("--[a-z-]+=", word):
            raise UsageError(
                f"nothing is written after {shown(word or before)}: is a variable of the shell"
                " empty? For the working directory write ."
            )
        path = re.sub("^(--[a-z-]+=|-[a-zA-Z])", "", word)
        if path == "~" or path.startswith("~/"):
            raise UsageError(
                f"{shown(word)}: the shell has not replaced the ~ by a home directory; write the "
                f"full path, or ./{shown(path)} for a file of that name"
            )


def _run() -> int:
    try:
        open_standard_streams()
        _refuse_shell_mistakes(sys.argv[1:])
        code = cli.main(standalone_mode=False, prog_name="hashscan")
    except click.exceptions.Abort:
        return ExitCode.INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        message = _misplaced(error) or error.format_message()
        code = _complain(shown(message), ExitCode.USAGE)
        if code == ExitCode.USAGE and isinstance(error, click.UsageError) and error.ctx is not None:
            _print_message(f"Try '{error.ctx.command_path} --help'.")
        return code
    except KeyboardInterrupt:
        _print_message("hashscan: interrupted")
        return ExitCode.INTERRUPTED
    except HashscanError as error:
        return _complain(with_cause(error), exit_code_with_cause(error))
    except Exception as error:  # noqa: BLE001 - any other error: a message with its fix, or a trace
        machine = as_machine_error(error)
        if machine is None:
            return _internal(error)
        return _complain(str(machine), machine.exit_code)
    return code if isinstance(code, int) else ExitCode.NOTHING_FOUND


def _misplaced(error: click.ClickException) -> str:
    """Return a hint on the right place of a misplaced option; empty: no command has the option."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return ""
    option, path = error.option_name, error.ctx.command_path
    if error.ctx.parent is not None:
        if not _has_option(cli, option):
            return ""
        command = path.removeprefix("hashscan ")
        return f"'{option}' is written before the command: hashscan {option} ... {command}"
    name = next((word for word in sys.argv[1:] if word in COMMANDS), None)
    command_of = None if name is None else cli.get_command(error.ctx, name)
    if command_of is None or not _has_option(command_of, option):
        return ""
    return f"'{option}' is written after the command: hashscan {name} {option}"


def _has_option(command: click.Command, option: str) -> bool:
    return any(option in one.opts for one in command.params)


def _internal(error: Exception) -> int:
    import traceback  # noqa: PLC0415

    with contextlib.suppress(OSError):
        traceback.print_exc()
    return _complain(
        f"internal error: {type(error).__name__}: {error}; please report it with the lines above",
        ExitCode.INTERNAL,
    )


def _complain(message: str, code: int) -> int:
    """Report the error that ends the command; return its exit code, for ``--nagios`` UNKNOWN."""
    if "--nagios" in sys.argv:  # A monitoring system reads the usual exit code 2 as CRITICAL.
        with contextlib.suppress(HashscanError):
            click.echo(f"HASHSCAN UNKNOWN - {message}")
        return _PLUGIN_UNKNOWN
    _print_message(f"hashscan: error: {message}")
    return code


def _print_message(message: str) -> None:
    with contextlib.suppress(OSError):
        click.echo(message, err=True)
