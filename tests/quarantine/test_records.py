"""hashscan.quarantine.records: the content of a record, and records that are damaged."""

import json
import os
from contextlib import closing
from dataclasses import replace

import pytest
from isolating import confirmed

from hashscan.errors import QuarantineError
from hashscan.fs.metadata import whole
from hashscan.model import Identity
from hashscan.quarantine import records
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.records import ID_PATTERN, Record, RecordState, new_id


@pytest.fixture
def one(tmp_path, volume):
    """A store with one quarantined file."""
    (volume / "f\udcff\n").write_bytes(b"known")
    quarantine = Quarantine.open(os.fsencode(tmp_path / "store"))
    acted = quarantine.act(confirmed(volume, "f\udcff\n"))
    yield quarantine._store, acted.quarantine_id, tmp_path / "store" / acted.quarantine_id
    quarantine.close()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("origin", "path_base64"), ""),
        (("origin", "volume_base64"), "YQ=="),  # "a"
        (("origin", "volume_base64"), "LwA="),  # a slash and a NUL
        (("origin", "path_base64"), "Li4="),  # ".."
        (("origin", "path_base64"), "Z!g=="),  # "f", with a sign that base64 has not
        (("origin", "volume_base64"), "L3!Y="),
        (("acted",), "2026-01-02T03:04:05"),
        (("history",), []),
        (("algorithm",), "crc"),
        (("note",), 5),
    ],
)
def test_a_record_that_no_step_can_rely_on(one, path, value):
    _, _, place = one
    data = json.loads((place / "record.json").read_bytes())
    holder = _holder(data, path)
    holder[path[-1]] = value
    with pytest.raises(QuarantineError) as caught:
        Record.from_json(json.dumps(data).encode(), "here")
    assert caught.value.reason == "damaged-record"


def _holder(data, path):
    """The object in which the last name of ``path`` is, wherever in the record that is."""
    if path[-1] in data and len(path) == 1:
        return data
    found = [data]
    for one in found:
        if isinstance(one, dict):
            if path[0] in one and (len(path) == 1 or isinstance(one[path[0]], dict)):
                return one if len(path) == 1 else one[path[0]]
            found += one.values()
    raise AssertionError(path)


def test_inode_numbers_have_64_bits():
    assert records._inode(2**64 - 1) == 2**64 - 1
    with pytest.raises(ValueError):
        records._inode(2**64)
    with pytest.raises(ValueError):
        whole(-1)
    assert records._to_identity({"device": 2**64 - 1, "inode": 0}) == Identity(2**64 - 1, 0)


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


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"digests": None}, "quarantined, and no digests of the content"),
        ({"state": RecordState.COPIED, "digests": None}, "copied, and no digests of the content"),
        ({"state": RecordState.PURGING, "digests": None}, "purging, and no digests of the content"),
        ({"metadata": None}, "quarantined, and no digests of the content"),
        ({"state": RecordState.COPIED, "staging": None}, "copied, and no staging directory"),
        ({"state": RecordState.RESTORING, "resume": RecordState.QUARANTINED}, "no state before it"),
        (
            {"state": RecordState.RESTORING, "resume": RecordState.INTENT, "target": True},
            "restoring, and no target",
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
