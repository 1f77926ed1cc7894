"""The settings of the brakes: how many files a wrong list can move before a person decides."""
# No "from __future__ import annotations": pydantic needs the types at run time.

from typing import Annotated, Any

from pydantic import Field, PlainValidator

from hashscan.config import values
from hashscan.config.section import Section

_MOST = 1_000_000_000


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise values.bad(
            "must be a whole number, at least 1", "write e.g. 10, or none for no limit"
        )
    return value


NumberOrNone = Annotated[
    int | None, PlainValidator(values.or_none(_number)), values.shower(values.none_shown(int))
]


class BrakesSettings(Section):
    """The limits above which matches are held, not moved, until `hashscan hold` decides."""

    owners: NumberOrNone = Field(
        default=5,
        description="How many owners' files with the same digest can move within the window. The"
        " files of the next owner are held, and all other files with this digest.",
    )
    files: NumberOrNone = Field(
        default=100,
        description="How many files of one owner with the same digest can move within the window."
        " The owner's next files are held. Files of other owners count for at most a tenth, so"
        " that a customer who copies a file many times has no effect on the files of others.",
    )
    window: values.Duration = Field(
        default=7 * 86400.0,
        description="How long a moved file counts for owners, files and share.",
    )
    per_hour: NumberOrNone = Field(
        default=500,
        description="How many files of one owner can move in an hour, whatever their digests. Files"
        " of other owners count for at most a tenth. The next files are held.",
    )
    share: values.PercentOrNone = Field(
        default=0.05,
        description="How large a share of a volume's files can move within the window; files of"
        " other owners count for at most a tenth. The next files of this volume are held.",
    )
    share_from: Annotated[int, PlainValidator(_number)] = Field(
        default=200,
        description="At least this many files of a volume can move, whatever their share, so that a"
        " few files do not trip the brake of a small volume.",
    )
    new_candidates: NumberOrNone = Field(
        default=100,
        description="How many files that were hashed before can become candidates by a new version"
        " of a filter. If there are more, matches with their digests are held, not moved.",
    )
