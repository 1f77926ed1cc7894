"""``hashscan quarantine withdrawn``: digests that the service no longer knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashscan.audit.recorder import Recorder
from hashscan.cli.common import json_option, state_option
from hashscan.cli.quarantine_common import line, settings_of
from hashscan.cli.quarantine_restore import hex_digest
from hashscan.errors import ServiceUnavailableError, UsageError
from hashscan.jobs.recheck_verdicts import RecheckRound, accept, ask_again
from hashscan.jobs.restore_withdrawn import forget
from hashscan.jobs.withdrawn_digests import Withdrawal, withdrawals
from hashscan.state import State
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from hashscan.config.settings import Settings


@click.command("withdrawn")
@state_option
@json_option
@click.option("--ask", is_flag=True, help="Ask the service first for all digests that are due.")
@click.option(
    "--accept",
    "accepts",
    is_flag=True,
    help="Withdraw the held digests, after you have checked them.",
)
@click.option(
    "--digest",
    "digests",
    metavar="DIGEST",
    multiple=True,
    help="Accept only this MD5, SHA-1 or SHA-256; may be given several times.",
)
@click.pass_context
def withdrawn_command(
    context: click.Context,
    state: str | None,
    as_json: bool,
    ask: bool,
    accepts: bool,
    digests: tuple[str, ...],
) -> None:
    """Show the digests in quarantine that the service no longer knows.

    The daemon asks the service again for each digest (quarantine.ask_again). The state "unknown":
    the service answered once that it does not know the digest; the daemon asks again a day later.
    "held": the service answered twice that it does not know the digest, but the service or the list
    may be wrong, so hashscan withdraws nothing until you run --accept; the command prints the
    reason. "withdrawn": the files of the digest are marked, and `quarantine restore --withdrawn`
    puts these files back.
    """
    if digests and not accepts:
        raise UsageError("--digest needs --accept")
    settings = settings_of(context, state)
    directory = State(settings.state, make=False)
    if ask:
        _print_result(_ask(settings, directory))
    if accepts:
        recorder = Recorder.of(settings, "command", directory)
        wanted = frozenset(map(hex_digest, digests))
        done = accept(settings.quarantine_directory, directory, recorder, wanted)
        none = "" if done.withdrawn else ": none of them is held" if digests else ": none is held"
        click.echo(f"{counted(done.withdrawn, 'digest')} accepted{none}", err=True)
        _print_result(done)
    found = withdrawals(settings, directory)
    for one in found:
        if as_json:
            line("withdrawn", _as_json(one))
        else:
            algorithm, text = one.digest
            click.echo(
                f"{one.state:<9}  {one.since}  {counted(one.files, 'file'):>12}  "
                f"{shown(one.category)}  {algorithm} {text}"
            )
    if not as_json:
        for why in dict.fromkeys(one.held for one in found if one.held):
            click.echo(f"held: {why} If all is right: 'hashscan quarantine withdrawn --accept'")
        if any(one.state == "unknown" for one in found):
            click.echo(
                "unknown: withdrawn after the same answer at least a day later; if you do not want"
                " to wait: 'hashscan quarantine restore --digest DIGEST'"
            )
        if any(one.state == "withdrawn" for one in found):
            click.echo("'hashscan quarantine restore --withdrawn' puts withdrawn files back")
        if not found:
            click.echo("the service still knows every digest that hashscan asked for again")


def _ask(settings: Settings, state: State) -> RecheckRound:
    from hashscan.jobs.known_set import open_known_set  # noqa: PLC0415 - heavy

    def notice(message: str) -> None:
        click.echo(message, err=True)

    known = open_known_set(settings, state, (), notice)
    if known.test:
        raise UsageError(
            "--ask: service.test is true, and the test twin does not decide about files in"
            " quarantine"
        )
    interval = settings.quarantine.ask_again
    recorder = Recorder.of(settings, "command", state)
    found = ask_again(
        settings.quarantine_directory,
        state,
        known,
        86400.0 if interval is None else interval,
        recorder,
    )
    forget(state, found.unknown, notice)
    none = "" if found.asked or found.trouble else ": no digest is due (quarantine.ask_again)"
    click.echo(f"{counted(found.asked, 'question')} answered{none}", err=True)
    if found.trouble:
        raise ServiceUnavailableError(f"not all digests could be asked for again: {found.trouble}")
    return found


def _print_result(result: RecheckRound) -> None:
    for one in result.closed:
        click.echo(f"hold {one} closed: no digest of it is known any more", err=True)
    if result.marked:
        click.echo(f"{counted(result.marked, 'record')} changed", err=True)


def _as_json(withdrawal: Withdrawal) -> dict[str, object]:
    algorithm, text = withdrawal.digest
    return {
        "digest": {algorithm: text},
        "category": withdrawal.category,
        "files": withdrawal.files,
        "state": withdrawal.state,
        "since": withdrawal.since,
        "service": withdrawal.service,
        "reason": withdrawal.held or None,
    }
