"""From candidate to verdict to action: the queue in the catalog, worked off beside the walk.

A candidate is asked for by its strongest hit first, and is a false positive only when every hit
was answered ``unknown``. One question goes out for each distinct digest.
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

#: The service is asked by SHA-1 first: it knows MD5 and SHA-1 for certain (design 4.3).
_PREFERENCE = {"sha1": 0, "sha256": 1, "md5": 2}
_IN_FLIGHT = 256
#: Why a match was not moved where there is nothing left to move: it is another file by now, or
#: none, and whoever changed it is told of.
_GONE = frozenset({"changed", "vanished", "swapped", "displaced"})
#: Matches that could not be moved which are tried again at a time.
_RETRIED = 32
#: Matches that were gone, of which is remembered that it was told.
_MOST_AWAY = 4096
#: Matches that are taken from the queue at a time.
_AT_A_TIME = 64


class _Open(NamedTuple):
    """A candidate that was taken up, and which of its digests got no verdict this time."""

    queued: QueuedCandidate
    refused: dict[Digest, NoAnswer]


class Confirmation:
    """Asks, remembers, acts. The engine calls it between its other work.

    Attributes:
        more: there may be candidates in the queue that were not taken up.
        summaries: where what becomes of candidates is counted, by the scan that met them last.
        links_wait: there may be matches whose inodes have several names.
        refused: why nothing more is asked: the service refused the credentials.
        answered: how many verdicts were given, and ``failed`` how many questions had none.
        last_failure: of these questions the last.
        unmoved: a lasting one has matches in the queue that could not be moved.
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
        """Work off ``catalog``'s queue for scan number ``scan``.

        ``service`` is the confirmer's name, verdicts of a ``remote`` one are remembered for as
        long as ``filterset`` holds, and ``devices_of`` gives the numbers that the catalog's rows
        have for a candidate's device. A ``lasting`` one serves several scans, which count their
        candidates themselves; what belongs to none of ``summaries`` is counted in ``summary``.
        ``on_stale`` gets directory id and names of a match's inode that the catalog has with
        another stamp: it was written by one of its names, and only that one was looked at.
        Matches in a volume of which ``is_away`` says so stay in the queue: whoever touches a file
        of a dead file server waits for ever. ``record`` puts a match on record; what it raises
        leaves the match in the queue.
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
        #: Matches that could not be moved, by their ids: the scan that counted them last, and why.
        self._unmoved: dict[int, tuple[int, str]] = {}
        #: Matches that were gone when they were to be moved: the scan that met them, path, and why.
        self._away: set[tuple[int, bytes, str | None]] = set()
        self.summaries: dict[int, Summary] = {scan: summary}
        self.more = True
        self.links_wait = True

    @property
    def busy(self) -> bool:
        """Whether questions are under way."""
        return bool(self._open)

    @property
    def has_room(self) -> bool:
        """Whether more questions may be put now."""
        return len(self._open) < _IN_FLIGHT

    def begin(self, roots: Iterable[bytes]) -> None:
        """Take up candidates of earlier scans that a walk of ``roots`` will not meet."""
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
        """Put questions for queued candidates; returns how many candidates were taken up.

        While ``walking``, candidates of earlier scans wait: the walk may meet them once more.
        """
        room = _IN_FLIGHT - len(self._open)
        if room <= 0 or not (self.more or not walking):
            return 0
        queued = self._catalog.candidates_to_ask(self._scan, self._service, room, met=walking)
        self.more = len(queued) == room
        if not queued:
            return 0
        self._catalog.mark_asked(self._scan, [one.number for one in queued])
        # A candidate is in the catalog for good before its digest leaves this machine.
        self._catalog.commit()
        for one in queued:
            if not self._lasting:
                self._summary.candidates += one.seen != self._scan
            # One that was met again while it is asked for goes on when its answer comes.
            if one.number not in self._open:
                self._open[one.number] = _Open(one, {})
                self._advance(self._open[one.number])
        return len(queued)

    def take(self, replies: list[Reply]) -> None:
        """Take replies of the service."""
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
        if not (self._lasting and self._remote):  # what the catalog remembers grows old there
            self._answers[digest] = answer
        if self._remote:
            self._catalog.put_verdict(self._service, digest, answer, self._filterset)

    def _answer(self, digest: Digest) -> Answer | None:
        found = self._answers.get(digest)
        if found is None and self._remote:
            found = self._catalog.verdict(self._service, digest, self._filterset)
        return found

    def _advance(self, one: _Open) -> None:
        """Bring a candidate as far as the answers so far allow."""
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
                    # Another digest of the same file may still be answered.
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
        """The candidate as the queue has it now; ``None`` where another file took its place.

        That one is asked for by itself: no verdict of the one before may be taken for its own.
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
        # An inode with more names waits until the walk has found them all: see ``act_on_links``.
        self.links_wait = True

    def act(self, queued: QueuedCandidate, *, names_left: int = 0) -> None:
        """Act on a match and tell of it; ``names_left`` of its inode's names come after it."""
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
            # Before the queue forgets it: after a kill the next scan acts on it again.
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
            # It must not stay where it is until the next scan only because a disk was full.
            self._catalog.mark_unmoved(queued.number, acted.message)
            self.unmoved = True
            self._unmoved[queued.number] = (queued.seen, problem)
        else:
            self._unmoved.pop(queued.number, None)
            # What is not what the catalog says is hashed anew; or, put back by its owner or by us,
            # it would be taken for that once more.
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
        """Whether a match that is gone is so for the first time: its owner may play with it."""
        now = (queued.seen, queued.candidate.full_path, acted.problem)
        if now in self._away:
            return False
        if len(self._away) >= _MOST_AWAY:
            self._away.clear()
        self._away.add(now)
        return True

    def move_unmoved(self, after: int = 0) -> int | None:
        """Try once more to move some matches that could not be moved, from an id on.

        Returns:
            the id after which the next ones follow; ``None`` where these were all.
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
        """Act on what is left: inodes with several names, and what a killed scan left undone.

        What is not acted on when ``stopped`` says so stays in the queue for the next call or scan.
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
        """After a walk of ``roots``: forget candidates there that it did not meet any more.

        ``scan`` is the number of that walk; default: this one's.

        What was removed or renamed is not there, and what changed was judged again. One that is
        there as it was (its directory could not be listed this time) stays.
        """
        walked = Roots(roots)
        scan = self._scan if scan is None else scan
        for queued, _ in list(self._catalog.pending()):
            candidate = queued.candidate
            root = walked.holding(candidate.full_path)
            if root is not None and queued.seen != scan and not _is_there(candidate):
                self._catalog.drop_candidate(queued.number, file_too=False)

    def _add_other_names(self) -> None:
        """Queue names of matched inodes that this scan did not meet, from the catalog."""
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
        """Go on with another set of filters: remembered verdicts hold for one set only."""
        self._filterset = filterset
        self._answers.clear()

    def forget(self, digests: Iterable[Digest]) -> None:
        """Forget the verdicts about ``digests``, and ask again for their candidates."""
        digests = list(digests)
        for digest in digests:
            self._answers.pop(digest, None)
        self._catalog.forget_verdicts(digests)
        self._catalog.commit()
        self.more = True

    def ask_again(self) -> bool:
        """Ask once more for what got no answer, unless the credentials were refused."""
        return self.refused is None and self._catalog.ask_again(self._scan) > 0

    def tell_pending(self) -> None:
        """Tell what still waits for a verdict, and count it."""
        for queued, error in self._catalog.pending():
            message = error
            if queued.service != self._service:
                message = f"it waits for a verdict of {queued.service}, which was not asked now"
            self._summary.pending += 1
            self._reporter.pending(PendingEvent(queued.candidate, message))


def _is_there(candidate: Candidate) -> bool:
    """Whether the file is where it was, as it was; also where that cannot be told."""
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
    """``queued`` with its verdict."""
    return queued._replace(known=(category, hit))
