"""A killed restore is finished in the directory to which it went, and in no other."""

import os

import pytest
from isolating import confirmed, fork, kill_at, recovered, snapshot

from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.recover import recover
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store


@pytest.mark.parametrize("away", ["", "to"])
def test_another_directory_has_the_place_of_the_target(volume, memory, monkeypatch, away):
    """``away``: the directory of ``--to``; else the volume itself, as if it were not mounted."""
    if os.stat(volume).st_dev == os.stat(memory).st_dev:
        pytest.skip("the temporary directory and /dev/shm are one file system")
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    base = volume.parent / "base"
    places = set()  # what told it: the target's place, or later the private directory's
    for step in range(2, 100):
        place = base / str(step)
        for name in ("v", "to"):
            (place / name).mkdir(parents=True)
        (place / "v" / "f").write_bytes(b"known content")
        before = snapshot(place / "v" / "f")
        root = place / "to" if away else place / "v"
        store_path = memory / f"s{step}"
        quarantine = Quarantine.open(os.fsencode(store_path))
        record_id = quarantine.act(confirmed(place / "v", "f")).quarantine_id
        quarantine.close()

        def job(step=step, store_path=store_path, record_id=record_id, root=root):
            kill_at(step, "after")
            with Store.open(os.fsencode(store_path)) as store, store.lock():
                restore(store, record_id, to=os.fsencode(root) if away else None)

        returned = fork(job)[0] == "returned"
        root.rename(place / "aside")
        root.mkdir()
        with Store.open(os.fsencode(store_path)) as store, store.lock():
            restoring = store.load(record_id).state is RecordState.RESTORING
            notes = recover(store)
            if restoring and (store_path / record_id / "content").exists():
                (note,) = notes
                assert not note.resolved
                by_target = "this is not the directory that it was" in note.message
                assert by_target or "another directory is in its place now" in note.message
                places.add(by_target)
                assert store.load(record_id).target.volume == os.fsencode(root)
        assert os.listdir(root) == [], step
        root.rmdir()
        (place / "aside").rename(root)
        with recovered(store_path) as store:
            in_store = store.load(record_id).state is RecordState.QUARANTINED
        assert (root / "f").exists() != in_store, step
        assert (store_path / record_id / "content").exists() == in_store
        assert not (root / ".hashscan").exists()
        if not in_store:
            assert snapshot(root / "f") == before
        if returned:
            break
    assert places == {True, False}
