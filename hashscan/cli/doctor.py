"""``hashscan doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashscan.cli.common import json_option, open_configuration, state_option
from hashscan.errors import ExitCode

if TYPE_CHECKING:
    from hashscan.cli import Options

_SIGNS = {"ok": "ok   ", "note": "note ", "fail": "FAIL "}


@click.command("doctor")
@state_option
@json_option
@click.pass_obj
def command(options: Options, state: str | None, as_json: bool) -> ExitCode:
    """Find out what stands in the way on this machine, with the fix for each.

    Checks the volumes, how each will be watched and why, the filters, the way to the service, the
    quarantine, the Maildir of notices, the kernel, and whether others can change the files that
    hashscan believes. Nothing is changed. The service is asked for a random digest, as a test, with
    the password; no digest of a file is sent.

    Exit code 0: nothing fails. Else the first failure decides: 2 the configuration, 3 not all can
    be watched, 5 a filter, 6 the service cannot be reached or refuses the password.
    """
    from hashscan.jobs.doctor import examine  # noqa: PLC0415 - heavy
    from hashscan.output.jsonl import line  # noqa: PLC0415
    from hashscan.output.wrapping import for_terminal  # noqa: PLC0415

    code = ExitCode.NOTHING_FOUND
    for one in examine(open_configuration(options, state, check_files=False)):
        if one.result == "fail" and code == ExitCode.NOTHING_FOUND:
            code = one.code
        if as_json:
            told = line("check", name=one.name, result=one.result, message=one.message, fix=one.fix)
        else:
            told = f"{_SIGNS[one.result]}{one.name}: {one.message}"
            told += f"\n     -> {one.fix}" if one.fix else ""
            told = for_terminal(told, 8)
        click.echo(told)
    return code
