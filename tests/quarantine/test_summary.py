"""hashscan.quarantine.summary: facts of records that are read from one file of the store."""

import os
import time
from dataclasses import replace

import pytest
from isolating import confirmed

from hashscan.model import FileDigests
from hashscan.quarantine import summary as module
from hashscan.quarantine.manage import records
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.recover import recover
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store
from hashscan.quarantine.summary import Brief, briefs

NAMES = ("f", "g\udcff", "h")


@pytest.fixture
def loaded(store, monkeypatch):
    """Ids of the records that are read; each is old enough for the file, which is always kept."""
    monkeypatch.setattr(module, "_RACY", -(10**12))
    monkeypatch.setattr(module, "_MISSING", 1)
    ids, load = [], store.load
    monkeypatch.setattr(store, "load", lambda one: ids.append(one) or load(one))
    return ids


@pytest.fixture
def filled(store, own_quarantine, volume):
    """The ids of three quarantined files, oldest first."""
    for name in NAMES:
        (volume / name).write_bytes(b"known")
        assert own_quarantine.act(confirmed(volume, name)).action == "quarantined"
    return store.ids()


def facts(store):
    return [one.brief for one in briefs(store)]


def test_facts_are_those_of_the_records(store, filled, loaded):
    expected = [Brief.of(one.record) for one in records(store)]
    assert sorted(os.path.basename(one.path) for one in expected) == [b"f", b"g\xff", b"h"]
    assert facts(store) == expected
    assert facts(store) == expected, "from the file"
    record = store.load(filled[0])
    assert (expected[0].word, expected[0].confirmed) == (record.word, record.confirmed)
    assert expected[0].each_digest == record.each_digest


def test_facts_say_whose_file_it_was_and_name_no_digest_twice(store, filled):
    record = store.load(filled[0])
    brief, metadata = Brief.of(record), record.metadata
    assert (brief.size, brief.uid, brief.owner) == (5, metadata.uid, metadata.owner)
    assert brief.path == record.origin.full_path
    assert sorted(brief.all_hex) == sorted(record.digests.as_dict().values())
    announced = replace(record, metadata=None, digests=None, size=7, expected={"md5": "ab"})
    brief = Brief.of(announced)
    assert (brief.size, brief.uid, brief.owner) == (7, None, None)
    assert brief.all_hex == (record.digest, "ab")


def test_an_unchanged_record_is_read_once(store, filled, loaded):
    facts(store)
    assert loaded == filled
    loaded.clear()
    facts(store)
    recover(store)
    assert loaded == []
    assert store.unknown_names() == []


def test_a_record_that_changed_is_read_again(store, filled, loaded):
    facts(store)
    store.save(store.load(filled[1]).with_withdrawal("2026-11-28T00:00:00Z"))
    loaded.clear()
    assert [one.word for one in facts(store)] == ["quarantined", "withdrawn", "quarantined"]
    assert loaded == [filled[1]]
    restore(store, filled[2])
    assert [one.word for one in facts(store)] == ["quarantined", "withdrawn", "restored"]
    loaded.clear()
    assert facts(store)[2].state is RecordState.RESTORED
    assert loaded == []


def test_a_removed_and_a_new_record_change_the_file(store, own_quarantine, volume, filled, loaded):
    facts(store)
    os.unlink(f"{os.fsdecode(store.path_of(filled[0]))}/content")
    store.discard(filled[0])
    (volume / "new").write_bytes(b"known")
    own_quarantine.act(confirmed(volume, "new"))
    assert [one.id for one in facts(store)] == store.ids()
    loaded.clear()
    assert [one.id for one in facts(store)] == store.ids()
    assert loaded == []


def test_what_a_kill_left_beside_a_settled_record_is_removed(store, filled, loaded):
    facts(store)
    left = os.path.join(store.path_of(filled[0]), b"record.json.new")
    with open(left, "wb"):
        pass
    recover(store)
    assert not os.path.exists(left)


def test_an_unfinished_record_is_never_kept(store, filled, loaded):
    store.save(store.load(filled[0]).became(RecordState.PURGING))
    facts(store)
    loaded.clear()
    assert facts(store)[0].state is RecordState.PURGING
    assert loaded == [filled[0]]
    recover(store)
    assert facts(store)[0].state is RecordState.PURGED


def test_a_record_that_may_still_change_within_a_tick_is_not_kept(
    store, filled, loaded, monkeypatch
):
    monkeypatch.setattr(module, "_RACY", 10**12)
    facts(store)
    assert not os.path.lexists(os.path.join(store.directory, module.FILE))


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[: len(raw) // 2],
        lambda raw: bytes(len(raw)),
        lambda raw: raw.replace(b"quarantined", b"quarantinex"),
        lambda raw: b"".join(reversed(raw.splitlines(keepends=True))),
        lambda raw: b"\xff\n" + raw,
    ],
)
def test_a_damaged_file_is_only_incomplete(store, filled, loaded, damage):
    expected = facts(store)
    path = os.path.join(store.directory, module.FILE)
    with open(path, "rb") as file:
        raw = file.read()
    with open(path, "wb") as file:
        file.write(damage(raw))
    assert facts(store) == expected
    loaded.clear()
    assert facts(store) == expected
    assert loaded == [], "it was written again"


def test_a_line_of_another_version_is_written_again(store, filled, loaded, monkeypatch):
    encoded = module._encoded
    with monkeypatch.context() as patch:
        patch.setattr(module, "_encoded", lambda line: encoded([*line[:2], line[2][:-1]]))
        expected = facts(store)
    loaded.clear()
    assert facts(store) == expected
    assert facts(store) == expected
    assert loaded == filled


def test_a_damaged_record_is_reported_each_time(store, filled, loaded):
    facts(store)
    with open(os.path.join(store.path_of(filled[1]), b"record.json"), "wb"):
        pass
    for _ in range(2):
        damaged = [one for one in briefs(store) if one.brief is None]
        assert [one.record_id for one in damaged] == [filled[1]]
        assert "damaged record" in damaged[0].trouble


def test_few_missing_lines_are_not_worth_a_new_file(store, filled, loaded, monkeypatch):
    monkeypatch.setattr(module, "_MISSING", 4)
    facts(store)
    loaded.clear()
    facts(store)
    assert loaded == filled


def test_lines_are_written_in_parts(store, filled, loaded, monkeypatch):
    monkeypatch.setattr(module, "_MOST_IN_MEMORY", 2)
    parts, write = [], module._write
    monkeypatch.setattr(
        module, "_write", lambda *given: parts.append(sorted(given[2])) or write(*given)
    )
    expected = facts(store)
    assert parts == [filled[:2], filled[2:]]
    loaded.clear()
    assert facts(store) == expected
    assert loaded == []


def test_a_killed_writer_does_not_prevent_the_next(store, filled, loaded):
    new = os.path.join(store.directory, module.NEW)
    with open(new, "wb"):
        pass
    facts(store)
    assert os.path.exists(new), "it may still write"
    assert not os.path.exists(os.path.join(store.directory, module.FILE))
    long_ago = time.time() - 700
    os.utime(new, (long_ago, long_ago))
    facts(store)
    facts(store)
    loaded.clear()
    facts(store)
    assert loaded == []
    assert not os.path.exists(new)


def test_a_file_that_cannot_be_written_is_left_out(store, filled, loaded, monkeypatch):
    def fails(*_, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "replace", fails)
    assert len(facts(store)) == 3
    assert not os.path.exists(os.path.join(store.directory, module.NEW))


def test_a_writer_that_is_interrupted_leaves_no_file(store, filled, loaded, monkeypatch):
    monkeypatch.setattr(module, "_merge", raising_interrupt)
    with pytest.raises(KeyboardInterrupt):
        facts(store)
    assert not os.path.exists(os.path.join(store.directory, module.NEW))


def raising_interrupt(*_):
    raise KeyboardInterrupt


def test_digests_that_only_the_scan_found_are_kept(store, filled):
    (record,) = [one.record for one in records(store) if one.record_id == filled[0]]
    brief = Brief.of(record)._replace(digests=FileDigests(), others=("ab",))
    assert brief.all_hex == (record.digest, "ab")


def test_the_index_of_another_process_does_not_read_the_records(store, filled, loaded):
    facts(store)
    record = store.load(filled[0])
    with Store.open(store.directory) as other, other.lock():
        other.load = None
        assert other.index.at(record.origin.full_path) == [record.id]
        assert other.index.names(record.identity) == [record.id]
