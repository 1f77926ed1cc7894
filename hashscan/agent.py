"""Composition: from settings and a command's options to a scan, or a check, with all its parts."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hashscan.catalog.store import Catalog
from hashscan.errors import CredentialsError, ExitCode, ServiceError, UsageError, exit_code_of
from hashscan.fs.beneath import closing, identity_of, open_as_named, open_root
from hashscan.known.bloom import load
from hashscan.model import Acted, FileDigests, filterset_of, hits
from hashscan.scan.asking import Asker
from hashscan.scan.engine import Engine, ScanOptions
from hashscan.scan.hashing import Hasher, NotHashed, outcome_of_error
from hashscan.scan.work import Volume
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from hashscan.config.settings import ServiceSettings, Settings
    from hashscan.known.bloom import BloomFile
    from hashscan.known.staging import BuildProgress
    from hashscan.model import (
        Actor,
        Algorithm,
        Answer,
        Confirmed,
        Confirmer,
        Digest,
        Reporter,
        Summary,
    )
    from hashscan.state import State

#: Around the making of a filter: gives a function that shows progress, or None.
Building = Callable[[], AbstractContextManager["Callable[[BuildProgress], None] | None"]]


@dataclass(frozen=True, slots=True)
class KnownSet:
    """Where candidates are found and confirmed.

    Attributes:
        filters: after all their checks.
        make_confirmer: makes the one who gives verdicts, in the process that asks.
        service, remote: its name, and whether it is on another machine.
        test: its answers are for testing; no file is moved for them.
    """

    filters: tuple[BloomFile, ...]
    make_confirmer: Callable[[], Confirmer]
    service: str
    remote: bool
    test: bool = False

    @property
    def algorithms(self) -> frozenset[Algorithm]:
        """What must be computed for each file."""
        return frozenset().union(*(one.algorithms for one in self.filters))

    @property
    def name(self) -> str:
        """What tells this set of filters from another."""
        return filterset_of(self.filters)


def open_known_set(
    settings: Settings,
    state: State,
    lists: Iterable[str],
    notice: Callable[[str], None],
    building: Building = nullcontext,
    *,
    only_categories: Collection[str] = (),
) -> KnownSet:
    """The known set that the command line names, or else the configuration.

    ``building`` shows the progress where a filter is made from lists. ``only_categories`` are
    those of the lists that count as known; the configured ones hold where none is given.

    Raises:
        ConfigError: neither names one.
        UsageError: there are categories, but no lists that they could be chosen from.
        DigestListError: a list has lines that are no digests.
        FilterError: the filter cannot be used.
    """
    from hashscan.config.settings import require_filter, require_service  # noqa: PLC0415

    lists = [os.path.abspath(path) for path in lists]
    if lists:
        return _local(lists, only_categories, state, None, notice, building)
    service = require_service(settings)
    if service.kind == "local":
        given = None
        if settings.filter is not None:
            given = load(require_filter(settings), max_age=settings.filter.max_age)
        chosen = only_categories or service.only_categories
        return _local(list(service.known), chosen, state, given, notice, building)
    if only_categories:
        raise UsageError(
            "--only-category chooses from digest lists, but the configured service is asked: give "
            "lists with --known, or leave --only-category out"
        )
    assert settings.filter is not None  # the settings' own check
    given = load(require_filter(settings), max_age=settings.filter.max_age)
    return _remote(service, given)


def _local(
    lists: list[str],
    only_categories: Collection[str],
    state: State,
    given: BloomFile | None,
    notice: Callable[[str], None],
    building: Building,
) -> KnownSet:
    from hashscan.known.local import open_local  # noqa: PLC0415

    with building() as on_progress:
        known = open_local(
            lists,
            state.filters,
            only_categories=only_categories,
            on_notice=notice,
            on_progress=on_progress,
        )
    filters = (given,) if given else tuple(known.loaded)
    missing = known.confirmer.missing_in(given) if given else 0
    if given and missing:
        notice(
            f"{missing} of the {known.digests} digests of the lists are not in the filter "
            f"{shown(given.path)}, so files with them are not found; build it anew from the lists, "
            "or leave the section 'filter' out"
        )
    # Said once, when the lists are read; not again in every scan.
    for remark in known.remarks if known.built else ():
        notice(remark)
    # Opened here, used in the asking process only: it is immutable, so a fork may copy it.
    confirmer = known.confirmer
    return KnownSet(filters, lambda: confirmer, confirmer.name, remote=False)


def _remote(service: ServiceSettings, given: BloomFile) -> KnownSet:
    from hashscan.config.password import read_password  # noqa: PLC0415

    password = read_password(service)
    url, username = service.url, service.username

    def make() -> Confirmer:
        from hashscan.known.hashcheckservice import HashCheckService  # noqa: PLC0415

        return HashCheckService(
            url=url,
            username=username,
            password=password,
            timeout=service.timeout,
            test=service.test,
            ca_bundle=service.ca_bundle,
        )

    # Verdicts of the test twin must not be remembered as the service's.
    name = f"{url} (test)" if service.test else url
    return KnownSet((given,), make, name, remote=True, test=service.test)


def describe(known: KnownSet) -> list[str]:
    """What ``-v`` tells of a known set."""
    return [
        f"known set: {known.service}",
        *(
            f"filter: {shown(one.path)}: {one.category}, {one.metadata.digests} digests "
            f"({', '.join(sorted(one.algorithms))}), made {one.metadata.created}"
            for one in known.filters
        ),
    ]


class ReportOnly:
    """The actor of ``--action report``: nothing is moved."""

    def __init__(self, message: str = "") -> None:
        """``message`` says why, where that is not what was asked for."""
        self._message = message

    def act(self, match: Confirmed) -> Acted:
        """Report."""
        del match
        return Acted("reported", message=self._message)


def volumes_of(settings: Settings, paths: Iterable[str]) -> tuple[Volume, ...]:
    """The volumes to scan: those named, with the settings of a configured one of that path.

    Raises:
        UsageError: a path is no directory.
        ConfigError: none is named and none configured.
    """
    from hashscan.config.settings import require_volumes  # noqa: PLC0415

    paths = list(paths)
    configured = {os.path.realpath(volume.path): volume for volume in settings.volumes}
    if not paths:
        require_volumes(settings)
        paths = list(configured)
    volumes: dict[str, Volume] = {}
    for path in paths:
        real = os.path.realpath(path)
        if not os.path.lexists(real):
            raise UsageError(f"{shown(path)}: there is no such directory; see the path")
        if not os.path.isdir(real):
            raise UsageError(
                f"{shown(path)} is no directory; 'hashscan check' looks at a single file"
            )
        given = configured.get(real)
        if given is None:
            volumes[real] = Volume(os.fsencode(real))
        else:
            volumes[real] = Volume(
                os.fsencode(real),
                tuple(given.exclude),
                given.one_file_system,
            )
    return tuple(volumes.values())


def jobs_of(settings: Settings, jobs: int | None) -> int:
    """How many worker processes: as asked, as configured, or the cores this process may use."""
    if jobs is not None:
        return jobs
    if isinstance(settings.scan.jobs, int):
        return settings.scan.jobs
    return max(1, len(os.sched_getaffinity(0)))


def run_scan(
    settings: Settings,
    state: State,
    reporter: Reporter,
    *,
    paths: Iterable[str] = (),
    lists: Iterable[str] = (),
    only_categories: Collection[str] = (),
    action: Literal["report", "quarantine"] | None = None,
    full: bool = False,
    jobs: int | None = None,
    building: Building = nullcontext,
    verbose: bool = False,
) -> ExitCode:
    """One scan, from the lock to the summary.

    Raises:
        HashscanError: see its classes; what was done before is committed.
    """
    volumes = volumes_of(settings, paths)
    with ExitStack() as stack:
        stack.enter_context(state.lock())
        known = open_known_set(
            settings, state, lists, reporter.notice, building, only_categories=only_categories
        )
        if verbose:
            for line in describe(known):
                reporter.notice(line)
            reporter.notice(f"state: {shown(state.directory)}")
            for volume in volumes:
                reporter.notice(f"volume: {shown(volume.root)}")
            reporter.notice(f"{jobs_of(settings, jobs)} worker processes")
        action = action or settings.quarantine.action
        actor = _actor(settings, action, volumes, known, stack, reporter.notice)
        options = ScanOptions(
            volumes=volumes,
            jobs=jobs_of(settings, jobs),
            filters=tuple(one.path for one in known.filters),
            filterset=known.name,
            algorithms=known.algorithms,
            service=known.service,
            remote=known.remote,
            full=full,
            own=frozenset(
                _identity(directory)
                for directory in (state.directory, settings.quarantine_directory)
                if os.path.isdir(directory)
            ),
            max_file_size=settings.scan.max_file_size,
            max_rate=settings.scan.max_rate,
            pause_above_io_pressure=settings.scan.pause_above_io_pressure,
        )
        catalog = Catalog(state.catalog)
        try:
            asker = Asker(known.make_confirmer)
            try:
                summary = Engine(options, catalog, asker, actor, reporter).run()
            finally:
                asker.close()
        except BaseException:
            catalog.abandon()
            raise
        catalog.close()
    reporter.summary(summary)
    return exit_code(summary)


def _actor(
    settings: Settings,
    action: Literal["report", "quarantine"],
    volumes: tuple[Volume, ...],
    known: KnownSet,
    stack: ExitStack,
    notice: Callable[[str], None],
) -> Actor:
    """The act stage. A quarantine that is there first finishes what a killed process left."""
    from hashscan.quarantine.act import Quarantine  # noqa: PLC0415

    if action == "report" and not os.path.isdir(settings.quarantine_directory):
        return ReportOnly()

    quarantine = Quarantine.open(
        os.fsencode(settings.quarantine_directory),
        cross_mounts=[volume.root for volume in volumes if not volume.one_file_system],
    )
    stack.callback(quarantine.close)
    for recovered in quarantine.recovered:
        notice(f"quarantine {recovered.record_id}: {recovered.message}")
    if action == "report":
        return ReportOnly()
    if known.test:
        return ReportOnly("the service was asked for a test (service.test), so no file is moved")
    return quarantine


def _identity(directory: str) -> tuple[int, int]:
    with closing(open_as_named(os.fsencode(directory))) as fd:
        return identity_of(fd)


def exit_code(summary: Summary) -> ExitCode:
    """The exit code of a scan."""
    codes = {ExitCode.NOTHING_FOUND}
    if summary.interrupted:
        codes.add(ExitCode.INTERRUPTED)
    if summary.matches:
        codes.add(ExitCode.MATCHES)
    if summary.pending:
        codes.add(ExitCode.SERVICE)
    if summary.problems:
        codes.add(ExitCode.UNREADABLE)
    return exit_code_of(codes)


@dataclass(frozen=True, slots=True)
class Checked:
    """What ``check`` found out about a file or a digest.

    Attributes:
        verdict: ``known``; ``unknown``: no filter holds it, or the service said so; ``pending``:
            a filter holds it and there is no verdict.
        candidate: a filter holds it.
    """

    subject: bytes
    digests: dict[str, str]
    verdict: Literal["known", "unknown", "pending"]
    candidate: bool
    digest: Digest | None = None
    category: str | None = None
    message: str = ""


class Checker:
    """Says whether files and digests are known; moves nothing, keeps nothing."""

    def __init__(self, known: KnownSet) -> None:
        """Ask ``known``."""
        self._known = known
        self._hasher = Hasher(known.algorithms)
        self._confirmer: Confirmer | None = None
        self._refused: CredentialsError | None = None

    def close(self) -> None:
        """Close connections."""
        if self._confirmer is not None:
            self._confirmer.close()

    def file(self, path: str) -> Checked | NotHashed:
        """Check a file."""
        directory, name = os.path.split(os.path.realpath(path))
        try:
            with closing(open_root(os.fsencode(directory))) as fd:
                hashed = self._hasher.hash(fd, os.fsencode(name))
        except OSError as error:
            return outcome_of_error(error)
        if isinstance(hashed, NotHashed):
            return hashed
        return self._check(os.fsencode(path), hashed.digests)

    def digest(self, digest: Digest) -> Checked:
        """Check a digest.

        Raises:
            UsageError: the filters hold no digests of this algorithm, so nothing can be said.
        """
        if digest.algorithm not in self._known.algorithms:
            held = ", ".join(sorted(self._known.algorithms))
            raise UsageError(
                f"{digest.hex}: the filter holds no {digest.algorithm} digests, only {held}; "
                "give one of those, or the file"
            )
        digests = FileDigests(**{digest.algorithm: bytes.fromhex(digest.hex)})
        return self._check(digest.hex.encode(), digests)

    def _check(self, subject: bytes, digests: FileDigests) -> Checked:
        by_name = digests.as_dict()
        found = hits(self._known.filters, digests)
        message = ""
        for hit in found:
            try:
                answer = self._confirm(hit.digest)
            except ServiceError as error:
                message = message or str(error)
                continue
            if answer.known:
                category = answer.category or hit.category
                return Checked(
                    subject, by_name, "known", True, digest=hit.digest, category=category
                )
        verdict: Literal["unknown", "pending"] = "pending" if message else "unknown"
        return Checked(subject, by_name, verdict, bool(found), message=message)

    def _confirm(self, digest: Digest) -> Answer:
        if self._refused is not None:
            raise self._refused
        if self._confirmer is None:
            self._confirmer = self._known.make_confirmer()
        try:
            return self._confirmer.confirm(digest)
        except CredentialsError as error:
            self._refused = error
            raise
