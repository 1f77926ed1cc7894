"""``hashscan sync``: fetches and verifies the newest filters."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import json_option, open_settings, state_option
from hashscan.text import rfc3339, shown

if TYPE_CHECKING:
    from hashscan.cli import Options
    from hashscan.errors import ExitCode
    from hashscan.known.sync.client import CategoryReport, SyncReport


_WAYS = {"patch": "updated by a patch", "whole": "fetched whole"}


@click.command("sync")
@state_option
@json_option
@click.option(
    "--spread",
    is_flag=True,
    help="Wait first, for this host's share of filter.refresh, so that many hosts that start at"
    " the same minute do not ask at the same second.",
)
@click.pass_obj
def command(options: Options, state: str | None, as_json: bool, spread: bool) -> ExitCode:
    """Fetch and verify the newest filters of the configured repository.

    The command checks the signatures, the length, the digest and the content of a new filter, and
    then replaces the filter in use in one step. If a check fails, the filter in use stays valid
    until filter.max_age after its last verification.

    Exit code 0: the filters of all categories are the newest. Exit code 5: a file of the repository
    was refused, because the file is not authentic, whole and recent. Exit code 6: the repository
    cannot be reached, refuses the credentials, or answers wrongly.
    """
    from hashscan.jobs.sync import run_sync, source_of  # noqa: PLC0415 - heavy

    settings, directory = open_settings(options, state, check_files=False)
    source_of(settings)
    assert settings.filter is not None
    if spread:
        _wait(settings.filter.refresh, quiet=options.verbosity < 0)
    report = run_sync(settings, directory, on_notice=_notice)
    if as_json:
        _print_json(report)
    else:
        for one in report.categories:
            _print(one, settings.filter.max_age, quiet=options.verbosity < 0)
    return report.exit_code


def _wait(interval: float, *, quiet: bool) -> None:
    from hashscan.known.sync.repository_settings import sync_offset  # noqa: PLC0415

    offset = sync_offset(socket.getfqdn(), interval)
    if not quiet:
        _notice(f"waiting {offset:.0f} s: this host's share of filter.refresh")
    time.sleep(offset)


def _notice(message: str) -> None:
    click.echo(f"hashscan: {message}", err=True)


def _print(result: CategoryReport, max_age: float, *, quiet: bool) -> None:
    name = shown(result.category)
    if result.state in {"updated", "current"}:
        if not quiet:
            change = "the newest already"
            if result.state == "updated":
                change = _WAYS[result.way] if result.way else "the same filter, with other tiers"
            click.echo(f"{name}: {result.digests:,} digests, {change}, version {result.version}")
        return
    click.echo(f"hashscan: error: {name}: {result.message}", err=True)
    if result.verified is None:
        text = "there is no filter of it to be used: scans end with exit code 5 until a sync works"
    elif result.verified + max_age < time.time():
        text = "the filter in use is too old (filter.max_age): scans end with exit code 5"
    else:
        until = rfc3339(result.verified + max_age)
        text = f"the filter in use stays, until {until} (filter.max_age)"
    click.echo(f"hashscan: {name}: {text}", err=True)


def _print_json(report: SyncReport) -> None:
    from hashscan.output.jsonl import line  # noqa: PLC0415

    for one in report.categories:
        click.echo(
            line(
                "filter",
                category=one.category,
                state=one.state,
                version=one.version,
                digests=one.digests,
                verified=None if one.verified is None else rfc3339(one.verified),
                way=one.way,
                message=one.message,
                fault=one.fault,
            )
        )
    click.echo(
        line(
            "sync",
            source=report.source,
            fetched=report.fetched,
            retry_after=report.retry_after,
            exit_code=int(report.exit_code),
        )
    )
