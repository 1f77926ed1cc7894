"""The store's directory, its lock and its records, damaged ones included."""

import json
import os
import stat
import tarfile
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace

import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isolating import all_records, confirmed, fork, kill_at, kill_everywhere, recovered

from hashscan.errors import LockedError, QuarantineError, UnsafePathError, UsageError
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.manage import (
    Aged,
    aged,
    export,
    purge,
    records,
    resolve,
    verify,
)
from hashscan.quarantine.records import ID_PATTERN, Record, RecordState, new_id
from hashscan.quarantine.recover import recover
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store


@pytest.fixture
def one(tmp_path, volume):
    """A store with one quarantined file."""
    (volume / "f\udcff\n").write_bytes(b"known")
    quarantine = Quarantine.open(os.fsencode(tmp_path / "store"))
    acted = quarantine.act(confirmed(volume, "f\udcff\n"))
    yield quarantine._store, acted.quarantine_id, tmp_path / "store" / acted.quarantine_id
    quarantine.close()


def test_unsafe_stores_are_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "open").mkdir()
    os.chmod(tmp_path / "open", 0o750)
    for name in ("link", "file", "open"):
        with pytest.raises(QuarantineError) as caught:
            Store.open(os.fsencode(tmp_path / name))
        assert caught.value.reason == "unsafe-store"
        assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(QuarantineError) as caught:
        Store.open(os.fsencode(tmp_path / "none"), create=False)
    assert caught.value.reason == "no-store"
    assert not (tmp_path / "none").exists()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_store_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "store").mkdir(mode=0o700)
    os.chown(tmp_path / "store", 4711, 4711)
    with pytest.raises(QuarantineError, match="owned by user 4711"):
        Store.open(os.fsencode(tmp_path / "store"))


def test_lock_excludes_and_waits(one):
    store, _, _ = one
    with store.lock(), pytest.raises(LockedError, match="another hashscan"), store.lock(0.05):
        pass
    started = threading.Event()

    def hold():
        with store.lock():
            started.set()
            time.sleep(0.2)

    holder = threading.Thread(target=hold)
    holder.start()
    started.wait()
    with store.lock(5):
        assert not holder.is_alive() or holder.join() is None
    holder.join()


def test_a_child_that_was_forked_meanwhile_does_not_keep_the_lock(one):
    store, _, _ = one
    reading, writing = os.pipe()
    with store.lock():
        child = os.fork()
        if child == 0:
            os.read(reading, 1)
            os._exit(0)
    try:
        with store.lock(0):
            pass
    finally:
        os.write(writing, b"x")
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


def test_nobody_else_has_any_right_to_what_is_in_a_store(one):
    store, record_id, directory = one
    store.keep_timeline()
    with store.lock():
        restore(store, record_id)
    found = {
        stat.S_IMODE(path.lstat().st_mode)
        for path in (directory.parent, *directory.parent.rglob("*"))
    }
    assert found == {0o700, 0o600}


def test_record_survives_json_and_keeps_every_byte_of_a_path(one):
    store, record_id, directory = one
    record = store.load(record_id)
    raw = (directory / "record.json").read_bytes()
    assert raw.isascii()
    data = json.loads(raw)
    assert os.fsencode(data["path"]).endswith(b"/f\xff\n")
    assert record.origin.path == b"f\xff\n"
    assert Record.from_json(record.to_json(), "here") == record
    for key in ("host", "agent_version", "detected", "acted", "service", "filter_version"):
        assert data[key]
    assert data["verdict"] == "known"
    assert [step["state"] for step in data["history"]] == ["intent", "quarantined"]


def test_a_record_has_the_confirmed_digest_first_and_each_once(one):
    store, record_id, _directory = one
    record = store.load(record_id)
    own = record.digests.each()
    assert record.each_digest[0] == record.confirmed
    assert len(record.each_digest) == len(own) == 3
    assert set(record.each_digest) == set(own)
    assert replace(record, digests=None).each_digest == (record.confirmed,)


def test_the_content_of_a_file_that_was_copied_is_a_copy(one):
    store, record_id, _directory = one
    record = store.load(record_id)
    copied = record.became(RecordState.COPIED).became(RecordState.QUARANTINED)
    assert (record.is_copy, copied.is_copy) == (False, True)
    assert not replace(copied, state=RecordState.DISPLACED).is_copy
    assert not replace(copied, state=RecordState.RESTORING, resume=RecordState.DISPLACED).is_copy
    assert replace(copied, state=RecordState.RESTORING, resume=RecordState.QUARANTINED).is_copy


def test_a_record_says_how_its_file_was_found(tmp_path, volume):
    (volume / "f").write_bytes(b"pretend")
    match = replace(confirmed(volume, "f"), found_by="watch")
    with closing(Quarantine.open(os.fsencode(tmp_path / "store"))) as quarantine:
        record = quarantine._store.load(quarantine.act(match).quarantine_id)
    assert record.found_by == "watch"
    assert Record.from_json(record.to_json(), "here") == record
    old = json.loads(record.to_json())
    del old["found_by"]
    assert Record.from_json(json.dumps(old).encode(), "here").found_by == ""


def test_ids_sort_by_time_and_are_harmless():
    ids = [new_id() for _ in range(100)]
    assert len(set(ids)) >= 97  # chance makes two of one millisecond the same now and then
    assert all(ID_PATTERN.fullmatch(one) for one in ids)


@given(raw=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(80), deadline=None)  # fmt: skip
def test_any_bytes_for_a_record_are_told_and_kept(one, raw):
    store, record_id, directory = one
    good = store.load(record_id)
    try:
        damaged(store, directory, raw)
    finally:
        store.save(good)


def damaged(store, directory, raw):
    (directory / "record.json").write_bytes(raw)
    (listed,) = records(store)
    assert listed.record is None
    assert str(directory) in listed.trouble
    with store.lock():
        (note,) = recover(store)
    assert not note.resolved
    assert (directory / "record.json").read_bytes() == raw
    assert (directory / "content").read_bytes() == b"known"
    assert [one.kind for one in verify(store).findings] == ["damaged"]


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(80), deadline=None)  # fmt: skip
def test_any_value_in_a_record_is_taken_or_told(one, volume, data):
    """One field of a good record replaced by any JSON: it never gets past unnoticed or crashes."""
    store, record_id, directory = one
    good = store.load(record_id)
    fields = json.loads(good.to_json())
    where, key = data.draw(
        st.sampled_from(
            [(fields, name) for name in fields]
            + [
                (fields[part], name)
                for part in ("origin", "scanned", "metadata", "digests")
                for name in fields[part]
            ]
        )
    )
    leaf = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text() | st.floats()
    where[key] = data.draw(leaf | st.lists(leaf, max_size=2) | st.dictionaries(st.text(), leaf))
    try:
        (directory / "record.json").write_text(json.dumps(fields))
        (listed,) = records(store)
        if listed.record is None:
            assert str(directory) in listed.trouble
        else:
            assert isinstance(listed.record, Record)
            json.dumps(listed.record.as_dict())
            assert Record.from_json(listed.record.to_json(), "here") == listed.record
        verify(store)
        with store.lock(), suppress(QuarantineError):
            recover(store)
            restore(store, record_id)
    finally:
        if not (directory / "content").exists():
            (directory / "content").write_bytes(b"known")
        for name in os.listdir(volume):
            os.unlink(volume / name)
        store.save(good)


def test_records_of_another_format_are_left_alone(one):
    store, record_id, directory = one
    fields = json.loads((directory / "record.json").read_text())
    fields["format"] = 2
    (directory / "record.json").write_text(json.dumps(fields))
    with pytest.raises(QuarantineError, match="newer hashscan"):
        store.load(record_id)
    with pytest.raises(QuarantineError), store.lock():
        purge(store, record_id)
    assert (directory / "content").exists()


def test_abbreviated_ids(one):
    store, record_id, _ = one
    assert resolve(store, record_id) == record_id
    assert resolve(store, record_id[-4:]) == record_id
    assert resolve(store, record_id[:3]) == record_id
    assert resolve(store, record_id.partition("-")[2][:3]) == record_id
    for bad in ("", "zzz", "../..", record_id + "/", "-"):
        with pytest.raises(UsageError, match="no such record"):
            resolve(store, bad)
    os.mkdir(store.directory + b"/20010101T000000-00000000")
    with pytest.raises(UsageError, match="write more"):
        resolve(store, "20")


def test_purge_counts_from_the_quarantine_and_keeps_the_record(one):
    store, record_id, directory = one
    os.utime(directory / "content", (0, 0))  # the file's own age is nobody's business here
    assert aged(store, 3600) == Aged()
    assert aged(store, 0) == Aged((record_id,))
    with store.lock():
        assert purge(store, record_id).state is RecordState.PURGED
        assert not (directory / "content").exists()
        with pytest.raises(QuarantineError, match="it is purged"):
            purge(store, record_id)
        with pytest.raises(QuarantineError, match="there is no content"):
            restore(store, record_id)
    assert [record.state for record in all_records(store)] == [RecordState.PURGED]
    assert aged(store, 0) == Aged()


def test_export(one, tmp_path):
    store, record_id, directory = one
    output = tmp_path / "evidence.tar"
    assert export(store, record_id, os.fsencode(output)) is True
    assert os.stat(output).st_mode & 0o7777 == 0o600
    with tarfile.open(output) as tar:
        assert tar.getnames() == [f"{record_id}/record.json", f"{record_id}/content"]
        assert {member.mode for member in tar} == {0o600}
        assert tar.extractfile(f"{record_id}/content").read() == b"known"
        assert json.load(tar.extractfile(f"{record_id}/record.json"))["id"] == record_id
    before = output.read_bytes()
    with pytest.raises(QuarantineError) as caught:
        export(store, record_id, os.fsencode(output))
    assert caught.value.reason == "taken"
    assert output.read_bytes() == before
    (directory / "content").write_bytes(b"KNOWN")
    assert export(store, record_id, os.fsencode(tmp_path / "second.tar")) is False
    (directory / "content").write_bytes(b"longer than it was")
    assert export(store, record_id, os.fsencode(tmp_path / "third.tar")) is False
    with tarfile.open(tmp_path / "third.tar") as tar:
        assert tar.extractfile(f"{record_id}/content").read() == b"longer than it was"
    if os.path.exists("/dev/full"):
        (tmp_path / "full").symlink_to("/dev/full")
        with pytest.raises(QuarantineError):
            export(store, record_id, os.fsencode(tmp_path / "full"))


def test_an_export_seals_what_it_hashed(one, tmp_path, monkeypatch):
    """A process that still has the file open changes it while it is exported."""
    store, record_id, directory = one
    real = tarfile.TarFile.addfile

    def meanwhile(tar, member, stream):
        if member.name.endswith("/content"):
            (directory / "content").write_bytes(b"KNOWN")
        real(tar, member, stream)

    monkeypatch.setattr(tarfile.TarFile, "addfile", meanwhile)
    assert export(store, record_id, os.fsencode(tmp_path / "e.tar")) is False
    with tarfile.open(tmp_path / "e.tar") as tar:
        assert tar.extractfile(f"{record_id}/content").read() == b"KNOWN"

    def cut(tar, member, stream):
        if member.name.endswith("/content"):
            (directory / "content").write_bytes(b"")
        real(tar, member, stream)

    monkeypatch.setattr(tarfile.TarFile, "addfile", cut)
    with pytest.raises(QuarantineError):
        export(store, record_id, os.fsencode(tmp_path / "cut.tar"))
    assert not (tmp_path / "cut.tar").exists()


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_export_that_is_killed_leaves_all_or_nothing(one, tmp_path, when):
    store, record_id, _ = one

    def prepare(number):
        (tmp_path / f"{number}").mkdir()
        return tmp_path / f"{number}" / "e.tar"

    def check(output):
        assert os.listdir(output.parent) in ([], ["e.tar"])
        if output.exists():
            with tarfile.open(output) as tar:
                assert tar.extractfile(f"{record_id}/content").read() == b"known"

    calls = kill_everywhere(
        prepare, lambda output: export(store, record_id, os.fsencode(output)), check, when
    )
    assert calls >= 2


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_export_does_not_follow_a_customers_link(one, tmp_path):
    store, record_id, _ = one
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    os.chown(tmp_path / "link", 4711, 4711, follow_symlinks=False)
    with pytest.raises(UnsafePathError, match="user 4711"):
        export(store, record_id, os.fsencode(tmp_path / "link" / "e.tar"))
    assert os.listdir(tmp_path / "elsewhere") == []


def test_leftovers_of_a_killed_write_are_removed(one, tmp_path):
    _, _, directory = one
    (directory / "record.json.new").write_bytes(b"{")
    early = tmp_path / "store" / "20010101T000000-00000000"
    early.mkdir()
    (early / "record.json.new").write_bytes(b"")
    with recovered(tmp_path / "store"):
        assert not early.exists()
        assert sorted(os.listdir(directory)) == ["content", "record.json"]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"digests": None}, "quarantined, and no digests of the content"),
        ({"state": RecordState.COPIED, "digests": None}, "copied, and no digests of the content"),
        ({"state": RecordState.PURGING, "digests": None}, "purging, and no digests of the content"),
        ({"metadata": None}, "quarantined, and no digests of the content"),
        ({"state": RecordState.COPIED, "staging": None}, "copied, and not from where"),
        ({"state": RecordState.RESTORING, "resume": RecordState.QUARANTINED}, "not whither"),
        (
            {"state": RecordState.RESTORING, "resume": RecordState.INTENT, "target": True},
            "on its way back, and not from where",
        ),
        (
            {
                "state": RecordState.RESTORING,
                "resume": RecordState.QUARANTINED,
                "target": True,
                "digests": None,
            },
            "quarantined, and no digests of the content",
        ),
        ({"acted": "2026-01-01T00:00:00"}, "a time without its zone"),
        ({"expected": {}}, "no digests, no history"),
        ({"history": ()}, "no digests, no history"),
        ({"id": "../x"}, "an id that hashscan never makes"),
    ],
)
def test_a_record_that_no_step_can_rely_on_is_damaged(one, changes, what):
    store, record_id, _ = one
    good = store.load(record_id)
    if "target" in changes:
        changes = {**changes, "target": good.origin}
    with pytest.raises(QuarantineError, match=what):
        Record.from_json(replace(good, **changes).to_json(), "here")


def test_what_lacks_nothing_that_its_state_needs_is_a_record(one):
    store, record_id, _ = one
    good = store.load(record_id)
    for changes in (
        {"state": RecordState.INTENT, "digests": None, "metadata": None},
        {"state": RecordState.DISPLACED, "digests": None, "metadata": None},
        {"state": RecordState.RESTORING, "resume": RecordState.QUARANTINED, "target": good.origin},
        {"state": RecordState.RESTORING, "resume": RecordState.DISPLACED, "target": good.origin,
         "digests": None},
    ):  # fmt: skip
        record = replace(good, **changes)
        assert Record.from_json(record.to_json(), "here") == record


def test_what_became_of_a_file_at_whose_move_hashscan_was_killed_is_told(tmp_path, volume):
    told = set()
    for step in range(1, 20):
        path, where = volume / str(step), os.fsencode(tmp_path / f"s{step}")
        path.write_bytes(b"known")

        def act(step=step, path=path, where=where):
            quarantine = Quarantine.open(where)
            kill_at(step, "after")
            quarantine.act(confirmed(volume, path.name))

        fork(act)
        with Store.open(where) as store, store.lock():
            for note in recover(store):
                start, became = note.message.split(": ", 1)
                assert start == str(path)
                left = "hashscan was stopped before it was moved; it was left where it is"
                assert (became == left) == path.exists()
                told.add(became)
    assert any("was left where it is" in one for one in told)
    assert "hashscan was stopped at work on it (intent); now it is quarantined" in told


def test_the_content_of_another_file_that_waits_for_its_way_back_is_not_verified(one):
    store, record_id, _ = one
    good = store.load(record_id)
    assert verify(store).checked == 1
    store.save(replace(good, state=RecordState.DISPLACED, digests=None))
    found = verify(store)
    assert (found.checked, found.findings) == (0, [])
