"""``hashscan notice answer``: answers to senders, and statements of reasons to customers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import click

from hashscan.cli.common import PathNotLookedAt, state_option, write_output
from hashscan.cli.notice import open_store
from hashscan.config.notices import ANSWERS, LANGUAGES
from hashscan.config.settings import require_organisation
from hashscan.config.trust import require_trusted_file
from hashscan.config.values import is_mail_address
from hashscan.errors import StateError, UsageError
from hashscan.notices.notice import DEFAULT_DEADLINE, EventKind
from hashscan.text import human_age, local_time, names_of, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.cli import Options
    from hashscan.config.settings import Settings
    from hashscan.notices.answers.facts import Moved
    from hashscan.notices.answers.templates import AnswerText
    from hashscan.notices.notice import Item, Notice
    from hashscan.notices.store import NoticeStore

_SENT = "sent"


class _AnswerOptions(NamedTuple):
    """The values of the options; ``how`` is ``printed``, ``written`` or ``sent``."""

    kind: str
    language: str
    how: str
    recipient: str | None
    owner: str | None
    again: bool


@click.command("answer")
@click.argument("identifier", metavar="ID")
@click.option(
    "--kind",
    type=click.Choice(ANSWERS),
    default="decision",
    show_default=True,
    help="The kind of answer: a receipt; the decision for each item; or, to the customer, the"
    " statement of reasons of Article 17 of the Digital Services Act.",
)
@click.option(
    "--language",
    type=click.Choice(LANGUAGES),
    help="Language of the answer; default: notices.language.",
)
@click.option(
    "--to",
    "recipient",
    metavar="ADDRESS",
    help="Mail address of the recipient; default: the address in the notice.",
)
@click.option(
    "--owner",
    metavar="USER",
    help="Owner of a statement's files, if the files belong to several users.",
)
@click.option(
    "--eml",
    metavar="FILE",
    type=PathNotLookedAt(),
    help="Write the answer as a mail to a new file, mode 600.",
)
@click.option("--send", is_flag=True, help="Send the answer with the program in notices.sendmail.")
@click.option("--print", "printed", is_flag=True, help="Print the answer's text; the default.")
@click.option(
    "--again",
    is_flag=True,
    help="Send the answer even if the same answer was sent before.",
)
@state_option
@click.pass_obj
def command(
    options: Options,
    identifier: str,
    kind: str,
    language: str | None,
    recipient: str | None,
    owner: str | None,
    eml: str | None,
    send: bool,
    printed: bool,
    again: bool,
    state: str | None,
) -> None:
    """Print, write or send an answer to a notice.

    The history of the notice names each answer that was printed, written or sent, and its time. As
    ID, the command also accepts the beginning of the ID, its end, or the beginning of the part
    after its hyphen. docs/notices.md says how to replace the texts.
    """
    if (eml is not None) + send + printed > 1:
        raise UsageError("--eml, --send and --print exclude each other")
    if owner is not None and kind != "statement":
        raise UsageError("--owner is for --kind statement")
    how = _SENT if send else "printed" if eml is None else "written"
    settings, store = open_store(options, state)
    with store:
        wanted = _AnswerOptions(
            kind, language or settings.notices.language, how, recipient, owner, again
        )
        _answer(settings, store, store.resolve(identifier), wanted, eml)


def _answer(
    settings: Settings, store: NoticeStore, identifier: str, chosen: _AnswerOptions, eml: str | None
) -> None:
    from hashscan.notices.answers.facts import facts_of  # noqa: PLC0415 - heavy
    from hashscan.notices.answers.templates import render, source_of  # noqa: PLC0415

    organisation = require_organisation(settings)
    notice, items, now = store.notice(identifier), store.items(identifier), time.time()
    moved = None
    if chosen.kind == "statement":
        moved = _moved_of(settings, store, notice, items, chosen)
    recipient = None if chosen.how == "printed" else _recipient(notice, chosen)
    if chosen.how == _SENT and not chosen.again:
        _check_new(store, identifier, (chosen.kind, recipient, moved[0].owner if moved else None))
    source = source_of(settings.notices.templates, chosen.language, chosen.kind)
    if source.path is not None:
        require_trusted_file(
            settings, "notices.templates", source.path, _print_message, always=False
        )
    answer = render(source, facts_of(notice, items, organisation, now, moved))
    detail: dict[str, object] = {
        "kind": chosen.kind, "how": chosen.how, "language": chosen.language,
        "to": recipient, "owner": moved[0].owner if moved else None,
    }  # fmt: skip
    if recipient is None:
        click.echo(f"Subject: {answer.subject}\n\n{answer.body}", nl=False)
    else:
        message_id = _mail(settings, store, notice, answer, chosen, recipient, eml, now)
        detail |= {"file": eml, "message_id": message_id}
    _note(store, identifier, {name: one for name, one in detail.items() if one is not None}, now)
    if recipient is not None:
        where = f"to {recipient}" if eml is None else f"to {shown(eml)}, for {recipient}"
        click.echo(f"{identifier}: {chosen.kind} {chosen.how} {where}")


def _mail(
    settings: Settings,
    store: NoticeStore,
    notice: Notice,
    answer: AnswerText,
    chosen: _AnswerOptions,
    recipient: str,
    eml: str | None,
    now: float,
) -> str:
    """Write or send an answer as a mail; return the Message-ID of the mail."""
    from hashscan.notices.answers.message import (  # noqa: PLC0415 - heavy
        Thread,
        as_eml,
        message_of,
        thread_of,
    )
    from hashscan.notices.answers.sending import send  # noqa: PLC0415

    # A statement is no reply to the notice's mail, because the customer never got that mail.
    thread = Thread() if chosen.kind == "statement" else thread_of(store.input(notice.id))
    message = message_of(
        answer, require_organisation(settings), recipient,
        language=chosen.language, now=now, thread=thread,
    )  # fmt: skip
    words = settings.notices.sendmail
    if eml is None:
        require_trusted_file(settings, "notices.sendmail", words[0], _print_message, always=True)
    store.announce_answer(notice.id, kind=chosen.kind, how=chosen.how, to=recipient)
    if eml is not None:
        write_output([as_eml(message)], eml, force=False, option="--eml")
    else:
        send(words, message.as_bytes())
    return str(message["Message-ID"])


def _moved_of(
    settings: Settings,
    store: NoticeStore,
    notice: Notice,
    items: Sequence[Item],
    chosen: _AnswerOptions,
) -> list[Moved]:
    """Return the records of one customer's files, for a statement of reasons.

    Raises:
        UsageError: the notice needs no statement, or the files belong to several users.
        QuarantineError: the quarantine's record of a file cannot be read.
    """
    from hashscan.jobs.notices.moved_files import moved_files  # noqa: PLC0415 - heavy

    if notice.authority:
        raise UsageError(
            f"{notice.id} is an order of {shown(notice.authority)}: for an order (Article 9) the "
            "Digital Services Act asks for no statement of reasons (Article 17)"
        )
    _check_order(store, notice, chosen)
    moved = moved_files(settings, [file for item in items for file in store.files(item.number)])
    if not moved:
        raise UsageError(
            f"{notice.id}: no file is in quarantine for this notice, so no customer needs a "
            f"statement; 'hashscan notice show {notice.id}' shows what was done"
        )
    owners = sorted({one.owner for one in moved})
    if chosen.owner is None and len(owners) > 1:
        raise UsageError(
            f"{notice.id}: the files belong to {len(owners)} users ({names_of(owners)}); write one "
            "statement for each user, with --owner"
        )
    owner = chosen.owner or owners[0]
    if owner not in owners:
        raise UsageError(
            f"{notice.id}: no file of {shown(owner)} is in quarantine; the owners are "
            f"{names_of(owners)}"
        )
    return [one for one in moved if one.owner == owner]


def _check_order(store: NoticeStore, notice: Notice, chosen: _AnswerOptions) -> None:
    """Warn that a notice with little time may be an order, which has other rules.

    Raises:
        UsageError: the command would send the statement of reasons.
    """
    given = store.time_given(notice.id)
    if given >= DEFAULT_DEADLINE:
        return
    why = (
        f"{notice.id} had to be settled within {human_age(given)}, so it may be an order, for which"
        " the customer gets no statement of reasons"
    )
    if chosen.how == _SENT:
        raise UsageError(
            f"{why}; if it is no order, write the statement with --eml, and send it yourself"
        )
    _print_message(f"{why}; check that before you send this")


def _recipient(notice: Notice, chosen: _AnswerOptions) -> str:
    """Return the mail address that gets the answer.

    Raises:
        UsageError: no address of the sender or customer is known, or the text is not one plain
            address.
    """
    if chosen.recipient is None and chosen.kind == "statement":
        raise UsageError("--to is missing; give the mail address of the customer")
    address = chosen.recipient or notice.contact
    if not address:
        raise UsageError(f"{notice.id} names no address to answer; give one with --to")
    if not is_mail_address(address):
        raise UsageError(
            f"{shown(address[:300])} is not one plain mail address; give one with --to, e.g. "
            "ntd@hotline.example"
        )
    return address


def _check_new(
    store: NoticeStore, identifier: str, same: tuple[str, str | None, str | None]
) -> None:
    """Raise unless an answer is new: it was not sent before, or the notice has changed since.

    ``same``: the answer's kind, its recipient, and the owner of the files, to find an equal answer.

    Raises:
        UsageError: the answer was sent before, and the notice has not changed since.
    """
    kind, recipient, _ = same
    sent: float | None = None
    for event in store.history(identifier):
        detail = event.detail
        if event.kind is not EventKind.ANSWERED:
            sent = sent if kind == "receipt" else None
        elif detail.get("how") == _SENT and same == tuple(map(detail.get, ("kind", "to", "owner"))):
            sent = event.time
    if sent is not None:
        raise UsageError(
            f"{identifier}: the {kind} was sent to {recipient} at {local_time(sent)}, and has not "
            "changed since; --again sends it again"
        )


def _note(store: NoticeStore, identifier: str, detail: dict[str, object], now: float) -> None:
    try:
        store.note_answer(identifier, detail, now=now)
    except StateError as error:
        raise StateError(
            f"the {detail['kind']} was {detail['how']}, but the history has no entry for it: "
            f"{error}"
        ) from error


def _print_message(message: str) -> None:
    click.echo(f"hashscan: {message}", err=True)
