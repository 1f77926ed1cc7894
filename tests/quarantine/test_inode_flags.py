"""Inode flags after quarantine and restore, on the same file system and on another one."""

import os
from contextlib import closing
from dataclasses import replace

import pytest
from isolating import confirmed, fork, kill_at, needs_root, recovered

from hashscan.fs import flags
from hashscan.fs.beneath import closing as close_later
from hashscan.fs.flags import APPEND, inode_flags
from hashscan.model import Identity
from hashscan.quarantine import restore as restoring
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.file_place import Spot
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.recover import seal
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store

NO_DUMP, NO_ATIME = 0x40, 0x80


def flags_of(path, change=None):
    fd = os.open(path, os.O_RDONLY)
    try:
        if change is not None:
            flags._set(fd, change(inode_flags(fd) or 0))
        return inode_flags(fd)
    finally:
        os.close(fd)


@pytest.fixture
def file(volume):
    path = volume / "f"
    path.write_bytes(b"known content")
    if not (flags_of(path, lambda now: now | NO_DUMP | NO_ATIME) or 0) & NO_DUMP:
        pytest.skip("this file system has no inode flags")
    yield path
    if path.exists():
        flags_of(path, lambda now: now & ~flags.SEALS)


def test_they_come_back(file, volume, quarantine, store_path):
    before = flags_of(file)
    times = os.stat(file).st_mtime_ns
    acted = quarantine.act(confirmed(volume, "f"))
    with recovered(store_path) as store:
        done = restore(store, acted.quarantine_id)
    assert done.notes == ()
    assert flags_of(file) == before
    assert os.stat(file).st_mtime_ns == times


def test_what_is_not_taken_is_told(file, volume, quarantine, store_path, memory, monkeypatch):
    acted = quarantine.act(confirmed(volume, "f"))
    monkeypatch.setattr(flags, "_set", lambda *_: False)
    (memory / "to").mkdir()
    (volume / "to").mkdir()
    to = volume / "to" if store_path.parent == memory else memory / "to"
    with recovered(store_path) as store:
        done = restore(store, acted.quarantine_id, to=os.fsencode(to))
    (note,) = done.notes
    assert "inode flags dA (lsattr) could not be set" in note


def test_a_flag_that_only_an_empty_file_takes_comes_before_the_content(
    file, volume, memory, monkeypatch
):
    if os.stat(volume).st_dev == os.stat(memory).st_dev:
        pytest.skip("the temporary directory and /dev/shm are one file system")
    recorded, seen = flags_of(file), []
    monkeypatch.setattr(
        restoring, "prepare_flags", lambda fd, found: seen.append((os.fstat(fd).st_size, found))
    )
    with closing(Quarantine.open(os.fsencode(memory / "store"))) as quarantine:
        acted = quarantine.act(confirmed(volume, "f"))
    with recovered(memory / "store") as store:
        restore(store, acted.quarantine_id)
    assert seen == [(0, recorded)]


@pytest.mark.root
@needs_root
def test_append_only_comes_last_and_also_after_a_kill(file, volume, memory, monkeypatch):
    """Such a file can be neither renamed nor linked, so the copy must have its name first."""
    if os.stat(volume).st_dev == os.stat(memory).st_dev:
        pytest.skip("the temporary directory and /dev/shm are one file system")
    monkeypatch.setattr(os, "fsync", lambda _fd: None)

    def quarantined(place):
        one = Quarantine.open(os.fsencode(place))
        acted = one.act(confirmed(volume, "f"))
        one.close()
        assert acted.action == "quarantined", acted
        with Store.open(os.fsencode(place)) as store:
            record = store.load(acted.quarantine_id)
            changed = replace(record.metadata, flags=record.metadata.flags | APPEND)
            store.save(replace(record, metadata=changed))
        return acted.quarantine_id

    for step in range(3, 40):
        place = memory / f"s{step}"
        record_id = quarantined(place)

        def job(step=step, record_id=record_id, place=place):
            kill_at(step, "after")
            with Store.open(os.fsencode(place)) as store, store.lock():
                restore(store, record_id)

        returned = fork(job)[0] == "returned"
        with recovered(place) as store:
            if store.load(record_id).state is RecordState.QUARANTINED:
                restore(store, record_id)
        assert flags_of(file) & (APPEND | NO_DUMP) == APPEND | NO_DUMP, step
        flags_of(file, lambda now: now & ~APPEND)
        if returned:
            break
    assert step > 8


def test_another_file_at_the_name_gets_no_seals(file, volume, quarantine, store_path):
    acted = quarantine.act(confirmed(volume, "f"))
    with recovered(store_path) as store:
        record = store.load(acted.quarantine_id)
        record = replace(record, metadata=replace(record.metadata, flags=APPEND))
        file.write_bytes(b"another file")
        other = replace(record, target_identity=Identity(1, os.stat(file).st_ino + 1))
        with close_later(os.open(volume, os.O_RDONLY | os.O_DIRECTORY)) as fd:
            assert seal(other, Spot(fd, b"f")) == []
            assert seal(other, Spot(fd, b"none")) == []
            assert seal(replace(record, target_identity=None), Spot(fd, b"f")) == []
    assert not (flags_of(file) or 0) & APPEND
