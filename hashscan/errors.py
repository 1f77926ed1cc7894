"""One error tree. Each class carries the exit code that the command line gives it.

Every message has three parts: the place, the event, and the mend. Several exit codes may hold for
one run; ``exit_code_of`` orders them.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import ClassVar, NamedTuple


class ExitCode(IntEnum):
    """Exit codes of every command."""

    NOTHING_FOUND = 0
    MATCHES = 1
    USAGE = 2
    UNREADABLE = 3
    LOCKED = 4
    FILTER = 5
    SERVICE = 6
    INTERNAL = 70
    INTERRUPTED = 130


class Fault(StrEnum):
    """Why another machine did not help, by the names in status and reports."""

    UNREACHABLE = "unreachable"
    """No connection, or no whole answer in time."""
    CREDENTIALS = "credentials"
    """It answered, and refuses the user name, the password or this host."""
    BUSY = "busy"
    """It answered, and asks to come later."""
    ANSWER = "answer"
    """It sent a useless answer: a web server's fault or a login page."""

    @property
    def words(self) -> str:
        """The end of a sentence that begins with the name of the other machine."""
        return _FAULTS[self]


_FAULTS = {
    Fault.UNREACHABLE: "cannot be reached",
    Fault.CREDENTIALS: "refuses the credentials",
    Fault.BUSY: "is too busy",
    Fault.ANSWER: "gives useless answers",
}


class HashscanError(Exception):
    """Root of the errors that hashscan raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class UsageError(HashscanError):
    """The command was called wrongly: a path that is missing, options that exclude each other."""

    exit_code = ExitCode.USAGE


class UnsafePathError(UsageError):
    """A path leads through a link or a directory that somebody else controls; it is not used."""


class Finding(NamedTuple):
    """A fault in an input file.

    Attributes:
        where: file and line, e.g. ``/etc/hashscan/config.yaml:4: volumes[0].path``.
        what: the fault.
        fix: the mend; may be empty if ``what`` says it.
    """

    where: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"; {self.fix}" if self.fix else "")


class FindingsError(UsageError):
    """All faults of an input, in a single error."""

    def __init__(self, summary: str, findings: list[Finding]) -> None:
        """Keep ``findings`` in file order; ``summary`` is the first line of the message."""
        self.findings = findings
        super().__init__("\n".join([summary, *(f"  {finding}" for finding in findings)]))


class ConfigError(FindingsError):
    """The configuration cannot be used."""


class DigestListError(FindingsError):
    """A digest list has lines that are no digests; nothing was written."""


class NoticeError(FindingsError):
    """A notice cannot be read: the findings say which formats were tried, and what did not fit."""


class LockedError(HashscanError):
    """Another hashscan process works on the same state."""

    exit_code = ExitCode.LOCKED


class FilterError(HashscanError):
    """A filter is missing, damaged, expired or does not fit its metadata. It is never used."""

    exit_code = ExitCode.FILTER


class FilterExpiredError(FilterError):
    """A filter was not verified, or made, for longer than the configuration allows."""


class RepositoryRefusedError(FilterError):
    """A repository's files are not authentic, whole and recent; the filter in use is kept."""


class OtherMachineError(Exception):
    """Another machine did not help.

    Attributes:
        retry_after: seconds to wait before asking again, if it said so.
        fault: the kind of fault.
    """

    usual_fault: ClassVar[Fault] = Fault.UNREACHABLE

    def __init__(
        self, message: str, *, retry_after: float | None = None, fault: Fault | None = None
    ) -> None:
        """``message`` says what happened and what to do; it must never hold credentials."""
        self.retry_after = retry_after
        self.fault = fault or self.usual_fault
        super().__init__(message)


class RepositoryUnreachableError(OtherMachineError, HashscanError):
    """A repository cannot be fetched now; the filter in use is kept, and sync asks again later."""

    exit_code = ExitCode.SERVICE


class ServiceError(OtherMachineError, HashscanError):
    """The central service gave no verdict. The candidate is kept and asked again."""

    exit_code = ExitCode.SERVICE


class ServiceUnavailableError(ServiceError):
    """Unreachable, too slow, overloaded or talking nonsense: worth asking again later."""


class ServiceRefusedError(ServiceError):
    """The service refused this one question (400, 404, 422); others may still be answered."""

    usual_fault = Fault.ANSWER


class CredentialsError(ServiceError):
    """The service refused the credentials (401, 403): no further question is asked."""

    usual_fault = Fault.CREDENTIALS

    #: Every such message has these words, so that it is recognised wherever it is kept.
    SAYS: ClassVar[str] = "refuses the credentials"


class StateError(HashscanError):
    """The catalog or another part of the state directory cannot be read or written."""

    exit_code = ExitCode.USAGE


class AuditLogError(HashscanError):
    """The audit log was changed, cut or damaged."""

    exit_code = ExitCode.UNREADABLE


class MachineError(HashscanError):
    """The machine refuses a needed resource: files, memory, processes, space, /proc."""

    exit_code = ExitCode.USAGE


class QuarantineError(HashscanError):
    """A file could not be moved to quarantine, or out of it. The file was not moved.

    Attributes:
        reason: one word for the report, e.g. ``read-only``, ``immutable``, ``no-space``.
    """

    exit_code = ExitCode.UNREADABLE

    def __init__(self, message: str, *, reason: str) -> None:
        """``reason`` is a stable word; ``message`` is for the reader."""
        self.reason = reason
        super().__init__(message)


class OutputError(HashscanError):
    """Results cannot be written: standard output is closed, full, or has lost its reader.

    Attributes:
        why: the fault of standard output.
    """

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, why: str, consequence: str = "") -> None:
        """``consequence`` names the work that was done without a report, and the next step."""
        self.why = why
        super().__init__("; ".join(filter(None, (why, consequence))))


class InterruptError(HashscanError):
    """Ctrl-C or SIGTERM; finished work is committed."""

    exit_code = ExitCode.INTERRUPTED


# If several hold: 1, then 6, then 3; a scan that did not end is never "nothing".
_ORDER = (
    ExitCode.INTERRUPTED,
    ExitCode.INTERNAL,
    ExitCode.MATCHES,
    ExitCode.SERVICE,
    ExitCode.UNREADABLE,
    ExitCode.NOTHING_FOUND,
)


def exit_code_of(codes: set[ExitCode]) -> ExitCode:
    """The one exit code that stands for ``codes``."""
    for code in _ORDER:
        if code in codes:
            return code
    return next(iter(codes), ExitCode.NOTHING_FOUND)
