"""hashscan.quarantine.manage: list, verify, export and purge records."""

import json
import os
import tarfile
from contextlib import suppress
from dataclasses import replace

import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isolating import all_records, confirmed, kill_everywhere

from hashscan.errors import QuarantineError, UnsafePathError, UsageError
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
from hashscan.quarantine.records import Record, RecordState
from hashscan.quarantine.recover import recover
from hashscan.quarantine.restore import restore


@pytest.fixture
def one(tmp_path, volume):
    """A store with one quarantined file."""
    (volume / "f\udcff\n").write_bytes(b"known")
    quarantine = Quarantine.open(os.fsencode(tmp_path / "store"))
    acted = quarantine.act(confirmed(volume, "f\udcff\n"))
    yield quarantine._store, acted.quarantine_id, tmp_path / "store" / acted.quarantine_id
    quarantine.close()


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


def test_the_content_of_another_file_that_waits_for_its_way_back_is_not_verified(one):
    store, record_id, _ = one
    good = store.load(record_id)
    assert verify(store).checked == 1
    store.save(replace(good, state=RecordState.DISPLACED, digests=None))
    found = verify(store)
    assert (found.checked, found.findings) == (0, [])
