r"""The line-based kinds of digest lists.

- One digest a line: md5, sha1 or sha256 by its length, in any letter case.
- ``md5sum``, ``sha1sum``, ``sha256sum`` (GNU coreutils manual, "md5 invocation"): the digest, a
  blank, a blank or ``*``, the name; a leading ``\`` marks a name with escapes; ``--tag`` and the
  BSD tools write ``SHA1 (name) = digest``, OpenSSL ``SHA1(name)= digest``.
- hashdeep (its man page, "FILE FORMAT"): ``%%%% HASHDEEP-1.0``, a line ``%%%% size,md5,…,filename``
  that names the columns, comments that begin with ``##``, then rows whose last column may hold
  commas.
- CSV with a header (RFC 4180; also ``;`` and tabs), e.g. NSRL's or ICSE's exports. A column
  ``size`` (also ``filesize``, ``size_in_bytes`` ...) has the size in bytes of the file with the
  digest, a column ``xxh3-4096`` the key of the file's first block (``model.head_key``).

Blank lines and lines that begin with ``#`` are comments. Lines of the first three kinds may be
mixed in one list. A line ends with LF, CR LF or CR.

A line with a second digest is invalid, unless that digest is certainly part of a file's name: a
part of a path (``ab/D.jpg``), or the whole name after `` *`` or in ``SHA1 (D) =``. Two digests with
two blanks between them may be two columns. A row of CSV is invalid if a cell that is not read
has a line end, or a sign that some programs take for a line end, with a digest after it.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from hashscan.known.lists.categories import vics_category
from hashscan.known.lists.columns import Columns, columns, is_of_a_file, plain_name
from hashscan.known.lists.entries import (
    HEX,
    LINE_LIMIT,
    FatalListError,
    ListEntry,
    ListReport,
    TextSource,
    row,
)
from hashscan.model import ALGORITHM_BY_LENGTH, HEX_LENGTH

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

_SHORTEST = min(HEX_LENGTH.values())
_HEXES = "|".join(f"[0-9A-Fa-f]{{{length}}}" for length in HEX_LENGTH.values())
_DIGEST = re.compile(rf"\s*\\?({_HEXES})(?:\s*\Z|[ \t]+[^\s])")
_TAGGED = re.compile(
    r"\s*\\?(md5|sha-?1|sha(?:2-)?-?256) ?\((.*)\) ?= ?([0-9A-Fa-f]+)\s*", re.IGNORECASE | re.DOTALL
)
#: Pattern of a digest in a file's name; hexadecimal digits next to other letters or digits are not
#: a digest.
_IN_NAME = re.compile(rf"(?<!\w)(?:0[xX])?({_HEXES})(?!\w)")
#: Pattern of a text in the rest of a line that may be a digest, or a line end in another encoding.
_DOUBTFUL = re.compile(rf"[0-9A-Fa-f]{{{_SHORTEST}}}|\0").search
#: Pattern of a digest that is written in UTF-8, but was read as UTF-16.
_BYTES = re.compile(rb"[0-9A-Fa-f]{%d}" % _SHORTEST)
#: Patterns of the text before and after a digest ``D`` that is a part of a path: ``ab/D.jpg``,
#: ``D-1.jpg``.
_PART = frozenset("./\\@~+-")
#: The signs that end a line, for all programs or for some programs.
_LINE_END = re.compile("[\n\r\0\v\f\x1c-\x1e\x85\u2028\u2029\udc85]")
_ANY_DIGEST = re.compile(_HEXES)
_SEVERAL = "more than one digest is on this line"
_SEVERAL_FIX = (
    "put each on a line of its own, or name the columns in the first line, e.g. md5,sha1; where it "
    "is the name of a file, write the list with 'sha1sum --tag'"
)


def entries(source: TextSource) -> Iterator[ListEntry]:
    """Yield the entries of a digest list; count faults in the list's report.

    Raises:
        FatalListError: the rest of the digest list cannot be read.
    """
    report = source.report
    lines = _lines(source.text, report)
    for number, line in lines:
        if _is_comment(line):
            _passed_over(number, line, report)
            continue
        if not line.startswith("%%%%") and not _plain(line):
            # The separator that splits the header into the most columns is tried first: without a
            # split, the whole "md5;file" would be recognised as the name of a digest's column.
            for delimiter in sorted((",", ";", "\t"), key=line.count, reverse=True):
                named = columns(_cells(line, delimiter), report, number)
                if named:
                    report.kind = "csv"
                    _passed_over(number, line, report)
                    yield from _csv(lines, report, named, delimiter, number)
                    return
        yield from _mixed(number, line, lines, report)
        return


def _lines(text: io.TextIOWrapper, report: ListReport) -> Iterator[tuple[int, str]]:
    """Yield each line of a list with its number; yield an invalid line as an empty text."""
    readline = text.readline
    wide = text.encoding.startswith("utf-16")
    number = 0
    while line := readline(LINE_LIMIT):
        number += 1
        if len(line) == LINE_LIMIT and line[-1] != "\n":
            while (rest := readline(LINE_LIMIT)) and rest[-1] != "\n":
                pass
            report.refuse(number, f"the line is longer than {LINE_LIMIT} characters")
            line = ""
        if wide and not line.isascii() and _BYTES.search(line.encode("utf-16-le", "surrogatepass")):
            report.refuse(
                number,
                "a digest in UTF-8 is in a list in UTF-16",
                "split it into the lists from which it was put together",
            )
            line = ""
        yield number, line


def _is_comment(line: str) -> bool:
    text = line.lstrip("\ufeff \t\r\n")
    return not text or text.startswith("#")


def _passed_over(number: int, line: str, report: ListReport) -> None:
    """Count a comment or header as invalid if some programs see a line end and a digest in it."""
    if _has_row_behind(line):
        report.refuse(
            number,
            "a digest is after a sign that ends a line for some programs, and not for others",
            "end each line with a newline",
        )


def _has_row_behind(text: str) -> bool:
    """Whether ``text`` holds a line end with a digest after it."""
    end = _LINE_END.search(text) if len(text) > _SHORTEST else None
    return end is not None and _ANY_DIGEST.search(text, end.end()) is not None


def _plain(line: str) -> ListEntry | None:
    """The digest of a list's line that is a digest alone, or is a line of a sum file."""
    found = _DIGEST.match(line)
    if found:
        digest, name, marked = found[1], line[found.end(1) :], None
        if name[:2] in ("  ", " *"):
            marked, name = name[:2], name[2:]
        if _hides_digests(name, digest, marked):
            return None
    else:
        tagged = _TAGGED.fullmatch(line)
        if not tagged:
            return None
        digest = tagged[3]
        kind = tagged[1].lower().replace("-", "").replace("sha2256", "sha256")
        if ALGORITHM_BY_LENGTH.get(len(digest)) != kind:
            return None
        if _hides_digests(tagged[2], digest, " *"):
            return None
    return ListEntry(ALGORITHM_BY_LENGTH[len(digest)], digest.lower(), None, None, 0)


def _hides_digests(name: str, digest: str, marked: str | None) -> bool:
    """Whether the text after ``digest`` has other digests that are not part of a file's name.

    ``marked``: the sign between the digest and the file's name. After `` *`` the rest of the line
        is certainly a name; two blanks are usual in sum files; ``None``: there is no sign.
    """
    name = name.strip(" \t\r\n")
    if "\0" in name or _has_row_behind(name):
        return True
    digest = digest.lower()
    for found in _IN_NAME.finditer(name):
        if found[1].lower() == digest or (marked == " *" and found[0] == name):
            continue
        before, after = name[: found.start()][-1:], name[found.end() :]
        if before == "\\" and not name[: found.start() - 1][-1:].strip():
            return True  # the ``\`` that begins another line, whose name has escapes
        if marked:
            part = before in _PART or after[:1] in _PART
        else:
            part = before in ("/", "\\") or (after[:1] == "." and after[1:2].isalnum())
        if not part:
            return True
    return False


def _mixed(
    number: int, line: str, lines: Iterator[tuple[int, str]], report: ListReport
) -> Iterator[ListEntry]:
    """Yield the entries of a list that mixes plain digests, and lines of sum files and hashdeep."""
    deep: Columns | None = None
    match = _DIGEST.match
    by_length = ALGORITHM_BY_LENGTH
    while True:
        found = match(line) if deep is None else None
        # This is the hot path of reading a list.
        if found and not _DOUBTFUL(line, found.end(1)):
            digest = found[1]
            yield ListEntry(by_length[len(digest)], digest.lower(), None, None, number)
        elif _is_comment(line):
            _passed_over(number, line, report)
        elif line.startswith("%%%%"):
            report.kind = "hashdeep"
            _passed_over(number, line, report)
            deep = _hashdeep_header(line, deep, report, number)
        else:
            yield from _other(line, deep, report, number)
        number, line = next(lines, (0, ""))
        if not number:
            return


def _hashdeep_header(
    line: str, before: Columns | None, report: ListReport, number: int
) -> Columns | None:
    names = line[4:].strip()
    if names.upper().startswith("HASHDEEP-"):
        return before
    named = columns(names.split(","), report, number)
    if named is None:
        raise FatalListError(
            f"{report.name}:{number}",
            "this hashdeep header names neither md5, sha1 nor sha256",
            "run hashdeep with -c md5,sha1 or -c sha256",
        )
    return named


def _other(line: str, deep: Columns | None, report: ListReport, number: int) -> list[ListEntry]:
    """The entries of a line of hashdeep or of a sum file; any other line counts as invalid."""
    text = line.strip().lstrip("\ufeff")
    hidden = False
    if deep:
        cells = text.split(",", deep.count - 1)
        hidden = len(cells) == deep.count and _hides_digests(cells[-1], cells[-1].strip(), "  ")
        if len(cells) == deep.count and not hidden:
            held = _holds_a_row(cells, deep, report, number)
            return [] if held else _row(cells, deep, report, number)
    entry = _plain(text)
    if entry:
        return [entry._replace(line=number)]
    first = (text.split(maxsplit=1) or [""])[0]
    if hidden:
        what, fix = _SEVERAL, _SEVERAL_FIX
    elif deep:
        what, fix = f"neither {deep.count} columns of hashdeep nor a digest", ""
    elif len(_IN_NAME.findall(text)) > 1 and not ("," in text or ";" in text):
        what, fix = _SEVERAL, _SEVERAL_FIX
    elif HEX.fullmatch(first) and len(first) not in ALGORITHM_BY_LENGTH:
        what = f"{len(first)} hexadecimal digits are no md5 (32), sha1 (40) or sha256 (64)"
        fix = ""
    elif any(mark in text for mark in ",;\t"):
        what = "columns without a header"
        fix = "name them in the first line, e.g. md5,sha1,size,category"
    elif _IN_NAME.search(text):
        what, fix = "no digest as lists have it", "put the digest alone on its line"
    else:
        what, fix = "no digest", ""
    report.refuse(number, what, fix)
    return []


def _row(cells: list[str], named: Columns, report: ListReport, number: int) -> list[ListEntry]:
    def cell(index: int | None) -> str:
        return cells[index] if index is not None and index < len(cells) else ""

    if named.unclassed is not None:
        named.unclassed.check(cells, report, number)
    category = cell(named.category)
    return row(
        report,
        number,
        [(algorithm, cell(index)) for algorithm, index in named.digests],
        cell(named.size),
        vics_category(category) if named.vics else category,
        cell(named.head),
    )


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line.lstrip("\ufeff").strip("\r\n")], delimiter=delimiter), [])
    except csv.Error:
        return []


def _csv(
    lines: Iterator[tuple[int, str]],
    report: ListReport,
    named: Columns,
    delimiter: str,
    header_line: int,
) -> Iterator[ListEntry]:
    last = header_line

    def texts() -> Iterator[str]:
        nonlocal last
        for number, line in lines:
            last = number
            yield line

    # Strict mode of the csv module: a quote that is never closed must not swallow the rest of the
    # list silently. The csv module ends a field at 131,072 characters.
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
            if last < first:  # the end of the list was reached within a quoted cell
                return
            continue
        if not cells or (len(cells) == 1 and _is_comment(cells[0])):
            _passed_over(first, "".join(cells), report)
            continue
        if len(cells) > named.count:
            report.refuse(first, f"{len(cells)} columns, but the header names {named.count}")
            continue
        if len(cells) < named.count and not any(
            index < len(cells) and cells[index].strip() for _, index in named.digests
        ):
            report.refuse(first, f"{len(cells)} columns, but the header names {named.count}")
            continue
        if not _holds_a_row(cells, named, report, first):
            yield from _row(cells, named, report, first)


def _holds_a_row(cells: list[str], named: Columns, report: ListReport, number: int) -> bool:
    """Whether a cell that hashscan does not read holds another row; then the row is invalid.

    A row with a possible digest in a cell that hashscan does not read is only counted: the digest
    may also be an id, or a checksum of another kind.
    """
    noted = ""
    for index, name in named.unread:
        cell = cells[index] if index < len(cells) else ""
        if len(cell) < _SHORTEST or not _DOUBTFUL(cell):
            continue
        if _has_row_behind(cell):
            report.refuse(
                number,
                "a column that is not read holds a line end with a digest behind it",
                "check whether a quote is missing, and end each row with a newline",
            )
            return True
        if _IN_NAME.search(cell) and not is_of_a_file(plain_name(name[:1000])):
            noted = noted or name or f"column {index + 1}"
    if noted:
        report.note_unread(noted)
    return False
