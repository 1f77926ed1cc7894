"""A published file that cannot be unpacked is damaged."""

import pytest

from hashscan.errors import FilterError
from hashscan.publisher import targets
from hashscan.publisher.repository import open_repository


def test_a_published_file_that_cannot_be_unpacked_is_damaged(publisher, tmp_path, monkeypatch):
    def fails(*_):
        raise FilterError("cannot be unpacked")

    monkeypatch.setattr(targets.packing, "unpack", fails)
    repository = open_repository(publisher.path, publisher.read("1.root.json"))
    with pytest.raises(FilterError) as caught:
        targets.unpacked(repository, "baseline", "filter", str(tmp_path / "new"))
    assert "is not the file that was published (cannot be unpacked)" in str(caught.value)
