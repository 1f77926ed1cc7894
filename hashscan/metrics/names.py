"""Lists every metric with its name, its labels and its HELP text.

docs/metrics.md and the tests follow this list. Names and units follow
https://prometheus.io/docs/practices/naming/. A label has values of a fixed set; no value is a path,
an owner, a digest or a category.
"""

from __future__ import annotations

from typing import NamedTuple

#: Prefix of each metric's name.
PREFIX = "hashscan_"


class Described(NamedTuple):
    """One metric: a counter if its name ends in ``_total``, else a gauge.

    Attributes:
        words: the text of the metric's HELP line.
        labels: names of the metric's labels.
    """

    words: str
    labels: tuple[str, ...] = ()


METRICS: dict[str, Described] = {
    # Is it working?
    "healthy": Described("1 if nothing needs an administrator (exit code 0 of status), else 0."),
    "status_exit_code": Described("The exit code of 'hashscan status'; 0: all is well."),
    "complaints": Described("Complaints of 'hashscan status' by reason.", ("reason",)),
    "build_info": Described("Always 1; the label has the version.", ("version",)),
    "collected_timestamp_seconds": Described("When these numbers were collected."),
    "collection_duration_seconds": Described("How long it took to collect these numbers."),
    "daemon_running": Described("1 if the daemon runs, else 0."),
    "daemon_start_time_seconds": Described("When the daemon started."),
    "daemon_status_timestamp_seconds": Described("When the daemon last wrote its status."),
    # Is everything covered?
    "volumes": Described("Volumes of the daemon by the state of their watch.", ("state",)),
    "watch_directories": Described("Directories by whether they are watched.", ("state",)),
    "volumes_without_whole_scan": Described("Volumes without a whole scan so far."),
    "oldest_whole_scan_timestamp_seconds": Described(
        "End of the last whole scan of the volume that has waited longest for the next one."
    ),
    "last_whole_scan_timestamp_seconds": Described("End of the last whole scan of any volume."),
    "last_whole_scan_duration_seconds": Described("How long the last whole scan took."),
    "last_whole_scan_files": Described("Files of the last whole scan by outcome.", ("outcome",)),
    "last_whole_scan_hashed_bytes": Described("Bytes that the last whole scan hashed."),
    "last_whole_scan_matches": Described("Matches of the last whole scan."),
    "last_scan_start_timestamp_seconds": Described("Start of the last scan."),
    "last_scan_end_timestamp_seconds": Described("End of the last scan; absent while it runs."),
    "scan_running": Described("1 if the daemon scans now, else 0."),
    "scan_progress_ratio": Described("Estimated share of the running scan that is done, 0 to 1."),
    "scan_interval_seconds": Described("Time between two scans by schedule."),
    "next_scan_timestamp_seconds": Described("When the next scan by schedule is due."),
    "unreadable_files": Described("Files and directories that could not be read."),
    # How far behind is the watch?
    "watch_events_total": Described("Changes that the watch reported."),
    "watch_losses_total": Described(
        "Losses of changes, e.g. overflows; a scan finds the lost changes."
    ),
    "watch_queue_length": Described("Changed files and directories that wait or are read now."),
    "watch_oldest_change_age_seconds": Described("How long the oldest change has waited; 0: none."),
    # How old are the filters?
    "filters": Described("Filters by whether they can be used.", ("state",)),
    "filter_digests": Described("Digests in all filters."),
    "filter_verified_timestamp_seconds": Described(
        "When the oldest filter was last verified by its repository, or made if it is a file."
    ),
    "filter_max_age_seconds": Described("Age from which a filter is not used (filter.max_age)."),
    "last_sync_timestamp_seconds": Described("When the last sync was."),
    "next_sync_timestamp_seconds": Described("When the next sync is due."),
    "sync_failing_since_timestamp_seconds": Described(
        "When the first of the failed syncs was; absent: syncs work."
    ),
    # What was found?
    "files_total": Described("Files from changes and scans by outcome.", ("outcome",)),
    "skipped_files_total": Described("Files that were not read, by reason.", ("reason",)),
    "hashed_bytes_total": Described("Bytes that were hashed."),
    "problems_total": Described("Files that could not be judged, by reason.", ("reason",)),
    "scans_total": Described("Scans of the daemon that ended."),
    "candidates_total": Described("Files with a digest in a filter."),
    "false_positives_total": Described("Candidates that the service does not know."),
    "matches_total": Described("Matches by the action that was taken.", ("action",)),
    "log_messages_total": Described("Lines of the daemon's log by level.", ("level",)),
    "pending_candidates": Described("Candidates that wait for a verdict."),
    "pending_oldest_timestamp_seconds": Described("When the oldest pending candidate was found."),
    "service_refuses_password": Described("1 if the service refuses the password, else 0."),
    "unmoved_matches": Described("Matches that should be in quarantine and could not be moved."),
    "reported_matches": Described("Matches in their place, because they are only reported."),
    "holds_open": Described("Holds of the brakes that wait for a decision."),
    "held_matches": Described("Matches in open holds: nothing moves them until a decision."),
    # The quarantine
    "quarantine_records": Described("Records of the quarantine by state.", ("state",)),
    "storage_free_bytes": Described("Free space of the file system of a place.", ("place",)),
    "storage_size_bytes": Described("Size of the file system of a place.", ("place",)),
    # Notices
    "notices_open": Described("Open notices."),
    "notice_items_open": Described("Open items of open notices."),
    "notices_due_soon": Described("Open notices that are due soon (notices.due_soon)."),
    "notices_overdue": Described("Open notices whose deadline has passed."),
    "notices_next_deadline_timestamp_seconds": Described("The earliest deadline of open notices."),
    "notices_unread": Described("Mails and other inputs that are not understood as notices."),
    # Notifications
    "notify_receivers": Described("Receivers of notifications by their last attempt.", ("state",)),
    "notify_waiting_messages": Described(
        "Notifications that wait until their receiver accepts them."
    ),
    "notify_waiting_events": Described("Events that wait in notifications, or for the next one."),
    "notify_oldest_timestamp_seconds": Described("When the oldest waiting notification was made."),
    "notify_refused_messages": Described(
        "Notifications that a receiver refused, or that were given up within the last days."
    ),
    # The processes
    "processes": Described("Processes of the daemon.", ("process",)),
    "process_memory_bytes": Described(
        "Memory of the daemon and of its child processes; shared pages count in part.", ("process",)
    ),
    "process_cpu_seconds_total": Described(
        "CPU time of the daemon and of its child processes.", ("process",)
    ),
}
