"""Lists the complaints of ``status``, the most urgent first, and decides its exit code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from hashscan.errors import ExitCode
from hashscan.jobs.complaint_reasons import Reason
from hashscan.jobs.notices.deadlines import DUE_SOON, OVERDUE
from hashscan.notices.unread_inputs import directory_of
from hashscan.quarantine.brakes import summary_of
from hashscan.text import counted, human_age, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.jobs.status import Status

#: Seconds that candidates may wait for a verdict, and seconds that syncs may fail.
_PENDING, _SYNC_FAILS = 900.0, 3600.0
#: Seconds that notifications may wait until their receiver takes them.
_UNSENT = 900.0
#: Seconds that one reading of the Maildir may take.
_MAIL_HANGS = 600.0


class Complaint(NamedTuple):
    """Describes a complaint of ``status`` by its message for the sysadmin.

    Attributes:
        code: exit code of ``status`` if this complaint is the only one.
    """

    code: ExitCode
    reason: Reason
    message: str


def complaints(found: Status) -> list[Complaint]:
    """Return all complaints of ``status``, the most urgent first.

    ``status`` ends with the exit code of the first complaint.
    """
    return [
        *_filters(found),
        *(Complaint(ExitCode.INTERNAL, *one) for one in found.trouble),
        *_mail_trouble(found),
        *_round_trouble(found),
        *_overdue(found),
        *_matches(found),
        *_service(found),
        *_soon(found),
        *_intake(found),
        *_notifications(found),
        *(Complaint(ExitCode.UNREADABLE, *one) for one in found.uncovered),
    ]


def _filters(found: Status) -> Iterator[Complaint]:
    for one in found.filters:
        if one.trouble is not None:
            message = f"filter {shown(one.name)}: {one.trouble}"
            yield Complaint(ExitCode.FILTER, Reason.FILTER, message)
        elif one.digests == 0:
            message = f"filter {shown(one.name)}: it holds no digest"
            yield Complaint(ExitCode.FILTER, Reason.FILTER, message)
    # A broken filter already has a complaint, so a refusal by the same filter is not repeated.
    if not any(one.trouble for one in found.filters):
        for why in found.refusals:
            yield Complaint(ExitCode.FILTER, Reason.CONFIGURATION, f"no scan would start: {why}")
    if found.stands_still:
        at_a_limit = found.at_a_limit
        yield Complaint(
            ExitCode.INTERNAL if at_a_limit else ExitCode.FILTER,
            Reason.LIMIT if at_a_limit else Reason.FILTER,
            f"nothing is scanned: {found.stands_still} (the daemon tries again every half minute)",
        )


def _mail_trouble(found: Status) -> Iterator[Complaint]:
    mail = found.mail
    if mail is None:
        return
    if mail.get("trouble"):
        message = f"notices: {mail['trouble']}"
        yield Complaint(ExitCode.INTERNAL, Reason.NOTICES_INPUT, message)
    silent = time.time() - float(mail.get("since") or time.time())
    if silent > _MAIL_HANGS:
        yield Complaint(
            ExitCode.INTERNAL,
            Reason.NOTICES_INPUT,
            f"notices: {shown(mail['maildir'])} has not answered for {human_age(silent)}, so the "
            "daemon reads no mail; check its mount and its file server",
        )


def _round_trouble(found: Status) -> Iterator[Complaint]:
    rounds = found.daemon.get("notice_rounds") if found.daemon and found.alive else None
    if rounds and rounds.get("trouble"):
        message = f"notices: {rounds['trouble']}"
        yield Complaint(ExitCode.INTERNAL, Reason.NOTICES_INPUT, message)


def _overdue(found: Status) -> Iterator[Complaint]:
    for kind, message in found.deadlines.messages if found.deadlines else ():
        if kind == OVERDUE:
            yield Complaint(ExitCode.MATCHES, Reason.NOTICES_OVERDUE, message)


def _soon(found: Status) -> Iterator[Complaint]:
    """Complain about notices that may soon be overdue."""
    for kind, message in found.deadlines.messages if found.deadlines else ():
        if kind == DUE_SOON:
            yield Complaint(ExitCode.UNREADABLE, Reason.NOTICES_DUE_SOON, message)
    if found.deadlines and found.deadlines.unapproved and found.moves_named:
        yield Complaint(ExitCode.UNREADABLE, Reason.NOTICES_UNAPPROVED, found.deadlines.unapproved)
    if found.deadlines and found.deadlines.ahead:
        yield Complaint(
            ExitCode.UNREADABLE,
            Reason.CLOCK,
            f"{counted(found.deadlines.ahead, 'open notice')} received in the future, with a wrong "
            "deadline: set the clock right (timedatectl), and check 'hashscan notice list'",
        )
    if found.deadlines and found.deadlines.unread:
        number = counted(found.deadlines.unread, "input")
        yield Complaint(
            ExitCode.UNREADABLE,
            Reason.NOTICES_UNREAD,
            f"{number} not understood as a notice: read each file in "
            f"{shown(directory_of(found.state))}, add it with 'hashscan notice add FILE --format "
            "list', and remove it",
        )
    if found.mail and found.mail.get("waiting"):
        first = found.mail["examples"][0] if found.mail["examples"] else {"path": "", "why": ""}
        yield Complaint(
            ExitCode.UNREADABLE,
            Reason.NOTICES_UNREAD,
            f"{counted(found.mail['waiting'], 'mail')} not understood as notices: add each with "
            "'hashscan notice add FILE --format list', mark it as read, or move it away; e.g. "
            f"{first['path']}: {first['why']}",
        )
    if found.maildir is not None and not found.alive:
        yield Complaint(
            ExitCode.UNREADABLE,
            Reason.NOTICES_INPUT,
            f"the mails in {shown(found.maildir)} are not read, because no daemon runs: start the "
            "daemon (systemctl start hashscan)",
        )


def _intake(found: Status) -> Iterator[Complaint]:
    if found.intake is not None and found.intake.process is None:
        senders = counted(found.intake.tokens, "sender")
        yield Complaint(
            ExitCode.UNREADABLE,
            Reason.NOTICES_INPUT,
            f"notices over HTTP are not taken, but {senders} may have a token: start 'hashscan "
            "notice serve' (systemctl start hashscan-notices), or remove the tokens ('hashscan "
            "notice token remove'); a link checker that does not answer counts as offline",
        )


def _notifications(found: Status) -> Iterator[Complaint]:
    for one in found.receivers:
        since = time.time() - (one.trouble_since or time.time())
        if one.trouble and since > _UNSENT:
            yield Complaint(
                ExitCode.UNREADABLE,
                Reason.NOTIFICATIONS,
                f"notify {one.name}: {counted(one.events, 'event')} not sent for "
                f"{human_age(since)}: {one.trouble}; then run 'hashscan notify test {one.name}'",
            )
        for number, how in ((one.refused, "refused and kept"), (one.given_up, "given up")):
            if number:
                yield Complaint(
                    ExitCode.UNREADABLE,
                    Reason.NOTIFICATIONS,
                    f"notify {one.name}: {counted(number, 'message')} {how}: {one.refused_why}; "
                    f"then run 'hashscan notify test {one.name}'",
                )


def _matches(found: Status) -> Iterator[Complaint]:
    if found.unmoved is not None:
        count, path, why = found.unmoved
        where = why if why.startswith(shown(path)) else f"{shown(path)}: {why}"
        number = counted(count, "match", "matches")
        message = f"{number} could not be moved, e.g. {where}"
        yield Complaint(ExitCode.MATCHES, Reason.MATCHES_UNMOVED, message)
    for one in found.holds:
        if one.files:
            yield Complaint(ExitCode.MATCHES, Reason.MATCHES_HELD, summary_of(one))
    if found.reported:
        yield Complaint(
            ExitCode.MATCHES,
            Reason.MATCHES_REPORTED,
            f"{counted(found.reported, 'match', 'matches')} not moved, because "
            f"{found.reports_only}",
        )


def _service(found: Status) -> Iterator[Complaint]:
    catalog = found.catalog
    if found.refused:
        message = f"the service refuses the password: {found.refused}"
        yield Complaint(ExitCode.SERVICE, Reason.SERVICE_REFUSES, message)
    elif catalog is not None and catalog.oldest is not None:
        waits = time.time() - catalog.oldest
        if waits > _PENDING:
            yield Complaint(
                ExitCode.SERVICE,
                Reason.PENDING,
                f"{counted(catalog.pending, 'candidate')} without a verdict, the oldest for "
                f"{human_age(waits)}",
            )
    sync = found.sync
    since = sync.get("failing_since") if sync else None
    if (
        sync is not None
        and since is not None
        and (sync.get("refused") or time.time() - since > _SYNC_FAILS)
    ):
        yield Complaint(
            ExitCode.SERVICE,
            Reason.SYNC,
            f"filters: sync has failed for {human_age(time.time() - since)}: {sync.get('message')}",
        )
