"""hashscan.daemon.changed_files: what the workers get and when, without a worker."""

from types import SimpleNamespace

import pytest
from fake_workers import Catalog, Dispatch, Pool

from hashscan.catalog import store
from hashscan.catalog.rows import QueuedDirectory
from hashscan.daemon import changed_files as changed_files_module
from hashscan.daemon.change_queue import Changes, Due, Key
from hashscan.daemon.changed_files import ChangedFiles
from hashscan.fs.volume import Volume
from hashscan.scan.messages import WorkerSettings

VOLUMES = (Volume(b"/a"), Volume(b"/b"))


@pytest.fixture
def clock(monkeypatch):
    one = SimpleNamespace(now=1000.0)
    one.monotonic = lambda: one.now
    monkeypatch.setattr(changed_files_module, "time", one)
    return one


# Changes


@pytest.fixture
def changed_files(clock):
    one = object.__new__(ChangedFiles)
    one._options, one._catalog = SimpleNamespace(volumes=VOLUMES, jobs=1), Catalog()
    one._roots = [QueuedDirectory(11, b"", False), QueuedDirectory(12, b"", False)]
    one._directories, one.changes = {}, Changes()
    one._dispatch, one.pool = Dispatch(), Pool()
    return one


def test_its_processes_begin_with_the_roots_of_all_volumes(tmp_path, monkeypatch):
    settings, given = [], {}
    monkeypatch.setattr(
        changed_files_module, "Dispatch",
        lambda *_given, **named: given.update(named) or SimpleNamespace(scan=named["scan"]),
    )  # fmt: skip
    monkeypatch.setattr(changed_files_module, "Pool", lambda one, **_named: settings.append(one))
    catalog = store.Catalog(str(tmp_path / "catalog"))
    options = SimpleNamespace(volumes=VOLUMES, jobs=3)
    one = ChangedFiles(
        options, catalog, None, judged=5, judged_until=6, on_candidate="found", on_too_many="many"
    )
    roots = tuple(one.root_numbers)
    assert [catalog.volume_of(number) for number in roots] == [b"/a", b"/b"]
    assert settings == [
        WorkerSettings(options, roots, catalog.path, judged=5, scan=one.scan, judged_until=6)
    ]
    assert given == {
        "scan": one.scan, "judged": 5, "jobs": 3, "on_candidate": "found", "once": False,
        "on_checked": one._take_checked, "on_too_many": "many",
    }  # fmt: skip
    assert len(one.changes) == 0
    catalog.close()


@pytest.mark.parametrize(
    ("length", "due", "busy"),
    [(0, None, False), (1, None, True), (0, 1000.0, True), (0, 1000.1, False), (1, 2000.0, True)],
)
def test_it_is_busy_with_what_is_due_or_under_way(changed_files, length, due, busy):
    changed_files._dispatch.length = length
    changed_files.changes = SimpleNamespace(next_due=lambda: due)
    assert changed_files.busy is busy


def test_how_much_waits(changed_files, clock):
    changed_files.changed(0, b"d", b"n")
    changed_files.changed(0, b"d", b"m")
    changed_files._dispatch.length, changed_files._dispatch.under_way = 3, True
    assert (changed_files.backlog, changed_files.queued, changed_files.under_way) == (5, 3, True)
    assert (changed_files.held(), changed_files.scan, changed_files.root_numbers) == (
        {3},
        9,
        [11, 12],
    )
    assert changed_files.tally is changed_files._dispatch.tally
    changed_files.begin()
    assert changed_files.scan == 21


def test_how_long_the_oldest_change_has_waited(changed_files, clock):
    assert changed_files.waits_for == 0
    changed_files.changed(0, b"d", b"n")
    clock.now += 4
    assert changed_files.waits_for == 4
    changed_files._dispatch.waits_since = clock.now - 7
    assert changed_files.waits_for == 7
    changed_files._dispatch.waits_since = clock.now + 1
    changed_files.changes.forget_volume(0)
    assert changed_files.waits_for == 0


@pytest.mark.parametrize(("ahead", "handed"), [(0, 2), (255, 2), (256, 0), (5000, 0)])
def test_the_workers_get_little_ahead_of_time(changed_files, clock, ahead, handed):
    changed_files._dispatch.ahead = ahead
    changed_files.changed(1, b"d", b"n")
    changed_files.changed(0, b"", b"m")
    clock.now += 1
    changed_files.hand_out()
    assert len(changed_files._dispatch.looks) == handed
    assert changed_files._dispatch.calls == [("hand_out", changed_files.pool)]
    if handed:
        names = {
            (volume, path.path): names for volume, path, names, _ in changed_files._dispatch.looks
        }
        assert names == {(1, b"d"): [b"n"], (0, b""): [b"m"]}
        assert sorted(changed_files._catalog.found) == [(9, 11, b""), (9, 12, b"d")]


def test_a_turn_takes_about_two_thousand_names(changed_files, monkeypatch):
    most = []
    changed_files.changes = SimpleNamespace(take=lambda _now, count: most.append(count) or [])
    changed_files.hand_out()
    assert most == [2048]


def test_directories_are_remembered_until_a_scan_ends_or_there_are_many(changed_files, monkeypatch):
    monkeypatch.setattr(changed_files_module, "_KNOWN_DIRECTORIES", 2)
    first = changed_files._directory(Key(0, b"a"))
    assert changed_files._directory(Key(0, b"a")) is first
    changed_files._directory(Key(1, b"a"))
    assert changed_files._directory(Key(0, b"a")) is first
    assert len(changed_files._catalog.found) == 2
    changed_files._directory(Key(0, b"b"))
    assert changed_files._directory(Key(0, b"a")) is not first
    assert len(changed_files._catalog.found) == 4
    changed_files.ended()
    changed_files._directory(Key(0, b"b"))
    assert len(changed_files._catalog.found) == 5


def test_known_files_are_looked_at_in_batches_as_they_are(changed_files, monkeypatch):
    monkeypatch.setattr(changed_files_module, "BATCH", 2)
    changed_files.check_rows(6, [b"a", b"b", b"c"])
    directory = QueuedDirectory(6, b"path/6", False)
    assert changed_files._dispatch.looks == [
        (1, directory, [b"a", b"b"], True), (1, directory, [b"c"], True),
    ]  # fmt: skip
    changed_files.check_rows(7, [b"a"])
    assert len(changed_files._dispatch.looks) == 2, "its volume is not one of ours"


def test_what_was_looked_at_rests_or_comes_back(changed_files, clock):
    noted = []

    class Notes:
        def rested(self, key, names):
            noted.append(("rested", key, names))

        def look_later(self, *given):
            noted.append(("later", *given))

        def not_whole(self, key, name, size, now):
            noted.append(("not whole", key, name, size, now))
            return name != b"many"

    changed_files.changes = Notes()
    key = Key(1, b"d")
    changed_files._take_checked(
        SimpleNamespace(
            volume=1, directory=b"d", names=[b"ok", b"open", b"many", b"late"],
            unrested=[(b"open", 5), (b"many", 6)], later=[(b"late", 7)],
        )
    )  # fmt: skip
    assert noted == [
        ("rested", key, [b"ok"]),
        ("later", key, b"late", 7, clock.now),
        ("not whole", key, b"open", 5, clock.now),
        ("not whole", key, b"many", 6, clock.now),
    ]
    ((volume, _, names, final),) = changed_files._dispatch.looks
    assert (volume, names, final) == (1, [b"many"], True), "too many are remembered"


def test_what_the_workers_say_is_counted(changed_files):
    changed_files.pool.said = ["other", ("worker", "message"), ("dead", None), "another"]
    assert changed_files.receive(["other", "another", "quiet"], 0.7) == (["other", "another"], 2)
    assert changed_files.pool.asked == [(["other", "another", "quiet"], 0.7)]
    assert changed_files._dispatch.calls == [("heard", "worker", "message"), ("died", "dead")]


def test_a_volume_that_is_away_is_given_up_everywhere(changed_files):
    changed_files.changed(0, b"d", b"n")
    changed_files.changed(1, b"d", b"n")
    changed_files.give_up(1)
    assert len(changed_files.changes) == 1
    assert changed_files._dispatch.calls == [("forget_volume", 1)]
    assert changed_files.pool.calls == [("give_up", 1)]


def test_other_filters_begin_with_what_is_under_way(changed_files, monkeypatch):
    made = []
    monkeypatch.setattr(
        ChangedFiles, "_make_pool", lambda _one, *given: made.append(given) or "new"
    )
    monkeypatch.setattr(
        changed_files_module, "replace", lambda new, **named: SimpleNamespace(new=new, **named)
    )
    pool = changed_files.pool
    changed_files.swap("options", 5, 6)
    assert vars(changed_files._options) == {"new": "options", "volumes": VOLUMES}
    assert pool.calls == [("close",)]
    assert changed_files._dispatch.calls == [("start_over", 5)]
    assert (made, changed_files.pool) == ([(5, 6)], "new")


def test_the_end_ends_the_workers(changed_files):
    changed_files.close()
    assert changed_files.pool.calls == [("close",)]


# The queue of changes


def due_at(changes, most=100, until=20_000.0):
    """The times at which something is due, as the loop of the daemon finds them."""
    now = 0.0
    while (at := changes.next_due()) is not None and at < until:
        now = at
        found = changes.take(now, most)
        if found:
            yield now, found


HERE = Key(0, b"d")


def test_when_a_file_that_is_not_whole_is_looked_at_again():
    changes, times = Changes(), []
    changes.not_whole(HERE, b"x", 10 << 20, 0.0)
    for now, (due,) in due_at(changes, until=100.0):
        times.append(now)
        if due.final:
            break
        changes.not_whole(HERE, b"x", 1 << 40, now)
    assert times[:7] == [0.5, 1.5, 3.5, 7.5, 12.75, 18.0, 23.25]
    assert 61 <= times[-1] <= 66.25, "a minute, and a second for each 10 MiB that it had at first"


def test_one_that_nobody_hands_back_comes_again_after_half_a_minute():
    changes = Changes()
    changes.not_whole(HERE, b"x", 0, 0.0)
    times = due_at(changes)
    assert [next(times)[0] for _ in range(3)] == [0.5, 30.5, 60.5]


def test_when_a_file_that_was_hashed_while_it_was_open_is_looked_at_again():
    changes, times = Changes(), []
    changes.look_later(HERE, b"x", 10 << 20, 0.1)
    for now, (due,) in due_at(changes):
        assert due.final
        times.append(now)
        changes.look_later(HERE, b"x", 10 << 20, now)
    assert times[:4] == [10.25, 30.25, 70.25, 150.25], "on a grid of a quarter of a second"
    assert times[-1] - times[-2] == 3600


def test_the_more_are_not_whole_the_less_often_each_is_looked_at(monkeypatch):
    monkeypatch.setattr("hashscan.daemon.change_queue.CROWD", 2)
    changes = Changes()
    for name in (b"a", b"b"):
        changes.not_whole(HERE, name, 0, 0.0)
    now = 0.0
    for _ in range(8):
        for name in (b"a", b"b"):
            changes.not_whole(HERE, name, 0, now)
    assert changes._unrested[HERE].files[b"a"].wait == 10.0


def test_when_too_many_are_remembered_the_next_scan_looks_at_the_others(monkeypatch):
    monkeypatch.setattr("hashscan.daemon.change_queue.MOST_UNRESTED", 1)
    changes = Changes()
    changes.look_later(HERE, b"a", 0, 0.0)
    changes.look_later(HERE, b"b", 0, 0.0)
    assert changes.not_whole(HERE, b"c", 0, 0.0) is False
    assert changes.not_whole(HERE, b"a", 0, 0.0) is True
    assert len(changes) == 1


def test_about_as_many_names_as_are_wanted_are_taken_from_each_kind():
    changes = Changes()
    for number in range(3):
        changes.add(Key(0, b"%d" % number), b"x", 0.0)
        changes.not_whole(Key(1, b"%d" % number), b"x", 0, 0.0)
    for _ in range(6):
        assert len(changes.take(9.0, 1)) == 1
    assert changes.take(9.0, 1) == []


def test_names_that_changed_and_whose_bound_has_come_are_hashed_as_they_are():
    changes = Changes()
    changes.not_whole(HERE, b"old", 0, 0.0)
    changes.look_later(HERE, b"open", 0, 0.0)
    for name in (b"old", b"open", b"new"):
        changes.add(HERE, name, 59.0)
    found = changes._split(HERE, [b"new", b"old", b"open"], 59.9)
    assert found == [Due(HERE, [b"new", b"old"], False), Due(HERE, [b"open"], True)]
    found = changes._split(HERE, [b"new", b"old"], 60.0)
    assert found == [Due(HERE, [b"new"], False), Due(HERE, [b"old"], True)]
    assert changes._split(HERE, [b"old"], 60.0) == [Due(HERE, [b"old"], True)]
