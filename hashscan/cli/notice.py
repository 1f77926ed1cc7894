"""``hashscan notice``: notices of hotlines and authorities, from arrival to answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

import click

from hashscan.cli.common import (
    ModuleGroup,
    json_option,
    open_own_configuration,
    state_option,
)
from hashscan.errors import UsageError
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from hashscan.cli import Options
    from hashscan.config.settings import Settings
    from hashscan.notices.reader import NoticeReader
    from hashscan.notices.store import NoticeStore

#: The commands of ``hashscan notice``, in the order in which an administrator needs them.
_ORDER = (
    "add", "list", "show", "approve", "close", "reopen", "answer", "sites", "serve", "token"
)  # fmt: skip
_LONGEST_REASON = 2000


class _Group(ModuleGroup):
    """A group that lists its commands in the order of ``_ORDER``."""

    modules: ClassVar = {
        "add": "notice_add",
        "answer": "notice_answer",
        "serve": "notice_serve",
        "token": "notice_token",
        "sites": "notice_sites",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of ``_ORDER``."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


@click.group("notice", cls=_Group)
def command() -> None:
    """Take notices of hotlines and authorities, follow their items, and answer them."""


def _opened(options: Options, state: str | None) -> tuple[Settings, NoticeReader | None]:
    """Open the settings, and the notices for reading; ``None``: no notice was ever stored."""
    from hashscan.notices.reader import open_existing  # noqa: PLC0415 - heavy
    from hashscan.state import State  # noqa: PLC0415

    settings = open_own_configuration(options, state)
    return settings, open_existing(State(settings.state, make=False).notices)


@command.command("list")
@click.option("--open", "only_open", is_flag=True, help="List open notices only; the default.")
@click.option("--all", "every", is_flag=True, help="List closed notices, too.")
@state_option
@json_option
@click.pass_obj
def list_command(
    options: Options, only_open: bool, every: bool, state: str | None, as_json: bool
) -> None:
    """List notices by deadline, the longest overdue first.

    Closed notices come last. Times are in this machine's zone, in JSON in UTC.
    """
    from hashscan.notices.clock import by_urgency  # noqa: PLC0415
    from hashscan.output.notices import listed, listed_json  # noqa: PLC0415

    if only_open and every:
        raise UsageError("--open and --all exclude each other")
    settings, reader = _opened(options, state)
    now, soon = time.time(), settings.notices.due_soon
    found = []
    if reader is not None:
        with reader:
            found = by_urgency(reader.notices(only_open=not every), now, soon)
    for one in found:
        click.echo(listed_json(one, now, soon) if as_json else listed(one, now, soon))
    if not found and not as_json:
        hint = "" if every else "; 'hashscan notice list --all' lists closed notices, too"
        where = shown(settings.state)
        click.echo(f"no {'' if every else 'open '}notices in {where}{hint}")


@command.command("show")
@click.argument("identifier", metavar="ID")
@state_option
@json_option
@click.pass_obj
def show_command(options: Options, identifier: str, state: str | None, as_json: bool) -> None:
    """Show a notice with its items, their files, and the history.

    As ID, the command also accepts the beginning of the ID, its end, or the beginning of the part
    after its hyphen.
    """
    from hashscan.output import notices as output  # noqa: PLC0415

    settings, reader = _opened(options, state)
    if reader is None:
        raise _no_notices(settings)
    now, soon = time.time(), settings.notices.due_soon
    with reader:
        notice = reader.notice(reader.resolve(identifier))
        items = reader.items(notice.id)
        files = {one.number: reader.files(one.number) for one in items}
        history = reader.history(notice.id)
    if as_json:
        steps = [output.event_json(one) for one in history]
        click.echo(output.notice_json(notice, items, files, now, soon, history=steps))
        return
    for line in output.described(notice, now):
        click.echo(line)
    for index, item in enumerate(items, 1):
        for line in output.item_lines(index, item, files[item.number]):
            click.echo(line)
    click.echo("history")
    indexes = {item.number: index for index, item in enumerate(items, 1)}
    for event in history:
        click.echo(output.event_line(event, indexes))


_reason_option = click.option(
    "--reason",
    metavar="TEXT",
    required=True,
    help="The reason; the history and the answer name it.",
)


@command.command("approve")
@click.argument("identifier", metavar="ID")
@_reason_option
@state_option
@click.pass_obj
def approve_command(options: Options, identifier: str, reason: str, state: str | None) -> None:
    """Permit hashscan to move the files of an unproven notice.

    A notice is unproven if it came by mail and its sender is not verified. After the approval,
    hashscan moves the notice's files if `notices.action` says so. As ID, the command also accepts
    the beginning of the ID, its end, or the beginning of the part after its hyphen.
    """
    _checked(reason)
    with _store(options, state) as store:
        notice = store.resolve(identifier)
        if not store.approve_notice(notice, reason):
            raise UsageError(f"{notice} needs no approval; 'hashscan notice show' shows its sender")
    click.echo(f"{notice}: approved; the daemon, or the next 'hashscan notice add', works on it")


@command.command("close")
@click.argument("identifier", metavar="ID")
@_reason_option
@state_option
@click.pass_obj
def close_command(options: Options, identifier: str, reason: str, state: str | None) -> None:
    """Close a notice; its open items become refused.

    The notice's deadline no longer counts. No file is moved or restored. As ID, the command also
    accepts the beginning of the ID, its end, or the beginning of the part after its hyphen.
    """
    _checked(reason)
    with _store(options, state) as store:
        notice = store.resolve(identifier)
        if store.notice(notice).closed is not None:
            raise UsageError(f"{notice} is closed already; 'hashscan notice show' says since when")
        number = store.close_notice(notice, reason)
    click.echo(f"{notice}: closed; {counted(number, 'item')} refused")


@command.command("reopen")
@click.argument("identifier", metavar="ID")
@_reason_option
@state_option
@click.pass_obj
def reopen_command(options: Options, identifier: str, reason: str, state: str | None) -> None:
    """Open a notice and its settled items again.

    The items have their old deadlines again. As ID, the command also accepts the beginning of the
    ID, its end, or the beginning of the part after its hyphen.
    """
    _checked(reason)
    with _store(options, state) as store:
        notice = store.resolve(identifier)
        number = store.reopen_notice(notice, reason)
        if not number:
            raise UsageError(f"{notice} has no settled item, so it is open already")
    click.echo(f"{notice}: open again; {counted(number, 'item')} received again")


def _checked(reason: str) -> None:
    if not reason.strip():
        raise UsageError("--reason is empty; write the reason, for the history and the answer")
    if len(reason) > _LONGEST_REASON:
        raise UsageError(f"--reason is longer than {_LONGEST_REASON:,} characters; shorten it")


def _store(options: Options, state: str | None) -> NoticeStore:
    return open_store(options, state)[1]


def open_store(options: Options, state: str | None) -> tuple[Settings, NoticeStore]:
    """Open the settings, and the stored notices for changes.

    Raises:
        UsageError: no notice was ever stored; the command makes no file in the state directory.
    """
    from hashscan.audit.recorder import Recorder  # noqa: PLC0415
    from hashscan.notices.store import NoticeStore  # noqa: PLC0415 - heavy
    from hashscan.state import State  # noqa: PLC0415

    settings, reader = _opened(options, state)
    if reader is None:
        raise _no_notices(settings)
    reader.close()
    place = State(settings.state)
    return settings, NoticeStore(place.notices, Recorder.of(settings, "command", place))


def _no_notices(settings: Settings) -> UsageError:
    return UsageError(
        f"no notice was ever stored in {shown(settings.state)}; if that is the wrong state "
        "directory, name the right one with --state or in the configuration"
    )
