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
    """What stands in the way on this machine, and the fix for each.

    Looks at the volumes, at how each will be watched and why, at the filters, at the way to the
    service, the quarantine and the kernel. Nothing is changed. The service is asked for a random
    digest, as a test, with the password; no digest of a file is sent.

    Exit code 0: nothing fails. Else that of the first that does: 2 configuration, 3 not all can be
    watched, 5 a filter, 6 the service cannot be reached.
    """
    from hashscan.daemon.doctor import examine  # noqa: PLC0415 - heavy
    from hashscan.report.jsonl import line  # noqa: PLC0415

    code = ExitCode.NOTHING_FOUND
    for one in examine(open_configuration(options, state, check_files=False)):
        if one.result == "fail" and code == ExitCode.NOTHING_FOUND:
            code = one.code
        if as_json:
            told = line("check", name=one.name, result=one.result, message=one.message, fix=one.fix)
        else:
            told = f"{_SIGNS[one.result]}{one.name}: {one.message}"
            told += f"\n     -> {one.fix}" if one.fix else ""
        click.echo(told)
    return code
