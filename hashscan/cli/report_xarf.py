"""``hashscan report xarf``: writes reports on matches and removed items in XARF v4."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import (
    PathNotLookedAt,
    open_own_configuration,
    state_option,
    write_output,
)
from hashscan.cli.report import period, since_option, until_option
from hashscan.config.settings import require_organisation
from hashscan.durable import make_directories
from hashscan.errors import ExitCode, MachineError
from hashscan.text import counted, said_by, shown

if TYPE_CHECKING:
    from hashscan.cli import Options

_STDOUT = "-"


@click.command("xarf")
@click.argument("identifiers", metavar="[ID]...", nargs=-1)
@since_option
@until_option
@click.option(
    "-o",
    "--output",
    metavar="DIR|-",
    type=PathNotLookedAt(),
    default=_STDOUT,
    help="Directory for a file for each report; existing files are kept. With -, the default,"
    " each report is printed as one line.",
)
@state_option
@click.pass_context
def command(
    context: click.Context,
    identifiers: tuple[str, ...],
    since: str,
    until: str | None,
    output: str,
    state: str | None,
) -> ExitCode:
    """Report matches and removed items in XARF v4.

    The reports have XARF's type content/csam, and never contain a file. With the ID of a notice,
    the command reports only the items of this notice. Without an ID, the command reports matches
    that were found in the period, and items that were located or removed in the period. Exit code
    3: the URL or the classification of a match or an item is not known; a message names the match
    or item. The same match has the same report id each time, until the file is removed.
    """
    from hashscan.jobs.report_xarf import WantedReports, abuses  # noqa: PLC0415 - heavy
    from hashscan.report.xarf import NotReported, report_of  # noqa: PLC0415

    options: Options = context.obj
    begin, end = period(since, until, time.time())
    settings = open_own_configuration(options, state)
    organisation = require_organisation(settings)
    written = kept = refused = 0
    for one in abuses(settings, WantedReports(begin, end, identifiers)):
        found = one
        if not isinstance(one, NotReported):
            report = report_of(one, organisation, settings.notices.classifications)
            if not isinstance(report, NotReported):
                new = _write(report, output)
                written, kept = written + new, kept + (not new)
                continue
            found = report
        assert isinstance(found, NotReported)
        refused += 1
        click.echo(f"hashscan: {found.name} is not reported: {found.why}", err=True)
    if output != _STDOUT:
        existed = f", {kept:,} existed already" if kept else ""
        click.echo(f"{counted(written, 'report')} in {shown(output)}{existed}")
    elif not written and not refused and options.verbosity >= 0:
        click.echo("hashscan: there is nothing to report", err=True)
    return ExitCode.UNREADABLE if refused else ExitCode.NOTHING_FOUND


def _write(report: dict[str, object], output: str) -> bool:
    """Write a XARF report; return False if the file of the report exists already.

    Raises:
        MachineError: the file of the report cannot be written.
        OutputError: standard output cannot be written.
    """
    if output == _STDOUT:
        click.echo(json.dumps(report))
        return True
    path = os.path.join(output, f"{report['report_id']}.json")
    try:
        make_directories(output)
    except OSError as error:
        raise MachineError(f"{shown(output)}: cannot be made: {said_by(error)}") from error
    if os.path.lexists(path):
        return False
    write_output([json.dumps(report, indent=1).encode() + b"\n"], path, force=False)
    return True
