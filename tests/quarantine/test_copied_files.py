"""Files that are copied into the store: what a failure leaves, and names of one inode."""

import errno
import os
import stat
from pathlib import Path

import pytest
from faulty import break_os, raising
from isolating import confirmed

from hashscan.quarantine import act, conclude
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.store import Store


@pytest.fixture
def copied(own_quarantine, store, volume, monkeypatch):
    """A function that moves files as if the store were on another file system: their records."""

    def copied(*names):
        matches = [confirmed(volume, name) for name in names]
        for match in matches:
            with monkeypatch.context() as patch:
                patch.setattr(act, "take", raising(errno.EXDEV, act.take, calls=1))
                own_quarantine.act(match)
        return [Path(os.fsdecode(store.path_of(one))) for one in store.ids()]

    return copied


def test_two_names_of_one_inode_have_one_copy(copied, volume):
    (volume / "a").write_bytes(b"known")
    os.link(volume / "a", volume / "b")
    one, other = copied("a", "b")
    assert os.path.samefile(one / "content", other / "content")
    assert stat.S_IMODE((one / "content").stat().st_mode) == 0o600
    assert sorted(os.listdir(other)) == ["content", "record.json"]


def test_a_copy_that_cannot_be_linked_durably_is_made_again(copied, volume, monkeypatch):
    (volume / "a").write_bytes(b"known")
    os.link(volume / "a", volume / "b")

    def is_link(fd):
        status = os.fstat(fd)
        return stat.S_ISREG(status.st_mode) and status.st_nlink == 2

    fails = raising(errno.EIO, os.fsync, on=is_link)
    break_os(monkeypatch, conclude, fsync=fails)
    one, other = copied("a", "b")
    assert fails.count == 1
    assert not os.path.samefile(one / "content", other / "content")
    assert (other / "content").read_bytes() == b"known"
    assert sorted(os.listdir(other)) == ["content", "record.json"]


def test_a_file_that_cannot_be_copied_is_back_before_the_record_says_so(
    copied, store, volume, monkeypatch
):
    (volume / "f").write_bytes(b"known")
    save, saved = Store.save, []

    def saving(self, record):
        saved.append(
            (record.state, sorted(os.listdir(volume)), os.listdir(self.path_of(record.id)))
        )
        save(self, record)

    monkeypatch.setattr(Store, "save", saving)
    monkeypatch.setattr(conclude, "copy_content", raising(errno.ENOSPC))
    (entry,) = copied("f")
    assert saved[-1] == (RecordState.UNDONE, ["f"], [b"record.json"])
    assert os.listdir(entry) == ["record.json"]
