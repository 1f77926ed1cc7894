"""``hashscan daemon``: runs the daemon in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashscan.cli.common import json_option, open_configuration, open_settings, state_option

if TYPE_CHECKING:
    from hashscan.cli import Options
    from hashscan.errors import ExitCode


@click.command("daemon")
@json_option
@state_option
@click.pass_obj
def command(options: Options, as_json: bool, state: str | None) -> ExitCode:
    """Watch the configured volumes, scan by schedule, sync filters, confirm pending candidates.

    A service manager starts this command. The daemon stays in the foreground, logs to stderr,
    notifies systemd when it is ready, reads its configuration again on SIGHUP and ends on SIGTERM.
    'hashscan status' shows the daemon's work. 'hashscan scan' and 'hashscan quarantine' may run at
    the same time.

    With --json, matches and summaries are JSON lines on stdout, and the log is JSON lines on
    stderr.
    """
    from hashscan.daemon.daemon import run_daemon  # noqa: PLC0415 - heavy
    from hashscan.daemon.log import standard_log  # noqa: PLC0415

    # A missing or dead volume must not stop the work on other volumes.
    settings, directory = open_settings(options, state)
    log = standard_log(as_json=as_json, verbosity=options.verbosity)
    return run_daemon(settings, directory, lambda: open_configuration(options, state), log)
