"""A store and records that cannot be opened, read or written: each has its reason and its words."""

import errno
import os
from types import SimpleNamespace

import pytest
from faulty import break_os, open_descriptors, raising
from isolating import confirmed, needs_root

from hashscan.errors import QuarantineError
from hashscan.model import Identity
from hashscan.quarantine import retention, store_index
from hashscan.quarantine import store as store_module
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.store import Store
from hashscan.quarantine.summary import Briefed


@pytest.fixture
def one(tmp_path, volume):
    """A store with one quarantined file, its id, and the record's directory."""
    (volume / "f").write_bytes(b"known")
    quarantine = Quarantine.open(os.fsencode(tmp_path / "store"))
    acted = quarantine.act(confirmed(volume, "f"))
    yield quarantine._store, acted.quarantine_id, tmp_path / "store" / acted.quarantine_id
    quarantine.close()


# store


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOENT, "no-store"), (errno.ELOOP, "unsafe-store"),
        (errno.ENOTDIR, "unsafe-store"), (errno.EEXIST, "unsafe-store"),
        (errno.EACCES, "denied"), (errno.EIO, "io-error"),
    ],
)  # fmt: skip
def test_a_store_that_cannot_be_opened(tmp_path, monkeypatch, number, reason):
    monkeypatch.setattr(store_module, "opened_named", raising(number))
    with pytest.raises(QuarantineError) as caught:
        Store.open(os.fsencode(tmp_path / "store"))
    assert caught.value.reason == reason
    assert str(tmp_path / "store") in str(caught.value)


@needs_root
@pytest.mark.root
def test_roots_store_is_not_made_where_a_customer_can_move_it(tmp_path, monkeypatch):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 4711, 4711)
    with pytest.raises(QuarantineError) as caught:
        Store.open(os.fsencode(theirs / "store"))
    assert caught.value.reason == "unsafe-store"
    assert "belongs to user 4711" in str(caught.value)
    assert list(theirs.iterdir()) == []
    break_os(monkeypatch, store_module, geteuid=lambda: 1000)
    named = SimpleNamespace(unsafe="whatever")
    assert store_module._refuse_unsafe(b"/s", named) is None, "a user has no customers"


def test_a_record_that_is_not_there_or_cannot_be_opened(one, monkeypatch):
    store, record_id, _ = one
    with pytest.raises(QuarantineError) as caught, store.entry("none"):
        pass
    assert caught.value.reason == "no-record"
    break_os(monkeypatch, store_module, open=raising(errno.EIO))
    with pytest.raises(QuarantineError) as caught, store.entry(record_id):
        pass
    assert caught.value.reason == "io-error"
    assert record_id in str(caught.value)


@pytest.mark.parametrize("more", [0, 1])
def test_the_largest_record(one, monkeypatch, more):
    store, record_id, place = one
    size = (place / "record.json").stat().st_size
    monkeypatch.setattr(store_module, "_MAX_RECORD", size - more)
    if not more:
        assert store.load(record_id).id == record_id
        store.save(store.load(record_id))
        return
    with pytest.raises(QuarantineError) as caught:
        store.load(record_id)
    assert caught.value.reason == "damaged-record"
    assert str(caught.value).endswith("record.json: too large")
    monkeypatch.setattr(store_module, "_MAX_RECORD", size)
    record = store.load(record_id)
    monkeypatch.setattr(store_module, "_MAX_RECORD", size - more)
    with pytest.raises(QuarantineError) as caught:
        store.save(record)
    assert caught.value.reason == "unfit-record"
    assert f"too large ({size} bytes)" in str(caught.value)


def test_records_that_are_missing_unreadable_or_of_another_id(one, monkeypatch):
    store, record_id, place = one
    before = open_descriptors()
    raw = (place / "record.json").read_bytes()
    other = record_id[:-1] + ("0" if record_id[-1] != "0" else "1")
    (place / "record.json").write_bytes(raw.replace(record_id.encode(), other.encode()))
    with pytest.raises(QuarantineError) as caught:
        store.load(record_id)
    assert caught.value.reason == "damaged-record"
    assert f"this is the record of {other}" in str(caught.value)
    real = os.open
    fails = raising(errno.EIO, real, on=lambda name, *_: name == b"record.json")
    break_os(monkeypatch, store_module, open=fails)
    with pytest.raises(QuarantineError) as caught:
        store.load(record_id)
    assert caught.value.reason == "io-error"
    break_os(monkeypatch, store_module)
    (place / "record.json").unlink()
    with pytest.raises(QuarantineError) as caught:
        store.load(record_id)
    assert (caught.value.reason, "missing" in str(caught.value)) == ("damaged-record", True)
    assert open_descriptors() == before


def test_an_empty_record_that_cannot_be_removed_is_kept(one, monkeypatch):
    store, record_id, place = one
    assert store.tidy(record_id) is False, "it has a record"
    for name in ("record.json", "content"):
        (place / name).unlink()
    break_os(monkeypatch, store_module, rmdir=raising(errno.EROFS))
    assert store.tidy(record_id) is False
    break_os(monkeypatch, store_module)
    assert store.tidy(record_id) is True
    assert store.ids() == []


def test_a_directory_with_content_is_never_discarded(one):
    store, record_id, place = one
    with pytest.raises(QuarantineError) as caught:
        store.discard(record_id)
    assert caught.value.reason == "unsafe-store"
    assert "it holds ['content']" in str(caught.value)
    assert {entry.name for entry in place.iterdir()} == {"content", "record.json"}


# index


def test_groups_forget_what_they_forgot():
    groups = store_index._Groups()
    for name in ("a", "b", "c"):
        groups.put(name, 1)
    groups.put("a", 1)
    assert list(groups.of(1)) == ["a", "b", "c"]
    groups.put("b", 2)
    assert (list(groups.of(1)), list(groups.of(2))) == (["a", "c"], ["b"])
    for name in ("a", "b", "c"):
        groups.put(name, None)
    assert (groups._ids, groups._key_of) == ({}, {})
    groups.put("none", None)
    assert list(groups.of(1)) == []


def test_the_index_leaves_out_damaged_records_and_forgets_removed_ones():
    brief = SimpleNamespace(identity=Identity(1, 2), path=b"/v/f")
    listed = [Briefed("a", brief), Briefed("damaged", None, "damaged"), Briefed("b", brief)]
    ids = [one.record_id for one in listed]
    found = store_index.Index(lambda: ids, lambda _name: Identity(3, 4), lambda: listed)
    found.forget("a")  # nothing was read yet
    assert found.names(Identity(1, 2)) == ["a", "b"]
    assert found.at(b"/v/f") == ["a", "b"]
    assert found.contents(Identity(3, 4)) == {"a", "b", "damaged"}
    found.forget("a")
    assert found.names(Identity(1, 2)) == ["b"]
    assert found.at(b"/v/f") == ["b"]
    assert found.contents(Identity(3, 4)) == {"b", "damaged"}
    found.reset()
    assert found.contents(Identity(3, 4)) == {"a", "b", "damaged"}


# housekeeping


def test_a_quarantine_that_is_not_there_has_nothing_old(tmp_path, monkeypatch):
    none = os.fsencode(tmp_path / "none")
    assert retention.purge_older(none, 1) == retention.Purged(0, 0)
    assert not (tmp_path / "none").exists()
    (tmp_path / "none").write_bytes(b"")
    with pytest.raises(QuarantineError) as caught:
        retention.purge_older(none, 1)
    assert caught.value.reason == "unsafe-store"


def test_a_record_that_could_not_be_read_again_is_not_written(one, monkeypatch):
    store, record_id, directory = one
    record = store.load(record_id)
    before = (directory / "record.json").read_bytes()

    def from_json(_raw, _where):
        raise QuarantineError("damaged", reason="damaged") from ValueError("no such year")

    monkeypatch.setattr(store_module.Record, "from_json", from_json)
    with pytest.raises(QuarantineError, match="could not be read again: no such year") as caught:
        store.save(record)
    assert caught.value.reason == "unfit-record"
    assert (directory / "record.json").read_bytes() == before
