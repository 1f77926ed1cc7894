"""``hashscan scan``: scans volumes once."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal

import click

from hashscan.cli.common import (
    PathNotLookedAt,
    json_option,
    known_option,
    only_category_option,
    open_configuration,
    open_own_settings,
    open_settings,
    state_option,
)
from hashscan.cli.streams import check_reader
from hashscan.errors import ConfigError, HashscanError, OutputError

if TYPE_CHECKING:
    from hashscan.cli import Options
    from hashscan.config.settings import Settings
    from hashscan.reporter import Reporter
    from hashscan.state import State


@click.command("scan")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=PathNotLookedAt())
@known_option
@only_category_option
@click.option(
    "--action",
    type=click.Choice(["report", "quarantine"]),
    help="The action on matches; default: the configuration's action, or report with --known or"
    " without a configuration.",
)
@click.option("--full", is_flag=True, help="Hash every file, even if it did not change.")
@click.option(
    "--no-tiers",
    is_flag=True,
    help="Hash every file, even if its size or first block shows that the file is not known.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Number of worker processes; default: the cores that hashscan may use.",
)
@json_option
@state_option
@click.pass_obj
def command(
    options: Options,
    paths: tuple[str, ...],
    known: tuple[str, ...],
    only_categories: tuple[str, ...],
    action: Literal["report", "quarantine"] | None,
    full: bool,
    no_tiers: bool,
    jobs: int | None,
    as_json: bool,
    state: str | None,
) -> int:
    """Scan volumes once: walk, hash, ask the filter, confirm, act.

    PATH is a directory; without PATH, the command scans the configured volumes. Files that did not
    change since the last scan are not read again. Ctrl-C ends a scan, and the next scan continues
    the interrupted scan.

    \b
    hashscan scan /srv/www --known digests.txt
    hashscan scan --action quarantine
    """  # noqa: D301 - click knows the character that \b stands for
    from hashscan.jobs.scan import run_scan  # noqa: PLC0415 - heavy
    from hashscan.output.bar import build_bar  # noqa: PLC0415

    if known:
        settings, directory = open_own_settings(options, state, check_files=not paths)
    else:
        try:
            settings, directory = open_settings(options, state)
        except ConfigError as error:
            report_refused(options, state, error)
            raise
    try:
        code = run_scan(
            settings,
            directory,
            reporter(options, as_json=as_json),
            paths=paths,
            lists=known,
            only_categories=only_categories,
            action=action,
            full=full,
            tiers=not no_tiers,
            jobs=jobs,
            building=partial(build_bar, sys.stderr),
            verbose=options.verbosity > 0,
            before_act=check_reader,
        )
    except OutputError as error:
        raise OutputError(
            str(error),
            "the scan stops here and moves nothing more. 'hashscan quarantine list' names every"
            " file that was moved; the same command goes on from here",
        ) from error
    finally:
        # A scan with another state directory must not replace the metrics of the configured state.
        if not known and state is None:
            write_metrics(settings, directory)
    return code


def report_refused(options: Options, state: str | None, error: ConfigError) -> None:
    """Notify the receivers if ``error`` says that a file of the configuration cannot be used."""
    from hashscan.jobs.scan_problems import note_refused  # noqa: PLC0415 - heavy
    from hashscan.state import State  # noqa: PLC0415

    # The caller reports ``error``; an error of the notification must not replace ``error``.
    with suppress(HashscanError):
        settings = open_configuration(options, state, check_files=False)
        if os.path.isdir(settings.state):
            note_refused(
                settings,
                State(settings.state),
                error,
                lambda text: click.echo(f"hashscan: {text}", err=True),
            )


def write_metrics(settings: Settings, directory: State) -> None:
    """Write ``metrics.textfile`` after a scan, unless a daemon writes it; report a failure."""
    from hashscan.jobs.daemon_status import status_of_running_daemon  # noqa: PLC0415 - heavy

    path = settings.metrics.textfile
    if path is None or status_of_running_daemon(directory) is not None:
        return
    from hashscan.metrics.collect import collect, page, write_textfile  # noqa: PLC0415 - heavy

    try:
        write_textfile(path, page(collect(settings)))
    except HashscanError as error:
        click.echo(f"hashscan: metrics.textfile: {error}", err=True)


def reporter(options: Options, *, as_json: bool) -> Reporter:
    """Return the printer of the scan's results: JSON lines, or text with a progress bar."""
    from hashscan.output.bar import ScanBar  # noqa: PLC0415

    bar = ScanBar(sys.stderr)
    click.get_current_context().call_on_close(bar.clear)
    quiet = options.verbosity < 0
    if as_json:
        from hashscan.output.jsonl import JsonReporter  # noqa: PLC0415

        return JsonReporter(
            sys.stdout,
            sys.stderr,
            on_progress=(lambda _: None) if quiet else bar.show,
            on_line=bar.clear,
        )
    from hashscan.output.text import TextReporter  # noqa: PLC0415

    return TextReporter(
        sys.stdout,
        sys.stderr,
        quiet=quiet,
        on_progress=(lambda _: None) if quiet else bar.show,
        on_line=bar.clear,
    )
