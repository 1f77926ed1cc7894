"""``hashscan hold``: shows the matches that the brakes hold, and takes decisions about them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hashscan.cli.common import json_option, open_own_configuration, state_option
from hashscan.errors import ExitCode, UsageError
from hashscan.output.wrapping import for_terminal
from hashscan.text import counted, local_time, rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.cli import Options
    from hashscan.config.settings import Settings
    from hashscan.model import Digest
    from hashscan.quarantine.hold_types import HeldFile, Hold
    from hashscan.quarantine.holds import Holds
    from hashscan.state import State

#: Largest number of a hold's files that ``hold show`` prints.
_MOST = 20
_LONGEST_REASON = 2000

identifier_argument = click.argument("identifier", metavar="ID", required=False)
digest_option = click.option(
    "--digest",
    metavar="D",
    help="Decide about all held files with this MD5, SHA-1 or SHA-256, instead of one ID.",
)


@click.group("hold")
def command() -> None:
    """Show the matches that the brakes hold, and decide about them.

    A brake (section `brakes` of the configuration) holds matches if too many files would move: the
    list may be wrong. Held files stay in their places until `hold release` or `hold dismiss`
    decides.
    """


@command.command("list")
@click.option("--all", "every", is_flag=True, help="List decided holds, too.")
@state_option
@json_option
@click.pass_obj
def list_command(options: Options, every: bool, state: str | None, as_json: bool) -> None:
    """List the holds that wait for a decision, the oldest first."""
    settings, found = open_own_configuration(options, state), []
    with _reading(settings) as holds:
        if holds is not None:
            found = holds.holds(every=every)
        for one in found:
            click.echo(
                _as_json(holds, one) if as_json and holds else for_terminal(_as_lines(one), 4)
            )
    if found and not as_json and not every:
        click.echo("'hashscan hold show ID' shows the files of a hold, and how to decide")
    if not found and not as_json:
        what = "no holds" if every else "no hold waits for a decision"
        hint = "" if every else "; 'hashscan hold list --all' lists decided holds, too"
        click.echo(for_terminal(f"{what} in {shown(settings.state)}{hint}", 4))


@command.command("show")
@click.argument("identifier", metavar="ID")
@state_option
@json_option
@click.pass_obj
def show_command(options: Options, identifier: str, state: str | None, as_json: bool) -> None:
    """Show a hold, its reason, and its files."""
    from hashscan.quarantine.hold_types import HoldState, number_of  # noqa: PLC0415 - heavy

    settings = open_own_configuration(options, state)
    with _reading(settings) as holds:
        if holds is None:
            raise _no_holds(settings)
        hold = holds.get(number_of(identifier))
        files = list(holds.files(hold.number))
        if as_json:
            click.echo(_as_json(holds, hold, paths=[_file_json(one) for one in files]))
            return
        for line in _described(hold, holds.digests(hold.number)):
            click.echo(for_terminal(line, 11))
    for file in files[:_MOST]:
        name = f"  {shown(file.full_path)} (user {file.uid}, {file.size:,} bytes)"
        click.echo(for_terminal(name, 4))
    if len(files) > _MOST:
        click.echo(f"  and {len(files) - _MOST:,} more; --json lists them all")
    if hold.state is HoldState.HELD:
        click.echo(
            f"if the files are known material: hashscan hold release {hold.id}\n"
            f"if the list is wrong:            hashscan hold dismiss {hold.id} --reason TEXT"
        )


@command.command("release")
@identifier_argument
@digest_option
@click.option("--reason", metavar="TEXT", default="", help="The reason; the history names it.")
@state_option
@json_option
@click.pass_obj
def release_command(
    options: Options,
    identifier: str | None,
    digest: str | None,
    reason: str,
    state: str | None,
    as_json: bool,
) -> int:
    """Move the files of a hold to quarantine, because the list is right about these files.

    The brake that made the hold does not hold files of the same kind for a while; docs/brakes.md
    says for how long. If the hold was dismissed before, its digests are no longer allowed. The
    command moves the files itself, also while a scan or the daemon runs. If the command is killed,
    run the same command again to move the rest. Exit code 3: some files could not be moved.
    """
    from hashscan.cli.scan import reporter  # noqa: PLC0415
    from hashscan.jobs.decide_holds import release  # noqa: PLC0415 - heavy

    _checked(reason)
    settings, directory = _opened(options, state)
    with _changing(settings, directory) as holds:
        numbers = _chosen(holds, identifier, digest)
        printer = reporter(options, as_json=as_json)
        failed = 0
        for number in numbers:
            hold, done = release(settings, directory, holds, number, reason, printer)
            failed += done.failed
            if as_json:
                click.echo(
                    _as_json(holds, hold, moved=done.moved, gone=done.gone, failed=done.failed)
                )
                continue
            gone = f", {counted(done.gone, 'file')} gone or changed" if done.gone else ""
            missed = f", {counted(done.failed, 'file')} not moved, see above" if done.failed else ""
            click.echo(f"{hold.id}: released; {counted(done.moved, 'file')} moved{gone}{missed}")
    return ExitCode.UNREADABLE if failed else ExitCode.NOTHING_FOUND


@command.command("dismiss")
@identifier_argument
@digest_option
@click.option(
    "--reason",
    metavar="TEXT",
    required=True,
    help="The reason, which later matches show.",
)
@state_option
@json_option
@click.pass_obj
def dismiss_command(
    options: Options,
    identifier: str | None,
    digest: str | None,
    reason: str,
    state: str | None,
    as_json: bool,
) -> None:
    """Allow the digests of a hold, because the list is wrong about these digests.

    The digests go to the local allow-list, STATE/allow/dismissed.jsonl, with the user, the time and
    the reason. All scans and the daemon use this list immediately. To undo a dismissal: run
    `hashscan hold release`, or remove its line from the file.
    """
    from hashscan.jobs.decide_holds import dismiss  # noqa: PLC0415 - heavy
    from hashscan.quarantine.hold_types import HoldState  # noqa: PLC0415

    _checked(reason)
    if not reason.strip():
        raise UsageError("--reason is empty; write why the list is wrong")
    settings, directory = _opened(options, state)
    with _changing(settings, directory) as holds:
        for number in _chosen(holds, identifier, digest):
            was_held = holds.get(number).state is HoldState.HELD
            hold = dismiss(settings, directory, holds, number, reason)
            if as_json:
                click.echo(_as_json(holds, hold))
                continue
            stay = f"{counted(hold.files, 'file')} stay in place, and " if was_held else ""
            text = f"{hold.id}: dismissed; {stay}its digests are in {shown(directory.dismissed)}"
            click.echo(for_terminal(text, 4))
            if hold.has_one_content:
                digest = min((one.hex for one in holds.digests(number)), key=len)
                click.echo(
                    "files that moved before are in quarantine; to put them back:\n"
                    f"  hashscan quarantine restore --digest {digest}"
                )


def _chosen(holds: Holds, identifier: str | None, digest: str | None) -> list[int]:
    from hashscan.quarantine.hold_types import HoldState, number_of  # noqa: PLC0415

    if (identifier is None) == (digest is None):
        raise UsageError("name one hold by its ID, or its files by --digest")
    if identifier is not None:
        return [holds.get(number_of(identifier)).number]
    assert digest is not None
    wanted = _digest(digest)
    found = [one for one in holds.with_digest(wanted) if one.state is not HoldState.RELEASED]
    if not found:
        raise UsageError(
            f"no hold has the {wanted.algorithm} {wanted.hex}; see 'hashscan hold list'"
        )
    for one in found:
        if one.state is not HoldState.HELD and not one.has_one_content:
            raise UsageError(
                f"{one.id} was {one.state.value} as a whole, with other digests; to decide about "
                f"all of it again, give the id {one.id} in place of --digest"
            )
    return [
        holds.split(one.number, wanted) if one.state is HoldState.HELD else one.number
        for one in found
    ]


def _digest(text: str) -> Digest:
    from hashscan.model import ALGORITHM_BY_LENGTH, Digest  # noqa: PLC0415

    given = text.strip().lower()
    algorithm = ALGORITHM_BY_LENGTH.get(len(given))
    if algorithm is None or not set(given) <= set("0123456789abcdef"):
        raise UsageError(f"{shown(text)} is no MD5, SHA-1 or SHA-256 in hexadecimal digits")
    return Digest(algorithm, given)


def _checked(reason: str) -> None:
    if len(reason) > _LONGEST_REASON:
        raise UsageError(f"--reason is longer than {_LONGEST_REASON:,} characters; shorten it")


def _opened(options: Options, state: str | None) -> tuple[Settings, State]:
    from hashscan.state import State  # noqa: PLC0415 - heavy

    settings = open_own_configuration(options, state)
    return settings, State(settings.state)


@contextmanager
def _reading(settings: Settings) -> Iterator[Holds | None]:
    """Open the holds of a state directory; ``None``: no brake has ever made a hold."""
    from hashscan.quarantine.holds import Holds  # noqa: PLC0415 - heavy
    from hashscan.state import State  # noqa: PLC0415

    path = State(settings.state, make=False).holds
    if not os.path.lexists(path):
        yield None
        return
    with Holds(path) as holds:
        yield holds


def _changing(settings: Settings, state: State) -> Holds:
    from hashscan.quarantine.holds import Holds  # noqa: PLC0415 - heavy

    if not os.path.lexists(state.holds):
        raise _no_holds(settings)
    return Holds(state.holds)


def _no_holds(settings: Settings) -> UsageError:
    return UsageError(
        f"no brake has held anything in {shown(settings.state)}; if that is the wrong state"
        " directory, name the right one with --state or in the configuration"
    )


def _as_lines(hold: Hold) -> str:
    """Return a hold as two lines; the first line fits on a narrow terminal."""
    when = f"held since {local_time(hold.opened)}"
    if hold.decided is not None:
        when = f"{hold.state} on {local_time(hold.decided)}"
    files = f"{counted(hold.files, 'file')} of {counted(hold.owners, 'owner')}"
    return f"{hold.id}  {files}, {when}\n    {hold.reason}"


def _described(hold: Hold, digests: list[Digest]) -> list[str]:
    lines = [
        f"{hold.id}: {hold.state}",
        f"  because  {hold.reason}",
        f"  since    {local_time(hold.opened)}",
        f"  files    {hold.files:,} of {counted(hold.owners, 'owner')}",
    ]
    lines += [f"  {one.algorithm:7}  {one.hex}" for one in digests[:_MOST]]
    if len(digests) > _MOST:
        lines.append(f"  and {len(digests) - _MOST:,} more digests")
    if hold.decided is not None:
        why = f": {shown(hold.why)}" if hold.why else ""
        lines.append(
            f"  decided  {hold.state} on {local_time(hold.decided)} by {shown(hold.who)}{why}"
        )
    return lines


def _as_json(holds: Holds, hold: Hold, **more: Any) -> str:
    from hashscan.output.jsonl import line  # noqa: PLC0415

    digests = holds.digests(hold.number)
    return line(
        "hold",
        id=hold.id,
        digest={one.algorithm: one.hex for one in digests} if hold.has_one_content else {},
        files=hold.files,
        owners=hold.owners,
        reason=hold.reason,
        state=hold.state.value,
        kind=hold.kind.value,
        uid=hold.uid,
        volume=None if not hold.volume else os.fsdecode(hold.volume),
        category=hold.category,
        filter_version=hold.filter_version,
        opened=rfc3339(hold.opened),
        decided=None if hold.decided is None else rfc3339(hold.decided),
        who=hold.who or None,
        why=hold.why or None,
        **more,
    )


def _file_json(file: HeldFile) -> dict[str, Any]:
    return {
        "path": os.fsdecode(file.full_path),
        "uid": file.uid,
        "size": file.size,
        "digests": file.digests.as_dict(),
        "since": rfc3339(file.since),
    }
