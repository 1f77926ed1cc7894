"""The record of the processes that take notices over HTTP."""

import os
import time

import pytest

from hashscan.errors import StateError
from hashscan.processes import Child
from hashscan.service.data import Data
from hashscan.service.intake.running import Running, Serving, running_intake
from hashscan.service.intake.serve import data_of
from hashscan.service.intake.tokens import add_token
from hashscan.state import State

URL = "http://127.0.0.1:8080"


@pytest.fixture
def state(tmp_path):
    return State(str(tmp_path / "state"))


@pytest.fixture
def serves(state):
    """Starts a process that holds the record, with the address, if there is one."""
    started = []

    def hold(connection, address):
        serving = Serving(Data(data_of(state).directory))
        if address:
            serving.listens(address)
        connection.send(True)
        connection.recv()

    def start(address):
        started.append(Child(hold, address))
        assert started[-1].connection.recv()
        return started[-1]

    yield start
    for one in started:
        one.end()


def test_without_a_token_and_a_process_there_is_no_intake(state):
    assert running_intake(state) is None
    assert not os.path.exists(os.path.join(state.directory, "intake"))
    data_of(state)
    assert running_intake(state) is None


def test_a_token_alone_is_an_intake_that_does_not_run(state):
    add_token(data_of(state), "hotline")
    assert running_intake(state) == Running(1)


def test_a_process_with_its_address_until_it_is_killed(state, serves):
    began = time.time()
    process = serves(URL)
    found = running_intake(state)
    assert found[:3] == (0, process.pid, URL)
    assert began <= found.since <= time.time()
    process.kill()
    process.wait()
    assert running_intake(state) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"address": "x", "since": null}'])
def test_a_record_that_cannot_be_read_still_has_its_process(content, state, serves):
    process = serves("")
    with open(data_of(state).path("serving.json"), "w") as file:
        file.write(content)
    assert running_intake(state) == Running(0, process.pid)


def test_a_record_that_cannot_be_made_is_named(state):
    data = data_of(state)
    os.symlink("elsewhere", data.path("serving.json"))
    with pytest.raises(StateError, match=r"serving\.json cannot be made: "):
        Serving(data)
    assert not os.path.exists(data.path("elsewhere"))
