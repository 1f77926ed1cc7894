"""Names of hashscan's own files in the directories that it shares with nobody.

hashscan refuses a directory with other files. So each name must be known here, including the names
of files that a killed writer left, and of files that a file system makes in its top directory.
"""

from __future__ import annotations

import re

# The state directory.
#: The audit log: its files, ``audit_file``, and its head.
AUDIT = "audit"
CATALOG = "catalog.sqlite3"
FILTERS = "filters"
LOCK = "lock"
QUARANTINE = "quarantine"
#: Notices of hotlines and authorities.
NOTICES = "notices.sqlite3"
#: Files that moved lately, and files that a brake holds.
HOLDS = "holds.sqlite3"
#: The local allow-list.
ALLOW = "allow"
DISMISSED = "dismissed.jsonl"
#: Held by the process that works on notices.
NOTICES_LOCK = "notices.lock"
#: Answers of the service about quarantined digests.
WITHDRAWN = "withdrawn.sqlite3"
#: Tokens and audit of the intake of notices over HTTP.
INTAKE = "intake"
#: Notices from standard input that were not understood.
UNREAD_NOTICES = "notices-unread"
#: Notifications that were not sent yet.
NOTIFICATIONS = "notifications.sqlite3"
#: Held by the process that sends them.
NOTIFICATIONS_LOCK = "notifications.lock"
#: Deadlines of notices that are in the audit log.
ANNOUNCED = "announced.json"
#: Problems that are in the audit log and have not ended.
PROBLEMS = "problems.json"
#: Places in the audit log where lines about these begin that are not noted yet.
ANNOUNCED_MARK = "announced.mark"
PROBLEMS_MARK = "problems.mark"
WITHDRAWN_MARK = "withdrawn.mark"
#: The daemon's status file, for ``status``.
DAEMON_STATUS = "daemon.json"
#: Matches in place that the daemon has logged.
REPORTED = "reported"
#: The state of scans beside a running daemon.
BESIDE = "beside"

#: In the directory of the audit log: number and hash of the newest line.
AUDIT_HEAD = "head"
#: There, too: the matches in place that have a line.
AUDIT_MATCHES = "matches"

_STATE = (
    ALLOW,
    ANNOUNCED,
    ANNOUNCED_MARK,
    AUDIT,
    BESIDE,
    CATALOG,
    # SQLite's own files; they are left if only the catalog is moved away.
    f"{CATALOG}-journal",
    f"{CATALOG}-shm",
    f"{CATALOG}-wal",
    DAEMON_STATUS,
    FILTERS,
    HOLDS,
    f"{HOLDS}-journal",
    f"{HOLDS}-shm",
    f"{HOLDS}-wal",
    INTAKE,
    LOCK,
    NOTICES,
    f"{NOTICES}-journal",
    f"{NOTICES}-shm",
    f"{NOTICES}-wal",
    NOTICES_LOCK,
    NOTIFICATIONS,
    f"{NOTIFICATIONS}-journal",
    f"{NOTIFICATIONS}-shm",
    f"{NOTIFICATIONS}-wal",
    NOTIFICATIONS_LOCK,
    PROBLEMS,
    PROBLEMS_MARK,
    QUARANTINE,
    REPORTED,
    UNREAD_NOTICES,
    WITHDRAWN,
    f"{WITHDRAWN}-journal",
    f"{WITHDRAWN}-shm",
    f"{WITHDRAWN}-wal",
    WITHDRAWN_MARK,
)
#: Top directories of file systems have these: ext4, snapshots of NFS, btrfs and ZFS, NILFS, quotas.
_FILE_SYSTEM = frozenset(
    {
        "lost+found",
        ".snapshot",
        ".snapshots",
        ".zfs",
        ".nilfs",
        "aquota.group",
        "aquota.user",
        "quota.group",
        "quota.user",
    }
)
_TEMPORARY = re.compile(r"\.(.+?)(?:\.[0-9a-f]{12})?\.tmp", re.DOTALL)

_AUDIT_FILE = re.compile(r"([0-9]{6,12})\.jsonl", re.ASCII)
_MARKED = re.compile(r"[0-9a-f]{12}\.tmp")


def audit_file(number: int) -> str:
    """The name of a file of the audit log; ``number``: from 1."""
    return f"{number:06}.jsonl"


def audit_number(name: str) -> int | None:
    """The number of a file of the audit log; ``None``: another file."""
    found = _AUDIT_FILE.fullmatch(name)
    if found is None or audit_file(int(found[1])) != name:
        return None
    return int(found[1])


def temporary(name: str, mark: str = "") -> str:
    """A hidden name for ``name`` while it is written; ``mark``: 12 hexadecimal digits."""
    return f".{name[:200]}.{mark}.tmp" if mark else f".{name[:200]}.tmp"


def temporary_of(name: str) -> str | None:
    """The name that a file with a ``temporary`` name was to get; ``None`` for any other name."""
    found = _TEMPORARY.fullmatch(name)
    return found[1] if found else None


def is_temporary_of(entry: str, name: str) -> bool:
    """Whether ``entry`` is a ``temporary`` name for ``name`` with a mark."""
    begin = f".{name[:200]}."
    return entry.startswith(begin) and _MARKED.fullmatch(entry, len(begin)) is not None


def without_file_system(names: set[str]) -> set[str]:
    """A directory's ``names`` without those that a file system makes by itself."""
    return names - _FILE_SYSTEM


def foreign_to_state(names: set[str]) -> set[str]:
    """The names in a state directory that are neither hashscan's nor the file system's."""
    return {
        name for name in without_file_system(names) if (temporary_of(name) or name) not in _STATE
    }
