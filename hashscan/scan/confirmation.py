"""Processes the catalog's queue of candidates during the walk: first the verdict, then the action.

The digest of a candidate's strongest hit is asked first. A candidate is a false positive only if
the service answered ``unknown`` to every hit. Each distinct digest is asked once.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from hashscan.errors import StateError
from hashscan.fs.beneath import closing, open_parent, open_root
from hashscan.fs.reading import identity_in, stamp_of
from hashscan.fs.volume import Roots
from hashscan.model import (
    Acted,
    Answer,
    Confirmed,
    MatchEvent,
    PendingEvent,
    Summary,
)
from hashscan.scan.asker import NoAnswer
from hashscan.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashscan.catalog.candidates import QueuedCandidate
    from hashscan.catalog.store import Catalog
    from hashscan.model import Actor, Candidate, Digest, FilterHit, Identity
    from hashscan.reporter import Reporter
    from hashscan.scan.asker import Asker, Reply

#: The service is asked for SHA-1 first: it certainly supports MD5 and SHA-1.
_PREFERENCE = {"sha1": 0, "sha256": 1, "md5": 2}
_IN_FLIGHT = 256
#: Problems of a match that leave nothing to move: its file was replaced or removed, and the watch
#: reports that change.
_GONE = frozenset({"changed", "vanished", "swapped", "displaced"})
#: Number of matches that each retry tries to move, after an earlier move failed.
_RETRIED = 32
#: Number of matches with a missing file that are remembered, so that each match is reported only
#: once.
_MOST_AWAY = 4096
#: Number of matches that one step takes from the queue.
_AT_A_TIME = 64


class _Open(NamedTuple):
    """Holds a candidate under question, plus the candidate's digests without a verdict."""

    queued: QueuedCandidate
    refused: dict[Digest, NoAnswer]


class Confirmation:
    """Asks the service for verdicts on candidates, remembers the verdicts, and acts on matches.

    The engine calls the methods between its other work.

    Attributes:
        more: the queue may hold candidates whose digests were not sent to the service yet.
        summaries: the summaries that count candidates, by the number of the last scan that found
            the candidate.
        links_wait: the queue may hold matches whose inodes have several names.
        refused: the service refused the credentials; no more questions are asked then.
        answered: number of verdicts that the service gave.
        last_failure: the reply to the last question without a verdict.
        unmoved: with ``lasting``, the queue holds matches that could not be moved.
    """

    def __init__(
        self,
        catalog: Catalog,
        asker: Asker,
        actor: Actor,
        reporter: Reporter,
        summary: Summary,
        *,
        scan: int,
        filterset: int,
        service: str,
        remote: bool,
        devices_of: Callable[[Candidate], list[int]],
        lasting: bool = False,
        on_stale: Callable[[int, list[bytes]], None] = lambda _directory, _names: None,
        is_away: Callable[[bytes], bool] = lambda _volume: False,
        record: Callable[[MatchEvent], None] = lambda _event: None,
    ) -> None:
        """Confirm the candidates in ``catalog``'s queue for scan number ``scan``.

        ``service`` is the confirmer's name. Verdicts of a ``remote`` confirmer are remembered as
        long as ``filterset`` is in use. ``devices_of`` returns the device numbers that rows of the
        catalog use for a candidate's device. A ``lasting`` confirmation serves several scans, which
        count their candidates themselves; a candidate of a scan without an entry in ``summaries``
        counts in ``summary``. ``on_stale`` receives the directory id and the names of a match's
        inode whose rows have another stamp: a process wrote to the inode under one name, and
        hashscan checked only that name. Matches in a volume for which ``is_away`` returns true
        remain in the queue: a process that touches a file of a dead file server waits for ever.
        ``record`` stores the record of a match; if ``record`` raises, the match remains in the
        queue.
        """
        self._record = record
        self._catalog = catalog
        self._asker = asker
        self._actor = actor
        self._reporter = reporter
        self._summary = summary
        self._scan = scan
        self._filterset = filterset
        self._service = service
        self._remote = remote
        self._devices_of = devices_of
        self._waiting: dict[Digest, list[int]] = {}
        self._open: dict[int, _Open] = {}
        self._answers: dict[Digest, Answer] = {}
        self._lasting = lasting
        self._on_stale = on_stale
        self._is_away = is_away
        self._named: set[Identity] = set()
        self._told = False
        self.refused: NoAnswer | None = None
        self.answered = 0
        self.failed = 0
        self.last_failure: NoAnswer | None = None
        self.unmoved = False
        #: The last scan that counted a match that could not be moved, and the match's problem, by
        #: its id.
        self._unmoved: dict[int, tuple[int, str]] = {}
        #: Matches whose file was gone before its move: number of the scan that found the match,
        #: path, problem.
        self._away: set[tuple[int, bytes, str | None]] = set()
        self.summaries: dict[int, Summary] = {scan: summary}
        self.more = True
        self.links_wait = True

    @property
    def busy(self) -> bool:
        """Return whether a question to the service has no reply yet."""
        return bool(self._open)

    @property
    def has_room(self) -> bool:
        """Return whether the service may be asked another question now."""
        return len(self._open) < _IN_FLIGHT

    def begin(self, roots: Iterable[bytes]) -> None:
        """Queue the candidates of earlier scans that a walk of ``roots`` does not reach."""
        self._catalog.reconsider(self._scan, self._service)
        walked = Roots(roots)
        elsewhere = [
            queued.number
            for queued, _ in self._catalog.pending()
            if queued.service == self._service
            and walked.holding(queued.candidate.full_path) is None
        ]
        self._summary.candidates += len(elsewhere)
        self._catalog.take_for_met(self._scan, elsewhere)

    def ask_more(self, *, walking: bool = False) -> int:
        """Ask the service about queued candidates; return the number of candidates.

        While ``walking``, candidates of earlier scans wait: the walk may find them again.
        """
        room = _IN_FLIGHT - len(self._open)
        if room <= 0 or not (self.more or not walking):
            return 0
        queued = self._catalog.candidates_to_ask(self._scan, self._service, room, met=walking)
        self.more = len(queued) == room
        if not queued:
            return 0
        self._catalog.mark_asked(self._scan, [one.number for one in queued])
        # The candidates are committed before their digests leave this machine.
        self._catalog.commit()
        for one in queued:
            if not self._lasting:
                self._summary.candidates += one.seen != self._scan
            # If the scan found a candidate again during its question, the new candidate gets the
            # answer.
            if one.number not in self._open:
                self._open[one.number] = _Open(one, {})
                self._advance(self._open[one.number])
        return len(queued)

    def take(self, replies: list[Reply]) -> None:
        """Process the service's replies."""
        for digest, answer in replies:
            waiting = [
                self._open[number]
                for number in self._waiting.pop(digest, [])
                if number in self._open
            ]
            if isinstance(answer, NoAnswer):
                self.failed += 1
                self.last_failure = answer
                if answer.is_last:
                    self.refused = answer
                for one in waiting:
                    one.refused[digest] = answer
            else:
                self.answered += 1
                self._remember(digest, answer)
            for one in waiting:
                self._advance(one)

    def _remember(self, digest: Digest, answer: Answer) -> None:
        if len(self._answers) >= 4096:
            self._answers.clear()
        # Verdicts in the catalog expire when the set of filters changes.
        if not (self._lasting and self._remote):
            self._answers[digest] = answer
        if self._remote:
            self._catalog.put_verdict(self._service, digest, answer, self._filterset)

    def _answer(self, digest: Digest) -> Answer | None:
        found = self._answers.get(digest)
        if found is None and self._remote:
            found = self._catalog.verdict(self._service, digest, self._filterset)
        return found

    def _advance(self, one: _Open) -> None:
        """Judge a candidate by its verdicts so far, or ask the service about its next digest."""
        queued = one.queued
        refused: NoAnswer | None = None
        order = sorted(
            enumerate(queued.candidate.hits), key=lambda hit: _PREFERENCE[hit[1].digest.algorithm]
        )
        for number, hit in order:
            answer = self._answer(hit.digest)
            if answer is None:
                refusal = one.refused.get(hit.digest) or self.refused
                if refusal:
                    # Another digest of the same file may still get an answer.
                    refused = refused or refusal
                    continue
                if hit.digest not in self._waiting:
                    self._asker.ask(hit.digest)
                self._waiting.setdefault(hit.digest, []).append(queued.number)
                return
            if answer.known:
                del self._open[queued.number]
                current = self._current(queued)
                if current is not None:
                    self._known(current, number, hit, answer)
                return
        del self._open[queued.number]
        current = self._current(queued)
        if current is None:
            return
        queued = current
        if refused:
            self._catalog.mark_pending(queued.number, refused.message)
            if not (self._lasting or self._told):
                self._told = True
                self._reporter.notice(f"no verdict, candidates are kept: {refused.message}")
        else:
            self._summary_of(queued).false_positives += 1
            self._catalog.drop_candidate(queued.number, file_too=False)

    def _current(self, queued: QueuedCandidate) -> QueuedCandidate | None:
        """Return the candidate that the queue holds now for the same path.

        The result is ``None`` if another file has replaced the candidate's file.

        The new file needs its own question: a verdict about the earlier file is not valid for it.
        """
        now = self._catalog.candidate(queued.number)
        if now is None or now.candidate != queued.candidate:
            self.more = True
            return None
        return now

    def _summary_of(self, queued: QueuedCandidate) -> Summary:
        return self.summaries.get(queued.seen, self._summary)

    def _known(self, queued: QueuedCandidate, number: int, hit: FilterHit, answer: Answer) -> None:
        category = answer.category or hit.category
        self._catalog.mark_known(queued.number, category, number)
        if queued.candidate.links == 1:
            self.act(replace_known(queued, category, number))
            return
        # An inode with several names waits until the walk has found all its names: see
        # ``act_on_links``.
        self.links_wait = True

    def act(self, queued: QueuedCandidate, *, names_left: int = 0) -> None:
        """Act on a match and report it.

        ``names_left`` are other names of the match's inode that are still in the queue.
        """
        assert queued.known is not None
        category, number = queued.known
        if self._is_away(queued.candidate.volume):
            self._catalog.mark_unmoved(queued.number, "its volume is not there, or does not answer")
            self.unmoved = True
            return
        self._catalog.mark_acting(queued.number)
        self._catalog.commit()
        match = Confirmed(
            candidate=queued.candidate,
            hit=queued.candidate.hits[number],
            category=category,
            service=queued.service,
            detected=rfc3339(queued.found),
            found_by="watch" if self._catalog.is_of_watch(queued.seen) else "scan",
        )
        acted = self._actor.act(match)
        remaining = max(0, acted.remaining_links - names_left)
        acted = replace(acted, remaining_links=remaining)
        problem = None if acted.problem in _GONE else acted.problem
        gone = self._lasting and acted.problem in _GONE
        is_news = True
        if self._lasting and problem is not None:
            is_news = self._unmoved.get(queued.number) != (queued.seen, problem)
        elif gone:
            is_news = self._is_first_away(queued, acted)
        if is_news:
            # The match's record is stored before the queue forgets the match: after a kill, the
            # next scan acts on the match again.
            try:
                self._record(MatchEvent(match, acted))
            except StateError as error:
                if not self._lasting:
                    raise
                self._catalog.mark_unmoved(queued.number, str(error))
                self.unmoved = True
                self._catalog.commit()
                return
        if self._lasting and problem is not None:
            # After a failed move (e.g. the disk is full), the file must not remain at its place
            # until the next scan.
            self._catalog.mark_unmoved(queued.number, acted.message)
            self.unmoved = True
            self._unmoved[queued.number] = (queued.seen, problem)
        else:
            self._unmoved.pop(queued.number, None)
            # The row of a moved or changed file is removed from the catalog. If the owner or the
            # agent puts the file back, the row must not count as its content: the file is hashed
            # again.
            file_too = acted.action == "quarantined" or acted.problem == "changed"
            self._catalog.drop_candidate(
                queued.number,
                file_too=file_too,
                until_met=gone,
                reported=acted.action == "reported" and acted.problem is None,
                hold=acted.hold,
                not_moved=None if problem is None else acted.message,
            )
        self._catalog.commit()
        if is_news:
            self._count(self._summary_of(queued), acted)
            self._reporter.match(MatchEvent(match, acted))

    def _is_first_away(self, queued: QueuedCandidate, acted: Acted) -> bool:
        """Return whether this is the first report that a match's file is gone.

        The owner of a file may remove and restore the file many times.
        """
        now = (queued.seen, queued.candidate.full_path, acted.problem)
        if now in self._away:
            return False
        if len(self._away) >= _MOST_AWAY:
            self._away.clear()
        self._away.add(now)
        return True

    def move_unmoved(self, after: int = 0) -> int | None:
        """Try again to move some matches that could not be moved, with ids above ``after``.

        Returns:
            the id of the last tried match, from which the next call continues; ``None`` if all
            matches were tried.
        """
        some = self._catalog.unmoved(after, _RETRIED)
        for queued in some:
            self.act(queued)
        return some[-1].number if len(some) == _RETRIED else None

    def _count(self, summary: Summary, acted: Acted) -> None:
        summary.matches += 1
        summary.quarantined += acted.action == "quarantined"
        summary.held += acted.action == "held"
        summary.allowed += acted.action == "allowed"
        summary.restored += acted.action == "held" and not (acted.problem or acted.hold)

    def act_on_links(self, stopped: Callable[[], bool]) -> None:
        """Act on the remaining matches: inodes with several names, and matches of a killed scan.

        If ``stopped`` returns true, the remaining matches stay in the queue for the next call or
        scan.
        """
        self._add_other_names()
        after = Counter(self._catalog.identities_to_act(self._service))
        while left := self._catalog.candidates_to_act(self._service, _AT_A_TIME):
            for queued in left:
                if stopped():
                    return
                after[queued.candidate.identity] -= 1
                self.act(queued, names_left=max(0, after[queued.candidate.identity]))
        self._named.clear()

    def drop_gone(self, roots: Iterable[bytes], scan: int | None = None) -> None:
        """Remove candidates below ``roots`` from the queue that the finished walk did not find.

        ``scan`` is the number of that walk; the default is this scan's number.

        A removed or renamed file is not at its path any more; a changed file has a new judgement.
        A candidate whose unchanged file is still there (its directory could not be listed this
        time) is kept.
        """
        walked = Roots(roots)
        scan = self._scan if scan is None else scan
        for queued, _ in list(self._catalog.pending()):
            candidate = queued.candidate
            root = walked.holding(candidate.full_path)
            if root is not None and queued.seen != scan and not _is_there(candidate):
                self._catalog.drop_candidate(queued.number, file_too=False)

    def _add_other_names(self) -> None:
        """Queue names of matched inodes that the catalog has and this scan did not find."""
        names = set(self._catalog.places_to_act(self._service))
        for queued in self._catalog.linked_to_act(self._service):
            candidate = queued.candidate
            if candidate.identity in self._named:
                continue
            self._named.add(candidate.identity)
            for directory, row in self._catalog.other_names(
                candidate.identity, self._devices_of(candidate)
            ):
                volume = self._catalog.volume_of(directory)
                if volume is None:
                    continue
                if row.stamp != candidate.stamp:
                    self._on_stale(directory, [row.name])
                    continue
                path = self._catalog.directory_path(directory)
                path = path + b"/" + row.name if path else row.name
                if (volume, path) in names:
                    continue
                self._catalog.put_other_name(
                    queued, scan=self._scan, volume=volume, path=path, directory=directory
                )
                self._summary_of(queued).candidates += 1

    def judge_by(self, filterset: int) -> None:
        """Use another set of filters: remembered verdicts are valid for one set only."""
        self._filterset = filterset
        self._answers.clear()

    def forget(self, digests: Iterable[Digest]) -> None:
        """Forget the verdicts on ``digests``, and ask the service again about their candidates."""
        digests = list(digests)
        for digest in digests:
            self._answers.pop(digest, None)
        self._catalog.forget_verdicts(digests)
        self._catalog.commit()
        self.more = True

    def ask_again(self) -> bool:
        """Ask the service again the questions without an answer; return whether there is any.

        If the service refused the credentials, no question is asked.
        """
        return self.refused is None and self._catalog.ask_again(self._scan) > 0

    def tell_pending(self) -> None:
        """Report and count the candidates that still wait for a verdict."""
        for queued, error in self._catalog.pending():
            message = error
            if queued.service != self._service:
                message = f"it waits for a verdict of {queued.service}, which was not asked now"
            self._summary.pending += 1
            self._reporter.pending(PendingEvent(queued.candidate, message))


def _is_there(candidate: Candidate) -> bool:
    """Return whether the unchanged file is still at its path, or whether this cannot be checked."""
    try:
        with closing(open_root(candidate.volume)) as root:
            parent, name = open_parent(root, candidate.path, cross_mounts=True)
            with closing(parent):
                status = os.lstat(name, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return identity_in(status) == candidate.identity and stamp_of(status) == candidate.stamp


def replace_known(queued: QueuedCandidate, category: str, hit: int) -> QueuedCandidate:
    """Return the candidate ``queued`` with its verdict ``known``."""
    return queued._replace(known=(category, hit))
