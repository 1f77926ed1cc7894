"""``hashscan notice serve``: takes notices over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashscan.cli.common import Number, open_own_settings, state_option
from hashscan.cli.listening import listening_options, parsed_listen
from hashscan.service import require_extra

if TYPE_CHECKING:
    from hashscan.cli import Options


@click.command("serve")
@listening_options("127.0.0.1:8480", unix=True)
@click.option(
    "--socket-group", metavar="GROUP", help="With unix:PATH: this group may connect, too."
)
@click.option(
    "--rate",
    metavar="N",
    type=Number(0.01, 1e6),
    default=50.0,
    show_default=True,
    help="Requests a second with one token; more get 429 and Retry-After.",
)
@click.option(
    "--audit-days",
    metavar="N",
    type=Number(0.01),
    help="Remove older requests from the audit.  [default: nothing is removed]",
)
@state_option
@click.pass_obj
def command(
    options: Options,
    listen: str,
    tls_certificate: str | None,
    tls_key: str | None,
    behind_proxy: bool,
    socket_group: str | None,
    rate: float,
    audit_days: float | None,
    state: str | None,
) -> None:
    """Take notices over HTTP: POST /api/v1/reports, as SCART's add-on for providers calls it.

    Each request needs a token of 'hashscan notice token add'. A report is answered when it is on
    the disk. The daemon may run at the same time. SIGTERM ends it.
    """
    require_extra("the intake of notices")
    from hashscan.service.intake.serve import IntakeOptions, serve  # noqa: PLC0415 - an extra

    place = parsed_listen(listen, unix=True)
    if socket_group is not None and "path" not in place:
        raise click.UsageError("--socket-group is for --listen unix:PATH")
    _, opened = open_own_settings(options, state)
    serve(
        opened,
        IntakeOptions(
            **place,
            group=socket_group,
            certificate=tls_certificate,
            key=tls_key,
            behind_proxy=behind_proxy,
            rate=rate,
            audit_days=audit_days,
        ),
        lambda message: click.echo(f"hashscan: {message}", err=True),
    )
