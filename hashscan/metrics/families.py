"""Makes the metrics from the facts of ``hashscan status``.

A new metric gets its name in ``names``, and its value in a function of this module.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from hashscan import __version__
from hashscan.jobs.complaint_reasons import Reason
from hashscan.metrics.names import METRICS, PREFIX
from hashscan.metrics.processes import Usage
from hashscan.model import Problem, Skipped
from hashscan.quarantine.records import WITHDRAWN, RecordState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from hashscan.catalog.status_overview import LastScan
    from hashscan.config.settings import Settings
    from hashscan.jobs.daemon_status import DaemonStatus, VolumeStatus
    from hashscan.jobs.status import Status

_OUTCOMES = ("hashed", "unchanged", "skipped", "problem")
_VOLUME_STATES = ("watched", "partly-watched", "not-watched", "starting", "missing")
_RECORD_STATES = (*RecordState, WITHDRAWN, "damaged")
_ACTIONS = ("quarantined", "reported", "held", "allowed")
_LEVELS = ("error", "warning", "info", "debug")


class Snapshot(NamedTuple):
    """All facts for the metrics of one moment.

    Attributes:
        settings: the settings of the configuration with which the status was read.
        reasons: reasons of the faults that the status names.
        exit_code: exit code of ``hashscan status``.
        collected: time at which the status was read, in seconds since the epoch.
        roots: paths of the configured volumes, as the catalog has them.
        seconds: duration of the collection of the metrics.
        daemon, children: memory and CPU time of the daemon process, and of all processes below it.
    """

    settings: Settings
    status: Status
    reasons: Sequence[Reason]
    exit_code: int
    collected: float
    roots: Sequence[bytes] = ()
    seconds: float = 0.0
    daemon: Usage = Usage()
    children: Usage = Usage()


class Page:
    """The metrics of one moment with their samples, in the order of ``METRICS``."""

    def __init__(self) -> None:
        """Start without samples of the metrics."""
        self._values: dict[str, list[tuple[list[str], float]]] = {}

    def put(self, name: str, value: float, **labels: str) -> None:
        """Add a sample of a metric; ``labels``: values of the metric's labels, in their order."""
        assert METRICS[name].labels == tuple(labels), name
        self._values.setdefault(name, []).append((list(labels.values()), float(value)))

    def put_time(self, name: str, value: float | None) -> None:
        """Add a sample of a metric; add none for the unknown value ``None``."""
        if value is not None:
            self.put(name, value)

    def put_each(
        self, name: str, label: str, values: Mapping[str, float], known: Iterable[str]
    ) -> None:
        """Add a metric's sample for each member of ``known``; a member not in ``values`` gets 0."""
        for one in known:
            self.put(name, values.get(str(one), 0), **{label: str(one)})

    def families(self) -> list[Metric]:
        """Return the metrics as objects of prometheus_client."""
        found: list[Metric] = []
        for name, described in METRICS.items():
            if name not in self._values:
                continue
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(PREFIX + name, described.words, labels=described.labels)
            for labels, value in self._values[name]:
                family.add_metric(labels, value)
            found.append(family)
        return found


def families(snapshot: Snapshot) -> list[Metric]:
    """Return all metrics of one moment."""
    page = Page()
    for part in _PARTS:
        part(page, snapshot)
    return page.families()


def verdict(exit_code: int, reasons: Iterable[Reason], collected: float) -> list[Metric]:
    """Return only the metrics of the verdict of ``status``; the configuration may be unreadable."""
    page = Page()
    _put_verdict(page, exit_code, reasons, collected)
    return page.families()


def _put_verdict(page: Page, exit_code: int, reasons: Iterable[Reason], collected: float) -> None:
    page.put("healthy", exit_code == 0)
    page.put("status_exit_code", exit_code)
    page.put_each("complaints", "reason", Counter(map(str, reasons)), Reason)
    page.put("build_info", 1, version=__version__)
    page.put("collected_timestamp_seconds", collected)


def _verdict(page: Page, snapshot: Snapshot) -> None:
    _put_verdict(page, snapshot.exit_code, snapshot.reasons, snapshot.collected)
    page.put("collection_duration_seconds", snapshot.seconds)


def _daemon(page: Page, snapshot: Snapshot) -> None:
    status = snapshot.status
    page.put("daemon_running", status.alive)
    if status.daemon is not None:
        page.put_time("daemon_status_timestamp_seconds", status.daemon.get("time"))
    if status.alive:
        if status.daemon is not None:
            page.put_time("daemon_start_time_seconds", status.daemon.get("started"))
        for name, usage in (("daemon", snapshot.daemon), ("children", snapshot.children)):
            page.put("processes", usage.processes, process=name)
            page.put("process_memory_bytes", usage.memory, process=name)
            page.put("process_cpu_seconds_total", usage.cpu, process=name)


def _running(snapshot: Snapshot) -> DaemonStatus | None:
    """Return the contents of the running daemon's status file; ``None``: no daemon runs."""
    return snapshot.status.daemon if snapshot.status.alive else None


def _volume_state(volume: VolumeStatus) -> str:
    if volume.get("away"):
        return "missing"
    if volume.get("starting") or volume["backend"] == "starting":
        return "starting"
    if volume["backend"] == "off" or (volume["unwatched"] and not volume["directories"]):
        return "not-watched"
    return "partly-watched" if volume["unwatched"] or volume.get("blind") else "watched"


def _volumes(page: Page, snapshot: Snapshot) -> None:
    daemon = _running(snapshot)
    if daemon is None or "volumes" not in daemon:
        return
    volumes = daemon["volumes"]
    states = Counter(_volume_state(one) for one in volumes)
    page.put_each("volumes", "state", states, _VOLUME_STATES)
    page.put("watch_directories", sum(one["directories"] for one in volumes), state="watched")
    page.put("watch_directories", sum(one["unwatched"] for one in volumes), state="not-watched")


def _watch(page: Page, snapshot: Snapshot) -> None:
    daemon = _running(snapshot)
    if daemon is not None and "backlog" in daemon:
        page.put("watch_queue_length", daemon["backlog"])
        page.put("watch_oldest_change_age_seconds", daemon.get("waits_for", 0.0))


def _roots(snapshot: Snapshot) -> list[bytes]:
    daemon = _running(snapshot)
    if daemon is not None and "volumes" in daemon:
        return [os.fsencode(one["path"]) for one in daemon["volumes"]]
    return list(snapshot.roots)


def _ended(scan: LastScan) -> float:
    return scan.ended or scan.started


def _scans(page: Page, snapshot: Snapshot) -> None:
    catalog = snapshot.status.catalog
    daemon = _running(snapshot)
    if daemon is not None:
        scan = daemon.get("scan")
        page.put("scan_running", scan is not None)
        if scan is not None:
            page.put("scan_progress_ratio", scan["fraction"])
        page.put_time("scan_interval_seconds", daemon.get("scan_every"))
        page.put_time("next_scan_timestamp_seconds", daemon.get("next_scan"))
    if catalog is None:
        return
    page.put("unreadable_files", catalog.problems)
    if catalog.scan is not None:
        page.put("last_scan_start_timestamp_seconds", catalog.scan.started)
        page.put_time("last_scan_end_timestamp_seconds", catalog.scan.ended)
    last = [catalog.by_volume.get(root) for root in _roots(snapshot)]
    page.put("volumes_without_whole_scan", last.count(None))
    ended = [_ended(one) for one in last if one is not None]
    page.put_time("oldest_whole_scan_timestamp_seconds", min(ended, default=None))
    whole = catalog.whole
    if whole is None:
        return
    page.put("last_whole_scan_timestamp_seconds", _ended(whole))
    summary = whole.summary
    if summary:
        outcomes = {
            "hashed": summary["hashed"],
            "unchanged": summary["unchanged"],
            "skipped": sum(summary["skipped"].values()),
            "problem": summary["problems"],
        }
        page.put("last_whole_scan_duration_seconds", summary["seconds"])
        page.put_each("last_whole_scan_files", "outcome", outcomes, _OUTCOMES)
        page.put("last_whole_scan_hashed_bytes", summary["bytes_hashed"])
        page.put("last_whole_scan_matches", summary["matches"])


def _filters(page: Page, snapshot: Snapshot) -> None:
    status = snapshot.status
    daemon = _running(snapshot)
    usable = [one for one in status.filters if one.trouble is None]
    digests = sum(one.digests or 0 for one in usable)
    # If no source of filters is configured, the daemon, or each scan, makes the filter from the
    # configured lists.
    if not status.filters:
        made = daemon.get("filters", []) if daemon else []
        page.put("filters", len(made), state="usable")
        digests = sum(one["digests"] for one in made)
    else:
        page.put("filters", len(usable), state="usable")
    page.put("filters", len(status.filters) - len(usable), state="unusable")
    page.put("filter_digests", digests)
    ages = [one.age for one in usable if one.age is not None]
    if ages:
        page.put("filter_verified_timestamp_seconds", snapshot.collected - max(ages))
    section = snapshot.settings.filter
    if section is not None:
        page.put_time("filter_max_age_seconds", section.max_age)
    if sync := status.sync:
        page.put_time("last_sync_timestamp_seconds", sync.get("time"))
        page.put_time("next_sync_timestamp_seconds", sync.get("next"))
        page.put_time("sync_failing_since_timestamp_seconds", sync.get("failing_since"))


def _counters(page: Page, snapshot: Snapshot) -> None:
    daemon = _running(snapshot)
    counted = daemon.get("counters") if daemon else None
    if counted is None:
        return
    page.put_each("files_total", "outcome", counted["files"], _OUTCOMES)
    page.put_each("skipped_files_total", "reason", counted["skipped"], Skipped)
    page.put("hashed_bytes_total", counted["hashed_bytes"])
    page.put_each("problems_total", "reason", counted["problems"], Problem)
    page.put("scans_total", counted["scans"])
    page.put("candidates_total", counted["candidates"])
    page.put("false_positives_total", counted["false_positives"])
    page.put_each("matches_total", "action", counted["matches"], _ACTIONS)
    page.put("watch_events_total", counted["events"])
    page.put("watch_losses_total", counted["losses"])
    page.put_each("log_messages_total", "level", counted["log"], _LEVELS)


def _candidates(page: Page, snapshot: Snapshot) -> None:
    status = snapshot.status
    catalog = status.catalog
    if catalog is None:
        return
    page.put("pending_candidates", catalog.pending)
    page.put_time("pending_oldest_timestamp_seconds", catalog.oldest)
    page.put("service_refuses_password", bool(status.refused))
    page.put("unmoved_matches", status.unmoved[0] if status.unmoved else 0)
    page.put("reported_matches", status.reported)
    page.put("holds_open", len(status.holds))
    page.put("held_matches", sum(one.files for one in status.holds))


def _quarantine(page: Page, snapshot: Snapshot) -> None:
    page.put_each("quarantine_records", "state", snapshot.status.quarantine, _RECORD_STATES)
    settings = snapshot.settings
    places = (("state", settings.state), ("quarantine", settings.quarantine_directory))
    for name, path in places:
        with suppress(OSError):  # the first scan makes the quarantine's directories
            room = os.statvfs(path)
            page.put("storage_free_bytes", room.f_bavail * room.f_frsize, place=name)
            page.put("storage_size_bytes", room.f_blocks * room.f_frsize, place=name)


def _notices(page: Page, snapshot: Snapshot) -> None:
    found = snapshot.status.deadlines
    if found is not None:
        page.put("notices_open", found.open)
        page.put("notice_items_open", found.items)
        page.put("notices_due_soon", found.due_soon)
        page.put("notices_overdue", found.overdue)
        page.put_time("notices_next_deadline_timestamp_seconds", found.next_deadline)
    mail = snapshot.status.mail
    unread = (found.unread if found else 0) + (mail["waiting"] if mail else 0)
    if found is not None or mail is not None:
        page.put("notices_unread", unread)


def _notifications(page: Page, snapshot: Snapshot) -> None:
    found = snapshot.status.receivers
    failing = sum(bool(one.trouble) for one in found)
    page.put("notify_receivers", len(found) - failing, state="working")
    page.put("notify_receivers", failing, state="failing")
    page.put("notify_waiting_messages", sum(one.messages for one in found))
    page.put("notify_waiting_events", sum(one.events for one in found))
    oldest = [one.oldest for one in found if one.oldest is not None]
    page.put_time("notify_oldest_timestamp_seconds", min(oldest, default=None))
    page.put("notify_refused_messages", sum(one.refused + one.given_up for one in found))


#: The groups of metrics; ``docs/metrics.md`` describes the metrics of each group under one heading.
_PARTS: tuple[Callable[[Page, Snapshot], None], ...] = (
    _verdict,
    _daemon,
    _volumes,
    _watch,
    _scans,
    _filters,
    _counters,
    _candidates,
    _quarantine,
    _notices,
    _notifications,
)
