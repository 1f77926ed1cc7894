"""``hashscan notice serve``: takes notices over HTTP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from hashscan.audit.recorder import Recorder
from hashscan.cli.common import Number, open_own_settings, state_option
from hashscan.cli.http_options import listening_options, parsed_listen
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
    help="Largest number of requests a second with one token; further requests get 429 and"
    " Retry-After.",
)
@click.option(
    "--link-path",
    metavar="PATH",
    default="/api/v1/online",
    show_default=True,
    help="Path of the link checker.",
)
@click.option(
    "--link-parameter",
    metavar="NAME",
    default="url",
    show_default=True,
    help="Name of the link checker's parameter with the URL.",
)
@click.option(
    "--link-answer",
    type=click.Choice(["words", "empty"]),
    default="words",
    show_default=True,
    help="The link checker's answers. words: online, offline or unknown. empty: an empty body"
    " for all answers but offline.",
)
@click.option(
    "--link-without-token",
    is_flag=True,
    help="Answer requests to the link checker without a token; reports always need a token.",
)
@click.option(
    "--link-trust-sites",
    is_flag=True,
    help="The link checker says offline even if hashscan never found a file at the URL.",
)
@click.option(
    "--audit-days",
    metavar="N",
    type=Number(0.01),
    help="Remove requests older than N days from the audit.  [default: remove none]",
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
    link_path: str,
    link_parameter: str,
    link_answer: str,
    link_without_token: bool,
    link_trust_sites: bool,
    audit_days: float | None,
    state: str | None,
) -> None:
    """Take notices over HTTP, and run the link checker.

    POST /api/v1/reports takes a notice in the form in which SCART's add-on for providers sends
    notices.

    GET /api/v1/online?url=URL, the link checker, says whether a file is still in its place.

    Each request needs a token that 'hashscan notice token add' made. The sender gets the answer
    after the notice is on the disk. The daemon may run at the same time. SIGTERM ends this command.
    """
    require_extra("the intake of notices")
    from hashscan.service.intake.app import REPORTS  # noqa: PLC0415 - an extra
    from hashscan.service.intake.links import LinkOptions  # noqa: PLC0415
    from hashscan.service.intake.serve import IntakeOptions, serve  # noqa: PLC0415

    place = parsed_listen(listen, unix=True)
    if socket_group is not None and "path" not in place:
        raise click.UsageError("--socket-group is for --listen unix:PATH")
    if not re.fullmatch(r"/[A-Za-z0-9._/-]{1,200}", link_path) or link_path == REPORTS:
        raise click.UsageError(f"--link-path: write a path such as /api/v1/online, not {REPORTS}")
    settings, opened = open_own_settings(options, state)
    serve(
        opened,
        settings.sites,
        IntakeOptions(
            **place,
            group=socket_group,
            certificate=tls_certificate,
            key=tls_key,
            behind_proxy=behind_proxy,
            links=LinkOptions(
                path=link_path,
                parameter=link_parameter,
                empty=link_answer == "empty",
                without_token=link_without_token,
                trust_sites=link_trust_sites,
            ),
            rate=rate,
            audit_days=audit_days,
        ),
        lambda message: click.echo(f"hashscan: {message}", err=True),
        Recorder.of(settings, "notice", opened),
    )
