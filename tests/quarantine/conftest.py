"""Stores on the volume's own file system and on another one."""

import os

import isolating
import pytest
from isolating import confirmed

from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.records import Place


@pytest.fixture
def memory():
    with isolating.in_memory() as directory:
        yield directory


@pytest.fixture(params=["same-fs", "other-fs"])
def store_path(request, tmp_path, memory):
    if request.param == "same-fs":
        return tmp_path / "store"
    if os.stat(tmp_path).st_dev == os.stat(memory).st_dev:
        pytest.skip("the temporary directory and /dev/shm are one file system")
    return memory / "store"


@pytest.fixture
def quarantine(store_path):
    one = Quarantine.open(os.fsencode(store_path))
    yield one
    one.close()


@pytest.fixture
def own_quarantine(tmp_path):
    """A quarantine on the volume's own file system."""
    one = Quarantine.open(os.fsencode(tmp_path / "store"))
    yield one
    one.close()


@pytest.fixture
def store(own_quarantine):
    """Its store."""
    return own_quarantine._store


@pytest.fixture
def moved(own_quarantine, volume):
    """The id of a quarantined file."""
    (volume / "f").write_bytes(b"known")
    return own_quarantine.act(confirmed(volume, "f")).quarantine_id


@pytest.fixture
def place(volume):
    """The place of a file in a directory of a volume."""
    (volume / "d").mkdir()
    (volume / "d" / "f").write_bytes(b"known")
    return Place(os.fsencode(volume), b"d/f", cross_mounts=False)
