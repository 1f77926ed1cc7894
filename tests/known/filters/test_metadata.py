"""A filter's metadata: its time is in UTC, its algorithms in order."""

import pytest
from filter_faults import make
from pydantic import ValidationError

from hashscan.known.filters import (
    metadata,
)


@pytest.mark.parametrize(
    ("field", "value", "fine"),
    [
        ("created", "2026-01-02T03:04:05Z", True),
        ("created", "2026-01-02T03:04:05+00:00", True),
        ("created", "2026-01-02T03:04:05+01:00", False),
        ("created", "2026-01-02T03:04:05", False),
        ("algorithms", ["md5", "sha1", "sha256"], True),
        ("algorithms", ["sha1", "md5"], False),
        ("algorithms", ["sha1", "sha1"], False),
        ("algorithms", [], False),
    ],
)
def test_metadata_is_in_utc_and_in_order(tmp_path, field, value, fine):
    found = make(tmp_path / "f.filter").model_dump()
    if fine:
        assert metadata.FilterMetadata.model_validate({**found, field: value})
    else:
        with pytest.raises(ValidationError):
            metadata.FilterMetadata.model_validate({**found, field: value})
