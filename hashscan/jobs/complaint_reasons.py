"""Defines the kinds of complaints of ``status``, which metrics and alert rules name."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Names each reason for which ``hashscan status`` complains."""

    FILTER = "filter"  #: The filter is missing, expired, unverified, damaged or empty.
    #: A scan or a reload would reject the configuration, or has rejected it.
    CONFIGURATION = "configuration"
    LIMIT = "limit"  #: A limit of the machine stops the daemon.
    STATE = "state"  #: A part of the state directory cannot be read.
    QUARANTINE = "quarantine"  #: The quarantine cannot be read, or has damaged or doubtful records.
    STORAGE = "storage"  #: The state or the quarantine is on a full or read-only file system.
    DAEMON = "daemon"  #: The daemon died, or hangs.
    DAEMON_STOPPED = "daemon-stopped"  #: Somebody stopped the daemon.
    CLOCK = "clock"  #: A stored time is in the future.
    VOLUME_MISSING = "volume-missing"  #: A volume is missing.
    NOT_WATCHED = "not-watched"  #: Only scans find changes in a volume, or in parts of the volume.
    SCAN_LATE = "scan-late"  #: A volume had no whole scan for too long, or none at all.
    SCAN_KILLED = "scan-killed"  #: The last scan was interrupted.
    UNREADABLE = "unreadable"  #: Many files cannot be read.
    OUTPUT = "output"  #: No process reads the daemon's results.
    MATCHES_UNMOVED = "matches-unmoved"  #: Some matches could not be moved.
    MATCHES_HELD = "matches-held"  #: A brake holds matches: they wait for a decision.
    #: The configuration reports matches, and does not move them.
    MATCHES_REPORTED = "matches-reported"
    SERVICE_REFUSES = "service-refuses"  #: The service refuses hashscan's password.
    PENDING = "pending"  #: Candidates have waited too long for a verdict.
    SYNC = "sync"  #: hashscan could not fetch filters for too long, or rejected them.
    NOTICES_INPUT = "notices-input"  #: The daemon cannot read mails, or takes no notices over HTTP.
    NOTICES_UNREAD = "notices-unread"  #: hashscan cannot read an input as a notice.
    NOTICES_UNAPPROVED = "notices-unapproved"  #: A notice waits for an approval.
    NOTICES_DUE_SOON = "notices-due-soon"
    NOTICES_OVERDUE = "notices-overdue"
    WITHDRAWN = "withdrawn"  #: The digests of files in quarantine are no longer known.
    NOTIFICATIONS = "notifications"  #: Notifications could not be sent for too long.
    AUDIT = "audit"  #: The audit log cannot be read, or its newest line is missing or changed.


class ReasonFault(NamedTuple):
    """Describes a fault that ``status`` found, with its message for the sysadmin."""

    reason: Reason
    message: str
