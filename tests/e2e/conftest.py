"""Volumes and agents for tests of the whole."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from commandline import Agent


@pytest.fixture
def agent(volume, tmp_path):
    """An agent with an empty state and an empty volume."""
    return Agent(tmp_path / "state", volume)


@pytest.fixture
def memory():
    """A directory in memory: quick, and another file system than ``tmp_path``."""
    if not os.path.isdir("/dev/shm"):
        pytest.skip("this machine has no /dev/shm")
    directory = tempfile.mkdtemp(prefix="hashscan-e2e-", dir="/dev/shm")
    yield Path(directory)
    subprocess.run(["rm", "-rf", directory], check=False)
