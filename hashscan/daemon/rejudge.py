"""Judges the files in the catalog by new filters; only new candidates are opened.

Some files lack a digest that the new filters need: an old tier ruled the file out, or the new
filters use another algorithm. A few files that lack a digest are read immediately; if there are
many, a scan reads them at its limited pace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.scan.rejudge import Rejudging

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from hashscan.catalog.store import Catalog
    from hashscan.daemon.changed_files import ChangedFiles
    from hashscan.daemon.log import Log
    from hashscan.fs.volume import Volume
    from hashscan.jobs.known_set import KnownSet
    from hashscan.scan.rejudge import Judged

#: Number of found candidates that may wait for their check: a filter that contains every digest
#: must not fill the memory.
_MOST_BACKLOG = 20_000
_MOST_DEATHS = 3
#: Number of files that are read immediately; further files wait for the scan.
_DUE_AT_ONCE = 1000


class RejudgeProcesses:
    """Runs the processes that judge the catalog's rows, and handles their results.

    Attributes:
        files: number of files that were judged again so far.
    """

    def __init__(
        self,
        catalog: Catalog,
        changed_files: ChangedFiles,
        volumes: Sequence[Volume],
        log: Log,
        want_scan: Callable[[], None],
        *,
        jobs: int,
    ) -> None:
        """Prepare to judge the files in the catalog.

        ``want_scan`` requests a scan, if many files must be read or processes die.
        """
        self._catalog = catalog
        self._changed_files = changed_files
        self._numbers = {volume.root: number for number, volume in enumerate(volumes)}
        self._log = log
        self._want_scan = want_scan
        self._due = 0
        self._jobs = jobs
        self._process: Rejudging | None = None
        self._known: KnownSet | None = None
        self._filterset = 0
        self._deaths = 0
        self.files = 0

    def begin(self, known: KnownSet, filterset: int) -> None:
        """Judge all rows by ``known``, whose number is ``filterset``; end an earlier judging."""
        self.end()
        self._known, self._filterset, self._deaths, self._due = known, filterset, 0, 0
        self._start(known)

    def _start(self, known: KnownSet) -> None:
        # Files found from now on get a later scan number, because these filters already judge them.
        self._changed_files.begin()
        self._catalog.commit()
        self._process = Rejudging(
            self._catalog.path,
            known.filters,
            known.algorithms,
            filterset=self._filterset,
            until=self._changed_files.scan - 1,
            processes=self._jobs,
        )

    def end(self) -> None:
        """End the processes that judge."""
        if self._process is not None:
            self._process.close()
            self._process = None

    @property
    def connections(self) -> list[Connection]:
        """Return the connections on which results of judging processes arrive now."""
        if self._process is None or self._changed_files.queued >= _MOST_BACKLOG:
            return []
        return self._process.connections

    def take(self, ready: Sequence[Connection]) -> None:
        """Process the results of judging processes that have arrived."""
        process = self._process
        if process is None:
            return
        for connection in process.connections:
            if connection in ready:
                part = process.take(connection)
                if part is None:
                    self._died()
                    return
                self._store(part)
        if not process.connections:
            # The last results and the end of the check are committed in one transaction.
            self._catalog.set_judged_until(process.filterset, process.until)
            self._catalog.commit()
            self.end()
            self.files += process.files
            if process.files > self._due:
                count = process.files - self._due
                self._log.info(f"{count:,} files were judged again without being read")
            if self._due > _DUE_AT_ONCE:
                self._log.info(
                    f"{self._due:,} files were never hashed as these filters need it: a scan of"
                    " all volumes reads them"
                )
                self._want_scan()
            elif self._due:
                self._log.info(
                    f"{self._due:,} files were never hashed as these filters need it, and are read"
                )

    def _died(self) -> None:
        self.end()
        self._deaths += 1
        if self._deaths >= _MOST_DEATHS or self._known is None:
            self._log.error("the process that judges the catalog died; a scan judges instead")
            self._want_scan()
        else:
            self._start(self._known)

    def _store(self, part: Judged) -> None:
        at_once = part.due[: max(0, _DUE_AT_ONCE - self._due)]
        later = part.due[len(at_once) :]
        self._due += len(part.due)
        # Files that must be read are marked as hits, so that no scan skips them as unchanged.
        for found, hit, look in (
            (part.found + at_once, True, True),
            (later, True, False),
            (part.cleared, False, False),
        ):
            by_directory: dict[int, list[bytes]] = {}
            for directory, name in found:
                by_directory.setdefault(directory, []).append(name)
            for number, names in by_directory.items():
                self._catalog.rejudge(number, self._filterset, [(name, hit) for name in names])
                volume = self._numbers.get(self._catalog.volume_of(number) or b"")
                if look and volume is not None:
                    self._changed_files.check_known(volume, number, names)
