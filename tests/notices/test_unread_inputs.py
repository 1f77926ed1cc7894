"""Inputs that were not understood: kept whole, once each, and bounded."""

import os

import pytest

from hashscan.errors import StateError
from hashscan.notices import unread_inputs
from hashscan.state import State


def test_inputs_are_kept_once_and_belong_to_the_state(tmp_path):
    state = State(str(tmp_path / "state")).directory
    assert unread_inputs.names(state) == []
    one = unread_inputs.keep(state, b"one")
    assert unread_inputs.keep(state, b"one") == one
    two = unread_inputs.keep(state, b"two")
    assert sorted(map(os.path.basename, (one, two))) == unread_inputs.names(state)
    with open(two, "rb") as file:
        assert file.read() == b"two"
    os.close(os.open(f"{unread_inputs.directory_of(state)}/.x.0123456789ab.tmp", os.O_CREAT))
    assert len(unread_inputs.names(state)) == 2, "a killed writer's file does not count"
    State(state)


def test_kept_inputs_cannot_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(unread_inputs, "MOST_FILES", 2)
    monkeypatch.setattr(unread_inputs, "MOST_BYTES", 10)
    state = str(tmp_path)
    unread_inputs.keep(state, b"12345")
    with pytest.raises(StateError, match=r"it was not kept: .* has 1 inputs of 5 bytes"):
        unread_inputs.keep(state, b"123456")
    unread_inputs.keep(state, b"1234")
    with pytest.raises(StateError, match="has 2 inputs of 9 bytes"):
        unread_inputs.keep(state, b"1")
    assert len(unread_inputs.names(state)) == 2


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "notices-unread").write_text("a file")
    with pytest.raises(StateError, match=r"it was not kept: .*; free some space there"):
        unread_inputs.keep(str(tmp_path), b"x")
