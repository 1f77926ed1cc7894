"""``hashscan notice add``: takes notices from files or standard input."""

from __future__ import annotations

import os
import stat
import sys
import time
from typing import TYPE_CHECKING

import click

from hashscan.audit.recorder import Recorder
from hashscan.cli.common import (
    checked_option,
    iso_time,
    json_option,
    open_own_settings,
    state_option,
)
from hashscan.config import values
from hashscan.errors import HashscanError, NoticeError, StateError, UsageError
from hashscan.fs.beneath import closing, open_file
from hashscan.fs.named import opened_above, resolve
from hashscan.notices import unread_inputs
from hashscan.notices.accept import InputFacts, accept
from hashscan.notices.intake import FORMATS, MOST_BYTES
from hashscan.notices.notice import Channel
from hashscan.notices.store import AddedNotice, NoticeStore
from hashscan.text import counted, local_time, said_by, shown

if TYPE_CHECKING:
    from typing import BinaryIO

    from hashscan.cli import Options
    from hashscan.config.settings import Settings
    from hashscan.state import State

_STDIN = "-"
_EXAMPLES = "write e.g. 24h, 12h, 1h, 2026-11-27T10:00 or 2026-11-27T09:00Z"


@click.command("add")
@click.argument("files", metavar="[FILE|-]...", nargs=-1, type=click.Path())
@click.option(
    "--format",
    "wanted",
    metavar="NAME",
    type=click.Choice(FORMATS),
    help=f"Read the input in this format, without recognising it: {', '.join(FORMATS)}.",
)
@click.option(
    "--from", "sender", metavar="NAME", help="The sender: an organisation or a mail address."
)
@click.option("--reference", metavar="TEXT", help="The sender's own number for the notice.")
@click.option(
    "--authority",
    metavar="NAME",
    help="The notice is an order of this authority: answers name the authority, and customers get"
    " no statement of reasons; needs --deadline.",
)
@click.option(
    "--legal-basis", metavar="TEXT", help="With --authority: the law that the order names."
)
@click.option(
    "--received", metavar="TIME", help="The time of arrival, e.g. 2026-11-27T10:00; default: now."
)
@click.option(
    "--deadline",
    metavar="24h|12h|1h|TIME",
    help="The time by which all items must be settled, or a duration that begins at the time of"
    " sending (at the arrival, if the notice has no time of sending); default: 24h.",
)
@click.option(
    "--by-mail",
    is_flag=True,
    help="The input comes from a mail server, and nobody has read it: notices.senders decides"
    " whether the notice may move files.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Store the notice even if the same bytes are stored already.",
)
@state_option
@json_option
@click.pass_obj
def command(
    options: Options,
    files: tuple[str, ...],
    wanted: str | None,
    sender: str | None,
    reference: str | None,
    authority: str | None,
    legal_basis: str | None,
    received: str | None,
    deadline: str | None,
    by_mail: bool,
    again: bool,
    state: str | None,
    as_json: bool,
) -> None:
    """Take notices from files or from standard input.

    A notice is a mail, CSV, JSON, or a list of URLs, paths or digests. The default FILE is -, the
    standard input. The value of an option replaces the value in the notice. hashscan stores
    identical input only once.

    After it stored a notice, hashscan finds the files of all open items, and reports or moves each
    file: the setting `notices.action` and the digest lists decide. The command works on items even
    while a scan runs. If a daemon runs, the daemon works on the items within seconds.

    Exit code 2: hashscan did not understand a notice, and does not change its FILE. The text of
    standard input is kept in the state directory, in a file that the message names.
    """
    arrived, until, within = _times(received, deadline)
    texts = {
        "--from": sender,
        "--reference": reference,
        "--authority": authority,
        "--legal-basis": legal_basis,
    }
    for option, text in texts.items():
        if text is not None:
            checked_option(option, text, values.text)
    if authority is not None and deadline is None:
        raise UsageError("--authority: an order sets a deadline; add it, e.g. --deadline 1h")
    if legal_basis is not None and authority is None:
        raise UsageError("--legal-basis is for an order; add --authority, too")
    facts = InputFacts(sender, reference, authority, legal_basis, arrived, until, within)
    settings, place = open_own_settings(options, state)
    sources = files or (_STDIN,)
    if sources.count(_STDIN) > 1:
        raise UsageError("- is the standard input, and can be named only once")
    failures: list[HashscanError] = []
    added: list[AddedNotice] = []
    with NoticeStore(place.notices, Recorder.of(settings, "command", place)) as store:
        for source in sources:
            try:
                one = _add(store, settings, source, wanted, facts, by_mail=by_mail, again=again)
                added.append(one)
                if not as_json:
                    _print(store, one.id, new=one.new)
            except HashscanError as error:
                failures.append(error)
                if isinstance(error, StateError):
                    break  # The same fault would stop the other inputs, too.
        if added:
            try:
                _work_on_items(settings, place)
            except HashscanError as error:
                failures.append(error)
        for one in added:
            if as_json:
                _print_json(store, settings, one.id, new=one.new)
            elif one.new:
                states = store.notice(one.id).states
                words = ", ".join(f"{number:,} {state}" for state, number in sorted(states.items()))
                click.echo(f"{one.id}: {words}")
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise UsageError("\n".join(map(str, failures)))


def _times(
    received: str | None, deadline: str | None
) -> tuple[float | None, float | None, float | None]:
    """Return the options' arrival, deadline and seconds to the deadline; ``None``: not given.

    Raises:
        UsageError: the value of an option is no time, or no duration.
    """
    arrived = until = within = None
    if received is not None:
        try:
            arrived = iso_time(received)
        except ValueError:
            raise UsageError(
                f"--received: {shown(received)} is no time; write e.g. 2026-11-27T10:00"
            ) from None
        if arrived > time.time() + 60:
            raise UsageError(
                f"--received: {local_time(arrived)} is in the future; correct the time, or this "
                "machine's clock (timedatectl)"
            )
    if deadline is not None:
        try:
            until = iso_time(deadline)
        except ValueError:
            if not deadline[:1].isdigit() or "-" in deadline:
                raise UsageError(
                    f"--deadline: {shown(deadline)} is no time and no duration; {_EXAMPLES}"
                ) from None
            within = checked_option("--deadline", deadline, values.exact_duration)
    return arrived, until, within


def _add(
    store: NoticeStore,
    settings: Settings,
    source: str,
    wanted: str | None,
    facts: InputFacts,
    *,
    by_mail: bool,
    again: bool,
) -> AddedNotice:
    """Store the notice that is in an input: in a file, or in standard input.

    Raises:
        NoticeError: hashscan cannot read the input as a notice.
        UsageError: the file of the input cannot be read.
        StateError: the notice cannot be stored in the state directory.
    """
    content = _read(source)
    senders = None
    if by_mail:
        from hashscan.jobs.notices.mailbox import senders_of  # noqa: PLC0415 - heavy

        senders = senders_of(settings)
    try:
        return accept(
            store,
            content,
            channel=Channel.COMMAND,
            format=wanted,
            facts=facts,
            again=again,
            senders=senders,
        )
    except (NoticeError, StateError) as error:
        where = _kept_at(settings, source, content)
        summary = f"{shown(source)}: {error}" if source != _STDIN else str(error)
        if isinstance(error, NoticeError):
            why = str(error).partition("\n")[0]
            path = "" if source == _STDIN else os.path.abspath(source)
            store.note_refused(Channel.COMMAND, why, path=path)
            raise NoticeError(f"{summary}\n{where}", []) from error
        raise StateError(f"{summary}\n{where}") from error


def _work_on_items(settings: Settings, state: State) -> None:
    """Find and act on the notices' files now, unless a running daemon does that."""
    from hashscan.jobs.notices.one_round import run_now  # noqa: PLC0415 - heavy

    if not run_now(settings, state, lambda text: click.echo(text, err=True)):
        click.echo("a daemon finds the files within seconds", err=True)


def _kept_at(settings: Settings, source: str, content: bytes) -> str:
    """Return a sentence that names the file with the text of an input that is no notice."""
    if source != _STDIN:
        return f"the file {shown(source)} is unchanged"
    try:
        path = shown(unread_inputs.keep(settings.state, content))
        part = f"the first {MOST_BYTES >> 20} MiB of " if len(content) > MOST_BYTES else ""
        return f"{part}the input is kept as {path}; add that file with 'hashscan notice add'"
    except StateError as error:
        return str(error)


def _print_json(store: NoticeStore, settings: Settings, notice: str, *, new: bool) -> None:
    from hashscan.output.notices import notice_json  # noqa: PLC0415

    items = store.items(notice)
    files = {one.number: store.files(one.number) for one in items}
    found, soon = store.notice(notice), settings.notices.due_soon
    click.echo(notice_json(found, items, files, time.time(), soon, new=new))


def _print(store: NoticeStore, notice: str, *, new: bool) -> None:
    from hashscan.notices.clock import doubts, due  # noqa: PLC0415

    found, now = store.notice(notice), time.time()
    number = counted(sum(found.states.values()), "item")
    if not new:
        click.echo(
            f"{notice}: the same bytes are stored already ({number}, {due(found, now)}), and the "
            "options change nothing; --again stores them as another notice"
        )
        return
    sender = shown(found.authority or found.sender or "anonymous")
    if found.authority:
        sender += " (an order)"
    repeats = f", repeats {found.repeat_of}" if found.repeat_of else ""
    click.echo(f"{notice}: {number} from {sender}, as {found.format}, {due(found, now)}{repeats}")
    unproven = [f"it moves no file by itself: {shown(found.unproven)}"] if found.unproven else []
    for remark in (*map(shown, found.remarks), *doubts(found, now), *unproven):
        click.echo(f"  remark: {remark}")


def _read(source: str) -> bytes:
    """Return the content of an input; of a larger input, the first ``MOST_BYTES`` and one byte.

    Raises:
        UsageError: the file of the input cannot be read.
    """
    if source == _STDIN:
        if sys.stdin.isatty():
            click.echo("reading a notice from the terminal; end it with Ctrl-D", err=True)
        return _read_from(sys.stdin.buffer, "standard input")
    try:
        # The input may be a file in a customer's mailbox. The mailbox's owner can replace this file
        # with a link to root's files.
        with opened_above(os.fsencode(resolve(source))) as (above, name):
            fd = open_file(above.fd, name)
    except (OSError, ValueError) as error:
        raise UsageError(f"{shown(source)}: {said_by(error)}; check the path") from error
    with closing(fd):
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise UsageError(f"{shown(source)} is not a regular file; write - for standard input")
        with open(fd, "rb", closefd=False) as file:
            return _read_from(file, shown(source))


def _read_from(stream: BinaryIO, name: str) -> bytes:
    try:
        return stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {said_by(error)}") from error
