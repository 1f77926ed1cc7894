"""``hashscan doctor``: finds faults of the machine and the configuration, and their fixes."""

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
    """Find out what keeps hashscan from working on this machine, and how to fix each fault.

    The command checks the volumes and the way in which each volume will be watched, the filters,
    the connection to the service, the quarantine, the Maildir of notices, the kernel, and whether
    other users can change the files that hashscan trusts. The command changes nothing. As a test,
    the command asks the service for a random digest, with the password; it sends no digest of a
    file.

    Exit code 0: no check fails. Otherwise the first failure of this list decides: 2 the
    configuration cannot be used, 3 a volume cannot be watched whole, 5 a filter cannot be used, 6
    the service cannot be reached or refuses the password.
    """
    from hashscan.jobs.doctor import examine  # noqa: PLC0415 - heavy
    from hashscan.output.jsonl import line  # noqa: PLC0415
    from hashscan.output.wrapping import for_terminal  # noqa: PLC0415

    code = ExitCode.NOTHING_FOUND
    for check in examine(open_configuration(options, state, check_files=False)):
        if check.result == "fail" and code == ExitCode.NOTHING_FOUND:
            code = check.code
        if as_json:
            text = line(
                "check", name=check.name, result=check.result, message=check.message, fix=check.fix
            )
        else:
            text = f"{_SIGNS[check.result]}{check.name}: {check.message}"
            text += f"\n     -> {check.fix}" if check.fix else ""
            text = for_terminal(text, 8)
        click.echo(text)
    return code
