r"""The line-based kinds of digest lists.

- One digest a line: md5, sha1 or sha256 by its length, in any letter case.
- ``md5sum``, ``sha1sum``, ``sha256sum`` (GNU coreutils manual, "md5 invocation"): the digest, a
  blank, a blank or ``*``, the name; a leading ``\`` marks a name with escapes; ``--tag`` and the
  BSD tools write ``SHA1 (name) = digest``, OpenSSL ``SHA1(name)= digest``.
- hashdeep (its man page, "FILE FORMAT"): ``%%%% HASHDEEP-1.0``, a line ``%%%% size,md5,…,filename``
  that names the columns, ``##`` comments, then rows whose last column may hold commas.
- CSV with a header (RFC 4180; also ``;`` and tabs), e.g. NSRL's or ICSE's exports. A column
  ``size`` (also ``filesize``, ``size_in_bytes`` ...) has the content's size in bytes, a column
  ``xxh3-4096`` the key of its first block (``model.head_key``).

Blank lines and those that begin with ``#`` are comments. The first three may be mixed line by line.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.known.lists.entries import (
    HEX,
    LINE_LIMIT,
    Entry,
    FatalListError,
    ListReport,
    TextSource,
    row,
)
from hashscan.model import ALGORITHM_BY_LENGTH, ALGORITHMS, HEX_LENGTH, Algorithm

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

_HEXES = "|".join(f"[0-9A-Fa-f]{{{length}}}" for length in HEX_LENGTH.values())
_DIGEST = re.compile(rf"\s*\\?({_HEXES})(?:\s*\Z|[ \t]+[^\s])")
_TAGGED = re.compile(
    r"\s*\\?(md5|sha-?1|sha(?:2-)?-?256) ?\(.*\) ?= ?([0-9A-Fa-f]+)\s*", re.IGNORECASE | re.DOTALL
)
_DIGEST_COLUMN = re.compile(
    r"(?:file|media|content|hash)?(md5|sha1|sha256|hash|digest|checksum)(?:hash|sum|digest|value|hex)?"
)
# A "length" may be one of a film, in seconds.
_SIZE_COLUMN = re.compile(r"(?:file|media|content)?(?:size(?:(?:in)?bytes)?|length(?:in)?bytes)")
# "Physical size", "size in KB" ...: beside one of these nobody knows what a plain "size" is.
_OTHER_SIZE = re.compile(r".*size.*|.*bytes.*")
_HEAD_COLUMN = re.compile(r"xxh3(?:128)?4096")
_CATEGORY_COLUMN = re.compile(r"(?:media|file)?category(?:name)?")


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the columns of use are in a row of ``count`` cells."""

    count: int
    digests: tuple[tuple[Algorithm | None, int], ...]
    size: int | None
    category: int | None
    head: int | None


def entries(source: TextSource) -> Iterator[Entry]:
    """Yield a list's entries; what is wrong is counted in the source's report.

    Raises:
        FatalListError: the rest cannot be read.
    """
    report = source.report
    lines = _lines(source.text, report)
    for number, line in lines:
        if _is_comment(line):
            continue
        if not line.startswith("%%%%") and not _plain(line):
            for delimiter in (",", ";", "\t"):
                columns = _columns(_cells(line, delimiter), report, number)
                if columns:
                    report.kind = "csv"
                    yield from _csv(lines, report, columns, delimiter, number)
                    return
        yield from _mixed(number, line, lines, report)
        return


def _lines(text: io.TextIOWrapper, report: ListReport) -> Iterator[tuple[int, str]]:
    """Each line with its number; one that is too long is refused and comes out empty."""
    readline = text.readline
    number = 0
    while line := readline(LINE_LIMIT):
        number += 1
        if len(line) == LINE_LIMIT and line[-1] != "\n":
            while (rest := readline(LINE_LIMIT)) and rest[-1] != "\n":
                pass
            report.refuse(number, f"the line is longer than {LINE_LIMIT} characters")
            line = ""
        yield number, line


def _is_comment(line: str) -> bool:
    text = line.lstrip("\ufeff \t\r\n")
    return not text or text.startswith("#")


def _plain(line: str) -> Entry | None:
    """The digest of a line that is one digest, or one line of a sum file."""
    found = _DIGEST.match(line)
    if found:
        digest = found[1]
    else:
        tagged = _TAGGED.fullmatch(line)
        if not tagged:
            return None
        digest = tagged[2]
        name = tagged[1].lower().replace("-", "").replace("sha2256", "sha256")
        if ALGORITHM_BY_LENGTH.get(len(digest)) != name:
            return None
    return Entry(ALGORITHM_BY_LENGTH[len(digest)], digest.lower(), None, None, 0)


def _mixed(
    number: int, line: str, lines: Iterator[tuple[int, str]], report: ListReport
) -> Iterator[Entry]:
    """Plain digests, sum files and hashdeep, in any order."""
    deep: _Columns | None = None
    match = _DIGEST.match
    by_length = ALGORITHM_BY_LENGTH
    while True:
        if deep is None and (found := match(line)):  # the hot path
            digest = found[1]
            yield Entry(by_length[len(digest)], digest.lower(), None, None, number)
        elif _is_comment(line):
            pass
        elif line.startswith("%%%%"):
            report.kind = "hashdeep"
            deep = _hashdeep_header(line, deep, report, number)
        else:
            yield from _other(line, deep, report, number)
        number, line = next(lines, (0, ""))
        if not number:
            return


def _hashdeep_header(
    line: str, before: _Columns | None, report: ListReport, number: int
) -> _Columns | None:
    names = line[4:].strip()
    if names.upper().startswith("HASHDEEP-"):
        return before
    columns = _columns(names.split(","), report, number)
    if columns is None:
        raise FatalListError(
            f"{report.name}:{number}",
            "this hashdeep header names neither md5, sha1 nor sha256",
            "run hashdeep with -c md5,sha1 or -c sha256",
        )
    return columns


def _other(line: str, deep: _Columns | None, report: ListReport, number: int) -> list[Entry]:
    """A line of hashdeep, of a sum file, or an invalid one."""
    text = line.strip().lstrip("\ufeff")
    if deep:
        cells = text.split(",", deep.count - 1)
        if len(cells) == deep.count:
            return _row(cells, deep, report, number)
    entry = _plain(text)
    if entry:
        return [entry._replace(line=number)]
    first = (text.split(maxsplit=1) or [""])[0]
    if deep:
        what, fix = f"neither {deep.count} columns of hashdeep nor a digest", ""
    elif HEX.fullmatch(first):
        what = f"{len(first)} hexadecimal digits are no md5 (32), sha1 (40) or sha256 (64)"
        fix = ""
    elif any(mark in text for mark in ",;\t"):
        what = "columns without a header"
        fix = "name them in the first line, e.g. md5,sha1,size,category"
    else:
        what, fix = "no digest", ""
    report.refuse(number, what, fix)
    return []


def _columns(names: list[str], report: ListReport, number: int) -> _Columns | None:
    """The columns that a header names, or ``None`` if it names no digest."""
    digests: dict[str, int] = {}
    category = None
    sizes: list[int] = []
    heads: list[int] = []
    for index, name in enumerate(names):
        plain = re.sub(r"[^a-z0-9]", "", name.lower())
        if found := _DIGEST_COLUMN.fullmatch(plain):
            known = found[1] if found[1] in ALGORITHMS else ""
            if known in digests:
                raise FatalListError(
                    f"{report.name}:{number}",
                    f"the header names the column {known or 'hash'} twice",
                    "rename the one that is not meant",
                )
            digests[known] = index
        elif _HEAD_COLUMN.fullmatch(plain):
            heads.append(index)
        elif _OTHER_SIZE.fullmatch(plain):
            sizes.append(index if _SIZE_COLUMN.fullmatch(plain) else -1)
        elif category is None and _CATEGORY_COLUMN.fullmatch(plain):
            category = index
    if not digests:
        return None
    named = tuple(
        (next((known for known in ALGORITHMS if known == name), None), index)
        for name, index in digests.items()
    )
    # Of several nobody knows which is the size of what the digest is of.
    report.size_columns = max(report.size_columns, len(sizes))
    size = sizes[0] if len(sizes) == 1 and sizes[0] >= 0 else None
    return _Columns(len(names), named, size, category, heads[0] if len(heads) == 1 else None)


def _row(cells: list[str], columns: _Columns, report: ListReport, number: int) -> list[Entry]:
    def cell(index: int | None) -> str:
        return cells[index] if index is not None and index < len(cells) else ""

    return row(
        report,
        number,
        [(algorithm, cell(index)) for algorithm, index in columns.digests],
        cell(columns.size),
        cell(columns.category),
        cell(columns.head),
    )


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line.lstrip("\ufeff").strip("\r\n")], delimiter=delimiter), [])
    except csv.Error:
        return []


def _csv(
    lines: Iterator[tuple[int, str]],
    report: ListReport,
    columns: _Columns,
    delimiter: str,
    header_line: int,
) -> Iterator[Entry]:
    last = header_line

    def texts() -> Iterator[str]:
        nonlocal last
        for number, line in lines:
            last = number
            yield line

    # Strict: a quote that is never closed must not swallow the rest of the list in silence.
    # The csv module itself ends a field at 131,072 characters.
    reader = csv.reader(texts(), delimiter=delimiter, strict=True)
    while True:
        first = last + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            report.refuse(
                first,
                "the quotes of this row do not close where a column ends",
                "double the quotes inside a quoted column",
                lines=max(1, last - first + 1),
            )
            if last < first:  # the end was reached
                return
            continue
        if not cells or (len(cells) == 1 and _is_comment(cells[0])):
            continue
        if len(cells) > columns.count:
            report.refuse(first, f"{len(cells)} columns, but the header names {columns.count}")
            continue
        if len(cells) < columns.count and not any(
            index < len(cells) and cells[index].strip() for _, index in columns.digests
        ):
            report.refuse(first, f"{len(cells)} columns, but the header names {columns.count}")
            continue
        yield from _row(cells, columns, report, first)
