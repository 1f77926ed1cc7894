"""The settings of the audit log: how much of the log is kept."""
# No "from __future__ import annotations": pydantic needs the types at run time.

from typing import Annotated, Any

from pydantic import Field, PlainValidator

from hashscan.config import values
from hashscan.config.section import Section

_LEAST, _MOST = 1 << 20, 1 << 30
_FEWEST, _MOST_FILES = 4, 100_000


def _file_size(value: Any) -> int:
    size = values.size(value)
    if not _LEAST <= size <= _MOST:
        raise values.bad("must be from 1MiB to 1GiB", "write e.g. 16MiB")
    return size


def _files(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise values.bad(
            f"must be a number of files or none, but it is {values.kind_of_value(value)}",
            "write e.g. 64",
        )
    if not _FEWEST <= value <= _MOST_FILES:
        raise values.bad(
            f"must be from {_FEWEST} to {_MOST_FILES:,}", "write e.g. 64, or none to keep all"
        )
    return value


class AuditSettings(Section):
    """The settings of the audit log: the size and the number of its files."""

    file_size: Annotated[int, PlainValidator(_file_size), values.shower(values.shown_size)] = Field(
        default=16 << 20,
        description="The size at which the audit log begins its next file. A line has some 400"
        " bytes.",
    )
    files: Annotated[
        int | None,
        PlainValidator(values.or_none(_files)),
        values.shower(values.none_shown(int)),
    ] = Field(
        default=64,
        description="How many files of the audit log are kept. When the next file begins, the"
        " oldest file is removed; none: all files are kept. Copy the directory `audit` of"
        " the state elsewhere to keep them longer.",
    )
