"""``hashscan notice sites``: shows the file of this machine that a URL leads to, and why."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import json_option, open_configuration
from hashscan.errors import ExitCode, exit_code_of
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.cli import Options
    from hashscan.notices.sites.location import Location


@click.command("sites")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@json_option
@click.pass_obj
def command(options: Options, urls: tuple[str, ...], as_json: bool) -> int:
    """Show the file of this machine that a URL leads to.

    The command finds the file by the setting `sites`, and shows each step from the URL to the file.
    The command fetches nothing. The command reads configurations of web servers, .htaccess files
    included, and no other file. Exit code 3: for a URL, the file cannot be decided.
    """
    from hashscan.notices.sites.location import LocationKind  # noqa: PLC0415
    from hashscan.notices.sites.sites import Sites  # noqa: PLC0415
    from hashscan.notices.values import refang  # noqa: PLC0415 - heavy

    sites = Sites(open_configuration(options, None, check_files=False).sites)
    codes = {ExitCode.NOTHING_FOUND}
    for url in map(refang, urls):
        location = sites.locate(url)
        if location.kind is LocationKind.UNDECIDED:
            codes.add(ExitCode.UNREADABLE)
        _print(url, location, as_json=as_json)
    return exit_code_of(codes)


def _print(url: str, location: Location, *, as_json: bool) -> None:
    if as_json:
        from hashscan.output.jsonl import line  # noqa: PLC0415

        click.echo(
            line(
                "site",
                url=url,
                kind=location.kind.value,
                root=os.fsdecode(location.root) or None,
                path=os.fsdecode(location.full) or None,
                script=location.script or None,
                why=location.why,
            )
        )
        return
    place = f" {shown(location.full)}" if location.full else ""
    click.echo(f"{shown(url)}: {location.kind.value}{place}")
    for step in location.why:
        click.echo(f"  {step}")
