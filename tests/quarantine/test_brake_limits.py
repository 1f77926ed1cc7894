"""What a customer can blow up: extended attributes, times and names of one inode."""

import os

import pytest
from isolating import (
    MOMENTS,
    all_records,
    confirmed,
    kill_everywhere,
    recovered,
    snapshot,
)

from hashscan.quarantine import store as store_module
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.brake_limits import BrakeLimits
from hashscan.quarantine.manage import purge, verify
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store


@pytest.fixture
def apart(tmp_path, memory):
    """Volume in memory, which takes any attributes, and a store on another file system."""
    if os.stat(tmp_path).st_dev == os.stat(memory).st_dev:
        pytest.skip("the temporary directory and /dev/shm are one file system")
    (memory / "volume").mkdir()
    return memory / "volume", tmp_path / "store"


def stuffed(path, count, size):
    path.write_bytes(b"known content")
    for number in range(count):
        try:
            os.setxattr(path, f"user.{number:0200}", os.urandom(size))
        except OSError:
            pytest.skip("/dev/shm takes no such attributes")


@pytest.mark.parametrize("where", ["same-fs", "other-fs"])
@pytest.mark.parametrize(("count", "size"), [(40, 60_000), (600, 10)], ids=["large", "many"])
def test_attributes_without_measure(apart, where, count, size):
    volume, store_path = apart
    if where == "same-fs":
        store_path = volume.parent / "store"
    stuffed(volume / "f", count, size)
    match = confirmed(volume, "f")
    quarantine = Quarantine.open(os.fsencode(store_path))
    acted = quarantine.act(match)
    quarantine.close()
    assert acted.action == "quarantined"
    assert ("extended attributes" in acted.message) == (where == "other-fs")
    assert (store_path / acted.quarantine_id / "record.json").stat().st_size < 2 << 20
    with recovered(store_path) as store, store.lock():
        (record,) = all_records(store)
        left_out = record.metadata.left_out
        if count == 600:
            assert left_out.names is None
        else:
            assert left_out.names + len(record.metadata.xattrs) == count
            assert left_out.size == left_out.names * size
        done = restore(store, record.id)
    assert bool(done.notes) == (where == "other-fs")
    assert (volume / "f").read_bytes() == b"known content"
    if where == "same-fs" and count == 40:
        assert len(os.listxattr(volume / "f")) == count


def test_any_time_is_kept_and_read_again(apart):
    volume, store_path = apart
    (volume / "f").write_bytes(b"known content")
    os.utime(volume / "f", ns=(2**61 * 10**9, 2**61 * 10**9 + 1))
    if os.stat(volume / "f").st_mtime_ns < 2**63:
        pytest.skip("/dev/shm takes no such times")
    before = snapshot(volume / "f")
    quarantine = Quarantine.open(os.fsencode(store_path))
    acted = quarantine.act(confirmed(volume, "f"))
    quarantine.close()
    with recovered(store_path) as store, store.lock():
        restore(store, acted.quarantine_id)
    assert snapshot(volume / "f") == before


@pytest.mark.parametrize("limit", [100, 3500], ids=["at-once", "when-looked-at"])
def test_a_record_that_could_not_be_read_again_is_refused(
    volume, quarantine, store_path, monkeypatch, limit
):
    path = volume / "f"
    path.write_bytes(b"known content")
    os.setxattr(path, "user.a", os.urandom(3000))
    before = snapshot(path)
    monkeypatch.setattr(store_module, "_MAX_RECORD", limit)
    acted = quarantine.act(confirmed(volume, "f"))
    assert (acted.action, acted.problem) == ("reported", "unfit-record")
    assert "too large" in acted.message
    assert snapshot(path) == before
    with recovered(store_path) as store:
        states = [one.state for one in all_records(store)]
    assert states == ([] if limit == 100 else [RecordState.UNDONE])


def linked(volume, names):
    content = os.urandom(200_000)
    (volume / names[0]).write_bytes(content)
    os.chmod(volume / names[0], 0o640)
    for name in names[1:]:
        os.link(volume / names[0], volume / name)
    return content, [confirmed(volume, name) for name in names]


def test_names_of_one_inode_are_one_copy(apart):
    volume, store_path = apart
    names = [str(number) for number in range(8)]
    _, matches = linked(volume, names)
    before = snapshot(volume / "0")
    quarantine = Quarantine.open(os.fsencode(store_path))
    ids = [quarantine.act(match).quarantine_id for match in matches]
    quarantine.close()
    contents = [store_path / one / "content" for one in ids]
    assert len({path.stat().st_ino for path in contents}) == 1
    assert contents[0].stat().st_nlink == len(names)
    with recovered(store_path) as store, store.lock():
        purge(store, ids[0])
        restore(store, ids[1])
        # On the store's own file system it must not become the very inode that others rest on.
        elsewhere = store_path.parent / "elsewhere"
        elsewhere.mkdir()
        restore(store, ids[2], to=os.fsencode(elsewhere))
        assert snapshot(elsewhere / "2")[:4] == before[:4]
        (elsewhere / "2").write_bytes(b"changed by its owner")
        for one in ids[3:]:
            restore(store, one)
    for name in ["1", *names[3:]]:
        assert snapshot(volume / name) == before  # its last part is the content
    assert len({os.stat(volume / name).st_ino for name in ["1", *names[3:]]}) == 1


def test_an_altered_copy_is_not_linked(apart):
    volume, store_path = apart
    content, matches = linked(volume, ["a", "b"])
    quarantine = Quarantine.open(os.fsencode(store_path))
    first = quarantine.act(matches[0]).quarantine_id
    (store_path / first / "content").write_bytes(bytes(len(content)))
    second = quarantine.act(matches[1]).quarantine_id
    quarantine.close()
    assert (store_path / second / "content").read_bytes() == content
    with Store.open(os.fsencode(store_path)) as store:
        assert [one.record_id for one in verify(store).findings] == [first]


@pytest.mark.parametrize("when", MOMENTS)
def test_killed_while_it_links(apart, monkeypatch, when):
    volume, store_path = apart
    monkeypatch.setattr(os, "fsync", lambda fd: None)

    def prepare(number):
        base = volume / str(number)
        base.mkdir()
        content, matches = linked(base, ["a", "b"])
        store = store_path.parent / f"store{number}"
        quarantine = Quarantine.open(os.fsencode(store))
        quarantine.act(matches[0])
        quarantine.close()
        return base, store, content, matches[1]

    def job(prepared):
        with Store.open(os.fsencode(prepared[1])) as store:
            assert Quarantine(store).act(prepared[3]).action == "quarantined"

    def check(prepared):
        base, store_path, content, _ = prepared
        with recovered(store_path) as store, store.lock():
            kept = [one for one in all_records(store) if one.state is RecordState.QUARANTINED]
            assert len(kept) + (base / "b").exists() == 2
            for one in kept:
                assert {path.name for path in (store_path / one.id).iterdir()} == {
                    "content",
                    "record.json",
                }
                restore(store, one.id)
        assert [(base / name).read_bytes() for name in "ab"] == [content] * 2

    assert kill_everywhere(prepare, job, check, when) > 10


@pytest.mark.parametrize(
    ("share", "files", "most"),
    [(None, 1000, None), (0.1, None, None), (0.1, 1000, 100), (0.1, 59, 5), (0.1, 9, 3)],
)
def test_the_share_of_a_volume_is_a_number_of_files(share, files, most):
    assert BrakeLimits(share=share, share_from=3).of_volume(files) == most
