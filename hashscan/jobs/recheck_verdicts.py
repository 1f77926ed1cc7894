"""Asks the service again about digests in quarantine, and marks and restores withdrawn files."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hashscan.audit import events
from hashscan.audit.resume import Mark
from hashscan.errors import QuarantineError, ServiceError, ServiceRefusedError
from hashscan.files import WITHDRAWN_MARK
from hashscan.jobs.close_holds import close_corrected
from hashscan.quarantine.recheck_answers import (
    ACCEPTED,
    CHECKED,
    KNOWN,
    RIPE,
    UNKNOWN,
    WITHDRAWN,
    AskedStore,
    When,
)
from hashscan.quarantine.store import Store
from hashscan.quarantine.withdrawn_digests import (
    WINDOW,
    after,
    brake,
    collect,
    due,
    is_counted,
    is_cut,
    mark,
    sentenced,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from hashscan.audit.recorder import Recorder
    from hashscan.jobs.known_set import KnownSet
    from hashscan.known.filters.open_filter import FilterFile
    from hashscan.model import Answer, Confirmer, Digest
    from hashscan.quarantine.recheck_answers import Answered
    from hashscan.quarantine.withdrawn_digests import WithdrawnGroup
    from hashscan.state import State
    from hashscan.timeline import Timeline


#: Seconds to wait until another process releases the quarantine's lock.
_PATIENCE = 30.0
#: Number of questions in one round, and questions a second to a service on another machine.
_MOST, _RATE = 500, 5.0
#: Number of digests with the answer ``known`` about which the service is asked again, to check that
#: the service still knows digests.
_CONTROLS = 3
#: Number of the service's answers that are stored together.
_AT_A_TIME = 16


@dataclass(slots=True)
class RecheckRound:
    """Holds the result of one round of questions to the service about digests in quarantine.

    Attributes:
        asked: number of questions that the service answered in this round.
        unknown: digests in quarantine that the service does not know now.
        withdrawn: number of digests that this round withdrew; ``files``: number of files with these
            digests.
        held: number of digests whose withdrawal this round left to an administrator.
        why: why these withdrawals need an administrator's decision.
        closed: ids of holds that were closed, because none of their digests is known any more.
        marked: number of records in quarantine whose mark changed.
        unmarked: why not all records could be marked; the next round tries again.
        trouble: why the round asked only some of its questions.
        more: some questions to the service are left for the next round.
        seconds: seconds of computing time for reading all records of the quarantine.
    """

    asked: int = 0
    unknown: list[Digest] = field(default_factory=list)
    withdrawn: int = 0
    files: int = 0
    held: int = 0
    why: str = ""
    closed: list[str] = field(default_factory=list)
    marked: int = 0
    unmarked: str = ""
    trouble: str = ""
    more: bool = False
    seconds: float = 0.0


def ask_again(
    directory: str,
    state: State,
    known: KnownSet,
    interval: float,
    recorder: Recorder,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> RecheckRound:
    """Ask the service about the digests in ``directory`` that are due, and mark withdrawn records.

    An error is never an answer. The test twin of a service is not asked: its answers say nothing
    about files that the service confirmed.

    Args:
        directory: path of the quarantine.
        state: the state directory, which stores the answers.
        known: the known set in use, whose service is asked.
        interval: seconds between two questions about the same digest.
        recorder: writes events to the audit log, each before its act.
        pause: function that waits for a number of seconds.

    Raises:
        QuarantineError, LockedError, StateError: the quarantine or the stored answers cannot be
        used.
    """
    found = RecheckRound()
    if known.test:
        return found
    withdrawn: list[Digest] = []
    may_be_wrong = False
    store = _opened(directory)
    if store is not None:
        with store, AskedStore.open(state.withdrawn) as asked:
            one = _Asking(store, asked, known.service, known.filters, recorder, found)
            one.ask(known, interval, pause)
            may_be_wrong = one.is_cut
            one.judge()
            try:
                one.mark()
            except QuarantineError as error:
                found.unmarked = str(error)
            withdrawn = one.withdrawn
    if not may_be_wrong:
        found.closed = close_corrected(state.holds, known.filters, withdrawn, recorder)
    return found


def accept(
    directory: str, state: State, recorder: Recorder, digests: Collection[str] = ()
) -> RecheckRound:
    """Withdraw digests whose withdrawal a brake stopped, on an administrator's order.

    Args:
        directory: path of the quarantine.
        state: the state directory, which stores the answers.
        recorder: writes events to the audit log, each before its act.
        digests: the digests to withdraw, in lower-case hex; empty: all digests that a brake
            stopped.

    Raises:
        QuarantineError, LockedError, StateError: the quarantine or the stored answers cannot be
        used.
    """
    found = RecheckRound()
    store = _opened(directory)
    if store is None:
        return found
    with store, AskedStore.open(state.withdrawn) as asked:
        for service in asked.services():
            answers = asked.answers(service).values()
            held = [
                one._replace(state=ACCEPTED)
                for one in answers
                if one.held and (not digests or one.subject.digest.hex in digests)
            ]
            if held:
                if not digests:
                    checked = [one for one in answers if one.state == WITHDRAWN]
                    held += [one._replace(state=CHECKED) for one in checked]
                    asked.put_size(service, None)
                asked.put(service, held)
                one = _Asking(store, asked, service, (), recorder, found)
                one.withdraw_accepted()
                one.mark()
                found.closed += close_corrected(state.holds, (), one.withdrawn, recorder)
    return found


def _opened(directory: str) -> Store | None:
    """Return the opened quarantine; return ``None`` if there is no quarantine."""
    try:
        return Store.open(os.fsencode(directory), create=False)
    except QuarantineError as error:
        if error.reason != "no-store":
            raise
        return None


class _Asking:
    """Holds the answers of one service, and the files in quarantine that the service confirmed."""

    def __init__(
        self,
        store: Store,
        asked: AskedStore,
        service: str,
        filters: Sequence[FilterFile],
        recorder: Recorder,
        found: RecheckRound,
    ) -> None:
        self._store = store
        self._asked = asked
        self._service = service
        self._recorder = recorder
        self._found = found
        self._mark = Mark(os.path.dirname(asked.path), WITHDRAWN_MARK)
        self._timeline = self._now()
        began = time.process_time()
        contents = collect(store, service, filters, self._timeline)
        found.seconds += time.process_time() - began
        self._groups = contents.groups
        answers = asked.answers(service)
        gone = [one for one in answers if one not in self._groups]
        self._restored = [answers[one] for one in gone if is_counted(answers[one], self._timeline)]
        forgotten = set(gone).difference(one.subject for one in self._restored)
        if forgotten and not contents.unread:
            asked.forget(service, forgotten)
        self._answers = {one: answers[one] for one in answers if one in self._groups}
        self._verdicts: dict[Digest, Answer] = {}
        self._fresh: list[Answered] = []
        self._size = sum(one.metadata.digests for one in filters)

    def _now(self) -> Timeline:
        """Return the record of the clock (``Timeline``) up to now, stored on the disk."""
        with self._store.lock(_PATIENCE):
            return self._store.keep_timeline()

    # Questions

    def ask(self, known: KnownSet, interval: float, pause: Callable[[float], None]) -> None:
        """Ask the service about all digests that are due; without an answer ``known``, ask more."""
        wanted = [
            group
            for subject, group in self._groups.items()
            if due(group, self._answers.get(subject), interval, known.name, self._timeline)
        ]
        if not wanted:
            return
        self._found.more = len(wanted) > _MOST
        with ExitStack() as stack:
            confirmer = known.make_confirmer()
            if known.remote:  # The daemon shares a local confirmer, so it stays open.
                stack.callback(confirmer.close)
            stack.callback(self._store_answers)
            slow = pause if known.remote else _no_pause
            if self._ask_for(wanted[:_MOST], confirmer, known.name, slow):
                self._ask_for(self._controls(), confirmer, known.name, slow)

    def _controls(self) -> list[WithdrawnGroup]:
        """Return known digests to ask about before a withdrawal, if no answer was ``known``."""
        answers = self._answers.values()
        is_proven = any(one.known and one.asked.age(self._timeline) <= WINDOW for one in answers)
        if is_proven or not any(one.state == RIPE for one in answers):
            return []
        known = [one.subject for one in answers if one.state == KNOWN]
        return [self._groups[one] for one in known[:_CONTROLS]]

    def _ask_for(
        self,
        groups: Sequence[WithdrawnGroup],
        confirmer: Confirmer,
        filters: str,
        pause: Callable[[float], None],
    ) -> bool:
        """Ask the service about some digests; return whether more questions are allowed."""
        for group in groups:
            try:
                is_known = self._is_known(group, confirmer, pause)
            except ServiceRefusedError as error:
                self._found.trouble = str(error)
                continue
            except ServiceError as error:
                self._found.trouble = str(error)
                return False
            self._timeline = self._now()
            last = self._answers.get(group.subject)
            answered = after(
                last,
                group,
                known=is_known,
                filters=filters,
                now=When.now(self._timeline),
                timeline=self._timeline,
            )
            self._answers[group.subject] = answered
            self._fresh.append(answered)
            if len(self._fresh) >= _AT_A_TIME:
                self._store_answers()
        return True

    def _store_answers(self) -> None:
        self._asked.put(self._service, self._fresh)
        self._fresh = []

    def _is_known(
        self, group: WithdrawnGroup, confirmer: Confirmer, pause: Callable[[float], None]
    ) -> bool:
        for digest in group.questions:
            answer = self._verdicts.get(digest)
            if answer is None:
                answer = self._verdicts[digest] = confirmer.confirm(digest)
                self._found.asked += 1
                if not answer.known:
                    self._found.unknown.append(digest)
                pause(1 / _RATE)
            if answer.known:
                return True
        return False

    # Withdrawals

    @property
    def is_cut(self) -> bool:
        """Return whether the known set has lost so many digests that the set may be wrong."""
        return is_cut(self._size, self._asked.size(self._service))

    @property
    def withdrawn(self) -> list[Digest]:
        """Return the withdrawn digests that have files in quarantine."""
        gone = {WITHDRAWN, CHECKED}
        return [one.subject.digest for one in self._answers.values() if one.state in gone]

    def judge(self) -> None:
        """Withdraw the digests whose withdrawal is due, or leave them to an administrator."""
        before = self._asked.size(self._service)
        why = brake(
            self._answers,
            restored=self._restored,
            size=self._size,
            size_before=before,
            timeline=self._timeline,
        )
        withdrawn, held = sentenced(self._answers, why)
        if held:
            self._found.held, self._found.why = len(held), why
            files = sum(self._groups[one.subject].files for one in held)
            self._log(
                [(events.WITHDRAWAL_HELD, {"digests": len(held), "files": files, "reason": why})]
            )
        self._withdraw(withdrawn)
        self._keep(held)
        self._mark.clear()
        self._keep_size(before)

    def _keep_size(self, before: int | None) -> None:
        """Note the size of the known set, unless it shrank so much that the set may be wrong."""
        is_right = not (self._found.trouble or self._found.more) and all(
            one.state not in {UNKNOWN, RIPE} for one in self._answers.values()
        )
        if before is None or self._size > before or (is_right and self._size != before):
            self._asked.put_size(self._service, self._size)

    def withdraw_accepted(self) -> None:
        """Withdraw the digests that an administrator accepted, and no others."""
        self._withdraw([one for one in self._answers.values() if one.state == ACCEPTED])
        self._mark.clear()

    def _withdraw(self, answers: Sequence[Answered]) -> None:
        groups = [self._groups[one.subject] for one in answers]
        self._found.withdrawn += len(groups)
        self._found.files += sum(one.files for one in groups)
        self._log([(events.WITHDRAWN, _facts(one, self._service)) for one in groups])
        self._keep(
            [
                one._replace(state=CHECKED if one.state == ACCEPTED else WITHDRAWN, held="")
                for one in answers
            ]
        )

    def _log(self, lines: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Write audit lines about withdrawals, except lines that a killed round wrote."""
        if not lines:
            return
        written = [(one.event, one.facts) for one in self._mark.lines()]
        self._mark.set()
        for line in lines:
            if line in written:
                written.remove(line)
            else:
                event, facts = line
                self._recorder.write(event, **facts)

    def _keep(self, answers: Sequence[Answered]) -> None:
        self._asked.put(self._service, answers)
        self._answers |= {one.subject: one for one in answers}

    def mark(self) -> None:
        """Update the marks of the quarantine's records from the service's answers."""
        withdrawn, known = set(), set()
        for subject, one in self._answers.items():
            group = self._groups[subject]
            # A file that arrived later was confirmed as known.
            is_old = group.age >= one.since.age(self._timeline)
            if one.state in {WITHDRAWN, CHECKED} and group.marked < group.files and is_old:
                withdrawn.add(subject)
            elif one.known and group.marked:
                known.add(subject)
        if withdrawn or known:
            self._found.marked += mark(
                self._store, self._service, withdrawn, known, patience=_PATIENCE
            )


def _no_pause(_seconds: float) -> None:
    """Answers from lists on this machine need no pause."""


def _facts(group: WithdrawnGroup, service: str) -> dict[str, Any]:
    algorithm, text = group.subject.digest
    return {
        "digest": {algorithm: text},
        "category": group.category,
        "files": group.files,
        "service": service,
    }
