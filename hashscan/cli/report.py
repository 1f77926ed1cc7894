"""``hashscan report``: prints the figures of a period."""

from __future__ import annotations

import time
from datetime import UTC
from typing import TYPE_CHECKING, Any, ClassVar

import click
from click.core import ParameterSource

from hashscan.cli.common import (
    OptionalGroup,
    PathNotLookedAt,
    open_own_configuration,
    state_option,
    write_output,
)
from hashscan.cli.quarantine_restore_many import moment
from hashscan.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.cli import Options
    from hashscan.report.figures import Report

since_option = click.option(
    "--since",
    metavar="TIME",
    default="30d",
    show_default=True,
    help="Beginning of the period: a date or time, in UTC unless the time names a zone, or an age.",
)
until_option = click.option(
    "--until",
    metavar="TIME",
    help="End of the period; if it is a date, that day is not in the period; default: now.",
)
FORMATS = ("text", "json", "csv", "html")


class ReportGroup(OptionalGroup):
    """The group of ``report`` itself and ``report xarf``."""

    modules: ClassVar = {"xarf": "report_xarf"}


@click.group("report", cls=ReportGroup, invoke_without_command=True)
@since_option
@until_option
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Format of the report; default: text, or csv with --intake-log.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=PathNotLookedAt(),
    help="Write the report to a new file, mode 600.",
)
@click.option("--force", is_flag=True, help="If the file of -o exists, replace it.")
@click.option(
    "--names",
    is_flag=True,
    help="Print the paths of volumes, and the URLs, paths and digests of open items.",
)
@click.option(
    "--intake-log",
    is_flag=True,
    help="Instead of the report, print a line for each item, as CSV: url, channel, sent, received,"
    " removed, reference.",
)
@state_option
@click.pass_context
def command(context: click.Context, /, **given: Any) -> ExitCode | None:
    """Report on a period: notices, hours to removal, matches, coverage and filters.

    The report counts the items of notices that were received in the period, by their present
    states. Without --names, the report has no path, customer or URL. docs/report.md says how each
    figure is computed. Exit code 3: a part of the state could not be read, and its figures are
    missing.
    """
    if context.invoked_subcommand is not None:
        if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in given):
            raise UsageError(
                "options of another command are written after its name: hashscan report"
                f" {context.invoked_subcommand} --since 7d"
            )
        return None
    return _report(context.obj, **given)


def period(since: str, until: str | None, now: float) -> tuple[float, float]:
    """Return the beginning and end of the report's period, in seconds since the epoch.

    Raises:
        UsageError: a time in the options is wrong, or the period has no length.
    """
    begin = moment(since, zone=UTC)
    end = now if until is None else moment(until, "--until", UTC)
    if begin >= end:
        raise UsageError("the period is empty: --since must be before --until")
    return begin, end


def _report(
    options: Options,
    *,
    since: str,
    until: str | None,
    form: str | None,
    as_json: bool,
    output: str | None,
    force: bool,
    names: bool,
    intake_log: bool,
    state: str | None,
) -> ExitCode:
    now = time.time()
    begin, end = period(since, until, now)
    if force and output is None:
        raise UsageError("--force is for the file of -o; add -o FILE")
    form = _form(form, as_json=as_json, intake_log=intake_log)
    settings = open_own_configuration(options, state)
    if intake_log:
        from hashscan.jobs.report import intake_of  # noqa: PLC0415 - heavy
        from hashscan.report.as_csv import intake_log as log_of  # noqa: PLC0415

        write_output(log_of(intake_of(settings, begin, end)), output, force=force)
        return ExitCode.NOTHING_FOUND
    from hashscan.jobs.report import report_of  # noqa: PLC0415 - heavy

    report, faults = report_of(settings, begin, end, made=now, names=names)
    write_output(_printed(report, form), output, force=force)
    for part, why in faults.items():
        click.echo(f"hashscan: the report lacks the figures of the {part}: {why}", err=True)
    return ExitCode.UNREADABLE if faults else ExitCode.NOTHING_FOUND


def _form(form: str | None, *, as_json: bool, intake_log: bool) -> str:
    if intake_log:
        if as_json or form not in {None, "csv"}:
            raise UsageError("--intake-log is CSV: leave out --format and --json")
        return "csv"
    if as_json and form not in {None, "json"}:
        raise UsageError("--json and --format exclude each other")
    return "json" if as_json else form or "text"


def _printed(report: Report, form: str) -> Iterator[bytes]:
    # Import only the module of the chosen format, because a report by cron must start fast.
    if form == "json":
        from hashscan.report.as_json import as_json  # noqa: PLC0415

        yield as_json(report).encode() + b"\n"
    elif form == "csv":
        from hashscan.report.as_csv import as_csv  # noqa: PLC0415

        yield as_csv(report)
    elif form == "html":
        from hashscan.report.as_html import as_html  # noqa: PLC0415

        yield as_html(report)
    else:
        from hashscan.report.as_text import as_text  # noqa: PLC0415

        yield as_text(report).encode("utf-8", "backslashreplace")
