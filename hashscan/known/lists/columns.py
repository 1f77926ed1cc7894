"""Finds the columns that a header names: digests, size, category, key of the first block.

A column that may be a digest or a category, but is not recognised, is an error: its content decides
which files are moved, so it must not be ignored in silence.
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
    from collections.abc import Sequence

    from hashscan.known.lists.entries import ListReport

_BESIDE = re.compile(r"checksum|sum|file|media|content|hash|digest|value|hexadecimal|hex")
_HASH = re.compile(r"checksum|hash|digest")
_MAYBE_DIGEST = re.compile(r".*(?:md5|sha1|sha256|sha2256).*")
# A "length" may be one of a film, in seconds.
_SIZE = re.compile(r"(?:file|media|content)?(?:size(?:(?:in)?bytes)?|length(?:in)?bytes)")
# "Physical size", "size in KB" ...: beside one of these, the meaning of a plain "size" is unclear.
_OTHER_SIZE = re.compile(r".*size.*|.*bytes.*")
_OF_A_FILE = re.compile(r".*(?:name|path|file|url).*")
_HEAD = re.compile(r"xxh3(?:128)?4096")
_CATEGORY = re.compile(r"(?:media|file|content)?category(?:name)?")
_VICS_CATEGORY = re.compile(
    r"(?:project)?vics?(?:media|file)?category(?:id|nr|no|number|code|name)?"
)
_MAYBE_CATEGORY = re.compile(
    r".*(?:categ|kateg|classif|klassif|clasif|pertinen|relevan|copine|einstuf|bewertung|beurteil"
    r"|luokk|vics|projectvic).*"
    r"|(?:media|file|content|hash)?(?:cat|kat|class|klasse|classe|clase|grade|grading|level|rating"
    r"|severity)s?(?:id|nr|no|num|number|code|name|level)?"
)


@dataclass(frozen=True, slots=True)
class Columns:
    """Indices of the used columns in a row of ``count`` cells.

    Attributes:
        digests: algorithm (``None``: known by the length) and index of each digest.
        vics: the column ``category`` has the numbers of VICS.
        unread: index and name of each column that is not read.
    """

    count: int
    digests: tuple[tuple[Algorithm | None, int], ...]
    size: int | None
    category: int | None
    vics: bool
    head: int | None
    unread: tuple[tuple[int, str], ...]


@lru_cache(maxsize=1024)
def plain_name(name: str) -> str:
    """A column's name in lower-case letters and digits only, without accents."""
    apart = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in apart if letter.isalnum())


@lru_cache(maxsize=1024)
def digest_name(plain: str) -> Algorithm | Literal[""] | None:
    """The algorithm of a column called ``plain`` (``""``: any), or ``None`` if it is no digest."""
    rest = _BESIDE.sub("", plain).replace("sha2256", "sha256")
    for algorithm in ALGORITHMS:
        if rest == algorithm:
            return algorithm
    return "" if not rest and _HASH.search(plain) else None


def may_be_digest(plain: str) -> bool:
    """Whether a column called ``plain`` may hold digests, even if hashscan does not read it."""
    return _MAYBE_DIGEST.fullmatch(plain) is not None or digest_name(plain) is not None


def is_of_a_file(plain: str) -> bool:
    """Whether what is called ``plain`` is a file's name, which may be a digest itself."""
    return _OF_A_FILE.fullmatch(plain) is not None


def may_be_category(plain: str) -> bool:
    """Whether a column called ``plain`` may be the category, even if hashscan does not read it."""
    return _MAYBE_CATEGORY.fullmatch(plain) is not None


def columns(names: Sequence[str], report: ListReport, number: int) -> Columns | None:
    """The columns that a header on line ``number`` names, or ``None`` if it names no digest.

    Raises:
        FatalListError: two columns have the same meaning, or a column may be a digest or a category
            and is not recognised.
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
    # If there are several, it is unknown which one is the size of the file with the digest.
    report.size_columns = max(report.size_columns, len(sizes))
    size = sizes[0] if len(sizes) == 1 and sizes[0] >= 0 else None
    head = heads[0] if len(heads) == 1 else None
    read = {*digests.values(), size, category, head}
    return Columns(
        len(names),
        tuple((name or None, index) for name, index in digests.items()),
        size,
        category,
        vics,
        head,
        tuple((index, name) for index, name in enumerate(names) if index not in read),
    )


def _quoted(name: str) -> str:
    return f"'{shown(name.strip()[:60])}'"


def _category(
    names: Sequence[str], plain: list[str], found: list[int], report: ListReport, number: int
) -> tuple[int | None, bool]:
    """Index of the column of the category, and whether it has the numbers of VICS."""
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
        "call it category (or vics category, if it has the numbers of VICS) if it is, and "
        "otherwise, say, other",
    )
