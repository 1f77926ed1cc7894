"""What every test may use."""

import subprocess

import pytest


@pytest.fixture
def volume(tmp_path):
    """An empty directory to be scanned; taken away by rm, which depth does not stop."""
    root = tmp_path / "volume"
    root.mkdir()
    yield root
    subprocess.run(["rm", "-rf", str(root)], check=False)
