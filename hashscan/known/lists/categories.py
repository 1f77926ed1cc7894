"""Decides which categories of a digest list count as known.

Lists hold more than child abuse material, and hashscan must not move files of the other classes. So
a category counts as known only if hashscan recognises it as child abuse material. hashscan leaves
out and counts entries of all other categories (other classes, other spellings, other languages, no
category), unless the administrator names the category.

A VICS list has numbers as categories, and each country sets the meaning of the numbers. In the
numbers of the United States, as the class ``ImageGalleryService`` of Autopsy has them: 0
non-pertinent, 1 child abuse material, 2 child exploitive but no abuse material, or of difficult
age, 3 computer-generated or animated, 4 images for comparison; other tools have 5 for
uncategorised. Innocent files are in the categories 0, 4 and 5, and files of the categories 2 and 3
are lawful in some countries. So only ``vics-1`` counts as known unless the administrator names
categories. If the numbers of a country's set have other meanings, the administrator must name the
numbers that count. Exporters also write a category's number as a text: ``01``, ``cat 1``, ``1 -
Child Abuse Material``. A text with a sign that may negate its meaning (``!csam``, ``csam?``,
``-1``) becomes another category.

In other lists, a category is free text: the names in ``COUNTED`` count as known. If a list has
numbers and does not say that they are VICS numbers, their meaning is unknown: the administrator
must name the numbers that count.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from hashscan.errors import UsageError
from hashscan.model import category_name

if TYPE_CHECKING:
    from collections.abc import Collection

VICS = "vics-"
#: The category of a medium in a VICS list whose own category is missing or invalid.
VICS_NONE = f"{VICS}none"
#: The names of VICS category 1, spelled as ``category_name`` returns them.
_MATERIAL = frozenset(
    {
        "cam",
        "csam",
        "csem",
        "child-abuse",
        "child-abuse-image",
        "child-abuse-images",
        "child-abuse-material",
        "child-abuse-material-cam",
        "child-pornography",
        "child-sexual-abuse",
        "child-sexual-abuse-images",
        "child-sexual-abuse-material",
        "child-sexual-abuse-material-csam",
        "child-sexual-exploitation-material",
        "child-sexual-exploitation-material-csem",
        "kinderporno",
        "kinderpornografie",
    }
)
#: The categories that count as known unless the administrator names other categories.
COUNTED = frozenset({f"{VICS}1", "baseline"}) | _MATERIAL

#: A category's number in a text, perhaps after "VICS" or "category", perhaps before its meaning.
_NUMBERED = re.compile(
    r"(?:(?:project ?vic|vics?|media|cat|kat|categor(?:y|ie|ia)|kategorie)"
    r"(?:[\s_]*|\s*[:#.=]\s*|-|\s-\s)){0,2}"
    r"([0-9]{1,9})(?![0-9])\s*(?:[-\u2013\u2014:.,;=(\[]\s*)?(.*)",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_LETTER = re.compile(r"[^\W\d_]")
#: Signs that may change a category's meaning (``!csam``, ``csam?``, ``-1``, ``cat: -1``). A dash
#: that joins two words, and an exclamation mark after a word, do not change the meaning.
_MARK = re.compile(
    r"[^\w\s.,:;/&'\"()\[\]#!\u2010-\u2015-]|(?<!\w)!|!(?=\w)"
    r"|(?<!\w)[\u2010-\u2015-]+(?=\w)|^\W*[\u2010-\u2015-]|[\u2010-\u2015-]\W*$"
)
#: Prefix of a category's name if a sign in the list's text may change its meaning.
_DOUBTFUL = "doubtful"
#: Pattern of a category's name that is a number, or a number after "category".
_NUMBER_NAME = re.compile(
    rf"(?:{_DOUBTFUL}-)?(?:(?:cat|kat|categor(?:y|ie|ia)|kategorie)[-_.]?)?[0-9][0-9._-]*"
)
#: Length, in characters, of the longest text in which a category's number is searched.
_LONGEST = 200

#: Value of ``only_categories`` for which entries of any category count; never used for a list of
#: files to move.
EVERY = frozenset({"*"})


def chosen(names: Collection[str] | None) -> frozenset[str] | None:
    """The categories that the caller names, spelled as in entries; ``None`` if there is no name.

    Raises:
        UsageError: one of ``names`` cannot be the name of a category.
    """
    if not names:
        return None
    if names is EVERY:  # the test is for this object: an administrator may write an equal text
        return EVERY
    found = {name: listed_name(name) for name in names}
    for name, normal in found.items():
        if not normal:
            raise UsageError(
                f"--only-category (service.only_categories) {name[:100]!r} is no category: give "
                "the name as the list has it, at most 64 letters; vics-2 is category 2 of VICS"
            )
    return frozenset(normal for normal in found.values() if normal)


def vics_category(value: object) -> str:
    """The category of a VICS medium as a text, or ``vics-none`` if its category is invalid.

    A whole number is a VICS number; the number may be a text, alone or after "category". A longer
    text is category 1 only if its words mean child abuse material. Otherwise the text is returned
    unchanged, so that an administrator can name it. Fractions, truth values, lists and objects are
    invalid.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > _LONGEST:
        return VICS_NONE
    # A sign is not part of a category's name: -1 must not become 1.
    found = _NUMBERED.fullmatch(value.strip())
    if found:
        meaning = found[2].strip()
        number = int(found[1])
        if not meaning and value.rstrip()[-1].isalnum():
            return f"{VICS}{number}"
        if number == 1 and listed_name(meaning) in _MATERIAL:
            return f"{VICS}1"
    if not _LETTER.search(value) or is_number(category_name(value) or ""):
        return VICS_NONE
    return value


def listed_name(text: str) -> str | None:
    """The name of a category, from its spelling in a list or on a command line.

    Source of the spelling: ``model.category_name``.

    ``category_name`` drops signs. So a text with a sign that may change its meaning gets another
    name: ``-1`` is ``doubtful-1`` and not ``1``, ``!csam`` and ``csam?`` are ``doubtful-csam``.
    """
    text = unicodedata.normalize("NFC", text)
    name = category_name(text)
    return category_name(f"{_DOUBTFUL}-{name}") if name and _MARK.search(text) else name


def is_taken(category: str, only: frozenset[str] | None) -> bool:
    """Whether entries of ``category`` count as known; ``only`` is a result of ``chosen``."""
    if only is not None:
        return only is EVERY or category in only
    return category in COUNTED or category.removeprefix("1-") in _MATERIAL


def is_number(category: str) -> bool:
    """Whether a category's name is a number that the list does not call a VICS number."""
    return _NUMBER_NAME.fullmatch(category) is not None


def counted(counts: dict[str, int], most: int = 8) -> str:
    """Write the categories and their counts, the largest count first: ``5 vics-0, 2 vics-3``."""
    largest = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    said = [f"{count} {name}" for name, count in largest[:most]]
    if len(largest) > most:
        rest = sum(count for _, count in largest[most:])
        said.append(f"{rest} in {len(largest) - most} other categories")
    return ", ".join(said)
