"""A volume for commands, and a state as scans and a daemon leave it."""

import pytest
from left_state import place
from scanning import sha1

__all__ = ["files", "place"]


@pytest.fixture
def files(tmp_path):
    """A volume with one known file, its list, and a state directory."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "bad").write_bytes(b"bad content")
    (tmp_path / "v" / "good").write_bytes(b"good content")
    (tmp_path / "list").write_text(sha1(b"bad content") + "\n")
    return tmp_path
