"""Which categories of a digest list count as known.

Lists carry more than what is meant: whoever takes files away for them must know each class.

A VICS list has numbers, and each country sets their meaning. In the set of the United States, as
Autopsy has it (its class ``ImageGalleryService``): 0 non-pertinent, 1 child abuse material,
2 child exploitive but no abuse material, or of difficult age, 3 computer-generated or animated,
4 images for comparison; other tools have 5 for uncategorised. Innocent files are in 0, 4 and 5, and
what 2 and 3 hold is lawful in some countries. So ``vics-1`` alone is taken unless categories are
named. Where the set of the country grades differently, the numbers that are meant must be named.

Elsewhere a category is free text: all are taken, apart from Project VIC's own words for what has
not been found to be anything, and the reader is told which there were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.errors import UsageError
from hashscan.model import category_name

if TYPE_CHECKING:
    from collections.abc import Collection

VICS = "vics-"
#: The category of a medium of a VICS list that has none: nobody has looked at it yet.
VICS_NONE = f"{VICS}none"
#: Categories of VICS lists that are taken unless others are named.
VICS_TAKEN = frozenset({f"{VICS}1"})
#: Categories of any list that are left out unless they are named.
NOT_MEANT = frozenset(
    {"non-pertinent", "nonpertinent", "not-pertinent", "uncategorised", "uncategorized"}
)


#: In place of names: entries of any category are taken. Not for a list that condemns.
EVERY = frozenset({"*"})


def chosen(names: Collection[str] | None) -> frozenset[str] | None:
    """The named categories as the entries of lists have them; ``None`` where none is named.

    Raises:
        UsageError: one is no name of a category.
    """
    if not names:
        return None
    if names is EVERY:  # nothing that a reader writes is this very object
        return EVERY
    found = {name: category_name(name) for name in names}
    for name, normal in found.items():
        if not normal:
            raise UsageError(
                f"--only-category (service.only_categories) {name[:100]!r} is no category: give "
                "the name as the list has it, at most 64 letters; vics-2 is category 2 of VICS"
            )
    return frozenset(normal for normal in found.values() if normal)


def is_taken(category: str, only: frozenset[str] | None) -> bool:
    """Whether entries of ``category`` count as known; ``only`` comes from ``chosen``."""
    if only is not None:
        return only is EVERY or category in only
    if category.startswith(VICS):
        return category in VICS_TAKEN
    return category not in NOT_MEANT


def counted(counts: dict[str, int], most: int = 8) -> str:
    """Categories with their counts for a reader, the largest first, e.g. ``5 vics-0, 2 vics-3``."""
    largest = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    said = [f"{count} {name}" for name, count in largest[:most]]
    if len(largest) > most:
        rest = sum(count for _, count in largest[most:])
        said.append(f"{rest} in {len(largest) - most} other categories")
    return ", ".join(said)
