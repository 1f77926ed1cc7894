"""Runs one scan: from settings and the command line to the summary and its exit code."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from hashscan.audit.matches import MatchLines
from hashscan.audit.recorder import Recorder
from hashscan.audit.scans import ScanLines
from hashscan.catalog.store import Catalog
from hashscan.errors import ExitCode, LockedError, StateError, UsageError
from hashscan.fs.volume import Volume
from hashscan.jobs.allowed_matches import Allowing, open_allow
from hashscan.jobs.brakes import open_brakes
from hashscan.jobs.known_set import KnownSet, describe, open_known_set
from hashscan.jobs.new_list_check import check_lists
from hashscan.jobs.scan_exit_code import exit_code
from hashscan.jobs.scan_options import jobs_of, scan_options
from hashscan.jobs.scan_problems import STOPS, ScanProblems
from hashscan.jobs.volume_presence import follow_mounts, why_not_there
from hashscan.jobs.volume_probe import NO_ANSWER, Probes, check_all
from hashscan.model import Acted, Problem, ProblemEvent
from hashscan.quarantine.dismissed_digests import Dismissed
from hashscan.scan.asker import Asker
from hashscan.scan.engine import Engine
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from hashscan.config.settings import Settings, VolumeSettings
    from hashscan.jobs.known_set import Building
    from hashscan.jobs.volume_presence import Seen
    from hashscan.model import Actor, Confirmed, Identity
    from hashscan.quarantine.act import Quarantine
    from hashscan.reporter import Reporter
    from hashscan.state import State


#: Seconds within which a volume must answer if a worker process hangs at the volume.
_ANSWER_WITHIN = 60.0


class ReportOnly:
    """Reports matches for ``--action report``; moves nothing."""

    def __init__(self, quarantine: Quarantine | None = None, message: str = "") -> None:
        """Report matches; files restored from ``quarantine`` are held: no scan moves them.

        ``message`` is the reason why matches are only reported.
        """
        self._quarantine = quarantine
        self._message = message

    def act(self, match: Confirmed) -> Acted:
        """Report a match, or hold the file if an administrator restored it."""
        held = self._quarantine and self._quarantine.held(match.candidate)
        return held or Acted("reported", message=self._message)


class CheckedActor:
    """Acts on a match only after a check has passed."""

    def __init__(self, check: Callable[[], None], actor: Actor) -> None:
        """``check`` raises a HashscanError if no file may be moved any more."""
        self._check = check
        self._actor = actor

    def act(self, match: Confirmed) -> Acted:
        """Run the check, then let the other actor act on the match."""
        self._check()
        return self._actor.act(match)


class Places(NamedTuple):
    """Holds the volumes to scan, and the checks of their presence.

    Attributes:
        volumes: the volumes to scan, including missing volumes.
        seen: results of the checks of the scanned and the configured volumes, by root.
        configured: roots of the configured volumes.
    """

    volumes: tuple[Volume, ...]
    seen: dict[bytes, Seen]
    configured: tuple[bytes, ...]


def places_of(settings: Settings, paths: Sequence[str]) -> Places:
    """Return the volumes to scan; a path on the command line gets its configured volume's settings.

    Missing volumes are included: the scan reports them and continues with the others.

    Raises:
        UsageError: a named path is not a directory, or leads through another user's link; or no
            named path exists.
        ConfigError: no volume is named, and none is configured.
    """
    from hashscan.config.settings import require_volumes  # noqa: PLC0415

    if not paths:
        require_volumes(settings)
    named = [os.path.abspath(path) for path in paths]
    every = list(dict.fromkeys([*named, *(one.path for one in settings.volumes)]))
    looks = dict(zip(every, check_all(every), strict=True))
    if named:
        _require_one({path: looks[full] for path, full in zip(paths, named, strict=True)})
    configured = {
        looks[one.path].root: one for one in settings.volumes if not looks[one.path].refused
    }
    wanted = dict.fromkeys(looks[path].root for path in named or every)
    return Places(
        tuple(_volume(root, configured.get(root)) for root in wanted),
        {seen.root: seen for seen in looks.values()},
        tuple(configured),
    )


def _volume(root: bytes, given: VolumeSettings | None) -> Volume:
    return Volume(root) if given is None else Volume(root, given.exclude, given.one_file_system)


def _require_one(named: Mapping[str, Seen]) -> None:
    """Check that the paths on the command line are directories, and that at least one exists.

    Raises:
        UsageError: a path is not a directory, or no path exists.
    """
    missing = []
    for path, seen in named.items():
        if seen.refused:
            raise UsageError(str(seen.error))
        if seen.number == errno.ENOTDIR and os.path.lexists(seen.root):
            raise UsageError(
                f"{shown(path)} is no directory; 'hashscan check' looks at a single file"
            )
        if seen.number in {errno.ENOENT, errno.ENOTDIR}:
            missing.append(f"{shown(path)}: there is no such directory; see the path")
    if len(missing) == len(named):
        raise UsageError("\n".join(missing))


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
    tiers: bool = True,
    jobs: int | None = None,
    building: Building = nullcontext,
    verbose: bool = False,
    before_act: Callable[[], None] | None = None,
) -> ExitCode:
    """Run one scan, from taking the lock to the summary.

    ``before_act`` is called before each action, and raises a HashscanError to prevent it.

    Raises:
        HashscanError: the class names the fault; all work before the fault is committed.
    """
    paths, lists = list(paths), list(lists)
    places = places_of(settings, paths)
    main, volumes = state, places.volumes
    with _notifying(settings, state, reporter):
        with ExitStack() as stack:
            recorder = Recorder.of(settings, "scan", state)
            state = _locked(state, stack, reporter)
            # A running daemon reports its own problems; a scan beside the daemon is only a trial.
            problems = ScanProblems(recorder, reporter.notice) if state is main else None
            is_configured = (
                problems is not None
                and settings.service is not None
                and not lists
                and not only_categories
            )
            opening = problems.opening() if problems and is_configured else nullcontext()
            if action is None and lists and settings.quarantine.action == "quarantine":
                reporter.notice(
                    "matches are only reported, because --known names the lists: quarantine.action "
                    "is for the configured lists; --action quarantine moves files"
                )
                action = "report"
            action = action or settings.quarantine.action
            with opening:
                known = open_known_set(
                    settings,
                    state,
                    lists,
                    reporter.notice,
                    building,
                    only_categories=only_categories,
                    tiers=tiers,
                    moving=action == "quarantine",
                )
                allow = open_allow(settings, state, reporter.notice, building)
            if allow is not None:
                stack.callback(allow.close)
            if verbose:
                for line in describe(known, allow, tiers=not full):
                    reporter.notice(line)
                reporter.notice(f"state: {shown(state.directory)}")
                for volume in volumes:
                    reporter.notice(f"volume: {shown(volume.root)}")
                reporter.notice(f"{jobs_of(settings, jobs)} worker processes")
            actor = open_actor(
                settings,
                state,
                action,
                volumes,
                known,
                stack,
                reporter.notice,
                absent=[root for root, seen in places.seen.items() if seen.error == NO_ANSWER],
                recorder=recorder,
            )
            if allow is not None:
                actor = Allowing(allow, actor)
            if before_act is not None:
                actor = CheckedActor(before_act, actor)
            options = scan_options(
                settings,
                main,
                known,
                volumes,
                # A volume inside a scanned volume has its own excludes.
                others=(*volumes, *map(Volume, places.configured)),
                jobs=jobs,
                full=full,
            )
            catalog = Catalog(state.catalog)
            try:
                check_lists(settings, state, catalog, known, reporter.notice, action=action)
                there, identities = _there(places, catalog, reporter, problems, named=bool(paths))
                probes = Probes(
                    [os.fsdecode(volume.root) for volume in there],
                    before_fork=catalog.commit,
                    within=_ANSWER_WITHIN,
                )
                options = replace(
                    options,
                    volumes=tuple(there),
                    identities=identities,
                    follow_mounts=follow_mounts,
                    presence=probes,
                )
                matches = MatchLines(recorder)
                roots = [volume.root for volume in there]
                lines = ScanLines(recorder, roots, kind="command", action=action)
                asker = Asker(known.make_confirmer)
                try:
                    engine = Engine(
                        options,
                        catalog,
                        asker,
                        actor,
                        reporter,
                        missing=len(volumes) - len(there),
                        record=matches.write,
                    )
                    summary = engine.run()
                    if problems is not None and is_configured:
                        problems.service(engine.unanswered, answered=engine.is_answered)
                except BaseException as error:
                    lines.failed(error)
                    raise
                finally:
                    matches.save()
                    asker.close()
                    probes.close()
                lines.ended(summary)
            except BaseException:
                catalog.abandon()
                raise
            catalog.close()
        reporter.summary(summary)
    return exit_code(summary)


@contextmanager
def _notifying(settings: Settings, state: State, reporter: Reporter) -> Iterator[None]:
    """Send the waiting notifications after a scan, even if the scan could not begin.

    A running daemon sends the notifications itself.

    Raises:
        StateError: the outbox of notifications cannot be used.
    """
    if not settings.notify:
        yield
        return
    from hashscan.jobs.notifications import begin_notifying  # noqa: PLC0415 - heavy

    begin_notifying(settings, state)
    try:
        yield
    except STOPS:
        _send_now(settings, state, reporter)
        raise
    _send_now(settings, state, reporter)


def _send_now(settings: Settings, state: State, reporter: Reporter) -> None:
    from hashscan.jobs.notifications import send_now  # noqa: PLC0415 - heavy

    try:
        send_now(settings, state, reporter.notice)
    # The scan itself is finished, so a failure here does not change its result.
    except StateError as error:
        reporter.notice(f"notify: {error}")


def _there(
    places: Places,
    catalog: Catalog,
    reporter: Reporter,
    problems: ScanProblems | None = None,
    *,
    named: bool,
) -> tuple[list[Volume], dict[bytes, Identity]]:
    """Return the present volumes, and the identities of their roots; report missing volumes.

    Raises:
        UsageError: all volumes of the scan are missing.
    """
    found: list[Volume] = []
    identities: dict[bytes, Identity] = {}
    for volume in places.volumes:
        seen = places.seen[volume.root]
        why = why_not_there(seen, catalog, meant=named)
        if problems is not None and (volume.root in places.configured or not named):
            problems.volume(volume.root, why)
        if why is None:
            found.append(volume)
            if seen.identity is not None:
                identities[volume.root] = seen.identity
        else:
            meant = ""
            if seen.error is None:
                meant = ", or name its path on the command line if it is meant to be so"
            reporter.notice(f"{shown(volume.root)}: not scanned: {why}{meant}")
            reporter.problem(
                ProblemEvent(volume.root, Problem.NOT_THERE.value, f"not scanned: {why}")
            )
    catalog.commit()
    if not found:
        raise UsageError("no volume is there to be scanned: see above")
    return found, identities


def _locked(state: State, stack: ExitStack, reporter: Reporter) -> State:
    """Lock and return the state directory for a scan: a separate one beside a running daemon.

    Raises:
        LockedError: another scan works with the state directory.
    """
    try:
        stack.enter_context(state.lock())
    except LockedError:
        from hashscan.jobs.daemon_status import status_of_running_daemon  # noqa: PLC0415 - only where needed

        daemon = status_of_running_daemon(state)
        if daemon is None:
            raise
        reporter.notice(
            f"the daemon (process {daemon['pid']}) works with this state: this scan keeps a catalog"
            f" of its own ({shown(state.directory)}/beside), so it hashes what the daemon may have"
            " hashed before"
        )
        state = state.beside()
        stack.enter_context(state.lock())
    return state


def open_actor(
    settings: Settings,
    state: State,
    action: Literal["report", "quarantine"],
    volumes: tuple[Volume, ...],
    known: KnownSet,
    stack: ExitStack,
    notice: Callable[[str], None],
    *,
    patience: float | None = None,
    absent: Collection[bytes] = (),
    recorder: Recorder | None = None,
) -> Actor:
    """Return the actor that acts on matches.

    If a quarantine exists, the quarantine first finishes the work that a killed process left.

    ``patience`` is the number of seconds to wait for another process in the quarantine. ``absent``
    are roots of volumes that do not answer: unfinished moves in these volumes wait. ``recorder``
    writes events to the audit log. Digests that an administrator dismissed are on the allow-list.
    """
    dismissed = Dismissed(state.dismissed)
    if action == "report" and not os.path.isdir(settings.quarantine_directory):
        return Allowing(dismissed, ReportOnly())
    from hashscan.quarantine.act import Quarantine  # noqa: PLC0415

    quarantine = Quarantine.open(
        os.fsencode(settings.quarantine_directory),
        cross_mounts=[volume.root for volume in volumes if not volume.one_file_system],
        create=action == "quarantine",
        patience=patience,
        absent=absent,
        recorder=recorder,
    )
    stack.callback(quarantine.close)
    for recovered in quarantine.recovered:
        notice(f"quarantine {recovered.record_id}: {recovered.message}")
    if action == "report":
        return Allowing(dismissed, ReportOnly(quarantine))
    if known.test:
        why = "the service was asked for a test (service.test), so no file is moved"
        return Allowing(dismissed, ReportOnly(quarantine, why))
    brakes = open_brakes(settings, state, quarantine, recorder.who.by if recorder else "scan")
    stack.callback(brakes.close)
    return Allowing(dismissed, brakes)
