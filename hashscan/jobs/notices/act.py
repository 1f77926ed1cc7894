"""Decides on the files that notices name, and reports, holds or moves the files."""

from __future__ import annotations

import os
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from hashscan.audit.matches import MatchLines
from hashscan.authority import Authority
from hashscan.closable import Closable
from hashscan.errors import CredentialsError, HashscanError, QuarantineError, ServiceError
from hashscan.jobs.allowed_matches import Allowing, open_allow
from hashscan.jobs.brakes import open_brakes
from hashscan.model import Acted, Confirmed, Digest, FilterHit, MatchEvent, hits
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.dismissed_digests import Dismissed
from hashscan.quarantine.manage import records
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.recover import recover
from hashscan.quarantine.store import Store as QuarantineStore
from hashscan.text import rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from hashscan.audit.recorder import Recorder
    from hashscan.config.settings import Settings
    from hashscan.jobs.known_set import KnownSet
    from hashscan.known.allow import AllowList
    from hashscan.model import Actor, Answer, Candidate, Confirmer
    from hashscan.notices.notice import Notice
    from hashscan.quarantine.records import Record
    from hashscan.state import State

#: Category of a file if no list has a digest of the file.
NOTICED = "noticed"
#: Seconds to wait while another process has the quarantine's lock.
_PATIENCE = 10.0
_IN_TEST = "service.test is true, so no file is moved"
_IN_QUARANTINE = frozenset({RecordState.QUARANTINED, RecordState.COPIED, RecordState.PURGED})


class Verdict(NamedTuple):
    """What the filters and the service say about a file.

    Attributes:
        hit: the file's digest that the service confirmed; ``None``: no list has a digest of the
            file, or the service's answer is pending.
        category: category of the known set that has the file's digest.
        pending: why the service's answer is pending; "": the verdict is final.
    """

    hit: FilterHit | None = None
    category: str = ""
    pending: str = ""


class NoticeActs(Closable):
    """Gives verdicts on files and acts on files, for one round over the items of notices."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        known: KnownSet | None,
        say: Callable[[str], None],
        recorder: Recorder,
        *,
        why_unknown: str = "",
        absent: Collection[bytes] = (),
    ) -> None:
        """``known``: the known set; ``None``: no known set is usable, as ``why_unknown`` says."""
        self._settings = settings
        self._state = state
        self._known = known
        self._say = say
        self._recorder = recorder
        self._matches: MatchLines | None = None
        self._why_unknown = why_unknown
        self._absent = absent
        self._stack = ExitStack()
        self._confirmer: Confirmer | None = None
        self._answers: dict[Digest, Answer] = {}
        self._refused: ServiceError | None = None
        self._actor: Actor | None = None
        self._store: QuarantineStore | None = None
        self._by_digest: dict[Digest, Record] | None = None

    def close(self) -> None:
        """Close the quarantine, the allow-list and the connections to the service."""
        self._stack.close()

    # Methods that give verdicts on files

    def verdict(self, candidate: Candidate) -> Verdict:
        """The verdict on a file: from the filters and, for each digest in a filter, the service."""
        if self._known is None:
            return Verdict(pending=f"no list can be asked: {self._why_unknown}")
        pending = ""
        for hit in hits(self._known.filters, candidate.digests):
            try:
                answer = self._confirm(hit.digest)
            except ServiceError as error:
                pending = pending or str(error)
                continue
            if answer.known:
                return Verdict(hit, answer.category or hit.category)
        return Verdict(pending=pending)

    def _confirm(self, digest: Digest) -> Answer:
        if digest in self._answers:
            return self._answers[digest]
        if self._refused is not None:
            raise self._refused
        assert self._known is not None
        if self._confirmer is None:
            self._confirmer = self._known.make_confirmer()
            if self._known.remote:  # the daemon closes the confirmer of local lists
                self._stack.callback(self._confirmer.close)
        try:
            answer = self._answers[digest] = self._confirmer.confirm(digest)
        except CredentialsError as error:
            self._refused = error
            raise
        return answer

    # Methods that act on files

    def act(
        self,
        notice: Notice,
        candidate: Candidate,
        verdict: Verdict,
        *,
        by_notice: bool,
        not_moved: str = "",
        named: bool = False,
    ) -> MatchEvent:
        """Report, hold or quarantine a file; a held file stays in place until a person decides.

        Args:
            notice: the notice that names the file or whose item has the file's content.
            candidate: the file with its digests.
            verdict: what the filters and the service say about the file.
            by_notice: whether the notice alone may move the file, if ``notices.action`` is
                ``quarantine``.
            not_moved: why the notice alone must not move the file; "": the notice may move the
                file.
            named: whether the notice names the file by the file's URL or path.
        """
        settings = self._settings
        is_known = verdict.hit is not None
        authority = Authority(
            "list" if is_known else "notice",
            notice.id,
            notice.reference,
            notice.authority or notice.sender,
        )
        found = candidate.digests.as_dict()
        match = Confirmed(
            candidate,
            verdict.hit or FilterHit(Digest("sha256", found["sha256"]), NOTICED, "none"),
            verdict.category or NOTICED,
            self._known.service if is_known and self._known else f"notice {notice.id}",
            rfc3339(),
            authority,
            found_by="notice",
            named=named,
        )
        by_list = is_known and settings.quarantine.action == "quarantine"
        if not by_list and not (by_notice and settings.notices.action == "quarantine"):
            return self._on_record(MatchEvent(match, Acted("reported", message=verdict.pending)))
        if notice.unproven and not not_moved:
            not_moved = (
                f"{shown(candidate.full_path)}: not moved: {notice.unproven}; read the notice, then"
                f" run 'hashscan notice approve {notice.id} --reason TEXT', or the same with"
                " 'close'"
            )
        why = _IN_TEST if settings.is_test else "" if by_list else not_moved
        if why:
            return self._on_record(MatchEvent(match, Acted("reported", message=why)))
        try:
            acted = self._opened().act(match)
        except HashscanError as error:
            message = f"{shown(candidate.full_path)}: not moved: {error}"
            acted = Acted("reported", message=message, problem="no-quarantine")
        if acted.action in {"allowed", "held"} and not is_known and acted.hold is None:
            acted = replace(
                acted,
                action="held",
                message=f"{acted.message}; the notice alone does not move it: remove the file, or"
                f" run 'hashscan notice close {notice.id} --reason TEXT'",
            )
        return self._on_record(MatchEvent(match, acted))

    def _on_record(self, event: MatchEvent) -> MatchEvent:
        """Write the audit line of a known, moved or held file; return the match event.

        A file that no list has and that is only reported has no audit line: the notice's history
        records the file.

        Raises:
            StateError: the audit line cannot be written; the next round acts on the file again.
        """
        is_known = event.match.category != NOTICED
        if is_known or event.acted.action != "reported" or event.acted.problem:
            if self._matches is None:
                self._matches = MatchLines(self._recorder)
                self._stack.callback(self._matches.save)
            self._matches.write(event)
        return event

    def _opened(self) -> Actor:
        """The quarantine, which moves no file whose digest is in the allow-list.

        Raises:
            HashscanError: the quarantine or the allow-list cannot be used.
        """
        if self._actor is None:
            allow = open_allow(self._settings, self._state, self._say, nullcontext)
            if allow is not None:
                self._stack.callback(_closer(allow))
            store = self._opened_store(create=True)
            assert store is not None
            quarantine = Quarantine(
                store, cross_mounts=None, patience=_PATIENCE, absent=self._absent
            )
            for recovered in quarantine.recovered:
                self._say(f"quarantine {recovered.record_id}: {recovered.message}")
            brakes = open_brakes(self._settings, self._state, quarantine, "notice")
            self._stack.callback(brakes.close)
            actor = brakes if allow is None else Allowing(allow, brakes)
            self._actor = Allowing(Dismissed(self._state.dismissed), actor)
        return self._actor

    # Methods for files that are in quarantine

    def recover(self) -> None:
        """Finish or undo the moves into quarantine that a killed process began.

        Raises:
            QuarantineError, LockedError: the quarantine cannot be used.
        """
        store = self._opened_store()
        if store is not None:
            with store.lock(_PATIENCE):
                for recovered in recover(store, absent=set(self._absent)):
                    self._say(f"quarantine {recovered.record_id}: {recovered.message}")

    def moved(self, full_path: bytes, notice: str) -> Record | None:
        """The record of a file moved from ``path``: the record for ``notice``, else the latest.

        Raises:
            QuarantineError, LockedError: the quarantine cannot be read.
        """
        store = self._opened_store()
        if store is None:
            return None
        found = None
        with store.lock(_PATIENCE):
            for record_id in sorted(store.index.at(full_path)):
                record = store.load(record_id)
                if record.state in _IN_QUARANTINE:
                    found = record
                    if record.authority is not None and record.authority.notice == notice:
                        return record
        return found

    def owners(self, record_ids: Iterable[str]) -> set[int]:
        """The uids of the owners of quarantined files.

        Raises:
            QuarantineError: a record in the quarantine cannot be read.
        """
        store = self._opened_store()
        if store is None:
            return set()
        found = (store.load(one).metadata for one in record_ids)
        return {one.uid for one in found if one is not None}

    def moved_content(self, digests: Iterable[Digest]) -> Record | None:
        """The latest record of a quarantined file with one of ``digests``.

        Raises:
            QuarantineError: the quarantine cannot be read.
        """
        if self._by_digest is None:
            self._by_digest = {}
            store = self._opened_store()
            for listed in records(store) if store is not None else ():
                record = listed.record
                if record is not None and record.state in _IN_QUARANTINE and record.digests:
                    self._by_digest |= dict.fromkeys(record.digests.each(), record)
        return next((self._by_digest[one] for one in digests if one in self._by_digest), None)

    def _opened_store(self, *, create: bool = False) -> QuarantineStore | None:
        if self._store is None:
            try:
                self._store = QuarantineStore.open(
                    os.fsencode(self._settings.quarantine_directory),
                    create=create,
                    recorder=self._recorder,
                )
            except QuarantineError as error:
                if error.reason == "no-store":
                    return None
                raise
            self._stack.callback(self._store.close)
        return self._store


def _closer(allow: AllowList) -> Callable[[], None]:
    return allow.close
