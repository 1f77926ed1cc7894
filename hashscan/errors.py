"""All errors of hashscan as one tree of classes, each with its exit code.

Every message of an error has three parts: the place, the event, and the fix. If several exit codes
fit one run, ``exit_code_of`` selects one.
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
    """Kinds of faults of another machine, by their names in status and reports."""

    UNREACHABLE = "unreachable"
    """The other machine accepted no connection, or sent no whole answer in time."""
    CREDENTIALS = "credentials"
    """The other machine refuses the user name, the password or this host."""
    BUSY = "busy"
    """The other machine demands a pause before the next request."""
    ANSWER = "answer"
    """The other machine sent a useless answer, e.g. a server error or a login page."""

    @property
    def words(self) -> str:
        """Return the end of a sentence that begins with the name of the other machine."""
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
    """The command line is wrong: a path is missing, or options exclude each other."""

    exit_code = ExitCode.USAGE


class UnsafePathError(UsageError):
    """hashscan does not use a path, because it leads through a link or another user's directory."""


class Finding(NamedTuple):
    """A fault in an input file, e.g. in the configuration.

    Attributes:
        where: file and line of the fault, e.g. ``/etc/hashscan/config.yaml:4: volumes[0].path``.
        what: the fault in words.
        fix: the administrator's next step; may be empty if ``what`` names the step.
    """

    where: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"; {self.fix}" if self.fix else "")


class FindingsError(UsageError):
    """An error with all findings in an input file."""

    def __init__(self, summary: str, findings: list[Finding]) -> None:
        """Store the input's ``findings`` in order; ``summary``: first line of the message."""
        self.findings = findings
        super().__init__("\n".join([summary, *(f"  {finding}" for finding in findings)]))


class ConfigError(FindingsError):
    """hashscan cannot use the configuration."""


class DigestListError(FindingsError):
    """A digest list has lines without a valid digest; hashscan wrote no filter and no index."""


class NoticeError(FindingsError):
    """hashscan cannot read a notice; each finding says why the notice does not fit a format."""


class LockedError(HashscanError):
    """Another hashscan process works on the same state directory."""

    exit_code = ExitCode.LOCKED


class FilterError(HashscanError):
    """A filter cannot be used: it is missing, damaged, expired or does not fit its metadata."""

    exit_code = ExitCode.FILTER


class FilterExpiredError(FilterError):
    """A filter was verified, or made, longer ago than the configuration allows."""


class RepositoryRefusedError(FilterError):
    """A repository's files are not authentic, whole and recent; hashscan does not use them."""


class OtherMachineError(Exception):
    """A request to another machine failed.

    Attributes:
        retry_after: seconds that the other machine demands as a pause; ``None``: it named no
            number.
        fault: the kind of the other machine's fault.
    """

    usual_fault: ClassVar[Fault] = Fault.UNREACHABLE

    def __init__(
        self, message: str, *, retry_after: float | None = None, fault: Fault | None = None
    ) -> None:
        """``message`` says what happened and what to do; it must never have credentials."""
        self.retry_after = retry_after
        self.fault = fault or self.usual_fault
        super().__init__(message)


class RepositoryUnreachableError(OtherMachineError, HashscanError):
    """A repository cannot be fetched now; hashscan keeps the filter in use, and tries again."""

    exit_code = ExitCode.SERVICE


class ServiceError(OtherMachineError, HashscanError):
    """The central service gave no verdict; hashscan keeps the candidate, and asks again later."""

    exit_code = ExitCode.SERVICE


class ServiceUnavailableError(ServiceError):
    """The service is unreachable, too slow or overloaded, or its answers are useless: ask again."""


class ServiceRefusedError(ServiceError):
    """The service refused one digest (400, 404, 422), but may answer for other digests."""

    usual_fault = Fault.ANSWER


class CredentialsError(ServiceError):
    """The service refused the credentials (401, 403), so hashscan sends no further question."""

    usual_fault = Fault.CREDENTIALS

    #: Words in each message of ``CredentialsError``; by these words a stored message is recognised.
    SAYS: ClassVar[str] = "refuses the credentials"


class StateError(HashscanError):
    """The catalog or another part of the state directory cannot be read or written."""

    exit_code = ExitCode.USAGE


class AuditLogError(HashscanError):
    """The audit log was changed, cut or damaged."""

    exit_code = ExitCode.UNREADABLE


class MachineError(HashscanError):
    """The machine lacks a needed resource, e.g. open files, memory, processes, disk space."""

    exit_code = ExitCode.USAGE


class QuarantineError(HashscanError):
    """A file could not be moved into the quarantine or out of it; the file is where it was.

    Attributes:
        reason: one word for the reason, e.g. ``read-only``, ``immutable``, ``no-space``.
    """

    exit_code = ExitCode.UNREADABLE

    def __init__(self, message: str, *, reason: str) -> None:
        """Store a ``message`` for people, and a ``reason``: one fixed word for programs."""
        self.reason = reason
        super().__init__(message)


class OutputError(HashscanError):
    """Results cannot be written, because standard output is closed or full or has no reader.

    Attributes:
        why: the fault of standard output in words.
    """

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, why: str, consequence: str = "") -> None:
        """Store ``why``; ``consequence`` names the unreported work and the step to take."""
        self.why = why
        super().__init__("; ".join(filter(None, (why, consequence))))


class InterruptError(HashscanError):
    """Ctrl-C or SIGTERM ended the command; the results of finished work are stored."""

    exit_code = ExitCode.INTERRUPTED


# If several exit codes fit: 1, then 6, then 3. A scan that did not end never has exit code 0.
_ORDER = (
    ExitCode.INTERRUPTED,
    ExitCode.INTERNAL,
    ExitCode.MATCHES,
    ExitCode.SERVICE,
    ExitCode.UNREADABLE,
    ExitCode.NOTHING_FOUND,
)


def exit_code_of(codes: set[ExitCode]) -> ExitCode:
    """Return the most important of the exit codes ``codes``."""
    for code in _ORDER:
        if code in codes:
            return code
    return next(iter(codes), ExitCode.NOTHING_FOUND)
