"""hashscan.catalog.candidate_state: each state belongs to the groups that its meaning says."""

import sqlite3

import pytest

from hashscan.catalog import candidate_state
from hashscan.catalog.candidate_state import CandidateState

GROUPS = {
    "IS_WAITING": {"waiting"},
    "UNMOVED": {"unmoved"},
    "REPORTED": {"reported"},
    "UNTIL_MISSED": {"reported", "held"},
    "COULD_NOT_MOVE": {"unmoved"},
    "PENDING": {"waiting", "match", "acting"},
    "QUEUED": {"waiting", "match", "acting", "unmoved"},
    "NOT_BEGUN": {"match", "unmoved"},
    "KNOWN": {"match", "acting", "unmoved"},
    "IN_PLACE": {"match", "acting", "unmoved", "reported"},
}


@pytest.mark.parametrize("name", GROUPS)
def test_a_condition_holds_for_its_states(name):
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE candidate (state TEXT, error TEXT)")
        connection.executemany(
            "INSERT INTO candidate VALUES (?, NULL)", [(one,) for one in CandidateState]
        )
        condition = getattr(candidate_state, name)
        found = connection.execute(f"SELECT state FROM candidate WHERE {condition}").fetchall()
    assert {state for (state,) in found} == GROUPS[name]
