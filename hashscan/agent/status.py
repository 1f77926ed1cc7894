"""``status``: whether it works, from what is on disk. Nothing is made, fetched or held up.

``STATE/daemon.json`` is what the daemon writes of itself every few seconds; the lock tells whether
that daemon is still there.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hashscan.agent.syncing import from_repository, source_of
from hashscan.catalog.overview import Overview, overview
from hashscan.errors import HashscanError, QuarantineError
from hashscan.files import DAEMON_STATUS
from hashscan.known.repository.kept import open_kept
from hashscan.machine import is_limited, with_cause
from hashscan.model import join
from hashscan.quarantine.store import Store
from hashscan.quarantine.upkeep import passed, records, why_doubtful
from hashscan.state import State, holder_of
from hashscan.text import human_age, rfc3339, shown

if TYPE_CHECKING:
    from typing import Any

    from hashscan.config.settings import Settings
    from hashscan.known.filters.opening import FilterFile


#: What the daemon writes of itself, in the state directory.
#: Seconds without a word of a running daemon, and without a verdict, that are trouble.
_SILENT = 60.0
_PENDING = 900.0
#: Seconds for which syncs may fail.
_SYNC_FAILS = 3600.0
#: So many intervals of the schedule, and so many seconds, may pass without a whole scan.
_SCANS_MISSED, _SCAN_LATE = 2.0, 3600.0
#: Seconds that the watch of a volume may take to be set.
_STARTING = 60.0
_DOUBTFUL = "doubtful"
_OTHER_SETTINGS = (
    "the configuration is another one than the running daemon uses: 'systemctl reload hashscan' "
    "(or SIGHUP), and see the log for what it says"
)
_NEVER = (
    "nothing has been scanned with the state {} yet: start the daemon (systemctl start hashscan), "
    "or run 'hashscan scan'; if something was, see --config and --state"
)


@dataclass(frozen=True, slots=True)
class FilterStatus:
    """One filter.

    Attributes:
        name: its category, or the path of a configured file.
        version, digests, path: ``None`` where it cannot be used.
        created: RFC 3339 UTC time of its making.
        verified: when its repository last said that it is the newest, in seconds since the epoch;
            ``None`` for a file.
        age: seconds since it was verified, or made; what ``filter.max_age`` limits.
        trouble: why it cannot be used, and what to do.
        tiers: that it has.
        tiers_unused: why others are not used.
    """

    name: str
    version: str | None = None
    digests: int | None = None
    path: str | None = None
    created: str | None = None
    verified: float | None = None
    age: float | None = None
    trouble: str | None = None
    tiers: tuple[str, ...] = ()
    tiers_unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """What the state directory tells.

    Attributes:
        state: its path.
        running: the process that scans with it now.
        source: where the filters come from, in words.
        filters: those of the configuration.
        catalog: ``None`` where nothing was scanned yet.
        quarantine: records by state; a damaged one is ``damaged``.
        trouble: whatever needs somebody, other than a filter.
        daemon: what the daemon said of itself last; ``None`` where none has worked with this state.
        alive: that daemon is running.
        reports_only: why matches are only reported, not moved; empty: they are moved.
        retention: seconds after which contents of the quarantine are removed for good.
        uncovered: volumes of which not all is watched, or that are not there; each with why.
    """

    state: str
    running: int | None
    source: str
    filters: tuple[FilterStatus, ...]
    catalog: Overview | None
    quarantine: dict[str, int]
    trouble: tuple[str, ...]
    daemon: dict[str, Any] | None = None
    alive: bool = False
    uncovered: tuple[str, ...] = ()
    reports_only: str = ""
    retention: float | None = None

    @property
    def waits_too_long(self) -> bool:
        """Whether candidates have been without a verdict for so long that somebody should look."""
        oldest = self.catalog.oldest if self.catalog else None
        return oldest is not None and time.time() - oldest > _PENDING

    @property
    def sync_fails(self) -> float | None:
        """Since when syncs have failed, if for so long that somebody should look."""
        if not self.alive or self.daemon is None:
            return None
        sync = self.daemon.get("sync") or {}
        since = sync.get("failing_since")
        if since is None or not (sync.get("refused") or time.time() - since > _SYNC_FAILS):
            return None
        return float(since)

    @property
    def unmoved(self) -> tuple[int, bytes, str] | None:
        """Matches that could not be moved: how many, path of one, and why; ``None``: none."""
        return self.catalog.unmoved if self.catalog else None

    @property
    def filters_usable(self) -> bool:
        """Whether a scan would find every filter that it needs."""
        return all(one.trouble is None for one in self.filters) and not self.stands_still

    @property
    def stands_still(self) -> str:
        """Why the daemon that runs scans nothing: it has no known set; empty: it does."""
        return str(self.daemon.get("trouble") or "") if self.alive and self.daemon else ""

    @property
    def reported(self) -> int:
        """Matches that stay where they are, as the configuration says.

        Where a daemon works, those of its volumes: somebody may have scanned others to try it out.
        """
        if not self.reports_only or self.catalog is None:
            return 0
        volumes = (self.daemon or {}).get("volumes", ())
        roots = tuple(_below(os.fsencode(one["path"])) for one in volumes) or (b"",)
        return sum(
            count
            for volume, count in self.catalog.reported.items()
            if _below(volume).startswith(roots)
        )


def filters_of(settings: Settings, state: State) -> tuple[str, tuple[FilterStatus, ...]]:
    """Where the configured filters come from, in words, and each of them after all its checks."""
    if settings.filter is None:
        if settings.service is None:
            return "none is configured: give digest lists with --known", ()
        return "made from the lists of service.known", tuple(
            FilterStatus(path, trouble=why)
            for path in settings.service.known
            if (why := _unreadable(path))
        )
    if not from_repository(settings):
        return settings.filter.source, (_file(settings),)
    source = source_of(settings)
    found = []
    for category in source.categories:
        try:
            (kept,) = open_kept(
                replace(source, categories=(category,)),
                state.filters,
                max_age=settings.filter.max_age,
            )
        except HashscanError as error:
            found.append(FilterStatus(category, trouble=with_cause(error)))
        else:
            found.append(_filter(category, kept.loaded, kept.verified))
    return source.url, tuple(found)


def _unreadable(path: str) -> str:
    """Why a list cannot be opened. Whether it is right, the next scan and ``doctor`` tell."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return f"{shown(path)}: {(error.strerror or str(error)).lower()}; put the list there"
    return ""


def _file(settings: Settings) -> FilterStatus:
    from hashscan.agent.known_set import open_file  # noqa: PLC0415 - heavy

    assert settings.filter is not None
    path = settings.filter.source
    try:
        one = open_file(settings.filter)
    except HashscanError as error:
        return FilterStatus(path, trouble=with_cause(error))
    return _filter(one.category, one, None)


def _filter(name: str, one: FilterFile, verified: float | None) -> FilterStatus:
    since = one.metadata.created_seconds if verified is None else verified
    return FilterStatus(
        name,
        version=one.version,
        digests=one.metadata.digests,
        path=one.path,
        created=one.metadata.created,
        verified=verified,
        age=max(0.0, time.time() - since),
        tiers=one.tiers.names,
        tiers_unused=one.tiers_unused,
    )


def status_of(settings: Settings) -> Status:
    """Look at everything that the configuration names; a part that cannot be read is a trouble.

    Raises:
        HashscanError: a limit of this process, e.g. of its open files, keeps it from reading.
    """
    trouble: list[str] = []
    catalog: Overview | None = None
    running: int | None = None
    source = "unknown: the state directory cannot be used"
    filters: tuple[FilterStatus, ...] = ()
    try:
        state = State(settings.state, make=False)
        running = holder_of(state.lock_file)
        source, filters = filters_of(settings, state)
        catalog = overview(state.catalog)
    except HashscanError as error:
        trouble.append(_trouble_of(error))
    counts: Counter[str] = Counter()
    retention = settings.quarantine.retention
    doubtful = 0
    try:
        counts = _quarantine(settings.quarantine_directory, retention)
        doubtful = counts.pop(_DOUBTFUL, 0)
    except HashscanError as error:
        trouble.append(_trouble_of(error))
    if counts["damaged"]:
        trouble.append(
            f"{counts['damaged']:,} records of the quarantine are damaged: 'hashscan quarantine "
            "verify' names them"
        )
    daemon = read_daemon_file(settings.state)
    alive = daemon is not None and running is not None and daemon.get("pid") == running
    uncovered: tuple[str, ...] = ()
    if daemon is not None:
        trouble += _daemon_trouble(daemon, alive=alive)
        if alive:
            uncovered = (*_uncovered(daemon), *_not_scanned(daemon, catalog))
            if settings.volumes and daemon.get("settings") not in {None, mark_of(settings)}:
                uncovered = (_OTHER_SETTINGS, *uncovered)
        else:
            uncovered = _stopped(settings.state, daemon)
    elif running is None and (catalog is None or catalog.scan is None):
        uncovered = (_NEVER.format(shown(settings.state)),)
    if doubtful and retention is not None:
        uncovered = (*uncovered, f"quarantine: {why_doubtful(doubtful, retention)}")
    return Status(
        settings.state,
        running,
        source,
        filters,
        catalog,
        dict(counts),
        tuple(trouble),
        daemon,
        alive,
        uncovered,
        daemon.get("reports_only", "") if daemon and alive else reports_only(settings),
        retention,
    )


def _trouble_of(error: HashscanError) -> str:
    if is_limited(error):
        raise error
    return with_cause(error)


def _below(root: bytes) -> bytes:
    return join(root, b"x")[:-1]


def mark_of(settings: Settings) -> str:
    """What tells a configuration from another."""
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()


def reports_only(settings: Settings) -> str:
    """Why matches are only reported, not moved; empty: they are moved."""
    if settings.quarantine.action == "report":
        return "quarantine.action is 'report'"
    service = settings.service
    is_test = service is not None and service.kind != "local" and service.test
    return "service.test is true" if is_test else ""


def read_daemon_file(directory: str) -> dict[str, Any] | None:
    """What a daemon said of itself last; ``None`` where there is nothing that can be read."""
    try:
        with open(os.path.join(directory, DAEMON_STATUS), "rb") as file:
            found = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _daemon_trouble(daemon: dict[str, Any], *, alive: bool) -> list[str]:
    if not alive and daemon.get("stopped"):
        return []
    if not alive:
        died = (
            f"the daemon (process {daemon.get('pid')}) is not there any more and did not end by "
            "itself; see its log (journalctl -u hashscan), and start it again"
        )
        return [died]
    found = []
    silent = time.time() - float(daemon.get("time") or 0)
    if silent > _SILENT:
        found.append(
            f"the daemon has said nothing for {human_age(silent)}; see its log, and restart it"
        )
    if daemon.get("reload_refused"):
        found.append(f"the last reload was refused: {daemon['reload_refused']}")
    found += [
        f"{shown(one['path'])}: not scanned: {one['away']}"
        for one in daemon.get("volumes", ())
        if one.get("away")
    ]
    return found


def _stopped(directory: str, daemon: dict[str, Any]) -> tuple[str, ...]:
    """What follows from a daemon that ended by itself: somebody may have forgotten to start it."""
    if not daemon.get("stopped"):
        return ()
    since = human_age(time.time() - float(daemon.get("time") or 0))
    path = shown(os.path.join(directory, DAEMON_STATUS))
    told = (
        f"the daemon was stopped {since} ago, and nothing is watched or scanned by schedule until "
        f"it starts again (systemctl start hashscan); if it is not meant to, remove {path}"
    )
    return (told,)


def _uncovered(daemon: dict[str, Any]) -> list[str]:
    found = []
    output = daemon.get("output")
    if output:
        found.append(
            f"{output['lost']:,} results of the daemon since {rfc3339(output['since'])} were not"
            f" taken by its reader: {output['message']}; its log has them (journalctl -u hashscan),"
            " 'hashscan quarantine list' names what was moved; restart the daemon with a reader"
        )
    for one in daemon.get("volumes", ()):
        path = shown(one["path"])
        started = time.time() - float(one.get("starting") or time.time())
        if started > _STARTING and not one.get("away"):
            found.append(
                f"{path}: its watch has been starting for {human_age(started)}; it is scanned and "
                "watched as soon as that is through"
            )
        elif one.get("unwatched"):
            found.append(
                f"{path}: {one['unwatched']:,} directories are not watched, scans find what "
                f"changes there: {one['message']}"
            )
    return found


def _not_scanned(daemon: dict[str, Any], catalog: Overview | None) -> list[str]:
    """Volumes that the schedule should have had scanned, and did not."""
    every = daemon.get("scan_every")
    if every is None:
        return []
    found = []
    for one in daemon.get("volumes", ()):
        last = catalog.by_volume.get(os.fsencode(one["path"])) if catalog else None
        ended = 0.0 if last is None else last.ended or last.started
        late = time.time() - max(ended, float(daemon["started"]))
        if late > _SCANS_MISSED * float(every) + _SCAN_LATE and not one.get("away"):
            found.append(
                f"{shown(one['path'])}: no scan has come to its end for {human_age(late)}, though "
                f"one should every {human_age(float(every))} (scan.schedule); see the log"
            )
    return found


def _quarantine(directory: str, retention: float | None) -> Counter[str]:
    """Records by state; ``_DOUBTFUL``: those that only the wall clock calls too old."""
    try:
        store = Store.open(os.fsencode(directory), create=False)
    except QuarantineError as error:
        if error.reason == "no-store":
            return Counter()
        raise
    counts: Counter[str] = Counter()
    with store:
        timeline = store.timeline()
        for listed in records(store):
            record = listed.record
            counts["damaged" if record is None else str(record.state)] += 1
            if record is not None and retention is not None:
                counts[_DOUBTFUL] += passed(record, retention, timeline) == _DOUBTFUL
    return counts
