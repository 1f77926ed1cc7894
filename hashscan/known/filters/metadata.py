"""The metadata beside a filter file, and beside each of its tiers: ``FILE.json``.

The metadata is one JSON object, which ``dump`` writes in exactly one way: names in the order of
``ORDER``, an indent of two blanks, a newline at the end. The last name, ``checksum``, is the
SHA-256 of the same text without the checksum. ``parse`` accepts only exactly the bytes that
``dump`` returns, so that a change of any byte is found. The checksum shows that a metadata file is
damaged, but not that a forger wrote it. The signed repository proves who published a filter.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hashscan.errors import FilterError
from hashscan.model import ALGORITHMS, CATEGORY_LENGTH, Algorithm, TierName

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The version of the metadata's format. ``parse`` raises for a file in another version.
FORMAT = 1
#: Length in bytes of the longest metadata file.
METADATA_LIMIT = 64 * 1024
#: Length in bytes of the longest filter file: 1.2 thousand million digests at the default error
#: rate.
FILTER_LIMIT = 4 * 1024**3
HEADER_LENGTH = 40
CANARIES_LIMIT = 256
# A bounded repetition in the pattern would add 50 ms to each start of hashscan.
_CATEGORY = r"^[^\W_][\w.-]*$"

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Sha256OrNone = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
_Count = Annotated[int, Field(ge=1, le=1 << 40)]
_Canaries = Annotated[
    list[Annotated[str, Field(pattern=r"^(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})$")]],
    Field(min_length=1, max_length=CANARIES_LIMIT),
]


class FileMetadata(BaseModel):
    """The description of a file of bits, with values that show whether the file is complete.

    Attributes:
        format: version of the format, ``FORMAT``.
        version: version of the file: the time when it was made, and the start of its SHA-256.
        digests: number of distinct keys that were added to the file; in a filter: the digests of
            the known set.
        capacity: number of keys, canaries included, that the file can hold at its error rate.
        error_rate: probability that a key hits although it was never added, if the file is full.
        created: time when the file of bits was made, RFC 3339 in UTC.
        length: length in bytes of the file of bits.
        sha256: SHA-256 of the file of bits.
        canaries_present: random keys that were added to the file and must hit.
        canaries_absent: random keys that are not in the file and must not hit.
        checksum: SHA-256 of the other metadata, see the module's docstring.
    """

    ORDER: ClassVar[tuple[str, ...]]

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True
    )

    format: Annotated[int, Field(ge=FORMAT, le=FORMAT)]
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z:.+-]{1,64}$")]
    digests: _Count
    capacity: _Count
    error_rate: Annotated[float, Field(ge=1e-12, le=0.1)]
    created: Annotated[str, Field(max_length=32)]
    length: Annotated[int, Field(gt=HEADER_LENGTH, le=FILTER_LIMIT)]
    sha256: _Sha256
    canaries_present: _Canaries
    canaries_absent: _Canaries
    checksum: _Sha256OrNone = ""

    @field_validator("created")
    @classmethod
    def _is_utc(cls, value: str) -> str:
        if datetime.fromisoformat(value).utcoffset() != timedelta(0):
            raise ValueError("not a time in UTC")
        return value

    @property
    def created_seconds(self) -> float:
        """The time when the file of bits was made, in seconds since the epoch."""
        return datetime.fromisoformat(self.created).timestamp()


_SHARED = ("digests", "capacity", "error_rate", "created", "length", "sha256")
_CANARIES = ("canaries_present", "canaries_absent")


class FilterMetadata(FileMetadata):
    """The description of a filter file.

    Attributes:
        category: the category of the filter's known set.
        algorithms: the algorithms of the filter's digests, in the order of ``model.ALGORITHMS``.
    """

    ORDER = ("format", "version", "category", "algorithms", *_SHARED, *_CANARIES)

    category: Annotated[str, Field(pattern=_CATEGORY, max_length=CATEGORY_LENGTH)]
    algorithms: Annotated[list[Algorithm], Field(min_length=1, max_length=len(ALGORITHMS))]

    @field_validator("algorithms")
    @classmethod
    def _in_order(cls, value: list[Algorithm]) -> list[Algorithm]:
        if value != in_order(value):
            raise ValueError("not in order, or named twice")
        return value


class TierMetadata(FileMetadata):
    """The description of a tier; the module ``tiers`` explains tiers.

    Attributes:
        tier: the tier's name.
        filter: SHA-256 of the filter file to which the tier belongs: a tier must not rule out files
            for another known set.
    """

    ORDER = ("format", "version", "tier", "filter", *_SHARED, *_CANARIES)

    tier: TierName
    filter: _Sha256


M = TypeVar("M", bound=FileMetadata)


def is_category(name: str) -> bool:
    """Whether a category may have this name: up to 64 letters, digits, ``_``, ``.``, ``-``."""
    return len(name) <= CATEGORY_LENGTH and re.fullmatch(_CATEGORY, name) is not None


def in_order(algorithms: Iterable[Algorithm]) -> list[Algorithm]:
    """Return the distinct algorithms among ``names``, in the order of ``model.ALGORITHMS``."""
    present = set(algorithms)
    return [name for name in ALGORITHMS if name in present]


def dump(metadata: FileMetadata) -> bytes:
    """The bytes of the metadata file for ``metadata``, checksum included."""
    fields: dict[str, Any] = {name: getattr(metadata, name) for name in metadata.ORDER}
    checksum = hashlib.sha256(_text(fields)).hexdigest()
    return _text({**fields, "checksum": checksum})


def _text(fields: dict[str, Any]) -> bytes:
    return (json.dumps(fields, indent=2) + "\n").encode("ascii")


def parse(content: bytes, where: str, kind: type[M]) -> M:
    """Read metadata that ``dump`` wrote.

    Args:
        content: the bytes of the metadata file, at most ``METADATA_LIMIT``.
        where: the metadata file's path, as shown in a message.
        kind: the class of the metadata: ``FilterMetadata`` or ``TierMetadata``.

    Raises:
        FilterError: the bytes are not metadata, have another format, or were changed.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FilterError(f"{where}: is no filter metadata: not JSON") from error
    if not isinstance(found, dict):
        raise FilterError(f"{where}: is no filter metadata: not a JSON object")
    if isinstance(found.get("format"), int) and found["format"] > FORMAT:
        raise FilterError(
            f"{where}: has format {str(found['format'])[:9]}, this hashscan reads {FORMAT}; "
            "install a newer hashscan"
        )
    try:
        metadata = kind.model_validate_json(content)
    except ValidationError as error:
        wrong = ", ".join(
            ".".join(str(part) for part in one["loc"]) or "the document" for one in error.errors()
        )
        raise FilterError(f"{where}: is no filter metadata: wrong {wrong[:200]}") from error
    if dump(metadata) != content:
        raise FilterError(f"{where}: is damaged: it is not as it was written")
    return metadata
