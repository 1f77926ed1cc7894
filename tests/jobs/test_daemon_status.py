"""hashscan.jobs.daemon_status: which daemon a status file belongs to, and a file that cannot be read."""

import json
import os

import pytest

from hashscan.jobs import daemon_status
from hashscan.jobs.daemon_status import read_daemon_status, status_of_running_daemon
from hashscan.state import State


@pytest.fixture
def state(tmp_path):
    return State(str(tmp_path))


def write(state, content):
    with open(os.path.join(state.directory, "daemon.json"), "w") as file:
        file.write(content)


@pytest.mark.parametrize("content", ["", "{", "[]", "1", '"x"', "null", "\udcff"])
def test_a_file_without_an_object_is_not_read(state, content):
    with open(os.path.join(state.directory, "daemon.json"), "wb") as file:
        file.write(content.encode(errors="surrogateescape"))
    assert read_daemon_status(state.directory) is None


def test_a_missing_file_and_a_directory_in_its_place_are_not_read(state):
    assert read_daemon_status(state.directory) is None
    os.mkdir(os.path.join(state.directory, "daemon.json"))
    assert read_daemon_status(state.directory) is None


def test_the_object_is_returned_as_written(state):
    write(state, json.dumps({"pid": 5, "volumes": [{"path": "/a\udcff"}], "more": [1.0, 1]}))
    found = read_daemon_status(state.directory)
    assert json.dumps(found) == '{"pid": 5, "volumes": [{"path": "/a\\udcff"}], "more": [1.0, 1]}'


@pytest.mark.parametrize(
    ("content", "holder", "works"),
    [
        ('{"pid": 77}', 77, True),
        ('{"pid": 77}', None, False),  # the daemon died
        ('{"pid": 78}', 77, False),  # a one-off scan works, the file is a dead daemon's
        ("{}", 77, False),
        ("[]", 77, False),
    ],
)
def test_the_file_of_the_process_that_holds_the_lock_counts(
    state, monkeypatch, content, holder, works
):
    write(state, content)
    monkeypatch.setattr(daemon_status, "holder_of", lambda path: holder)
    assert (status_of_running_daemon(state) is not None) == works
