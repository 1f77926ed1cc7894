"""hashscan.quarantine.holds: what a hold has, and what a decision about it lets move."""

import pytest
from brake_matches import Clock, digests_of, match, moved_of, moves

from hashscan.config.brakes import BrakesSettings
from hashscan.quarantine.brake_limits import BrakeLimits, Scope, tripped
from hashscan.quarantine.hold_types import HoldState
from hashscan.quarantine.holds import Holds, waiting_holds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def holds(memory, clock):
    with Holds(str(memory / "holds.sqlite3"), clock) as one:
        yield one


def test_all_digests_of_a_held_file_are_held(holds):
    limits = BrakeLimits(owners=1)
    for uid in range(2):
        moves(holds, limits, match(f"{uid}/f", uid, algorithms=("md5",)))
    assert moves(holds, limits, match("3/f", 3, algorithms=("sha1",)))
    assert not moves(holds, limits, match("2/f", 2, algorithms=("md5", "sha256")))
    assert not moves(holds, limits, match("4/f", 4, algorithms=("sha256",)))


@pytest.mark.parametrize(
    ("limits", "owner", "everybody"),
    [
        (
            BrakeLimits(files=10),
            "10 files of user 7 with the same digest moved within 7 days (brakes.files)",
            "10 files with the same digest moved within 7 days (brakes.files)",
        ),
        (
            BrakeLimits(per_hour=10),
            "10 files of user 7 moved within an hour (brakes.per_hour)",
            "10 files moved within an hour (brakes.per_hour)",
        ),
        (
            BrakeLimits(share=0.01, share_from=2),
            "10 files of user 7 in /srv moved within 7 days, as many as brakes.share (1%) lets move",
            "10 files in /srv moved within 7 days, as many as brakes.share (1%) lets move",
        ),
    ],
)
def test_a_reason_says_how_many_files_moved_and_whose(memory, clock, limits, owner, everybody):
    reasons = []
    for uids in ([7] * 11, range(11)):
        with Holds(str(memory / f"holds{len(reasons)}"), clock) as holds:
            files = [match(f"{n}", uid) for n, uid in enumerate(uids)]
            assert moved_of(holds, limits, files, files=1000) == 10
            (hold,) = holds.holds()
            reasons.append(hold.reason)
            assert hold.uid == (7 if len(reasons) == 1 else None)
    assert reasons == [owner, everybody]


def test_a_digest_held_for_the_share_of_one_volume_moves_in_another(holds):
    limits = BrakeLimits(share=0.01, share_from=2)
    assert moved_of(holds, limits, [match(f"{uid}/f", uid) for uid in range(12)], files=1000) == 10
    assert moves(holds, limits, match("0/f", 0, volume=b"/mnt"), files=1000)


@pytest.mark.parametrize(
    "limits", [BrakeLimits(per_hour=10), BrakeLimits(share=0.01, share_from=2)]
)
def test_a_release_lets_other_files_move_until_the_window_ends(holds, clock, limits):
    files = [match(f"{uid}/f", uid, b"%d" % uid) for uid in range(60)]
    assert moved_of(holds, limits, files[:20], files=1000) == 10
    holds.release(1, who="root")
    assert moved_of(holds, limits, files[20:40], files=1000) == 20
    clock.passes(8 * 86400.0)
    assert moved_of(holds, limits, files[40:], files=1000) == 10


def test_a_held_file_keeps_its_hold_and_a_released_one_moves_during_other_holds(holds):
    limits = BrakeLimits(owners=1, per_hour=2)
    assert moves(holds, limits, match("0/f", 0))
    for _ in range(2):
        assert holds.admit(match("1/f", 1), limits).id == "H1"
    assert moved_of(holds, limits, [match(f"{n}/x", n, b"%d" % n) for n in range(3)]) == 2
    assert [(one.id, one.files) for one in holds.holds()] == [("H1", 1), ("H2", 1)]
    holds.release(1, who="root")
    assert moves(holds, limits, match("1/f", 1))
    assert not moves(holds, limits, match("2/f", 2))


def test_a_file_of_a_closed_hold_is_held_by_a_new_one_if_its_digest_is_known_again(holds):
    limits = BrakeLimits(owners=1)
    for uid in range(2):
        holds.admit(match(f"{uid}/f", uid), limits)
    assert holds.close_hold(1, why="").state is HoldState.CLOSED
    assert holds.admit(match("1/f", 1), limits).id == "H2"


def test_a_decision_between_two_looks_at_a_file_is_not_missed(holds, monkeypatch):
    moved_of(holds, BrakeLimits(owners=1), [match(f"{uid}/f", uid) for uid in range(2)])
    look = holds._holding

    def looks(one):
        monkeypatch.setattr(holds, "_holding", look)
        found = look(one)
        with Holds(holds.path) as other:
            other.release(found, who="root")
        return found

    monkeypatch.setattr(holds, "_holding", looks)
    assert moves(holds, BrakeLimits(owners=1), match("1/f", 1))


def test_a_hold_of_one_digest_is_not_split(holds):
    moved_of(holds, BrakeLimits(owners=1), [match(f"{uid}/f", uid) for uid in range(3)])
    assert holds.split(1, digests_of(b"known").each()[0]) == 1
    assert [one.id for one in holds.holds(every=True)] == ["H1"]


def test_a_digest_of_a_hold_by_a_list_is_split_from_it_in_every_algorithm(holds):
    holds.hold_list("baseline", "2", 2, [digests_of(b"a", ("md5",)), digests_of(b"b")])
    assert not moves(holds, BrakeLimits(), match("0/a", 0, b"a"))
    new = holds.split(1, digests_of(b"a").each()[0])
    assert set(holds.digests(new)) == set(digests_of(b"a").each())
    assert set(holds.digests(1)) == set(digests_of(b"b").each())
    assert (holds.get(1).files, holds.get(new).files) == (0, 1)
    assert holds.get(new).reported, "the administrator made it"
    assert holds.admit(match("1/a", 1, b"a", algorithms=("sha1",)), BrakeLimits()).number == new


@pytest.mark.parametrize(("most", "moved"), [(1, 0), (2, 1)])
def test_as_many_digests_as_a_hold_has_room_for_are_held_one_by_one(
    holds, monkeypatch, most, moved
):
    monkeypatch.setattr("hashscan.quarantine.holds.MOST_DIGESTS", most)
    holds.hold_list("baseline", "2", 2, [digests_of(b"a"), digests_of(b"b")])
    files = [match("0/a", 0, b"a", version="2"), match("0/c", 0, b"c", version="2")]
    assert moved_of(holds, BrakeLimits(), files) == moved


def test_a_file_that_is_gone_is_taken_from_its_hold(holds):
    moved_of(holds, BrakeLimits(owners=1), [match(f"{uid}/f", uid) for uid in range(3)])
    holds.forget_file(next(holds.files(1)))
    assert [file.path for file in holds.files(1)] == [b"2/f"]


def test_holds_that_wait_are_read_without_making_the_file(holds, tmp_path):
    absent = tmp_path / "absent"
    assert waiting_holds(str(absent)) == ()
    assert not absent.exists()
    for content in (b"a", b"b"):
        moved_of(
            holds, BrakeLimits(owners=1), [match(f"{n}/{content}", n, content) for n in range(2)]
        )
    holds.release(1, who="root")
    assert [one.id for one in waiting_holds(holds.path)] == ["H2"]


def test_a_count_is_on_the_disk_before_the_move_begins(holds):
    def synchronous():
        return holds._connection.execute("PRAGMA synchronous").fetchone()[0]

    with holds._change():
        assert synchronous() == 2, "FULL"
    with holds._change(durably=False):
        assert synchronous() == 1, "NORMAL"
    assert synchronous() == 2


def statements(holds, change):
    """The SQL statements of a change."""
    found = []
    holds._connection.set_trace_callback(found.append)
    change()
    holds._connection.set_trace_callback(None)
    return found


def test_only_a_count_and_a_new_hold_wait_for_the_disk(holds):
    limits, one, two = BrakeLimits(owners=1), match("0/f", 0), match("1/f", 1)

    def waits(change):
        return "PRAGMA synchronous = NORMAL" not in statements(holds, change)

    assert waits(lambda: holds.admit(one, limits))
    assert not waits(lambda: holds.moved(one.candidate))
    assert not waits(lambda: holds.not_moved(one.candidate))
    assert waits(lambda: holds.admit(two, limits))
    assert not waits(lambda: holds.admit(two, limits))
    assert not waits(lambda: holds.forget_file(next(holds.files(1))))


@pytest.mark.parametrize(("window", "kept"), [(60.0, 3600.0), (7200.0, 7200.0)])
def test_counts_are_kept_for_the_window_and_at_least_an_hour(holds, clock, window, kept):
    limits = BrakeLimits(window=window)

    def is_kept():
        rows = holds._connection.execute("SELECT 1 FROM moved WHERE path = CAST('a' AS BLOB)")
        return rows.fetchone() is not None

    moves(holds, limits, match("a", 1))
    clock.passes(kept)
    moves(holds, limits, match("b", 2, b"b"))
    assert is_kept()
    clock.passes(1.0)
    moves(holds, limits, match("c", 3, b"c"))
    assert not is_kept()


def test_a_held_file_that_is_found_again_takes_no_place_of_the_list(holds, monkeypatch):
    monkeypatch.setattr("hashscan.quarantine.admission._MOST_LISTED", 2)
    limits = BrakeLimits(owners=1)
    files = [match(f"{n}/f", 1 if n else 0) for n in range(4)]
    moves(holds, limits, files[0])
    for one in (files[1], files[1], files[1], *files[2:]):
        assert not moves(holds, limits, one)
    assert [file.path for file in holds.files(1)] == [b"1/f", b"2/f"]


def test_the_files_of_an_owner_in_a_hold_are_counted_once(holds):
    moved_of(holds, BrakeLimits(owners=1), [match(f"{n}/f", n) for n in range(2)])
    counts = statements(
        holds, lambda: moved_of(holds, BrakeLimits(owners=1), [match(f"{n}", 2) for n in range(5)])
    )
    assert sum("count(*) FROM held" in one for one in counts) == 1


def test_a_file_that_moved_for_a_notice_is_in_no_hold(holds):
    limits = BrakeLimits(owners=1)
    moved_of(holds, limits, [match(f"{n}/f", n) for n in range(2)])
    assert moves(holds, limits, match("1/f", 1, named=True))
    assert list(holds.files(1)) == []


def test_limits_are_those_of_the_configuration():
    given = BrakesSettings(
        owners=1, files=2, window="3 s", per_hour=4, share="50%", share_from=6, new_candidates=7
    )
    assert BrakeLimits.of(given) == BrakeLimits(1, 2, 3.0, 4, 0.5, 6)
    assert BrakeLimits(share=0.5, share_from=6).of_volume(100) == 50
    assert BrakeLimits(share=0.5, share_from=6).of_volume(10) == 6


def test_one_other_owner_counts_for_one_file_of_a_small_limit():
    assert tripped({7: 100}, 8, 2) is None
    assert tripped({7: 100, 9: 1}, 8, 2) is Scope.ALL


def test_a_held_file_keeps_its_hold_although_a_newer_rule_has_its_digest(holds):
    limits = BrakeLimits(per_hour=1)
    moved_of(holds, limits, [match("x", 1, b"x"), match("a", 1, b"a")])
    holds.hold_list("baseline", "2", 1, [digests_of(b"a")])
    assert holds.admit(match("a", 1, b"a"), limits).id == "H1"
