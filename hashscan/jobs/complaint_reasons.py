"""The kinds of complaints of ``status``: a fixed set, which metrics and alert rules name."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why ``status`` complains."""

    FILTER = "filter"  #: missing, expired, unverified, damaged or empty
    CONFIGURATION = "configuration"  #: a scan, or a reload, would refuse it, or has refused it
    LIMIT = "limit"  #: a limit of the machine stops the daemon
    STATE = "state"  #: a part of the state cannot be read
    QUARANTINE = "quarantine"  #: it cannot be read, or has damaged or doubtful records
    STORAGE = "storage"  #: the state or the quarantine is on a full or read-only file system
    DAEMON = "daemon"  #: it died, or hangs
    DAEMON_STOPPED = "daemon-stopped"  #: somebody stopped it
    CLOCK = "clock"  #: a time is in the future
    VOLUME_MISSING = "volume-missing"  #: a volume is not there
    NOT_WATCHED = "not-watched"  #: only scans find changes in a volume, or in parts of it
    SCAN_LATE = "scan-late"  #: no whole scan for too long, or none at all
    SCAN_KILLED = "scan-killed"  #: the last scan did not come to its end
    UNREADABLE = "unreadable"  #: many files cannot be read
    OUTPUT = "output"  #: nobody reads the daemon's results
    MATCHES_UNMOVED = "matches-unmoved"  #: matches could not be moved
    MATCHES_HELD = "matches-held"  #: a brake holds matches
    MATCHES_REPORTED = "matches-reported"  #: matches are only reported
    SERVICE_REFUSES = "service-refuses"  #: the service refuses the password
    PENDING = "pending"  #: candidates have waited too long for a verdict
    SYNC = "sync"  #: filters could not be fetched for too long, or were refused
    NOTICES_INPUT = "notices-input"  #: mails, or notices over HTTP, are not taken
    NOTICES_UNREAD = "notices-unread"  #: an input is not understood as a notice
    NOTICES_UNAPPROVED = "notices-unapproved"  #: a notice waits for an approval
    NOTICES_DUE_SOON = "notices-due-soon"
    NOTICES_OVERDUE = "notices-overdue"
    WITHDRAWN = "withdrawn"  #: files in quarantine whose digest is not known any more
    NOTIFICATIONS = "notifications"  #: notifications could not be sent for too long
    AUDIT = "audit"  #: the audit log cannot be read, or its newest line is missing or changed


class ReasonFault(NamedTuple):
    """A fault that ``status`` found, and its message for the sysadmin."""

    reason: Reason
    message: str
