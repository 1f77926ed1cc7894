"""The local allow-list: digests that an administrator dismissed with ``hashscan hold dismiss``.

``STATE/allow/dismissed.jsonl`` has one line for each content: its digests, the hold, who dismissed
the hold, when and why. To undo a dismissal, remove its line. A running daemon reads the allow-list
again after each change.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from hashscan.durable import make_directories, replace_file
from hashscan.errors import ServiceError
from hashscan.fs.beneath import closing
from hashscan.model import ALGORITHMS, HEX_LENGTH, Digest, FileDigests
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashscan.model import Algorithm


class DismissedContent(NamedTuple):
    """A line of the local allow-list: a content that an administrator allowed.

    Attributes:
        digests: digests of the allowed content.
        hold: id of the hold that was dismissed, e.g. ``H7``.
        who: the administrator who dismissed the hold.
        time: time of the dismissal (RFC 3339, UTC).
        reason: the administrator's reason for the dismissal.
    """

    digests: tuple[Digest, ...]
    hold: str
    who: str
    time: str
    reason: str

    @property
    def origin(self) -> str:
        """A text about the dismissal: the hold, the administrator, the time and the reason."""
        return f"{self.hold}, {self.who} on {self.time}: {self.reason}"

    def as_json(self) -> str:
        """The line of the allow-list about this content, without a newline."""
        return json.dumps(
            {
                "digests": {digest.algorithm: digest.hex for digest in self.digests},
                "hold": self.hold,
                "who": self.who,
                "time": self.time,
                "reason": self.reason,
            }
        )


class Dismissed:
    """The local allow-list; each look-up reads the file again if the file has changed."""

    def __init__(self, path: str) -> None:
        """Do not read the allow-list yet; the first look-up reads it."""
        self.path = path
        self._stamp: tuple[int, ...] | None = None
        self._entries: dict[Digest, DismissedContent] = {}
        #: The sets of algorithms whose digests the lines of the allow-list have.
        self._algorithms: set[frozenset[Algorithm]] = set()

    def find(self, digests: FileDigests) -> str | None:
        """The path of the allow-list, if the list has one of ``digests``; else ``None``.

        Raises:
            ServiceError: the allow-list cannot be read.
        """
        return None if self._find(digests) is None else self.path

    def origin(self, digests: FileDigests) -> str:
        """The dismissal that allowed one of ``digests``, see ``DismissedContent.origin``.

        Raises:
            ServiceError: the allow-list cannot be read.
        """
        entry = self._find(digests)
        return "" if entry is None else entry.origin

    def _find(self, digests: FileDigests) -> DismissedContent | None:
        self._refresh()
        for digest in digests.each() if self._entries else ():
            entry = self._entries.get(digest)
            if entry is not None:
                return entry
        return None

    def missing(self, digests: FileDigests) -> list[Algorithm]:
        """Further algorithms that are needed to prove that the list does not allow a content."""
        there = {digest.algorithm for digest in digests.each()}
        return sorted({min(names) for names in self._algorithms if not names & there})

    def _refresh(self) -> None:
        try:
            status = os.stat(self.path)
            stamp: tuple[int, ...] = (status.st_ino, status.st_size, status.st_mtime_ns)
        except FileNotFoundError:
            stamp = ()
        except OSError as error:
            raise ServiceError(f"{shown(self.path)} cannot be read: {error.strerror}") from error
        if stamp == self._stamp:
            return
        entries = entries_of(self.path)
        self._entries = {digest: entry for entry in entries for digest in entry.digests}
        self._algorithms = {frozenset(d.algorithm for d in entry.digests) for entry in entries}
        self._stamp = stamp


def entries_of(path: str) -> list[DismissedContent]:
    """The contents in the allow-list; empty if the file does not exist.

    Raises:
        ServiceError: the allow-list cannot be read, or a line of it is damaged.
    """
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ServiceError(f"{shown(path)} cannot be read: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_entry(json.loads(line)))
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise ServiceError(
                    f"{shown(path)}, line {number} is damaged: correct it, or remove it; until then"
                    " no file is moved"
                ) from error
    return found


def _entry(found: Any) -> DismissedContent:
    digests = []
    for name in ALGORITHMS:
        text = found["digests"].get(name)
        if text is not None:
            if len(bytes.fromhex(text)) * 2 != HEX_LENGTH[name]:
                raise ValueError(text)
            digests.append(Digest(name, text.lower()))
    texts = [found.get(name) for name in ("hold", "who", "time", "reason")]
    if not digests or not all(isinstance(text, str) for text in texts):
        raise ValueError("no digest, or a fact that is no text")
    hold, who, time, reason = texts
    return DismissedContent(tuple(digests), hold, who, time, reason)


def add(path: str, new: Iterable[DismissedContent]) -> None:
    """Add contents to the allow-list; they replace earlier contents of the same hold.

    Raises:
        ServiceError: the file is damaged.
        OSError: the file cannot be written.
    """
    new = list(new)
    holds = {entry.hold for entry in new}
    with _locked(path):
        _write(path, [*(entry for entry in entries_of(path) if entry.hold not in holds), *new])


def remove(path: str, hold: str) -> None:
    """Remove the contents of a hold from the allow-list.

    Raises:
        ServiceError: the file is damaged.
        OSError: the file cannot be written.
    """
    with _locked(path):
        entries = entries_of(path)
        kept = [entry for entry in entries if entry.hold != hold]
        if len(kept) < len(entries):
            _write(path, kept)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold a lock while the allow-list is read and replaced, so that other writers wait."""
    directory = os.path.dirname(path)
    make_directories(directory)
    with closing(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield


def _write(path: str, entries: Iterable[DismissedContent]) -> None:
    replace_file(path, "".join(f"{entry.as_json()}\n" for entry in entries).encode())
