"""Names of hashscan's own files in the directories that only hashscan uses.

hashscan refuses to use a directory with any other file. So this module lists all names of
hashscan's files, the names of files that a killed writer left, and the names of files that a file
system makes in its top directory.
"""

from __future__ import annotations

import re

# Names of files in the state directory.
#: The directory of the audit log.
AUDIT = "audit"
CATALOG = "catalog.sqlite3"
FILTERS = "filters"
LOCK = "lock"
QUARANTINE = "quarantine"
#: The file that stores the notices of hotlines and authorities.
NOTICES = "notices.sqlite3"
#: The store of the matches that a brake counts, and of the matches that a brake holds.
HOLDS = "holds.sqlite3"
#: The local allow-list.
ALLOW = "allow"
DISMISSED = "dismissed.jsonl"
#: The lock of the process that works on notices.
NOTICES_LOCK = "notices.lock"
#: The file with the service's answers about quarantined digests.
WITHDRAWN = "withdrawn.sqlite3"
#: The directory with the tokens and the audit of the intake of notices over HTTP.
INTAKE = "intake"
#: The directory of notices that came from standard input, and that hashscan could not read.
UNREAD_NOTICES = "notices-unread"
#: The outbox of notifications that were not sent yet.
NOTIFICATIONS = "notifications.sqlite3"
#: The lock of the process that sends notifications.
NOTIFICATIONS_LOCK = "notifications.lock"
#: The file with the deadlines of notices that the audit log already has.
ANNOUNCED = "announced.json"
#: The file with the problems that the audit log has, and that have not ended.
PROBLEMS = "problems.json"
#: The files with positions in the audit log: the lines after a position about deadlines, and about
#: problems, are not noted yet.
ANNOUNCED_MARK = "announced.mark"
PROBLEMS_MARK = "problems.mark"
WITHDRAWN_MARK = "withdrawn.mark"
#: The daemon's status file, for ``status``.
DAEMON_STATUS = "daemon.json"
#: The list of matches that are not in quarantine and that the daemon has logged.
REPORTED = "reported"
#: The directory with the state of scans that run beside a daemon.
BESIDE = "beside"

#: The file, in the audit log's directory, with the number and the hash of the newest line.
AUDIT_HEAD = "head"
#: The list, in the audit log's directory, of the matches that have a line and are not in
#: quarantine.
AUDIT_MATCHES = "matches"

_STATE = (
    ALLOW,
    ANNOUNCED,
    ANNOUNCED_MARK,
    AUDIT,
    BESIDE,
    CATALOG,
    # Files of SQLite, which remain if an administrator moves only the catalog to another place.
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
    """Return the number of a file of the audit log; ``None``: the name is not of this form."""
    found = _AUDIT_FILE.fullmatch(name)
    if found is None or audit_file(int(found[1])) != name:
        return None
    return int(found[1])


def temporary(name: str, mark: str = "") -> str:
    """Return the hidden name of file ``name`` while it is written; ``mark``: 12 hex digits."""
    return f".{name[:200]}.{mark}.tmp" if mark else f".{name[:200]}.tmp"


def temporary_of(name: str) -> str | None:
    """Return the final name for a name that ``temporary`` made; ``None`` for any other name."""
    found = _TEMPORARY.fullmatch(name)
    return found[1] if found else None


def is_temporary_of(entry: str, name: str) -> bool:
    """Return whether ``entry`` is a hidden name that ``temporary`` made for ``name``."""
    begin = f".{name[:200]}."
    return entry.startswith(begin) and _MARKED.fullmatch(entry, len(begin)) is not None


def without_file_system(names: set[str]) -> set[str]:
    """Return a directory's ``names`` without the names that a file system itself makes."""
    return names - _FILE_SYSTEM


def foreign_to_state(names: set[str]) -> set[str]:
    """Return the names in a state directory that neither hashscan nor the file system makes."""
    return {
        name for name in without_file_system(names) if (temporary_of(name) or name) not in _STATE
    }
