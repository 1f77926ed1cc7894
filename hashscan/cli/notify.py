"""``hashscan notify``: tests whether notifications reach their receivers."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import json_option, open_configuration, state_option
from hashscan.errors import ExitCode, HashscanError, StateError, UsageError
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.cli import Options
    from hashscan.notify.notifier import NotSentError


@click.group("notify")
def command() -> None:
    """Check the receivers of notifications."""


@command.command("test")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@state_option
@json_option
@click.pass_obj
def test(options: Options, names: tuple[str, ...], state: str | None, as_json: bool) -> ExitCode:
    """Send a test message to each receiver, or to each NAME.

    For each receiver, the command says whether the receiver accepted the message, or names the
    fault and its fix. If a receiver accepts the test, hashscan soon sends it all waiting messages,
    and again all messages that the receiver refused. The test of a receiver with contacts goes to
    its own `sender`, and to no customer. Exit code 2: a receiver did not accept the test.
    """
    from hashscan.jobs.notifications import note_success, note_test, try_receiver  # noqa: PLC0415 - heavy

    settings = open_configuration(options, state, check_files=False)
    if not settings.notify:
        raise UsageError(
            "the configuration names no receivers; add the section `notify`, e.g. from"
            " docs/notifications.md"
        )
    known = {one.name: one for one in settings.notify}
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no receiver {shown(name)}; the configuration has {', '.join(known)}"
            )
    code = ExitCode.NOTHING_FOUND
    for name in names or known:
        # A user who cannot read the state directory may run this test.
        with suppress(HashscanError):
            note_test(settings, name)
        well = True
        for recipient, error in try_receiver(known[name]):
            well = well and error is None
            _print(name, recipient, error, as_json=as_json)
        if well:
            with suppress(StateError):
                note_success(settings.state, name, time.time())
        else:
            code = ExitCode.USAGE
    return code


def _print(name: str, recipient: str, error: NotSentError | None, *, as_json: bool) -> None:
    if as_json:
        from hashscan.output.jsonl import line  # noqa: PLC0415

        click.echo(
            line(
                "notify-test",
                receiver=name,
                recipient=recipient or None,
                sent=error is None,
                fault=None if error is None else error.fault.value,
                message=None if error is None else error.what,
                fix=None if error is None else error.fix or None,
            )
        )
        return
    to = f" ({recipient})" if recipient else ""
    if error is None:
        click.echo(f"ok    {name}{to}: the message was accepted")
        return
    click.echo(f"FAIL  {name}{to}: {error.what}")
    if error.fix:
        click.echo(f"      -> {error.fix}")
    if error.unsure:
        click.echo("      the message may have arrived nevertheless")
