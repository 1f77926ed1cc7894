"""hashscan.quarantine.brakes and below: how many files move before somebody decides."""

import os
import subprocess
import sys
from dataclasses import replace

import brake_matches
import pytest
from brake_matches import Clock, digests_of, match, moved_of, moves
from hypothesis import given, settings
from hypothesis import strategies as st
from isolating import in_memory

from hashscan.errors import UsageError
from hashscan.model import (
    Digest,
)
from hashscan.quarantine.brake_limits import HOUR, BrakeLimits, Scope, tripped
from hashscan.quarantine.hold_types import HoldKind, HoldState, number_of
from hashscan.quarantine.holds import Holds

DAY = 86400.0


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def holds(memory, clock):
    with Holds(str(memory / "holds.sqlite3"), clock) as one:
        yield one


# The digest's brake


@settings(max_examples=40)
@given(
    files=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5), st.integers(0, 2)), max_size=60),
    owners=st.integers(1, 4),
)
def test_no_digest_moves_from_more_owners_than_the_limit(files, owners):
    moved = {}
    with in_memory() as memory, Holds(str(memory / "holds.sqlite3"), Clock()) as holds:
        for number, (uid, name, content) in enumerate(files):
            one = match(f"{uid}/{name}/{content}", uid, bytes([content]), inode=number)
            if moves(holds, BrakeLimits(owners=owners), one):
                moved.setdefault(content, set()).add(uid)
    assert all(len(uids) <= owners for uids in moved.values())


def test_the_files_of_one_owner_too_many_are_held_and_all_that_follow(holds):
    limits = BrakeLimits(owners=5)
    assert moved_of(holds, limits, [match(f"{uid}/f", uid) for uid in range(20)]) == 5
    assert not moves(holds, limits, match("0/g", 0))  # an owner whose file moved before
    assert moves(holds, limits, match("9/other", 9, b"other"))
    (hold,) = holds.holds()
    assert (hold.id, hold.kind, hold.files, hold.owners) == ("H1", HoldKind.DIGEST, 16, 16)


def test_names_of_one_inode_are_one_file(holds):
    limits = BrakeLimits(files=10)
    names = [match(f"f{number}", inode=7) for number in range(30)]
    assert moved_of(holds, limits, names) == 30


def test_two_lists_with_different_algorithms_count_together(holds):
    limits = BrakeLimits(owners=2)
    one = match("0/f", 0, algorithms=("sha1",))
    assert holds.admit(one, limits) is None
    holds.moved(one.candidate, digests_of(b"known"))  # as the quarantine hashes it
    two = match("1/f", 1, algorithms=("md5",))
    assert holds.admit(two, limits) is None
    holds.moved(two.candidate, digests_of(b"known"))
    assert not moves(holds, limits, match("2/f", 2, algorithms=("sha256",)))
    assert not moves(holds, limits, match("3/f", 3, algorithms=("sha1",)))
    digests = digests_of(b"known").each()
    assert [len(holds.with_digest(one)) for one in digests] == [1, 1, 1]


def test_one_owners_copies_hold_nobody_elses_files(holds):
    limits = BrakeLimits(owners=5, files=20)
    own = [match(f"0/{number}", 0) for number in range(500)]
    assert moved_of(holds, limits, own) == 20
    assert [one.uid for one in holds.holds()] == [0]
    assert moved_of(holds, limits, [match(f"{uid}/f", uid) for uid in range(1, 5)]) == 4


def test_a_machine_with_one_owner_for_all_sites_has_the_limit_of_files(holds):
    limits = BrakeLimits(owners=5, files=100)
    assert moved_of(holds, limits, [match(f"site{n}/logo", 33) for n in range(500)]) == 100


def test_files_of_many_owners_reach_the_limit_of_files_together(holds):
    assert (
        moved_of(holds, BrakeLimits(files=10), [match(f"{uid}/f", uid) for uid in range(30)]) == 10
    )
    assert [(one.kind, one.uid) for one in holds.holds()] == [(HoldKind.COPIES, None)]


# The other brakes


def test_a_flood_of_one_owner_is_held_and_others_go_on(holds):
    limits = BrakeLimits(per_hour=50)
    flood = [match(f"0/{n}", 0, str(n).encode()) for n in range(200)]
    assert moved_of(holds, limits, flood) == 50  # the first ones
    assert [(one.kind, one.uid) for one in holds.holds()] == [(HoldKind.RATE, 0)]
    others = [match(f"{uid}/f", uid, str(uid).encode()) for uid in range(1000, 1020)]
    assert moved_of(holds, limits, others) == 20


def test_files_of_many_owners_in_an_hour_are_held_until_somebody_decides(holds, clock):
    limits = BrakeLimits(per_hour=10)
    files = [match(f"{uid}/f", uid, str(uid).encode()) for uid in range(30)]
    assert moved_of(holds, limits, files) == 10
    clock.passes(2 * HOUR)
    assert not moves(holds, limits, match("99/f", 99, b"99"))
    holds.release(1, who="root")
    assert moved_of(holds, limits, files[10:]) == 20
    assert moves(holds, limits, match("98/f", 98, b"98"))
    clock.passes(2 * HOUR)
    later = [match(f"{uid}/g", uid, f"g{uid}".encode()) for uid in range(30)]
    assert moved_of(holds, limits, later) == 10


def test_a_share_of_a_volume_is_held_and_other_volumes_go_on(holds):
    limits = BrakeLimits(share=0.02, share_from=5)
    files = [match(f"{uid}/f", uid, str(uid).encode()) for uid in range(60)]
    assert moved_of(holds, limits, files, files=1000) == 20
    other = match("0/f", 0, b"x", volume=b"/mnt")
    assert moves(holds, limits, other, files=10)
    assert holds.holds()[0].volume == b"/srv"


def test_a_small_volume_is_not_held_for_a_few_files(holds):
    limits = BrakeLimits(share=0.01, share_from=5)
    files = [match(f"{uid}/f", uid, str(uid).encode()) for uid in range(10)]
    assert moved_of(holds, limits, files, files=10) == 5
    assert moved_of(holds, BrakeLimits(share=0.01, share_from=1), files[:3], files=None) == 0


@given(
    counts=st.dictionaries(st.integers(0, 9), st.integers(1, 60), max_size=8),
    uid=st.integers(0, 9),
    limit=st.integers(1, 50),
)
def test_no_owner_alone_has_the_files_of_others_held(counts, uid, limit):
    found = tripped(counts, uid, limit)
    if counts.get(uid, 0) >= limit:
        assert found is not None
    if len([one for one in counts if one != uid]) <= 1 and limit >= 2 and uid not in counts:
        assert found is None
    assert tripped(counts, uid, None) is None


def test_a_limit_is_of_all_owners_if_each_has_few_files():
    assert tripped(dict.fromkeys(range(10), 1), 99, 10) is Scope.ALL
    assert tripped({7: 10}, 7, 10) is Scope.OWNER
    assert tripped({7: 10}, 8, 10) is None


# Lists


def test_matches_of_a_new_version_are_held_by_their_digests(holds):
    limits = BrakeLimits()
    new = [digests_of(b"a"), digests_of(b"b")]
    hold = holds.hold_list("baseline", "2", 2, new)
    assert holds.hold_list("baseline", "2", 2, new) is None
    assert not moves(holds, limits, match("0/a", 0, b"a", version="2"))
    assert not moves(holds, limits, match("1/b", 1, b"b", version="3"))  # also of a later version
    assert moves(holds, limits, match("2/c", 2, b"c", version="2"))
    assert holds.get(hold.number).files == 2
    holds.release(hold.number, who="root")
    assert moves(holds, limits, match("0/a", 0, b"a", version="2"))


def test_all_matches_of_a_version_with_too_many_digests_are_held(holds, monkeypatch):
    monkeypatch.setattr("hashscan.quarantine.holds.MOST_DIGESTS", 1)
    holds.hold_list("baseline", "2", 2, [digests_of(b"a"), digests_of(b"b")])
    assert not moves(holds, BrakeLimits(), match("0/c", 0, b"c", version="2"))
    assert not moves(holds, BrakeLimits(), match("0/d", 0, b"d", version="3")), "it has them, too"
    other = match("0/e", 0, b"e").hit._replace(category="other")
    assert moves(holds, BrakeLimits(), replace(match("0/e", 0, b"e"), hit=other))


# Decisions


def test_a_release_is_for_the_digest_and_the_window(holds, clock):
    limits = BrakeLimits(owners=3, window=7 * DAY)
    files = [match(f"{uid}/f", uid) for uid in range(8)]
    assert moved_of(holds, limits, files) == 3
    released = holds.release(1, who="root", why="meant")
    assert (released.state, released.who, released.why) == (HoldState.RELEASED, "root", "meant")
    assert (released.files, released.owners) == (5, 5)
    assert moved_of(holds, limits, files[3:]) == 5
    assert moves(holds, limits, match("20/f", 20))
    assert not holds.holds()
    clock.passes(8 * DAY)
    later = [match(f"{uid}/f", uid) for uid in range(30, 38)]
    assert moved_of(holds, limits, later) == 3


def test_a_file_of_a_released_hold_moves_long_after(holds, clock):
    limits = BrakeLimits(owners=1, window=DAY)
    files = [match(f"{uid}/f", uid) for uid in range(4)]
    moved_of(holds, limits, files)
    holds.release(1, who="root")
    clock.passes(3 * DAY)
    assert moved_of(holds, limits, files[1:]) == 3


def test_released_files_count_for_nothing(holds):
    limits = BrakeLimits(owners=3, per_hour=10, share=0.01, share_from=10)
    files = [match(f"{uid}/f", uid) for uid in range(40)]
    assert moved_of(holds, limits, files, files=1000) == 3
    holds.release(1, who="root")
    assert moved_of(holds, limits, files[3:], files=1000) == 37
    others = [match(f"{uid}/x", uid, str(uid).encode()) for uid in range(7)]
    assert moved_of(holds, limits, others, files=1000) == 7
    assert not holds.holds()


def test_one_digest_of_a_hold_is_released_by_itself(holds):
    limits = BrakeLimits(per_hour=10)
    files = [match(f"{uid}/f", uid, b"ab"[uid % 2 :][:1]) for uid in range(30)]
    moved_of(holds, limits, files)
    sha256 = digests_of(b"b").each()[2]
    (hold,) = holds.with_digest(sha256)
    new = holds.split(hold.number, sha256)
    assert new != hold.number
    holds.release(new, who="root")
    assert moved_of(holds, limits, [one for one in files[10:] if one.candidate.uid % 2]) == 10
    assert not moves(holds, limits, files[20])
    assert [one.number for one in holds.with_digest(sha256)] == [new]


def test_a_decision_about_no_hold_is_refused(holds):
    for identifier in ("", "H", "x", "7x", "\u0663", "H" + "9" * 30):
        with pytest.raises(UsageError, match="is not an id of a hold"):
            number_of(identifier)
    with pytest.raises(UsageError, match="there is no hold H7"):
        holds.release(number_of("H7"), who="root")
    moved_of(holds, BrakeLimits(owners=1), [match(f"{uid}/f", uid) for uid in range(3)])
    holds.dismiss(1, who="root", why="stock")
    with pytest.raises(UsageError, match="dismissed already"):
        holds.dismiss(1, who="root", why="again")


# A notice


def test_a_named_file_moves_whatever_its_digest_did_and_its_copies_do_not(holds):
    limits = BrakeLimits(owners=2)
    moved_of(holds, limits, [match(f"{uid}/f", uid) for uid in range(5)])
    assert moves(holds, limits, match("9/named", 9, named=True))
    assert moves(holds, limits, match("4/f", 4, named=True))  # it was held before
    assert not moves(holds, limits, match("9/copy", 9))


def test_named_files_count_and_are_held_by_the_rate(holds):
    limits = BrakeLimits(owners=2, per_hour=10)
    named = [match(f"{uid}/f", uid, named=True) for uid in range(30)]
    assert moved_of(holds, limits, named) == 10
    assert holds.holds()[0].kind is HoldKind.RATE


# Clocks, kills, processes


def test_a_window_ends_by_time_that_has_passed(holds, clock):
    limits = BrakeLimits(owners=2, window=DAY)
    assert moved_of(holds, limits, [match(f"{uid}/f", uid) for uid in range(2)]) == 2
    clock.wall += 400 * DAY  # somebody sets the clock
    assert not moves(holds, limits, match("2/f", 2))
    holds.release(1, who="root")
    clock.wall -= 800 * DAY
    clock.passes(2 * DAY)
    assert moved_of(holds, limits, [match(f"{uid}/g", uid) for uid in range(10, 20)]) == 2


def test_counts_survive_the_process(memory, clock):
    path, limits = str(memory / "holds.sqlite3"), BrakeLimits(owners=2)
    for uid in range(2):
        with Holds(path, clock) as holds:
            assert moves(holds, limits, match(f"{uid}/f", uid))
    clock.boottime, clock.boot = 5.0, "b"  # a new boot
    with Holds(path, clock) as holds:
        assert not moves(holds, limits, match("2/f", 2))
    with Holds(path, clock) as holds:
        assert holds.holds()[0].files == 1


def test_a_kill_between_count_and_move_counts_the_file_and_its_move_goes_on(memory, clock):
    path, limits = str(memory / "holds.sqlite3"), BrakeLimits(owners=1)
    with Holds(path, clock) as holds:
        assert holds.admit(match("0/f", 0), limits) is None  # killed here
    with Holds(path, clock) as holds:
        assert not moves(holds, limits, match("1/f", 1))
        assert moves(holds, limits, match("0/f", 0))  # although its digest is held by now


def test_a_file_that_could_not_be_moved_does_not_count(holds):
    limits = BrakeLimits(owners=1)
    failed = match("0/f", 0)
    for _ in range(3):
        assert holds.admit(failed, limits) is None
        holds.not_moved(failed.candidate)
    assert moves(holds, limits, match("1/f", 1))


_PROCESS = """
import sys
sys.path[:0] = [{support!r}]
from brake_matches import match, moves
from hashscan.quarantine.holds import Holds
from hashscan.quarantine.brake_limits import BrakeLimits
with Holds({path!r}) as holds:
    print(sum(moves(holds, BrakeLimits(owners=5), match(f"{{uid}}/f", uid)) for uid in range({begin}, 40, 2)))
"""


def test_two_processes_count_together(memory):
    path = str(memory / "holds.sqlite3")
    script = [
        _PROCESS.format(support=os.path.dirname(brake_matches.__file__), path=path, begin=begin)
        for begin in (0, 1)
    ]
    running = [
        subprocess.Popen([sys.executable, "-c", one], stdout=subprocess.PIPE) for one in script
    ]
    assert sum(int(one.communicate()[0]) for one in running) == 5
    with Holds(path) as holds:
        assert [one.files for one in holds.holds()] == [35]


def test_digests_are_found_in_any_algorithm(holds):
    moved_of(holds, BrakeLimits(owners=1), [match(f"{uid}/f", uid) for uid in range(3)])
    assert set(holds.digests(1)) == set(digests_of(b"known").each())
    assert holds.with_digest(Digest("sha1", "0" * 40)) == []
