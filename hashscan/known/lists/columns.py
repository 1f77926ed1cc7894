"""Finds the columns that a header names: digests, size, category, key of the first block.

If hashscan does not recognise a column that may be a digest or a category, reading the list ends
with an error: the content of this column decides which files are moved, so hashscan must not ignore
the column silently. A category is recognised by the name of its column, or by its cells.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from hashscan.known.lists.entries import FatalListError
from hashscan.model import ALGORITHMS, Algorithm
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashscan.known.lists.entries import ListReport

_BESIDE = re.compile(r"checksum|sum|file|media|content|hash|digest|value|hexadecimal|hex")
_HASH = re.compile(r"checksum|hash|digest")
_MAYBE_DIGEST = re.compile(r".*(?:md5|sha1|sha256|sha2256).*")
# A "length" may be the length of a film, in seconds.
_SIZE = re.compile(r"(?:file|media|content)?(?:size(?:(?:in)?bytes)?|length(?:in)?bytes)")
# "Physical size", "size in KB" ...: beside such a column, the meaning of a plain "size" is unclear.
_OTHER_SIZE = re.compile(r".*size.*|.*bytes.*")
_OF_A_FILE = re.compile(r".*(?:name|path|file|url).*")
_HEAD = re.compile(r"xxh3(?:128)?4096")
_CATEGORY = re.compile(r"(?:media|file|content)?category(?:name)?")
_VICS_CATEGORY = re.compile(
    r"(?:project)?vics?(?:media|file)?category(?:id|nr|no|number|code|name)?"
)
_MAYBE_CATEGORY = re.compile(
    r".*(?:categ|kateg|classif|klassif|clasif|pertinen|relevan|copine|einstuf|bewertung|beurteil"
    r"|luokk|flokkur|vics|projectvic|csam|csem|childabuse|kinderporn|baseline|illegal|notable"
    r"|verdict|disposition|inhope|offence|offense|hashset|\u043a\u0430\u0442\u0435\u0433\u043e\u0440"
    r"|\u03ba\u03b1\u03c4\u03b7\u03b3\u03bf\u03c1|\u5206\u7c7b|\u5206\u985e|\u7c7b\u522b"
    r"|\u985e\u5225|\u79cd\u7c7b|\u7a2e\u985e|\u30ab\u30c6\u30b3\u30ea).*"
    r"|(?:media|file|content|hash)?(?:cat|kat|class|klasse|classe|clase|grade|grading|level|rating"
    r"|severity|risk|legal|lawful|known|pertinent|vic|iwf|sap|tanner)s?"
    r"(?:id|nr|no|num|number|code|name|level|scale|status|good|bad)?"
)
#: Name that a list's owner gives a column to say that the column is not the category.
_OTHER = re.compile(r"other[0-9]*")
_CLASS = re.compile(
    r".*(?:pertinen|csam|csem|childabuse|childsexual|childexploit|childporn|kinderporn|pedoporn"
    r"|pornografiainfantil|falsepositive|uncategori[sz]ed|unclassified|comparisonimage).*"
    r"|[0-9]*(?:irrelevant|(?:non|not|niet|nicht)?relevant|benign|innocent|harmless|clean|legal"
    r"|illegal|lawful|unlawful|whitelist(?:ed)?|allowlist(?:ed)?|known(?:good|bad)|(?:non)?notable"
    r"|adult(?:porn.*)?|baseline|unbedenklich|strafbar|straffrei)"
)
#: Length in characters of the longest text that may be a class of files, e.g. ``CSAM``; a longer
#: text is a description.
_LONGEST_CLASS = 60
#: The most distinct texts of a column that may be the category.
_MOST_CLASSES = 256
_RENAME = (
    "call it category (or vics category, if it has the numbers of VICS) if it is, and otherwise, "
    "say, other"
)


def is_class(text: str) -> bool:
    """Whether a text is a class of files in a list, e.g. ``Non-pertinent``, ``CSAM``."""
    return len(text) <= _LONGEST_CLASS and _CLASS.fullmatch(plain_name(text)) is not None


class Unclassed:
    """The columns of a list that hashscan does not read; a column's cells may be categories."""

    def __init__(self, unread: Iterable[tuple[int, str]]) -> None:
        """Keep index and name of each column that hashscan does not read."""
        self._names = {
            index: name
            for index, name in unread
            if not is_of_a_file(plain := plain_name(name[:1000])) and not _OTHER.fullmatch(plain)
        }
        self._seen: dict[int, set[str]] = {index: set() for index in self._names}

    def check(self, cells: Sequence[str], report: ListReport, line: int) -> None:
        """Check the cells of one row in these columns.

        Raises:
            FatalListError: a column that hashscan does not read has classes of files.
        """
        for index, seen in tuple(self._seen.items()):
            cell = cells[index] if index < len(cells) else ""
            if cell in seen or len(cell) > _LONGEST_CLASS:
                continue
            seen.add(cell)
            if is_class(cell):
                raise FatalListError(
                    f"{report.name}:{line}",
                    f"the column {_quoted(self._names[index])} has {_quoted(cell)}: it may be the "
                    "category, but hashscan does not know its name",
                    _RENAME,
                )
            if len(seen) > _MOST_CLASSES:
                del self._seen[index]


@dataclass(frozen=True, slots=True)
class Columns:
    """Indices of the columns that hashscan reads, in each row of ``count`` cells.

    Attributes:
        digests: algorithm (``None``: found by the digest's length) and index of each column of
            digests.
        vics: true if the column ``category`` has the numbers of VICS.
        unread: index and name of each column that hashscan does not read.
        unclassed: unread columns that are checked for classes of files; ``None`` if the list has a
            column of the category.
    """

    count: int
    digests: tuple[tuple[Algorithm | None, int], ...]
    size: int | None
    category: int | None
    vics: bool
    head: int | None
    unread: tuple[tuple[int, str], ...]
    unclassed: Unclassed | None


@lru_cache(maxsize=1024)
def plain_name(name: str) -> str:
    """A column's name in lower-case letters and digits only, without accents."""
    apart = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in apart if letter.isalnum())


@lru_cache(maxsize=1024)
def digest_name(plain: str) -> Algorithm | Literal[""] | None:
    """The algorithm of a column called ``plain`` (``""``: any); ``None``: no column of digests."""
    rest = _BESIDE.sub("", plain).replace("sha2256", "sha256")
    for algorithm in ALGORITHMS:
        if rest == algorithm:
            return algorithm
    return "" if not rest and _HASH.search(plain) else None


def may_be_digest(plain: str) -> bool:
    """Whether a column called ``plain`` may hold digests, even if hashscan does not read it."""
    return _MAYBE_DIGEST.fullmatch(plain) is not None or digest_name(plain) is not None


def is_of_a_file(plain: str) -> bool:
    """Whether a column called ``plain`` has names of files; a file's name may be a digest."""
    return _OF_A_FILE.fullmatch(plain) is not None


def may_be_category(plain: str) -> bool:
    """Whether a column called ``plain`` may be the category, even if hashscan does not read it."""
    return _MAYBE_CATEGORY.fullmatch(plain) is not None


def columns(names: Sequence[str], report: ListReport, number: int) -> Columns | None:
    """The columns that a header on line ``number`` names, or ``None`` if it names no digest.

    Raises:
        FatalListError: two columns have the same meaning, or hashscan does not recognise a column
            that may have digests or categories.
    """
    plain = [plain_name(name[:1000]) for name in names]
    digests: dict[Algorithm | Literal[""], int] = {}
    doubtful: list[int] = []
    sizes: list[int] = []
    heads: list[int] = []
    categories: list[int] = []
    for index, name in enumerate(plain):
        if (algorithm := digest_name(name)) is not None:
            if algorithm in digests:
                raise FatalListError(
                    f"{report.name}:{number}",
                    f"the header names the column {algorithm or 'hash'} twice",
                    "rename the wrong one",
                )
            digests[algorithm] = index
        elif _MAYBE_DIGEST.fullmatch(name):
            doubtful.append(index)
        elif _HEAD.fullmatch(name):
            heads.append(index)
        elif _OTHER_SIZE.fullmatch(name):
            sizes.append(index if _SIZE.fullmatch(name) else -1)
        elif may_be_category(name):
            categories.append(index)
    if not digests:
        return None
    for index in doubtful:
        raise FatalListError(
            f"{report.name}:{number}",
            f"the column {_quoted(names[index])} may hold digests, but hashscan does not"
            " know its name",
            "call it md5, sha1 or sha256 if it does, and otherwise, say, other",
        )
    category, vics = _category(names, plain, categories, report, number)
    # If there are several columns of sizes, it is unknown which has the size of the digest's file.
    report.size_columns = max(report.size_columns, len(sizes))
    size = sizes[0] if len(sizes) == 1 and sizes[0] >= 0 else None
    head = heads[0] if len(heads) == 1 else None
    read = {*digests.values(), size, category, head}
    unread = tuple((index, name) for index, name in enumerate(names) if index not in read)
    checked = category is None and not report.every_category
    return Columns(
        len(names),
        tuple((name or None, index) for name, index in digests.items()),
        size,
        category,
        vics,
        head,
        unread,
        Unclassed(unread) if checked else None,
    )


def _quoted(name: str) -> str:
    return f"'{shown(name.strip()[:60])}'"


def _category(
    names: Sequence[str], plain: list[str], found: list[int], report: ListReport, number: int
) -> tuple[int | None, bool]:
    """Index of the column with the category, and whether the column has VICS numbers."""
    if not found or report.every_category:
        return None, False
    called = ", ".join(_quoted(names[index]) for index in found)
    if len(found) > 1:
        raise FatalListError(
            f"{report.name}:{number}",
            f"{len(found)} columns may be the category: {called}",
            "rename the others, say, to other1, other2",
        )
    name = plain[found[0]]
    if _VICS_CATEGORY.fullmatch(name):
        return found[0], True
    if _CATEGORY.fullmatch(name):
        return found[0], False
    raise FatalListError(
        f"{report.name}:{number}",
        f"the column {called} may be the category, but hashscan does not know its name",
        _RENAME,
    )
