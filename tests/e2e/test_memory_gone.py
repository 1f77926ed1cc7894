"""A directory that lost nearly all of its files is no reason to hold all their names."""

import os

import pytest
from commandline import Agent
from test_memory import LARGE, NAME, SMALL, fill, peaks


@pytest.mark.xdist_group("heavy")
def test_memory_is_flat_when_files_go(memory):
    found = {}
    for count in (SMALL, LARGE):
        fill(memory / f"volume{count}", range(count))
        agent = Agent(memory / f"state{count}", memory / f"volume{count}")
        peaks(agent)
        here = os.open(memory / f"volume{count}", os.O_RDONLY)
        for number in range(count - 100):
            os.unlink(NAME + b"%d" % number, dir_fd=here)
        os.close(here)
        found[count] = peaks(agent)
    engine, worker = (
        large - small for large, small in zip(found[LARGE], found[SMALL], strict=True)
    )
    assert engine < 20 << 20, found
    assert worker < 8 << 20, found
