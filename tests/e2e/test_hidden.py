"""A file cannot be hidden by renaming: it is found, or the scan says that it may have missed it."""

import os
import secrets

import pytest
from commandline import write
from isolating import adversary

SCANS = 4 if os.environ.get("HASHSCAN_LONG") else 2


def found_or_said(ran, known):
    return ran.summary["matches"] == known or ran.code == 3


def scans_beside(step, agent, *, until_it_may_miss):
    """Scans while a customer renames at full speed: a tenth to a half of the scans meet a rename."""
    runs = []
    with adversary(step, pause=0) as renames:
        while len(runs) < SCANS or (
            until_it_may_miss and len(runs) < 100 and all(ran.summary["matches"] for ran in runs)
        ):
            runs.append(agent.scan())
        assert renames() > 100
    assert not until_it_may_miss or not all(ran.summary["matches"] for ran in runs)
    return runs


@pytest.mark.xdist_group("heavy")
@pytest.mark.parametrize("others", [0, 400])
def test_file_whose_name_changes_all_the_time(agent, others):
    known = secrets.token_bytes(100)
    agent.know([known])
    write(os.fsencode(agent.volume), b"site/known0", known)
    for number in range(others):
        write(os.fsencode(agent.volume), b"site/other%d" % number, b"%d" % number)
    turn = [0]

    def step():
        old, turn[0] = turn[0], turn[0] + 1
        os.rename(agent.volume / f"site/known{old}", agent.volume / f"site/known{turn[0]}")

    runs = scans_beside(step, agent, until_it_may_miss=others > 0)
    assert all(found_or_said(ran, 1) for ran in runs), [
        (ran.code, ran.summary["matches"], ran.summary["skipped"]) for ran in runs
    ]


@pytest.mark.xdist_group("heavy")
def test_directory_whose_name_changes_all_the_time(agent):
    known = secrets.token_bytes(100)
    agent.know([known])
    write(os.fsencode(agent.volume), b"site/a/known", known)
    for number in range(30):
        write(os.fsencode(agent.volume), b"site/d%d/other" % number, b"%d" % number)

    def step():
        os.rename(agent.volume / "site/a", agent.volume / "site/b")
        os.rename(agent.volume / "site/b", agent.volume / "site/a")

    runs = scans_beside(step, agent, until_it_may_miss=True)
    assert all(found_or_said(ran, 1) for ran in runs), [
        (ran.code, ran.summary["matches"], ran.summary["skipped"]) for ran in runs
    ]
