"""Explains faults of the machine, not of hashscan: limits, memory, disks, a missing /proc.

An ``OSError`` that ends a command names the kernel's error, but neither the limit of the machine
nor the way to raise this limit. ``explain`` names the limit, and the way to raise it.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeGuard

from hashscan.errors import ExitCode, HashscanError, LockedError, MachineError, OutputError
from hashscan.text import human_size, shown

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

A_PROCESS_DIED = (
    "another process of hashscan died while it was needed; see the kernel's log (dmesg: out of"
    " memory?), then run the command again"
)
#: Number of descriptors that one open database needs: for the file, the log, the log's index, the
#: directory, and a temporary file.
_FILES_OF_SQLITE = 5
#: Error numbers that only a wrong system call causes, so hashscan is at fault.
_OWN = frozenset({errno.EBADF, errno.EFAULT, errno.EINVAL, errno.ENOTSOCK, errno.EDOM})
#: Texts by which libraries report a limit without an error number: imports, threads, OpenSSL.
_WORDS = (
    ("Too many open files", errno.EMFILE),
    ("failed to map segment", errno.ENOMEM),
    ("Cannot allocate memory", errno.ENOMEM),
    ("malloc failure", errno.ENOMEM),
    ("can't start new thread", errno.EAGAIN),
    ("can't allocate lock", errno.ENOMEM),
    # CPython reports this text if no memory is left for an import.
    ("error return without exception set", errno.ENOMEM),
)
#: Exit codes that blame hashscan, a file or a filter. The blame is wrong if a limit of the machine
#: is the cause.
_NOT_FOR_LIMITS = frozenset({ExitCode.INTERNAL, ExitCode.UNREADABLE, ExitCode.FILTER})
_FIX = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "raise the quota or free some space there",
    errno.EROFS: "mount it writable, or name another place",
    errno.EIO: "see the kernel's log (dmesg) for errors of the disk or the file server",
    errno.ESTALE: "mount the file server's directory again",
    errno.ENOTCONN: "mount it again",
    errno.EACCES: "see the owner and the mode there, or run it as root",
    errno.EPERM: "run it as root; in a container, see what the container may do",
    errno.ENOSYS: "use a newer kernel; in a container, see which system calls it allows",
    errno.ENOENT: "make it, or name another place",
    errno.ENOTDIR: "name a directory",
}
_ELSE = "see that place and the kernel's log (dmesg)"


def explain(error: BaseException) -> str | None:
    """Return the limit of the machine that caused an error, and how to raise it, or ``None``."""
    number = _number_of(error)
    if number in _LIMITS:
        return _LIMITS[number]()
    if number in {errno.EPIPE, errno.ECONNRESET} and _where(error) == "":
        return A_PROCESS_DIED
    if _is_of_sqlite(error):
        return _behind_sqlite(error)
    if number == errno.ENOENT and isinstance(error, OSError):
        if error.filename is None and _working_directory_is_gone():
            return (
                "the working directory is gone: it was removed, or its file system is not mounted"
                " any more; change to another directory (cd /), then run it again"
            )
        if _is_below_proc(error.filename):
            return (
                "/proc is not mounted, and hashscan reads there which file systems are mounted and"
                " which files this process has open; mount it: mount -t proc proc /proc"
            )
    return None


def as_machine_error(error: BaseException) -> MachineError | None:
    """Return the system's error behind an unexpected error; ``None``: hashscan is at fault."""
    text = explain(error)
    if text is not None:
        where = _where(error) if _number_of(error) not in {errno.ENOENT, errno.EAGAIN} else ""
        return MachineError(where + text)
    if not isinstance(error, OSError) or error.errno is None or error.errno in _OWN:
        return None
    fix = _FIX.get(error.errno, _ELSE)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        fix += ", then run it again"
    return MachineError(f"{_where(error)}{error.strerror or os.strerror(error.errno)}; {fix}")


def fix_of(error: OSError) -> str:
    """Return advice about a disk error, for a message that already names the disk."""
    return explain(error) or _FIX.get(error.errno or 0, _ELSE)


def with_cause(error: Exception) -> str:
    """Return the message of an error, with the limit of the machine if a limit caused the error.

    The limit replaces the advice in the error's message: "make room there" does not help if the
    process may open no more files.
    """
    for cause in (error, *_causes(error)):
        text = explain(cause)
        if text is None:
            continue
        if not isinstance(error, HashscanError):
            return text
        message = str(error)
        begin = message.lower().find(_said_by(cause).lower())
        return f"{message}: {text}" if begin < 0 else message[:begin] + text
    return str(error)


def is_limited(error: BaseException) -> bool:
    """Return whether a limit of the machine caused an error, so that no file is at fault."""
    return any(explain(one) for one in (error, *_causes(error)))


def exit_code_with_cause(error: HashscanError) -> ExitCode:
    """Return the exit code for an error: 2 if a limit of the machine caused the error."""
    if error.exit_code in _NOT_FOR_LIMITS and is_limited(error):
        return MachineError.exit_code
    return error.exit_code


def _causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, (LockedError, OutputError)):
        # EAGAIN also means that another process has a lock, and EPIPE that a reader has ended.
        return
    cause = error.__cause__
    for _ in range(10):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__


def _said_by(error: BaseException) -> str:
    """Return the text of an error that the message of a ``MachineError`` quotes."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error)
    found = next((words for words, _ in _WORDS if words in text), None)
    return found or text or type(error).__name__


def _number_of(error: BaseException) -> int | None:
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    return next((number for words, number in _WORDS if words in text), None)


def _where(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    return f"{shown(name)}: " if isinstance(name, (str, bytes)) else ""


def _is_of_sqlite(error: BaseException) -> TypeGuard[sqlite3.Error]:
    # The import is delayed, so that a command without a database does not load SQLite's library.
    library = sys.modules.get("sqlite3")
    return library is not None and isinstance(error, library.Error)


def _behind_sqlite(error: sqlite3.Error) -> str | None:
    """Return the machine's limit that caused SQLite's error; SQLite hides the kernel's number."""
    name = getattr(error, "sqlite_errorname", None) or ""
    if name.startswith("SQLITE_NOMEM"):
        return _no_memory()
    if not name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_FULL")):
        return None
    try:
        with ExitStack() as stack:
            for _ in range(_FILES_OF_SQLITE):
                stack.callback(os.close, os.open("/", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as refused:
        if refused.errno in {errno.EMFILE, errno.ENFILE}:
            return explain(refused)
    limited = resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
    return _file_too_large() if limited else None


def _working_directory_is_gone() -> bool:
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def _is_below_proc(name: object) -> bool:
    if not isinstance(name, (str, bytes)) or not os.fsencode(name).startswith(b"/proc/"):
        return False
    return not os.path.exists("/proc/self")


def _limit(kind: int, unit: Callable[[int], str] = "{:,}".format) -> str:
    soft = resource.getrlimit(kind)[0]
    return "without a limit of its own" if soft == resource.RLIM_INFINITY else unit(soft)


def _too_many_files() -> str:
    return (
        f"too many open files: this process may have {_limit(resource.RLIMIT_NOFILE)} at a time;"
        " raise the limit (ulimit -n 4096; in a systemd unit LimitNOFILE=)"
    )


def _too_many_files_everywhere() -> str:
    return (
        "too many open files on the whole machine; raise the limit (sysctl fs.file-max), and see"
        " which process holds so many (lsof)"
    )


def _no_more_processes() -> str:
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    known = "" if limit == resource.RLIM_INFINITY else f"; this user may have {limit:,}"
    return (
        f"the machine lets no further process or thread start{known}; raise the limit (ulimit -u;"
        " in a systemd unit TasksMax= and LimitNPROC=; of a container its limit of processes), or"
        " try it with --jobs 1"
    )


def _no_memory() -> str:
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    limit = min((one for one in limits if one != resource.RLIM_INFINITY), default=None)
    known = "" if limit is None else f": this process may use {human_size(limit)}"
    return (
        f"out of memory{known}; free some, raise the limit (ulimit -v and -d; in a systemd unit"
        " MemoryMax=, LimitAS= and LimitDATA=; of a container its limit of memory), or try it with"
        " --jobs 1"
    )


def _file_too_large() -> str:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit == resource.RLIM_INFINITY:
        return "a file would become larger than its file system allows; name another place for it"
    return (
        f"a file would become larger than the {human_size(limit)} that this process may write;"
        " raise the limit (ulimit -f unlimited; in a systemd unit LimitFSIZE=)"
    )


_LIMITS = {
    errno.EMFILE: _too_many_files,
    errno.ENFILE: _too_many_files_everywhere,
    errno.EAGAIN: _no_more_processes,
    errno.ENOMEM: _no_memory,
    errno.EFBIG: _file_too_large,
}
