"""Decides which digests in quarantine the service withdrew, and marks the records of the files.

All functions are pure decisions on the service's answers, except ``mark``, which writes records. A
digest is withdrawn if the service answers ``unknown`` twice, at least a day apart, and does not
answer ``known`` in between. A faulty service or list must not release the whole quarantine: then
``brake`` holds the withdrawals until an administrator accepts them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from hashscan.errors import QuarantineError
from hashscan.model import Digest, hits
from hashscan.quarantine.recheck_answers import (
    ACCEPTED,
    KNOWN,
    RIPE,
    UNKNOWN,
    WITHDRAWN,
    Answered,
    Subject,
    When,
)
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.summary import briefs
from hashscan.text import counted, rfc3339

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hashscan.model import Filter
    from hashscan.quarantine.records import Record
    from hashscan.quarantine.store import Store
    from hashscan.quarantine.summary import Brief
    from hashscan.timeline import Timeline

#: Minimum of seconds between the first and the second answer ``unknown``.
APART = 86400.0
#: Maximum age of an answer that counts for the brake, in seconds.
WINDOW = 2 * APART
#: Seconds for which a withdrawal that no administrator has checked counts for the brake, even after
#: its files were restored. Otherwise a faulty service could empty the quarantine a few digests at a
#: time.
LONG = 90 * APART
#: Number of digests that may become unknown without the brake, even if their share is large.
FEW = 3
#: Maximum share of the checked digests that may become unknown without the brake; also the maximum
#: share of its digests that a list may lose.
SHARE = 0.1
_RIGHT = "is it the right service, with the right account and its whole list?"
#: Share of the interval over which hashscan spreads its questions about different digests.
_SPREAD = 0.1


@dataclass(slots=True)
class WithdrawnGroup:
    """The files in quarantine with one confirmed digest and one content.

    Attributes:
        subject: the confirmed digest and the content of the files.
        files: number of records of files with the digest and the content.
        marked: number of records that are marked as withdrawn.
        age: seconds that have certainly passed since the last of the files was quarantined.
        questions: digests to ask the service about: the confirmed digest, then other digests of
            the content that a filter has now.
        dropped: whether no filter has any of the content's digests.
    """

    subject: Subject
    category: str
    questions: tuple[Digest, ...]
    dropped: bool
    age: float
    files: int = 0
    marked: int = 0


@dataclass(frozen=True, slots=True)
class Contents:
    """The files in quarantine that one service confirmed.

    Attributes:
        groups: the files by confirmed digest and content.
        others: number of files that another service confirmed; these files are not rechecked.
        unread: number of damaged records in the store.
    """

    groups: dict[Subject, WithdrawnGroup] = field(default_factory=dict)
    others: int = 0
    unread: int = 0


def subject_of(record: Record | Brief, service: str) -> Subject | None:
    """The subject of a file in quarantine, if ``service`` confirmed the file; else ``None``.

    A file that was moved because of a notice has no subject: no service confirmed the file.
    """
    if (
        record.state is not RecordState.QUARANTINED
        or record.digests is None
        or record.digests.sha256 is None
        or record.verdict != "known"
        or record.service != service
    ):
        return None
    return Subject(record.confirmed, record.digests.sha256.hex())


def collect(store: Store, service: str, filters: Sequence[Filter], timeline: Timeline) -> Contents:
    """The files in quarantine by confirmed digest and content; each record is read once.

    Raises:
        QuarantineError: the store cannot be listed.
    """
    groups: dict[Subject, WithdrawnGroup] = {}
    others = unread = 0
    for _, record, _ in briefs(store):
        if record is None:
            unread += 1
            continue
        subject = subject_of(record, service)
        if subject is None:
            others += record.state is RecordState.QUARANTINED and record.verdict == "known"
            continue
        age = _age(record, timeline)
        group = groups.get(subject)
        if group is None:
            assert record.digests is not None
            held = [hit.digest for hit in hits(filters, record.digests)]
            questions = tuple(dict.fromkeys([subject.digest, *held]))
            groups[subject] = group = WithdrawnGroup(
                subject, record.category, questions, not held, age
            )
        group.files += 1
        group.marked += bool(record.withdrawn)
        group.age = min(group.age, age)
    return Contents(groups, others, unread)


def _age(record: Brief, timeline: Timeline) -> float:
    return timeline.age(datetime.fromisoformat(record.acted).timestamp(), record.span)


def due(
    group: WithdrawnGroup, last: Answered | None, interval: float, filters: str, timeline: Timeline
) -> bool:
    """Whether hashscan must ask the service about a digest in quarantine now.

    Args:
        group: the files in quarantine with the digest.
        last: the service's last answer about the digest; ``None``: the service was never asked.
        interval: seconds between two questions about one digest.
        filters: name of the service's known set that is in use.
        timeline: timeline of the quarantine.
    """
    if group.dropped and (last is None or last.filters != filters):
        return True
    # Spread the questions: one night's digests must not all be asked in one hour of later nights.
    share = int(group.subject.content[:8], 16) / 0xFFFF_FFFF
    wait = interval * (1 - _SPREAD * share)
    if last is None:
        return group.age >= wait
    # A second answer ``unknown`` after a day decides that the digest is withdrawn.
    decides = last.state == UNKNOWN and last.since.age(timeline) >= APART
    return decides or last.asked.age(timeline) >= wait


def after(
    last: Answered | None,
    group: WithdrawnGroup,
    *,
    known: bool,
    filters: str,
    now: When,
    timeline: Timeline,
) -> Answered:
    """The new ``Answered`` after a service's answer at ``now``, the end of ``timeline``."""
    subject = group.subject
    if known:
        return Answered(subject, True, filters, now, now, KNOWN, "")
    # If a file with the content was quarantined after the first answer ``unknown``, the digest was
    # known at that time.
    if last is None or last.known or group.age < last.since.age(timeline):
        return Answered(subject, False, filters, now, now, UNKNOWN, "")
    state = last.state
    if state == UNKNOWN and last.since.age(timeline) >= APART:
        state = RIPE
    return last._replace(filters=filters, asked=now, state=state)


def is_counted(answer: Answered, timeline: Timeline) -> bool:
    """Whether an answer is a withdrawal that counts for the brake."""
    return answer.state == WITHDRAWN and answer.since.age(timeline) <= LONG


def is_cut(size: int, size_before: int | None) -> bool:
    """Whether a known set has lost so many digests that the set may be wrong.

    ``size_before`` is the set's size when the set was last right; ``None``: unknown.
    """
    return size_before is not None and size_before - size > max(FEW, SHARE * size_before)


def brake(
    answers: Mapping[Subject, Answered],
    *,
    restored: Collection[Answered] = (),
    size: int,
    size_before: int | None,
    timeline: Timeline,
) -> str:
    """The reason why an administrator must accept withdrawals; empty: nobody must accept them.

    Args:
        answers: the last answers about all digests in quarantine.
        restored: the last answers about withdrawn digests that are no longer in quarantine.
        size: number of digests in the known set.
        size_before: number of digests when the known set was last right; ``None``: unknown.
        timeline: timeline of the quarantine.
    """
    recent = [answer for answer in answers.values() if answer.asked.age(timeline) <= WINDOW]
    unknown = sum(answer.state in {UNKNOWN, RIPE} for answer in recent)
    withdrawn = [
        answer for answer in (*answers.values(), *restored) if is_counted(answer, timeline)
    ]
    subjects = len({answer.subject for answer in (*recent, *withdrawn)})
    if size_before is not None and is_cut(size, size_before):
        return (
            f"the known set had {counted(size_before, 'digest')} before and has {size:,} now: is a "
            "list cut off, or is it another list?"
        )
    if unknown > max(FEW, SHARE * len(recent)):
        return (
            f"{unknown:,} of the {counted(len(recent), 'digest')} in quarantine that were asked "
            f"for are unknown now: {_RIGHT}"
        )
    if unknown + len(withdrawn) > max(FEW, SHARE * subjects):
        verb = "was" if len(withdrawn) == 1 else "were"
        return (
            f"{counted(len(withdrawn), 'digest')} {verb} withdrawn within {LONG / APART:.0f} days, "
            f"and no administrator has checked that; {unknown:,} more of {subjects:,} "
            f"{'is' if unknown == 1 else 'are'} unknown now: {_RIGHT}"
        )
    if not any(answer.known for answer in recent):
        return (
            "the service knows none of the digests in quarantine, so nothing shows that it knows "
            f"any: {_RIGHT}"
        )
    return ""


def sentenced(
    answers: Mapping[Subject, Answered], why: str
) -> tuple[list[Answered], list[Answered]]:
    """The answers that withdraw digests now, and the answers whose withdrawal the brake holds.

    ``why`` is the brake's reason; empty: the brake holds nothing. The brake holds a withdrawal
    until the service knows the digest again or an administrator accepts the withdrawal.
    """
    ripe = [answer for answer in answers.values() if answer.state == RIPE and not answer.held]
    accepted = [answer for answer in answers.values() if answer.state == ACCEPTED]
    if why:
        return accepted, [answer._replace(held=why) for answer in ripe]
    return accepted + ripe, []


def mark(
    store: Store,
    service: str,
    withdrawn: Collection[Subject],
    known: Collection[Subject],
    *,
    patience: float,
) -> int:
    """Mark the records of withdrawn digests; remove the mark if a digest is known again.

    The store's lock is released after each record. After a kill, call ``mark`` again to mark the
    remaining records.

    Returns:
        Number of records whose mark changed.

    Raises:
        QuarantineError, LockedError: the store cannot be used, or a record cannot be written.
    """
    changed = 0
    for _, brief, _ in briefs(store):
        if brief is None or not _differs(brief, service, withdrawn, known):
            continue
        with store.lock(patience):
            try:
                record = store.load(brief.id)  # another process may have restored the file
            except QuarantineError:
                continue
            if _differs(record, service, withdrawn, known):
                when = "" if record.withdrawn else rfc3339()
                store.save(record.with_withdrawal(when))
                changed += 1
    return changed


def _differs(
    record: Record | Brief, service: str, withdrawn: Collection[Subject], known: Collection[Subject]
) -> bool:
    subject = subject_of(record, service)
    return subject in (known if record.withdrawn else withdrawn)
