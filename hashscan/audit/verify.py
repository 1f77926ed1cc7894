"""Checks the whole audit log: each line, the chain of hashes, its begin and end, and the head.

Other processes may write to the log meanwhile. ``verify`` reads the head first; all lines up to the
line that the head names must be in the files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from hashscan.audit import events
from hashscan.audit.folder import explained, numbers, open_file, open_number, opened
from hashscan.audit.head import Head, read_head
from hashscan.audit.line import GENESIS, LONGEST, parse
from hashscan.files import AUDIT_HEAD, audit_file
from hashscan.fs.beneath import closing
from hashscan.text import said_by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashscan.audit.line import AuditEvent

#: Maximum number of findings of a check that are kept; further findings are only counted.
_MOST = 200
#: How often the check begins again if the rotation has removed a file meanwhile.
_AGAIN = 5


@dataclass(frozen=True, slots=True)
class LogFinding:
    """A fault that ``verify`` found in the audit log.

    Attributes:
        kind: ``changed``: a line was changed or damaged; ``missing``: lines are missing inside the
            log; ``reordered``: lines are in another place; ``cut``: the begin or the end is
            missing; ``foreign``: a line of another log, or a line that replaces another line;
            ``head``: the head was changed or is missing; ``unreadable``: a file cannot be read.
        file: name of the log's file with the fault.
        line: number of the faulty line in the file; 0: the whole file is faulty.
        message: a sentence about the fault, for people.
        first: number of the first line that is missing in the log.
        last: number of the last line that is missing in the log.
    """

    kind: str
    file: str
    line: int
    message: str
    first: int = 0
    last: int = 0

    def __str__(self) -> str:
        where = self.file + (f":{self.line}" if self.line else "")
        return f"{where}: {self.kind}: {self.message}"


@dataclass(slots=True)
class LogVerified:
    """The result of ``verify``, the check of the whole audit log.

    Attributes:
        lines: number of lines of the log that ``verify`` read.
        files: number of files of the log that ``verify`` read.
        first: number of the log's first line; above 1 if the rotation has removed older files.
        last: number of the log's last line.
        hash: hash of the log's last line.
        findings: the faults in the log, at most 200.
        more: number of faults that ``findings`` lacks.
    """

    lines: int = 0
    files: int = 0
    first: int = 0
    last: int = 0
    hash: str = GENESIS
    findings: list[LogFinding] = field(default_factory=list)
    more: int = 0


class _Begin(NamedTuple):
    """The first line of the log: the line's number, and the hash of the line before it."""

    seq: int
    prev: str


def verify(state_directory: str, known: Mapping[int, str] | None = None) -> LogVerified:
    """Check the whole audit log.

    Args:
        state_directory: path of the state directory with the audit log.
        known: hashes of lines, by line number, that the administrator saved earlier.

    Raises:
        StateError: the audit log's directory cannot be read.
    """
    with explained(state_directory, "read"):
        try:
            with opened(state_directory, make=False) as directory:
                for _ in range(_AGAIN):
                    check = _Check(directory, known or {})
                    result = check.run()
                    if not check.was_rotated:
                        break
                return result
        except FileNotFoundError:
            result = LogVerified()
            _check_known(result, known or {}, {}, None)
            return result


class _Check:
    """One pass over all lines of the audit log."""

    def __init__(self, directory: int, known: Mapping[int, str]) -> None:
        self._directory = directory
        self._known = known
        self._result = LogVerified()
        self.was_rotated = False
        self._before: AuditEvent | None = None
        self._damaged = 0
        self._begin: _Begin | None = None
        self._begins: set[_Begin] = {_Begin(1, GENESIS)}
        self._runs: list[list[int]] = []
        #: Numbers of the lines whose hashes are compared; ``_hashes`` has their hashes in the log.
        self._compared = set(known)
        self._hashes: dict[int, str] = {}

    def run(self) -> LogVerified:
        head, fault = self._head()
        if head is not None:
            self._compared.add(head.seq)
        found = numbers(self._directory)
        for number in found:
            self._file(number, is_last=number == found[-1], newest=0 if head is None else head.seq)
        name = audit_file(found[0]) if found else AUDIT_HEAD
        if self._begin is not None and self._begin not in self._begins:
            message = f"the log begins with line {self._begin.seq}"
            if self._begin.seq > 1:
                message += ", and no line says that the lines before it were removed"
            self._add(LogFinding("cut", name, 1, message, 1, self._begin.seq - 1))
        if found and fault:
            self._add(LogFinding("head", AUDIT_HEAD, 0, fault))
        if head is not None:
            self._check_head(head, audit_file(found[-1]) if found else AUDIT_HEAD)
        self._name_reordered()
        _check_known(self._result, self._known, self._hashes, self._begin)
        return self._result

    def _head(self) -> tuple[Head | None, str]:
        try:
            with closing(open_file(self._directory, AUDIT_HEAD, os.O_RDONLY)) as fd:
                head = read_head(fd)
        except FileNotFoundError:
            return None, "the head file is missing, so a missing end cannot be noticed"
        except OSError as error:
            return None, f"the head file cannot be read: {said_by(error)}"
        return head, "" if head is not None else "the head file is damaged"

    def _file(self, number: int, *, is_last: bool, newest: int) -> None:
        name = audit_file(number)
        try:
            fd = open_number(self._directory, number, os.O_RDONLY)
        except FileNotFoundError:
            self.was_rotated = True
            return
        except OSError as error:
            self._add(LogFinding("unreadable", name, 0, said_by(error)))
            return
        self._result.files += 1
        with open(fd, "rb") as file:
            count = 0
            while raw := file.readline(LONGEST + 1):
                count += 1
                if not raw.endswith(b"\n") and is_last and len(raw) <= LONGEST:
                    expected = 1 if self._before is None else self._before.seq + 1 + self._damaged
                    if expected > newest:
                        return  # a process is writing the line, or was killed in it
                self._line(parse(raw[:-1]) if raw.endswith(b"\n") else None, name, count)

    def _line(self, event: AuditEvent | None, name: str, line: int) -> None:
        if event is None:
            if not self._damaged:
                self._add(LogFinding("changed", name, line, "this line was changed or is damaged"))
            self._damaged += 1
            return
        self._result.lines += 1
        before, damaged = self._before, self._damaged
        self._before, self._damaged = event, 0
        self._result.last, self._result.hash = event.seq, event.hash
        if before is None:
            self._result.first = event.seq - damaged
            if not damaged:
                self._begin = _Begin(event.seq, event.prev)
        else:
            self._compare(before, damaged, event, name, line)
        if self._runs and self._runs[-1][1] + 1 == event.seq:
            self._runs[-1][1] = event.seq
        else:
            self._runs.append([event.seq, event.seq])
        if event.seq in self._compared:
            self._hashes.setdefault(event.seq, event.hash)
        self._note(event, name, line)

    def _compare(
        self, before: AuditEvent, damaged: int, event: AuditEvent, name: str, line: int
    ) -> None:
        expected = before.seq + 1 + damaged
        if event.seq > expected:
            last = event.seq - 1
            lines = f"line {expected} is" if last == expected else f"lines {expected} to {last} are"
            self._add(
                LogFinding("missing", name, line, f"{lines} missing before it", expected, last)
            )
        elif event.seq < expected:
            message = f"line {event.seq} follows line {expected - 1}"
            self._add(LogFinding("reordered", name, line, message))
        elif not damaged and event.prev != before.hash:
            message = (
                f"line {event.seq} does not continue line {before.seq}: one of them replaces"
                " another line, or is from another log"
            )
            self._add(LogFinding("foreign", name, line, message))

    def _note(self, event: AuditEvent, name: str, line: int) -> None:
        if event.event == events.LOG_REMOVED:
            begins = event.facts.get("begins")
            if isinstance(begins, dict):
                seq, prev = begins.get("seq"), begins.get("prev")
                if isinstance(seq, int) and isinstance(prev, str):
                    self._begins.add(_Begin(seq, prev))
        elif event.event == events.LOG_REPAIRED and event.facts.get("reason") == "head":
            message = (
                "the head file was missing or damaged when this line was written, so lines before"
                " it may have been cut off"
            )
            self._add(LogFinding("head", name, line, message))

    def _check_head(self, head: Head, name: str) -> None:
        last = self._result.last if self._before is not None else 0
        last += self._damaged
        if head.seq > max([last, *(run[1] for run in self._runs)]):
            message = f"the log ends with line {last}, but line {head.seq} was the newest"
            self._add(LogFinding("cut", name, 0, message, last + 1, head.seq))
            return
        found = self._hashes.get(head.seq)
        if found is not None and found != head.hash:
            message = f"it has another hash for line {head.seq} than the line itself"
            self._add(LogFinding("head", AUDIT_HEAD, 0, message))

    def _name_reordered(self) -> None:
        """Turn findings ``missing`` into ``reordered`` if the log has the lines elsewhere."""
        for index, finding in enumerate(self._result.findings):
            if finding.kind == "missing" and all(
                any(first <= seq <= last for first, last in self._runs)
                for seq in (finding.first, finding.last)
            ):
                message = finding.message.replace("missing", "in another place, not")
                self._result.findings[index] = replace(finding, kind="reordered", message=message)

    def _add(self, finding: LogFinding) -> None:
        if len(self._result.findings) < _MOST:
            self._result.findings.append(finding)
        else:
            self._result.more += 1


def _check_known(
    result: LogVerified, known: Mapping[int, str], hashes: Mapping[int, str], begin: _Begin | None
) -> None:
    for seq, value in known.items():
        if begin is not None and seq < begin.seq:
            message = f"line {seq} was removed by the rotation, so its hash cannot be compared"
            result.findings.append(LogFinding("missing", AUDIT_HEAD, 0, message, seq, seq))
        elif hashes.get(seq) != value:
            message = f"line {seq} is missing or has another hash: this is another log"
            result.findings.append(LogFinding("foreign", AUDIT_HEAD, 0, message))
