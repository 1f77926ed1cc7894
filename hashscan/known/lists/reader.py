"""Reads digest lists from hotlines, police tools and sysadmins as a stream.

The kind of a list is recognised from its first significant line (``line_formats`` has the parsers,
``vics`` the parser for JSON). Memory use does not grow with the list. No message quotes the content
of a line: the lists are secret, and messages end in logs.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hashscan.errors import DigestListError, Finding
from hashscan.known.lists import line_formats, vics
from hashscan.known.lists.categories import EVERY, chosen, counted, is_number, is_taken
from hashscan.known.lists.entries import (
    NAME_THEM,
    FatalListError,
    ListEntry,
    ListReport,
    TextSource,
)
from hashscan.model import EMPTY_DIGESTS
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    # Used only in annotations: the io module's types do not include its C classes.
    from _typeshed import WriteableBuffer

__all__ = ["STDIN", "ListEntry", "ListReport", "Lists", "open_list"]

#: The path that means standard input.
STDIN = "-"

#: The most distinct categories in a list: a column with more distinct texts is not the category.
CATEGORIES_LIMIT = 1000
_HEAD = 64 * 1024
_BUFFER = 1024 * 1024
_EMPTY = frozenset(digest.hex for digest in EMPTY_DIGESTS)
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


class Lists:
    """Several digest lists as one stream of entries.

    Attributes:
        reports: one report for each list, in order; filled while the entries are read.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        skip_invalid: bool = False,
        only_categories: Collection[str] | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        """Keep ``paths`` (``-`` is standard input); the iteration over the entries reads the lists.

        Args:
            paths: paths of the lists, at least one.
            skip_invalid: count invalid lines instead of raising an error for them.
            only_categories: leave out entries of other categories; the module ``categories`` has
                the default. Entries without a category are never left out.
            on_bytes: called after each read, with the number of bytes that were read.

        Raises:
            UsageError: a text in ``only_categories`` cannot be the name of a category.
        """
        self._paths = list(paths)
        self._skip_invalid = skip_invalid
        self._only = chosen(only_categories)
        self._on_bytes = on_bytes
        self.reports: list[ListReport] = []

    def __iter__(self) -> Iterator[ListEntry]:
        """Yield every digest of every list, duplicates included.

        Digests of empty content are left out, and entries in categories that do not count as known.

        Entries are yielded while the lists are read. If the iteration ends with an error, the
        caller must throw away everything that was made from them.

        Raises:
            DigestListError: raised after the last list, with all faults of all lists: invalid lines
                (unless they are skipped); a list that is missing, is not a regular file, cannot be
                read to its end, or has no digest.
        """
        self.reports = []
        findings: list[Finding] = []
        invalid = 0
        for path in self._paths:
            name = "standard input" if path == STDIN else shown(path)
            report = ListReport(
                name,
                all_categories=self._only is None,
                every_category=self._only is EVERY,
                keep_digests=self._skip_invalid,
            )
            self.reports.append(report)
            try:
                yield from self._entries(path, report)
            except FatalListError as error:
                findings += [*report.findings, error.finding]
                invalid += report.invalid + 1
                continue
            if report.invalid and not self._skip_invalid:
                findings += report.findings
                invalid += report.invalid
            elif not report.digests:
                findings.append(_without_digests(report))
                invalid += 1
        if invalid:
            shown_findings = findings[:20]
            more = invalid - len(shown_findings)
            if more:
                shown_findings.append(Finding("…", f"and {more} more"))
            raise DigestListError(
                f"the digest list has {invalid} error{'s' * (invalid > 1)}, and is not used; "
                "mend them ('hashscan filter build --skip-invalid' leaves invalid lines out):",
                shown_findings,
            )

    def _entries(self, path: str, report: ListReport) -> Iterator[ListEntry]:
        with open_list(path) as descriptor:
            before = os.fstat(descriptor)
            source = _source(descriptor, before, report, self._on_bytes)
            if source is None:
                return
            try:
                parsed = (
                    vics.entries(source) if report.kind == "json" else line_formats.entries(source)
                )
                for entry in parsed:
                    if entry.hex in _EMPTY:
                        report.empty += 1
                        continue
                    if entry.category is None:
                        report.uncategorised += 1
                    elif not self._takes(entry, report):
                        continue
                    if entry.size == 0:
                        report.zero_size += 1
                    report.digests += 1
                    yield entry
                after = os.fstat(descriptor)
            except OSError as error:
                raise FatalListError(
                    report.name,
                    f"cannot be read to its end: {error.strerror}",
                    "check the disk, or copy the list anew",
                ) from error
            if stat.S_ISREG(before.st_mode) and _stamp(before) != _stamp(after):
                raise FatalListError(
                    report.name,
                    "changed while it was read",
                    "run the command again when it is complete",
                )
            _check_numbers(report)

    def _takes(self, entry: ListEntry, report: ListReport) -> bool:
        """Whether an entry's category counts as known; adds the entry to the counts of its list."""
        category = entry.category or ""
        taken = is_taken(category, self._only)
        counts = report.categories if taken else report.unwanted
        counts[category] = counts.get(category, 0) + 1
        if len(report.categories) + len(report.unwanted) > CATEGORIES_LIMIT:
            raise FatalListError(
                f"{report.name}:{entry.line}",
                f"more than {CATEGORIES_LIMIT} distinct categories",
                "rename the column 'category': it holds something else",
            )
        return taken


def _check_numbers(report: ListReport) -> None:
    """Raise for a list whose categories are numbers of unknown meaning that nobody named."""
    numbers = {name: count for name, count in report.unwanted.items() if is_number(name)}
    if numbers and report.all_categories:
        raise FatalListError(
            report.name,
            f"its categories are numbers ({counted(numbers)}), and it does not say what they mean",
            f"ask the list's maker, then {NAME_THEM}; if they are those of VICS, call the column "
            "vics category",
        )


def _without_digests(report: ListReport) -> Finding:
    fix = (
        "give a list of md5, sha1 or sha256 digests: one a line, the output of sha1sum or "
        "hashdeep, CSV with a header, or VICS JSON"
    )
    if report.unwanted:
        fix = f"if they are meant, {NAME_THEM}"
    return Finding(report.name, f"holds no digests to take ({report.told()})", fix)


@contextmanager
def open_list(path: str) -> Iterator[int]:
    """Open a digest list, without waiting for a writer; return the descriptor.

    Raises:
        FatalListError: the file of the list is missing, unreadable or not a regular file.
    """
    if path == STDIN:
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise FatalListError(
            shown(path), f"cannot be opened: {what}", "check the path and its permissions"
        ) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FatalListError(
                shown(path),
                "is no regular file",
                "give a file; 'hashscan filter build' also takes - for standard input",
            )
        yield descriptor
    finally:
        os.close(descriptor)


class _Raw(io.RawIOBase):
    """A raw stream of a list: the bytes read to recognise the list's kind, then the rest."""

    def __init__(
        self, head: bytes, descriptor: int, limit: int, on_bytes: Callable[[int], None] | None
    ) -> None:
        self._head = head
        self._descriptor = descriptor
        self._left = limit
        self._on_bytes = on_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if self._head:
            count = min(len(view), len(self._head))
            view[:count] = self._head[:count]
            self._head = self._head[count:]
        else:
            count = os.readv(self._descriptor, [view[: self._left]]) if self._left else 0
            self._left -= count
        if self._on_bytes and count:
            self._on_bytes(count)
        return count


def _stamp(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


def _source(
    descriptor: int,
    found: os.stat_result,
    report: ListReport,
    on_bytes: Callable[[int], None] | None,
) -> TextSource | None:
    """The text of a list, or ``None`` for an empty file; ``report`` gets the list's kind."""
    head = b""
    try:
        while len(head) < _HEAD and (chunk := os.read(descriptor, _HEAD - len(head))):
            head += chunk
    except OSError as error:
        raise FatalListError(
            report.name, f"cannot be read: {error.strerror}", "check the disk and the path"
        ) from error
    if not head:
        return None
    encoding, skip = _encoding(head)
    start = head[skip:]
    if encoding == "utf-8" and b"\0" in start:
        raise FatalListError(
            report.name, "is binary (it holds NUL bytes)", "give a digest list in text form"
        )
    first = start.decode(encoding, "replace").lstrip("\ufeff \t\r\n")
    report.kind = "json" if first[:1] in ("{", "[") else "lines"
    # A file's name in a sum file may be any bytes; the bytes must not make the digest unreadable.
    errors = "surrogateescape" if encoding == "utf-8" else "replace"
    # Another process may append to the list; the reading must end nevertheless.
    limit = max(0, found.st_size - len(head)) if stat.S_ISREG(found.st_mode) else sys.maxsize
    raw = io.BufferedReader(_Raw(start, descriptor, limit, on_bytes), _BUFFER)
    return TextSource(io.TextIOWrapper(raw, encoding, errors, newline=None), report)


def _encoding(head: bytes) -> tuple[str, int]:
    """The list's encoding, and the length of its byte order mark. Windows tools write UTF-16."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding, len(mark)
    if len(head) >= 2 and head[0] and not head[1]:
        return "utf-16-le", 0
    if len(head) >= 2 and head[1] and not head[0]:
        return "utf-16-be", 0
    return "utf-8", 0
