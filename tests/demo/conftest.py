"""A place for the demo."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def place():
    """A directory that anybody may use, and that is taken away whatever its depth."""
    with tempfile.TemporaryDirectory(prefix="hashscan-test-") as directory:
        os.chmod(directory, 0o1777)  # as /tmp
        yield Path(directory)
        subprocess.run(["rm", "-rf", "--", *os.listdir(directory)], cwd=directory, check=True)
