"""Recovery of a restore that was killed: the file is back as a whole, or it was never touched."""

import os
from contextlib import contextmanager, suppress

import pytest

from hashscan.fs.beneath import identity_of
from hashscan.quarantine import recover
from hashscan.quarantine.file_place import opened, private_for
from hashscan.quarantine.manage import verify
from hashscan.quarantine.records import RecordState


@contextmanager
def killed(store, record_id, resume):
    """The volume's directory, the private spot and the record's directory of a killed restore."""
    record = store.load(record_id)
    with (
        opened(record.origin) as there,
        private_for(there, record) as (spot, staging),
        store.entry(record_id) as entry,
    ):
        store.save(
            record.became(
                RecordState.RESTORING, resume=resume, staging=staging, target=record.origin
            )
        )
        yield there.parent, spot, entry


def recovered(store):
    with store.lock():
        (found,) = recover.recover(store)
    assert found.resolved
    return store.load(found.record_id)


@pytest.mark.parametrize("arrived", [True, False])
def test_a_displaced_file_is_where_it_is_found(store, moved, volume, arrived):
    with killed(store, moved, RecordState.DISPLACED) as (there, spot, entry):
        os.rename("content", spot.name, src_dir_fd=entry, dst_dir_fd=spot.directory)
        os.close(os.open("other", os.O_CREAT | os.O_WRONLY, dir_fd=spot.directory))
        if arrived:
            os.rename(spot.name, "f", src_dir_fd=spot.directory, dst_dir_fd=there)
    record = recovered(store)
    assert record.state is (RecordState.RESTORED if arrived else RecordState.DISPLACED)
    assert (record.staging is None) is arrived
    assert (volume / "f").exists() is arrived
    assert (volume / ".hashscan" / moved).exists() is not arrived
    found = [one.record_id for one in verify(store, [os.fsencode(volume)]).findings]
    assert found == ["other"], "the displaced file has a record"


@pytest.mark.parametrize("arrived", [True, False])
def test_a_restored_copy_is_finished_or_removed(store, moved, volume, monkeypatch, arrived):
    """On disk, and without its private directory, before the record says so."""
    with killed(store, moved, RecordState.QUARANTINED) as (there, spot, _entry):
        fd = os.open(spot.name, os.O_CREAT | os.O_WRONLY, dir_fd=spot.directory)
        os.write(fd, b"known")
        restoring = store.load(moved)
        store.save(restoring.became(RecordState.RESTORING, target_identity=identity_of(fd)))
        os.close(fd)
        if arrived:  # killed between link and unlink
            os.link(spot.name, "f", src_dir_fd=spot.directory, dst_dir_fd=there)
    steps = []
    volume_inode = volume.stat().st_ino
    monkeypatch.setattr(
        recover, "sync_directory", lambda fd: steps.append(os.fstat(fd).st_ino == volume_inode)
    )
    save = type(store).save
    monkeypatch.setattr(
        type(store),
        "save",
        lambda self, record: (steps.append(sorted(os.listdir(volume))), save(self, record)),
    )
    record = recovered(store)
    assert record.staging is None
    assert record.state is (RecordState.RESTORED if arrived else RecordState.QUARANTINED)
    content = os.path.join(os.fsdecode(store.path_of(moved)), "content")
    assert os.path.exists(content) is not arrived
    assert steps == ([True, False, ["f"]] if arrived else [[]])


def test_the_private_directory_of_a_restore_that_had_not_begun_is_removed(store, moved, volume):
    with suppress(OSError), killed(store, moved, RecordState.QUARANTINED):
        store.save(store.load(moved).became(RecordState.RESTORING, staging=None))
        (volume / ".hashscan" / "other").touch()
    (volume / ".hashscan" / "other").unlink()
    assert os.listdir(volume) == [".hashscan"]
    assert recovered(store).state is RecordState.QUARANTINED
    assert os.listdir(volume) == []
