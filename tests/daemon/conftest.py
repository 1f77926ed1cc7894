"""The log of a daemon, and the parts that start processes beside it."""

import io

import pytest
from outside_of_daemon import Machine

from hashscan.daemon.log import Log
from hashscan.state import State


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


@pytest.fixture
def state(tmp_path):
    one = State(str(tmp_path / "state"))
    with one.lock():
        pass
    return one


@pytest.fixture
def out():
    return io.StringIO()


@pytest.fixture
def log(out):
    return Log(out, out)
