"""hashscan.quarantine.conclude: the end of a move that succeeded or failed."""

import errno
from dataclasses import replace
from types import SimpleNamespace

import pytest
from faulty import raising
from isolating import confirmed

from hashscan.errors import QuarantineError
from hashscan.model import FileDigests
from hashscan.quarantine import act, conclude
from hashscan.quarantine.records import RecordState, StagingPlace


def test_a_staged_file_that_cannot_be_removed_stays_on_record(store, moved):
    record = store.load(moved)
    staging = StagingPlace(record.origin, top_inode=1, private_inode=1)
    record = replace(record, state=RecordState.COPIED, staging=staging)
    store.save(record)
    staged = SimpleNamespace(remove=raising(errno.EIO))
    with pytest.raises(QuarantineError, match="is copied, but its staged file remains") as caught:
        conclude.finish_copied(store, record, staged, None)
    assert caught.value.reason == "io-error"
    assert store.load(moved).state is RecordState.COPIED


def test_a_copy_that_is_not_what_was_read_is_put_back(own_quarantine, store, volume, monkeypatch):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    monkeypatch.setattr(act, "take", raising(errno.EXDEV, act.take, calls=1))
    monkeypatch.setattr(
        conclude, "digests_of", lambda *_: FileDigests(b"1" * 16, b"2" * 20, b"3" * 32)
    )
    found = own_quarantine.act(match)
    assert (found.action, found.problem) == ("reported", "changed")
    assert "it changed while it was copied" in found.message
    assert (volume / "f").read_bytes() == b"known"
    (left,) = store.ids()
    assert store.load(left).state is RecordState.UNDONE


def test_what_can_neither_be_kept_nor_put_back_says_both(
    own_quarantine, store, volume, monkeypatch
):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    monkeypatch.setattr(conclude, "read_file_at", raising(errno.EIO))
    monkeypatch.setattr(conclude, "put", raising(errno.EEXIST))
    found = own_quarantine.act(match)
    assert (found.action, found.problem) == ("reported", "io-error")
    assert "could not be quarantined" in found.message
    assert "another file has its name by now" in found.message
    (left,) = store.ids()
    assert store.load(left).state is RecordState.DISPLACED


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.EEXIST, "another file has its name"), (errno.EIO, "Input/output")]
)
def test_why_a_file_is_displaced(own_quarantine, store, volume, monkeypatch, number, reason):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f", b"other")
    monkeypatch.setattr(conclude, "put", raising(number))
    monkeypatch.setattr(act, "_precheck", lambda *_a, **_k: None)
    found = own_quarantine.act(match)
    assert (found.action, found.problem) == ("reported", "displaced")
    record = store.load(found.quarantine_id)
    assert f"it could not be put back ({reason}" in record.note
