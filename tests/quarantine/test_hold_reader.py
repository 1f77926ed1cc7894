"""hashscan.quarantine.hold_reader: holds and their files, read by other processes and by number."""

import pytest
from brake_matches import Clock, digests_of, match, moved_of

from hashscan.quarantine.brake_limits import BrakeLimits
from hashscan.quarantine.hold_types import matched
from hashscan.quarantine.holds import Holds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def holds(memory, clock):
    with Holds(str(memory / "holds.sqlite3"), clock) as one:
        yield one


def test_the_digests_of_a_hold_by_number_are_those_of_its_files(holds):
    moved_of(holds, BrakeLimits(per_hour=1), [match(f"{uid}/f", uid) for uid in range(2)])
    assert holds.digests(1) == list(digests_of(b"known").each())


def test_decided_holds_and_unknown_ones_wait_for_nothing(holds):
    for content in (b"a", b"b"):
        moved_of(
            holds, BrakeLimits(owners=1), [match(f"{n}/{content}", n, content) for n in range(2)]
        )
    holds.release(1, who="root")
    assert holds.decided([1, 2, 3]) == [1, 3]


@pytest.mark.parametrize("named", [False, True])
def test_a_held_match_is_the_match_that_was_found(holds, named):
    one = match("1/f", 1, named=named)
    moved_of(holds, BrakeLimits(per_hour=1), [match("0/f", 0), one])
    (file,) = holds.files(1)
    assert matched(file, one.candidate) == one
    assert file.full_path == b"/srv/1/f"


def test_a_change_that_fails_is_undone_and_the_next_one_is_made(holds):
    moved_of(holds, BrakeLimits(owners=1), [match(f"{n}/f", n) for n in range(2)])
    with pytest.raises(KeyError), holds._change():
        holds._connection.execute("DELETE FROM hold")
        raise KeyError
    assert [one.id for one in holds.holds()] == ["H1"]
    assert holds.release(1, who="root")
