"""What tests of hashscan.fs may use."""

import os

import pytest

from hashscan.fs.beneath import closing


@pytest.fixture
def here(tmp_path):
    """Descriptor of an empty directory."""
    directory = tmp_path / "here"
    directory.mkdir()
    with closing(os.open(directory, os.O_RDONLY)) as fd:
        yield fd


@pytest.fixture
def file(here):
    """Descriptor of an empty file in ``here``."""
    with closing(os.open("file", os.O_RDWR | os.O_CREAT, 0o600, dir_fd=here)) as fd:
        yield fd
