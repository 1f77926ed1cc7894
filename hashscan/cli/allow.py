"""``hashscan allow``: makes an allow-list, and shows the origin of a digest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import json_option, open_configuration, state_option
from hashscan.errors import ExitCode, UsageError
from hashscan.output.jsonl import line
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from hashscan.cli import Options
    from hashscan.config.settings import Settings
    from hashscan.quarantine.dismissed_digests import DismissedContent

#: Number of files between two lines about the progress.
_EVERY = 10_000


@click.group("allow")
def command() -> None:
    """Make a list of files that must never be moved, and explain its digests."""


@command.command("build")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-o", "--output", required=True, metavar="FILE", help="The allow-list to make.")
@click.option(
    "--min-size",
    metavar="BYTES",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Leave out files smaller than this.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@json_option
def build_command(
    inputs: tuple[str, ...], output: str, min_size: int, force: bool, as_json: bool
) -> None:
    """Make an allow-list of stock files: WordPress, Joomla, themes, plugins.

    INPUT: a directory (/usr/share/wordpress), an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz,
    .tar.zst; nothing is extracted) or a digest list. The allow-list has MD5, SHA-1 and SHA-256 of
    each file and its origin; name the allow-list in `allow` in the configuration. Links, empty and
    small files are left out. If an input cannot be read to its end, the command writes no
    allow-list.
    """
    from hashscan.jobs.allow_build import build_allow_list  # noqa: PLC0415 - heavy

    def progress(count: int) -> None:
        if count % _EVERY == 0 and not as_json:
            click.echo(f"{count:,} files", err=True)

    built = build_allow_list(inputs, output, min_size=min_size, force=force, on_file=progress)
    for remark in built.remarks:
        click.echo(remark, err=True)
    if as_json:
        click.echo(
            line(
                "allow-list",
                path=output,
                contents=built.contents,
                files=built.files,
                duplicates=built.duplicates,
                left_out=dict(built.left_out.most_common()),
            )
        )
        return
    left_out = ", ".join(f"{count:,} {why}" for why, count in built.left_out.most_common() if count)
    click.echo(
        f"{shown(output)}: {counted(built.contents, 'content')} of {counted(built.files, 'file')}; "
        f"left out: {left_out or 'nothing'}"
    )
    click.echo(
        f"add {shown(os.path.abspath(output))} to 'allow' in the configuration; if the daemon "
        "runs, reload it: systemctl reload hashscan"
    )


@command.command("show")
@click.argument("digests", nargs=-1, required=True, metavar="DIGEST...")
@click.option(
    "--list",
    "lists",
    metavar="FILE",
    multiple=True,
    help="Search this list in place of the configured lists.",
)
@state_option
@json_option
@click.pass_obj
def show_command(
    options: Options,
    digests: tuple[str, ...],
    lists: tuple[str, ...],
    state: str | None,
    as_json: bool,
) -> ExitCode:
    """Show the stock file that has a digest, or who allowed the digest.

    The command searches the lists that `allow build` made and, without --list, the digests that
    `hold dismiss` allowed. Exit code 0: each DIGEST is in a list. Exit code 1: a DIGEST is in no
    list.
    """
    from hashscan.cli.quarantine_restore import to_digest  # noqa: PLC0415
    from hashscan.known.allow import origin_in  # noqa: PLC0415

    paths, by_hand, entries = lists, "", list["DismissedContent"]()
    if not lists:
        settings = open_configuration(options, state, check_files=False)
        paths = settings.allow
        by_hand, entries = _dismissed(settings)
    if not paths and not entries:
        raise UsageError("there is no allow-list: name one in `allow`, or give --list FILE")
    missing = False
    for text in digests:
        digest = to_digest(text)
        found = {path: origin for path in paths if (origin := origin_in(path, digest))}
        found |= [(by_hand, one.origin) for one in entries if digest in one.digests]
        missing = missing or not found
        if as_json:
            named = {digest.algorithm: digest.hex}
            for path, origin in found.items():
                click.echo(line("allowed", digest=named, list=path, origin=origin))
            if not found:
                click.echo(line("allowed", digest=named, list=None, origin=None))
            continue
        for path, origin in found.items():
            click.echo(f"{digest.hex}: {shown(path)}: {shown(origin)}")
        if not found:
            click.echo(f"{digest.hex}: in no list that 'allow build' made, nor dismissed", err=True)
    return ExitCode.MATCHES if missing else ExitCode.NOTHING_FOUND


@command.command("list")
@state_option
@json_option
@click.pass_obj
def list_command(options: Options, state: str | None, as_json: bool) -> None:
    """List the configured allow-lists, and the contents that `hold dismiss` allowed.

    For each dismissed content, the command prints the hold, the user, the time, the reason and the
    digests.
    """
    settings = open_configuration(options, state, check_files=False)
    path, entries = _dismissed(settings)
    for one in settings.allow:
        click.echo(line("allow-list", path=one) if as_json else shown(one))
    for entry in entries:
        named = {digest.algorithm: digest.hex for digest in entry.digests}
        if as_json:
            facts = {"hold": entry.hold, "who": entry.who, "time": entry.time, "why": entry.reason}
            click.echo(line("dismissed", digest=named, list=path, **facts))
            continue
        click.echo(f"{shown(path)}: {shown(entry.origin)}")
        for algorithm, text in named.items():
            click.echo(f"    {algorithm:6}  {text}")
    if not settings.allow and not entries and not as_json:
        click.echo("no file is allowed: `allow` names no list, and no hold was dismissed")


def _dismissed(settings: Settings) -> tuple[str, list[DismissedContent]]:
    """Return the path of the local allow-list, and the entries of this list."""
    from hashscan.errors import ServiceError  # noqa: PLC0415
    from hashscan.quarantine.dismissed_digests import entries_of  # noqa: PLC0415
    from hashscan.state import State  # noqa: PLC0415 - heavy

    path = State(settings.state, make=False).dismissed
    try:
        return path, entries_of(path)
    except ServiceError as error:
        click.echo(str(error), err=True)
        return path, []
