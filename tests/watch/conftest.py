"""A volume to watch."""

import pytest


@pytest.fixture
def top(tmp_path):
    path = tmp_path / "volume"
    path.mkdir()
    return path
