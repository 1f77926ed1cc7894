"""Decides which digests in quarantine are withdrawn, and marks their records.

Pure decisions on the answers of the service; ``mark`` alone writes. A digest is withdrawn if the
service answers ``unknown`` twice, at least a day apart and with no ``known`` in between. A service
or a list that is wrong as a whole must not release the quarantine: ``brake`` holds the withdrawals
then, until an administrator accepts them.
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

#: Seconds between the first and the second ``unknown``, at least.
APART = 86400.0
#: Seconds; only answers of so long count for a brake.
WINDOW = 2 * APART
#: Seconds for which a withdrawal counts that no administrator has checked, also after its files are
#: restored. Otherwise a wrong service could empty the quarantine a few digests at a time.
LONG = 90 * APART
#: So many digests may turn unknown without a brake by their share ...
FEW = 3
#: ... and this share of the digests that were asked for; also the share that a list may lose.
SHARE = 0.1
_RIGHT = "is it the right service, with the right account and its whole list?"
#: Share of the interval by which questions about different digests are spread.
_SPREAD = 0.1


@dataclass(slots=True)
class WithdrawnGroup:
    """The files in quarantine with one subject.

    Attributes:
        files: number of records.
        marked: number of these that are marked as withdrawn.
        age: seconds that have certainly passed since the last of them was quarantined.
        questions: digests to ask for: the confirmed one, then others of the content that a filter
            holds now.
        dropped: no filter holds any of them.
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
    """What is in quarantine by the word of one service.

    Attributes:
        groups: the files by subject.
        others: number of files that another service confirmed: nobody is asked about them.
        unread: number of damaged records.
    """

    groups: dict[Subject, WithdrawnGroup] = field(default_factory=dict)
    others: int = 0
    unread: int = 0


def subject_of(record: Record | Brief, service: str) -> Subject | None:
    """The subject of a file in quarantine, if ``service`` confirmed it; else ``None``.

    A file that moved because of a notice is there by the notice's authority, not by a list's.
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
    """The files in quarantine by subject; reads the facts of each record once.

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
    """Whether a subject is to be asked for now.

    ``interval``: seconds between two questions. ``filters``: name of the known set in use.
    """
    if group.dropped and (last is None or last.filters != filters):
        return True
    # The digests of one night are not all asked for in one hour of each following night.
    share = int(group.subject.content[:8], 16) / 0xFFFF_FFFF
    wait = interval * (1 - _SPREAD * share)
    if last is None:
        return group.age >= wait
    # After a day, the second answer decides.
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
    """The state of a subject after an answer at ``now``, the last moment of ``timeline``."""
    subject = group.subject
    if known:
        return Answered(subject, True, filters, now, now, KNOWN, "")
    # A file of this content that came to quarantine since was known then.
    if last is None or last.known or group.age < last.since.age(timeline):
        return Answered(subject, False, filters, now, now, UNKNOWN, "")
    state = last.state
    if state == UNKNOWN and last.since.age(timeline) >= APART:
        state = RIPE
    return last._replace(filters=filters, asked=now, state=state)


def is_counted(one: Answered, timeline: Timeline) -> bool:
    """Whether a withdrawal counts for the brake."""
    return one.state == WITHDRAWN and one.since.age(timeline) <= LONG


def is_cut(size: int, size_before: int | None) -> bool:
    """Whether a known set has lost so many digests that it may be wrong.

    ``size_before``: when it was last right; ``None``: unknown.
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
    """Why nothing may be withdrawn without an administrator; empty: it may.

    Args:
        answers: the last answers about all subjects in quarantine.
        restored: the last answers about withdrawn subjects that have left it.
        size: number of digests in the known set.
        size_before: the same when it was last right; ``None``: unknown.
        timeline: of the quarantine.
    """
    recent = [one for one in answers.values() if one.asked.age(timeline) <= WINDOW]
    unknown = sum(one.state in {UNKNOWN, RIPE} for one in recent)
    withdrawn = [one for one in (*answers.values(), *restored) if is_counted(one, timeline)]
    all_of_them = len({one.subject for one in (*recent, *withdrawn)})
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
    if unknown + len(withdrawn) > max(FEW, SHARE * all_of_them):
        verb = "was" if len(withdrawn) == 1 else "were"
        return (
            f"{counted(len(withdrawn), 'digest')} {verb} withdrawn within {LONG / APART:.0f} days, "
            f"and no administrator has checked that; {unknown:,} more of {all_of_them:,} "
            f"{'is' if unknown == 1 else 'are'} unknown now: {_RIGHT}"
        )
    if not any(one.known for one in recent):
        return (
            "the service knows none of the digests in quarantine, so nothing shows that it knows "
            f"any: {_RIGHT}"
        )
    return ""


def sentenced(
    answers: Mapping[Subject, Answered], why: str
) -> tuple[list[Answered], list[Answered]]:
    """The answers whose digests are withdrawn now, and those that are held from now on.

    ``why``: the brake's reason; empty: it does not hold. A held withdrawal stays held until the
    service knows the digest again or an administrator accepts.
    """
    ripe = [one for one in answers.values() if one.state == RIPE and not one.held]
    accepted = [one for one in answers.values() if one.state == ACCEPTED]
    if why:
        return accepted, [one._replace(held=why) for one in ripe]
    return accepted + ripe, []


def mark(
    store: Store,
    service: str,
    withdrawn: Collection[Subject],
    known: Collection[Subject],
    *,
    patience: float,
) -> int:
    """Mark the records of withdrawn subjects, and take the mark from those that are known again.

    The lock is released between two records. A killed call is simply made again.

    Returns:
        How many records changed.

    Raises:
        QuarantineError, LockedError: the store cannot be used, or a record cannot be written.
    """
    changed = 0
    for _, brief, _ in briefs(store):
        if brief is None or not _differs(brief, service, withdrawn, known):
            continue
        with store.lock(patience):
            try:
                record = store.load(brief.id)  # it may have been restored meanwhile
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
