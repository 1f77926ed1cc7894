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
    # Metrics about the question whether hashscan works.
    "healthy": Described("1 if 'hashscan status' has no complaint (exit code 0), else 0."),
    "status_exit_code": Described("The exit code of 'hashscan status'; 0 means that all is well."),
    "complaints": Described("Number of complaints of 'hashscan status', by reason.", ("reason",)),
    "build_info": Described("Always 1; the label has the version of hashscan.", ("version",)),
    "collected_timestamp_seconds": Described("Time at which hashscan collected these numbers."),
    "collection_duration_seconds": Described("Seconds that the collection of these numbers took."),
    "daemon_running": Described("1 if the daemon runs, else 0."),
    "daemon_start_time_seconds": Described("Time of the daemon's start."),
    "daemon_status_timestamp_seconds": Described("Time at which the daemon last wrote its status."),
    # Metrics about the question whether every volume is scanned and watched.
    "volumes": Described(
        "Number of the daemon's volumes, by the state of their watch.", ("state",)
    ),
    "watch_directories": Described(
        "Number of directories, by whether the daemon watches them.", ("state",)
    ),
    "volumes_without_whole_scan": Described("Number of volumes that never had a whole scan."),
    "oldest_whole_scan_timestamp_seconds": Described(
        "End of the last whole scan of the volume whose last whole scan is the oldest."
    ),
    "last_whole_scan_timestamp_seconds": Described(
        "Time at which the last whole scan of any volume ended."
    ),
    "last_whole_scan_duration_seconds": Described("Seconds that the last whole scan took."),
    "last_whole_scan_files": Described(
        "Number of files of the last whole scan, by outcome.", ("outcome",)
    ),
    "last_whole_scan_hashed_bytes": Described("Number of bytes that the last whole scan hashed."),
    "last_whole_scan_matches": Described("Number of matches that the last whole scan found."),
    "last_scan_start_timestamp_seconds": Described("Time at which the last scan started."),
    "last_scan_end_timestamp_seconds": Described(
        "Time at which the last scan ended; absent while a scan runs."
    ),
    "scan_running": Described("1 while the daemon scans, else 0."),
    "scan_progress_ratio": Described(
        "Estimated share of the running scan that is finished, 0 to 1."
    ),
    "scan_interval_seconds": Described("Seconds between two scheduled scans."),
    "next_scan_timestamp_seconds": Described("Time at which the next scheduled scan is due."),
    "unreadable_files": Described("Number of files and directories that hashscan could not read."),
    # Metrics about changes that the watch has not checked yet.
    "watch_events_total": Described("Number of changes of files that the watch reported."),
    "watch_losses_total": Described(
        "Number of times that the watch lost changes; a scan finds the lost changes."
    ),
    "watch_queue_length": Described(
        "Number of changed files and directories that are not checked yet."
    ),
    "watch_oldest_change_age_seconds": Described(
        "Seconds that the oldest change has waited; 0 if no change waits."
    ),
    # Metrics about the age of the filters.
    "filters": Described("Number of filters, by whether hashscan can use them.", ("state",)),
    "filter_digests": Described("Number of digests in all filters together."),
    "filter_verified_timestamp_seconds": Described(
        "Time when the oldest filter was last verified by its repository, or made (a local file)."
    ),
    "filter_max_age_seconds": Described(
        "Age in seconds from which hashscan uses a filter no more (filter.max_age)."
    ),
    "last_sync_timestamp_seconds": Described("Time of the last sync of filters."),
    "next_sync_timestamp_seconds": Described("Time at which the next sync of filters is due."),
    "sync_failing_since_timestamp_seconds": Described(
        "Time of the first failed sync since the last good sync; absent while syncs work."
    ),
    # Metrics about the results of scans.
    "files_total": Described(
        "Number of files that watch and scans checked, by outcome.", ("outcome",)
    ),
    "skipped_files_total": Described(
        "Number of files that hashscan skipped, by reason.", ("reason",)
    ),
    "hashed_bytes_total": Described("Number of bytes that the daemon hashed."),
    "problems_total": Described(
        "Number of files that could not be checked, by reason.", ("reason",)
    ),
    "scans_total": Described("Number of scans that the daemon finished."),
    "candidates_total": Described("Number of candidates: files with a digest in a filter."),
    "false_positives_total": Described(
        "Number of candidates whose digest the service does not know."
    ),
    "matches_total": Described("Number of matches, by the action on the match.", ("action",)),
    "log_messages_total": Described("Number of lines in the daemon's log, by level.", ("level",)),
    "pending_candidates": Described("Number of candidates that wait for a verdict of the service."),
    "pending_oldest_timestamp_seconds": Described(
        "Time at which the oldest pending candidate was found."
    ),
    "service_refuses_password": Described("1 if the service refuses the password, else 0."),
    "unmoved_matches": Described("Number of matches that hashscan could not move to quarantine."),
    "reported_matches": Described(
        "Number of matches that stay in their place, because hashscan only reports them."
    ),
    "holds_open": Described("Number of holds that wait for an administrator's decision."),
    "held_matches": Described(
        "Number of matches in open holds; they stay in place until an administrator decides."
    ),
    # Metrics about the quarantine.
    "quarantine_records": Described("Number of records in the quarantine, by state.", ("state",)),
    "storage_free_bytes": Described(
        "Free bytes on the file system of the state or the quarantine.", ("place",)
    ),
    "storage_size_bytes": Described(
        "Size in bytes of the file system of the state or the quarantine.", ("place",)
    ),
    # Metrics about notices.
    "notices_open": Described("Number of open notices."),
    "notice_items_open": Described("Number of open items in open notices."),
    "notices_due_soon": Described("Number of open notices that are due soon (notices.due_soon)."),
    "notices_overdue": Described("Number of open notices whose deadline has passed."),
    "notices_next_deadline_timestamp_seconds": Described("Earliest deadline of all open notices."),
    "notices_unread": Described(
        "Number of mails and other inputs that hashscan does not understand as notices."
    ),
    # Metrics about notifications.
    "notify_receivers": Described(
        "Number of receivers of notifications, by the result of the last attempt.", ("state",)
    ),
    "notify_waiting_messages": Described(
        "Number of notifications that their receiver has not accepted yet."
    ),
    "notify_waiting_events": Described(
        "Number of events that wait in notifications, or for the next notification."
    ),
    "notify_oldest_timestamp_seconds": Described(
        "Time at which the oldest waiting notification was made."
    ),
    "notify_refused_messages": Described(
        "Number of notifications that a receiver refused, or that were given up in the last days."
    ),
    # Metrics about hashscan's processes.
    "processes": Described("Number of processes of the daemon, by kind.", ("process",)),
    "process_memory_bytes": Described(
        "Memory in bytes of the daemon's processes; each process counts its part of a shared page.",
        ("process",),
    ),
    "process_cpu_seconds_total": Described(
        "CPU time in seconds of the daemon's processes.", ("process",)
    ),
}
