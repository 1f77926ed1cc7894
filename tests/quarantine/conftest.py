"""Stores on the volume's own file system and on another one."""

import os

import isolating
import pytest

from hashscan.quarantine.act import Quarantine


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
