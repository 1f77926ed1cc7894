"""Names of hashscan's own files in the directories that only hashscan uses.

hashscan refuses a directory with any other file. So this module lists all names, including the
names of files that a killed writer left, and of files that a file system makes in its top
directory.
"""

from __future__ import annotations

import re

# Names in the state directory.
#: The directory of the audit log.
AUDIT = "audit"
CATALOG = "catalog.sqlite3"
FILTERS = "filters"
LOCK = "lock"
QUARANTINE = "quarantine"
#: The store of notices of hotlines and authorities.
NOTICES = "notices.sqlite3"
#: The files that a brake counts, and the files that a brake holds.
HOLDS = "holds.sqlite3"
#: The local allow-list.
ALLOW = "allow"
DISMISSED = "dismissed.jsonl"
#: The lock of the process that works on notices.
NOTICES_LOCK = "notices.lock"
#: The service's answers about quarantined digests.
WITHDRAWN = "withdrawn.sqlite3"
#: The tokens and the audit of the intake of notices over HTTP.
INTAKE = "intake"
#: The directory of notices from standard input that were not understood.
UNREAD_NOTICES = "notices-unread"
#: The outbox of notifications that were not sent yet.
NOTIFICATIONS = "notifications.sqlite3"
#: The lock of the process that sends notifications.
NOTIFICATIONS_LOCK = "notifications.lock"
#: The deadlines of notices that the audit log already has.
ANNOUNCED = "announced.json"
#: The problems that the audit log has, and that have not ended.
PROBLEMS = "problems.json"
#: The places in the audit log from which lines about deadlines and problems are not noted yet.
ANNOUNCED_MARK = "announced.mark"
PROBLEMS_MARK = "problems.mark"
WITHDRAWN_MARK = "withdrawn.mark"
#: The daemon's status file, for ``status``.
DAEMON_STATUS = "daemon.json"
#: The matches in their places that the daemon has logged.
REPORTED = "reported"
#: The state of scans that run beside a daemon.
BESIDE = "beside"

#: In the directory of the audit log: the number and hash of the newest line.
AUDIT_HEAD = "head"
#: In the directory of the audit log: the matches in their places that have a line.
AUDIT_MATCHES = "matches"

_STATE = (
    ALLOW,
    ANNOUNCED,
    ANNOUNCED_MARK,
    AUDIT,
    BESIDE,
    CATALOG,
    # SQLite's own files, which remain if an administrator moves only the catalog away.
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
#: Names that file systems make in their top directories: ext4, snapshots, NILFS, quotas.
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
    """Return the name of a file of the audit log; ``number``: from 1."""
    return f"{number:06}.jsonl"


def audit_number(name: str) -> int | None:
    """Return the number of a file of the audit log; ``None``: the name is of another file."""
    found = _AUDIT_FILE.fullmatch(name)
    if found is None or audit_file(int(found[1])) != name:
        return None
    return int(found[1])


def temporary(name: str, mark: str = "") -> str:
    """Return the hidden name of file ``name`` while it is written; ``mark``: 12 hex digits."""
    return f".{name[:200]}.{mark}.tmp" if mark else f".{name[:200]}.tmp"


def temporary_of(name: str) -> str | None:
    """Return the final name for a name of ``temporary``; ``None`` for any other name."""
    found = _TEMPORARY.fullmatch(name)
    return found[1] if found else None


def is_temporary_of(entry: str, name: str) -> bool:
    """Return whether ``entry`` is a ``temporary`` name for ``name`` with a mark."""
    begin = f".{name[:200]}."
    return entry.startswith(begin) and _MARKED.fullmatch(entry, len(begin)) is not None


def without_file_system(names: set[str]) -> set[str]:
    """Return a directory's ``names`` without the names that a file system itself makes."""
    return names - _FILE_SYSTEM


def foreign_to_state(names: set[str]) -> set[str]:
    """Return the names in a state directory that are neither hashscan's nor the file system's."""
    return {
        name for name in without_file_system(names) if (temporary_of(name) or name) not in _STATE
    }
