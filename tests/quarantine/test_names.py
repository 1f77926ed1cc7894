"""However many names a customer puts beside a match, no act and no recovery becomes slower."""

import os
import time
from collections import Counter
from contextlib import closing, nullcontext, suppress

import pytest
from isolating import all_records, confirmed, recovered

from hashscan.fs import listing, private
from hashscan.fs.listing import Follower
from hashscan.quarantine import act
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.recover import recover
from hashscan.quarantine.store import Store

FOREIGN = 300
MATCHES = 40


@pytest.fixture
def listed(monkeypatch):
    """Entries that were listed, by the directory."""
    counts = Counter()
    scandir, listdir = os.scandir, os.listdir

    class Counting:
        def __init__(self, path):
            self._key = os.stat(path).st_ino
            self._entries = scandir(path)

        def __iter__(self):
            return self

        def __next__(self):
            entry = next(self._entries)
            counts[self._key] += 1
            return entry

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._entries.close()

    def counting_listdir(path="."):
        found = listdir(path)
        counts[os.stat(path).st_ino] += len(found)
        return found

    monkeypatch.setattr(os, "scandir", Counting)
    monkeypatch.setattr(os, "listdir", counting_listdir)
    return lambda path: counts[os.stat(path).st_ino]


@pytest.fixture
def apart(tmp_path, memory):
    """A store on another file system than the volume."""
    if os.stat(tmp_path).st_dev == os.stat(memory).st_dev:
        pytest.skip("the temporary directory and /dev/shm are one file system")
    return memory / "store"


def matches(volume):
    for number in range(MATCHES):
        (volume / f"f{number}").write_bytes(b"known %d" % number)
    return [confirmed(volume, f"f{number}") for number in range(MATCHES)]


def foreign(volume):
    for number in range(FOREIGN):
        (volume / f".hashscan-{number:016x}").mkdir()


def test_one_listing_finds_all_that_were_renamed(volume, tmp_path, listed):
    foreign(volume)
    found = matches(volume)
    for number in range(MATCHES):
        (volume / f"f{number}").rename(volume / f"g{number}")
    with closing(Quarantine.open(os.fsencode(tmp_path / "store"))) as quarantine:
        acted = [quarantine.act(match) for match in found]
    assert {one.action for one in acted} == {"quarantined"}
    assert listed(volume) == FOREIGN + MATCHES
    assert not list(volume.glob("g*"))


def test_a_listing_that_is_out_of_date_is_made_again(volume, tmp_path, listed):
    found = matches(volume)
    with closing(Quarantine.open(os.fsencode(tmp_path / "store"))) as quarantine:
        for number, match in enumerate(found):
            (volume / f"f{number}").rename(volume / f"g{number}")
            assert quarantine.act(match).action == "quarantined", number
    assert MATCHES < listed(volume) <= MATCHES * MATCHES


def test_each_match_pays_for_a_search_of_its_directory(volume, tmp_path, monkeypatch):
    monkeypatch.setattr(Follower, "FREE", 1)
    (match, *_) = matches(volume)
    (volume / "f0").rename(volume / "g0")
    with closing(Quarantine.open(os.fsencode(tmp_path / "store"))) as quarantine:
        quarantine._follower._credit = 0
        assert quarantine.act(match).action == "quarantined"


def test_who_renames_all_the_time_costs_no_more_than_the_bound(
    volume, tmp_path, listed, monkeypatch
):
    monkeypatch.setattr(Follower, "FREE", 1000)
    monkeypatch.setattr(Follower, "EARNED", 10)
    monkeypatch.setattr(listing, "_has", lambda *_: False)  # it has another name by now
    foreign(volume)
    found = matches(volume)
    for number in range(MATCHES):
        (volume / f"f{number}").rename(volume / f"g{number}")
    with closing(Quarantine.open(os.fsencode(tmp_path / "store"))) as quarantine:
        acted = [quarantine.act(match) for match in found]
    assert acted[0].action == "quarantined"
    assert acted[-1].problem == "vanished"
    assert listed(volume) <= 1000 + 10 * MATCHES + FOREIGN + MATCHES


@pytest.mark.parametrize("taken", [False, True])
def test_an_act_on_another_file_system_lists_nothing(volume, apart, listed, taken):
    foreign(volume)
    if taken:
        (volume / ".hashscan").write_bytes(b"a customer's")
    found = matches(volume)
    with closing(Quarantine.open(os.fsencode(apart))) as quarantine:
        acted = [quarantine.act(match) for match in found]
    assert {one.action for one in acted} == {"quarantined"}
    assert listed(volume) == 0
    assert len(list(volume.iterdir())) == FOREIGN + taken


def stopped(volume, store, monkeypatch, *, when):
    """Unfinished records of a process that was killed at one step of each act."""

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(act, when, killed)
        with closing(Quarantine.open(os.fsencode(store))) as quarantine:
            for match in matches(volume):
                with suppress(KeyboardInterrupt):
                    quarantine.act(match)


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("when", ["private_for", "_rename_to", "conclude"])
def test_recovery_lists_next_to_nothing(volume, apart, listed, monkeypatch, when, taken):
    foreign(volume)
    if taken:
        (volume / ".hashscan").write_bytes(b"a customer's")
    stopped(volume, apart, monkeypatch, when=when)
    with recovered(apart) as store:
        states = Counter(record.state for record in all_records(store))
    assert states == ({RecordState.QUARANTINED: MATCHES} if when == "conclude" else {})
    # Once in all, to be sure that private directories which were removed are nowhere else.
    assert listed(volume) == (FOREIGN + MATCHES + taken if when == "_rename_to" else 0)
    assert len(list(volume.glob("f*"))) == (0 if when == "conclude" else MATCHES)
    assert len(list(volume.glob(".hashscan*"))) == FOREIGN + taken


def test_recovery_lists_once_what_a_customer_renamed(volume, apart, listed, monkeypatch):
    foreign(volume)
    stopped(volume, apart, monkeypatch, when="conclude")
    (volume / ".hashscan").rename(volume / "away")
    with Store.open(os.fsencode(apart)) as store:
        with store.lock(5):
            notes = recover(store)
        assert all(note.resolved for note in notes), notes
        assert {record.state for record in all_records(store)} == {RecordState.QUARANTINED}
    assert listed(volume) == FOREIGN + 1


def test_recovery_misses_no_rename_within_a_tick_of_the_kernels_clock(volume, apart, monkeypatch):
    """Before Linux 6.13, and on many file systems, two changes in 10 ms have one time stamp."""
    stopped(volume, apart, monkeypatch, when="conclude")
    (volume / ".hashscan").rename(volume / "0")
    scandir = os.scandir
    looks = []

    def changed(top):
        looks.append((time.monotonic(), os.fstat(top).st_ctime_ns))
        return looks[0][1] if len(looks) == 2 else looks[-1][1]

    def meanwhile(path):
        monkeypatch.setattr(os, "scandir", scandir)
        (volume / "0").rename(volume / "1")
        if time.monotonic() - looks[0][0] > 0.01:
            looks.insert(0, looks[0])  # the next look is in a later tick
        return nullcontext([])  # the new name is where it has read already

    with Store.open(os.fsencode(apart)) as store, store.lock(5):
        monkeypatch.setattr(private, "_ctime_of", changed)
        monkeypatch.setattr(os, "scandir", meanwhile)
        notes = recover(store)
        assert (len(notes), all(note.resolved for note in notes)) == (MATCHES, True)
        assert Counter(one.state for one in all_records(store)) == {
            RecordState.QUARANTINED: MATCHES
        }


def test_recovery_believes_no_time_that_the_owner_sets(volume, apart, monkeypatch):
    stopped(volume, apart, monkeypatch, when="conclude")
    (volume / ".hashscan").rename(volume / "0")
    scandir = os.scandir

    def meanwhile(path):
        monkeypatch.setattr(os, "scandir", scandir)
        status = volume.stat()
        (volume / "0").rename(volume / "1")
        os.utime(volume, ns=(status.st_atime_ns, status.st_mtime_ns))
        return nullcontext([])

    with Store.open(os.fsencode(apart)) as store, store.lock(5):
        monkeypatch.setattr(os, "scandir", meanwhile)
        assert all(note.resolved for note in recover(store))
        assert Counter(one.state for one in all_records(store)) == {
            RecordState.QUARANTINED: MATCHES
        }


@pytest.mark.parametrize("missed", [False, True])
def test_recovery_does_not_give_up_what_is_renamed_all_the_time(volume, apart, monkeypatch, missed):
    """The record is kept: if its directory counted as gone, the file in it would be lost."""
    stopped(volume, apart, monkeypatch, when="conclude")
    (volume / ".hashscan").rename(volume / "0")
    scandir = os.scandir
    turn = 0

    def meanwhile(path):
        nonlocal turn
        found = [] if missed else list(scandir(path))  # it had the one name, then the other
        time.sleep(0.01)  # the kernel's times are that coarse
        turn += 1
        (volume / f"{turn - 1}").rename(volume / f"{turn}")
        return nullcontext(found)

    with Store.open(os.fsencode(apart)) as store:
        with monkeypatch.context() as patch, store.lock(5):
            patch.setattr(os, "scandir", meanwhile)
            notes = recover(store)
        assert len(notes) == MATCHES
        assert not any(note.resolved for note in notes)
        assert turn <= 10, "one customer's directory is given up for all of its records"
        with store.lock(5):
            assert all(note.resolved for note in recover(store))
        assert {record.state for record in all_records(store)} == {RecordState.QUARANTINED}
