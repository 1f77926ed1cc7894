"""``hashscan notice token``: the tokens of senders who use the intake over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashscan.audit import events
from hashscan.audit.recorder import Recorder
from hashscan.cli.common import open_own_settings, state_option
from hashscan.service import require_extra
from hashscan.text import local_time

if TYPE_CHECKING:
    from hashscan.cli import Options
    from hashscan.service.data import Data


@click.group("token")
def command() -> None:
    """Add, remove and list the tokens of senders for 'serve'."""


@command.command("add")
@click.argument("name", metavar="NAME")
@state_option
@click.pass_obj
def add_command(options: Options, name: str, state: str | None) -> None:
    """Make a token for the sender NAME, print it once, and store only its hash.

    A running 'hashscan notice serve' accepts the new token within a second.
    """
    data, recorder = _intake_data(options, state)
    from hashscan.service.intake.tokens import TOKENS, add_token  # noqa: PLC0415 - an extra

    TOKENS.check_name(name)
    if name not in TOKENS.read(data):
        recorder.write(events.SENDER_CHANGED, sender=name, action="gets a token")
    click.echo(add_token(data, name))


@command.command("remove")
@click.argument("name", metavar="NAME")
@state_option
@click.pass_obj
def remove_command(options: Options, name: str, state: str | None) -> None:
    """Remove a token; a running 'hashscan notice serve' refuses the token within a second."""
    data, recorder = _intake_data(options, state)
    from hashscan.service.intake.tokens import TOKENS  # noqa: PLC0415

    if name in TOKENS.read(data):
        recorder.write(events.SENDER_CHANGED, sender=name, action="loses its token")
    TOKENS.remove(data, name)


@command.command("list")
@state_option
@click.pass_obj
def list_command(options: Options, state: str | None) -> None:
    """List the senders who have a token, with the time at which the token was made."""
    data, _ = _intake_data(options, state)
    from hashscan.service.intake.tokens import TOKENS  # noqa: PLC0415

    tokens = TOKENS.read(data)
    for name, token in sorted(tokens.items()):
        click.echo(f"{name}  {local_time(token.added)}")
    if not tokens:
        click.echo("no sender has a token; 'hashscan notice token add NAME' makes one", err=True)


def _intake_data(options: Options, state: str | None) -> tuple[Data, Recorder]:
    require_extra("the intake of notices")
    from hashscan.service.intake.serve import data_of  # noqa: PLC0415 - an extra

    settings, opened = open_own_settings(options, state)
    return data_of(opened), Recorder.of(settings, "command", opened)
