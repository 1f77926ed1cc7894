"""The common parts of the parsers of digest lists: an entry, a list's report, a row's checks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hashscan.errors import Finding
from hashscan.known.lists.categories import counted, listed_name
from hashscan.model import (
    ALGORITHM_BY_LENGTH,
    CATEGORY_LENGTH,
    HEX_LENGTH,
    Algorithm,
)
from hashscan.text import shown

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable

#: Number of invalid lines that are described for each list; further invalid lines are only counted.
FINDINGS_KEPT = 20
#: Length, in characters, of the longest line of a list. PATH_MAX is 4096 bytes, so valid lines are
#: far shorter.
LINE_LIMIT = 64 * 1024

#: The name of a list's column, or of a hash in VICS JSON, that has the key of a first block.
HEAD_NAME = "xxh3-4096"
HEX = re.compile(r"[0-9A-Fa-f]+")


class ListEntry(NamedTuple):
    """One digest of a list.

    Attributes:
        algorithm: the digest's algorithm.
        hex: the text of the digest in lower-case hexadecimal.
        category: the digest's category in lower case, without blanks; ``None`` if the list names
            none.
        size: size in bytes of the file with this digest; ``None`` if the list names no size.
        head: key of the first block of the file with this digest (``model.head_key``); ``None`` if
            the list names no key.
        line: the line of the list, from 1, on which the row with the digest begins.
    """

    algorithm: Algorithm
    hex: str
    category: str | None
    size: int | None
    line: int
    head: bytes | None = None


#: The option and the setting with which an administrator names the categories that count.
NAME_THEM = (
    "name each category that counts as known with --only-category, or in service.only_categories"
)


class FatalListError(Exception):
    """The rest of a list cannot be read; ``Lists`` turns this error into ``DigestListError``."""

    def __init__(self, where: str, what: str, fix: str = "") -> None:
        """Keep ``finding``, the text that describes the list's fault and its line."""
        self.finding = Finding(where, what, fix)
        super().__init__(str(self.finding))


@dataclass(slots=True)
class ListReport:
    """The counts of used and left-out entries of one digest list.

    Attributes:
        name: the list's path, as shown in a message.
        kind: the list's format: ``lines``, ``hashdeep``, ``csv`` or ``json``.
        digests: number of the list's used digests, duplicates included.
        empty: number of digests that were left out because they are digests of empty content.
        keep_digests: true if a row with an invalid size, or key of a first block, is still used,
            without the size or key.
        bad_keys: number of sizes and keys that were left out because they are invalid.
        zero_size: number of used digests for which the list names the size 0, which some tools
            write for "unknown".
        size_columns: names of the columns that may be the size; if there are several, hashscan
            reads no size.
        categories: number of used digests by category, duplicates included.
        uncategorised: number of used digests that have no category.
        unwanted: number of digests left out because their category does not count as known, by
            category.
        all_categories: true if the administrator named no categories.
        every_category: true if entries of any category are used, so that a list needs no category.
        without_digest: number of rows that name no digest of a used algorithm.
        unread: number of rows with a possible digest under a name that hashscan does not read.
        unread_name: the first of the names in ``unread``.
        invalid: number of the list's invalid lines.
        findings: descriptions of the list's first invalid lines.
    """

    name: str
    kind: str = ""
    digests: int = 0
    empty: int = 0
    keep_digests: bool = False
    bad_keys: int = 0
    zero_size: int = 0
    size_columns: int = 0
    categories: dict[str, int] = field(default_factory=dict)
    uncategorised: int = 0
    unwanted: dict[str, int] = field(default_factory=dict)
    all_categories: bool = True
    every_category: bool = False
    without_digest: int = 0
    unread: int = 0
    unread_name: str = ""
    invalid: int = 0
    findings: list[Finding] = field(default_factory=list)

    def refuse_key(self, line: int, what: str) -> bool:
        """Count an invalid size, or key of a first block; return whether its row is left out."""
        if self.keep_digests:
            self.bad_keys += 1
            return False
        self.refuse(line, what)
        return True

    def note_unread(self, name: str) -> None:
        """Count a row with a possible digest under ``name``, which hashscan does not read."""
        self.unread += 1
        self.unread_name = self.unread_name or shown(name.strip()[:60])

    def refuse(self, line: int, what: str, fix: str = "", *, lines: int = 1) -> None:
        """Count ``lines`` invalid lines from ``line`` on; the reason ``what`` quotes no content."""
        self.invalid += lines
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(Finding(f"{self.name}:{line}", what, fix))

    @property
    def left_out(self) -> int:
        """The number of lines, digests and rows that were left out."""
        return self.invalid + self.empty + self.without_digest + sum(self.unwanted.values())

    def told(self) -> str:
        """The counts of a list's left-out entries as a text, or ``nothing was left out``."""
        parts = [
            (self.invalid, "invalid lines"),
            (self.empty, "digests of empty content"),
            (self.without_digest, "rows without a digest"),
        ]
        said = [f"{count} {what}" for count, what in parts if count]
        if self.unwanted:
            said.append(f"by category: {counted(self.unwanted)}")
        return ", ".join(said) or "nothing was left out"

    def remarks(self) -> list[str]:
        """Sentences for the user on a list's entries that were left out, or may be wrong."""
        if not self.left_out:
            return self.advice()
        advice = f" ({NAME_THEM})" if self.unwanted else ""
        return [f"{self.name}: left out: {self.told()}{advice}", *self.advice()]

    def advice(self) -> list[str]:
        """Sentences for the user on a list's entries that were used, but may be wrong."""
        found = []
        if self.zero_size:
            found.append(f"{self.zero_size} digests are taken although their size is given as 0")
        if self.uncategorised and (self.categories or self.unwanted):
            found.append(
                f"{self.uncategorised} digests without a category are taken as known, besides "
                "the digests of categories that count"
            )
        if self.bad_keys:
            found.append(
                f"{self.bad_keys} rows have a size, or a key of a first block, that is none: their "
                "digests are taken without it"
            )
        if self.unread:
            found.append(
                f"{self.unread} rows have what may be a digest under a name that is not read "
                f"('{self.unread_name}'): call it md5, sha1 or sha256 if it is one"
            )
        if self.size_columns > 1:
            found.append(
                f"{self.size_columns} columns may be the size, so none is taken: rename those that "
                "are not"
            )
        if self.all_categories and len(self.categories) > 1:
            found.append(
                f"all these categories count as known: {counted(self.categories)}; if that is not "
                f"meant: {NAME_THEM}"
            )
        return [f"{self.name}: {one}" for one in found]


class TextSource(NamedTuple):
    """The text of a digest list, and the report that counts its entries."""

    text: io.TextIOWrapper
    report: ListReport


def is_digest(text: str) -> bool:
    """Whether a text as a whole may be a digest in hexadecimal."""
    text = text.strip()
    return len(text) in ALGORITHM_BY_LENGTH and HEX.fullmatch(text) is not None


def row(
    report: ListReport,
    line: int,
    cells: Iterable[tuple[Algorithm | None, str]],
    size: str,
    category: str,
    head: str = "",
    label: str = "",
) -> list[ListEntry]:
    """The entries of a list's row; empty if the row is invalid or left out.

    Args:
        report: the list's report, which counts the invalid and the left-out rows.
        line: the line of the list on which the row begins.
        cells: algorithm (``None``: found by the digest's length) and text of each cell that may
            have a digest.
        size: the file's size that the row names, in bytes, or an empty text.
        category: the category that the row names, or an empty text.
        head: the key of the file's first block that the row names, in hexadecimal, or an empty
            text.
        label: text before the message about an invalid row, e.g. ``record 7: ``.
    """
    found: list[tuple[Algorithm, str]] = []
    for algorithm, text in cells:
        digest = text.strip()
        if not digest:
            continue
        actual = ALGORITHM_BY_LENGTH.get(len(digest))
        if actual is None or algorithm not in (None, actual) or not HEX.fullmatch(digest):
            report.refuse(line, label + _no_digest(algorithm, digest))
            return []
        found.append((actual, digest.lower()))
    if len(found) > 1 and len(set(found)) > len({algorithm for algorithm, _ in found}):
        twice = next(a for a, _ in found if len({digest for b, digest in found if b == a}) > 1)
        report.refuse(line, f"{label}two {twice} that differ", "keep only the right one")
        return []
    try:
        size_number = int(size) if size.strip() else None
    except ValueError:
        size_number = -1
    if size_number is not None and not 0 <= size_number < 1 << 63:
        if report.refuse_key(line, label + "the size is no number of bytes"):
            return []
        size_number = None
    name = listed_name(category)
    if category.strip() and not name:
        report.refuse(line, f"{label}the category is no name of at most {CATEGORY_LENGTH} letters")
        return []
    head = head.strip()
    if head and (len(head) != 32 or not HEX.fullmatch(head)):
        if report.refuse_key(line, f"{label}{HEAD_NAME} has no 32 hexadecimal digits"):
            return []
        head = ""
    head_key = bytes.fromhex(head) if head else None
    if not found:
        report.without_digest += 1
    return [
        ListEntry(algorithm_, digest, name, size_number, line, head_key)
        for algorithm_, digest in found
    ]


def _no_digest(algorithm: Algorithm | None, text: str) -> str:
    if not HEX.fullmatch(text):
        return f"{algorithm or 'the digest'} is not hexadecimal"
    if algorithm is None:
        return f"{len(text)} hexadecimal digits are no md5 (32), sha1 (40) or sha256 (64)"
    return f"{algorithm} has {len(text)} hexadecimal digits instead of {HEX_LENGTH[algorithm]}"
