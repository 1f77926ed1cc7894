"""A store and records that cannot be opened, read or written: each has its reason and its words."""

import errno
import json
import os
from types import SimpleNamespace

import pytest
from faulty import break_os, open_descriptors, raising
from isolating import confirmed, needs_root

from hashscan.errors import QuarantineError
from hashscan.fs.beneath import CrossesMountError, closing
from hashscan.fs.metadata import whole
from hashscan.model import Identity
from hashscan.quarantine import explain, records, restore_selection, retention, store_index
from hashscan.quarantine import store as store_module
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.records import Record, RecordState
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


# faults


@pytest.mark.parametrize(
    ("number", "reason", "fix"),
    [
        (errno.EROFS, "read-only", "remount"),
        (errno.EACCES, "denied", "run hashscan as root"),
        (errno.EPERM, "denied", "security module"),
        (errno.ENOSPC, "no-space", "free some space"),
        (errno.EDQUOT, "no-space", "raise the quota"),
        (errno.ENOENT, "vanished", "removed or renamed"),
        (errno.ELOOP, "swapped", "a link stands"),
        (errno.ENOTDIR, "swapped", "something else stands"),
        (errno.EXDEV, "other-filesystem", "one_file_system: false"),
        (errno.ESTALE, "stale", "network file system"),
        (errno.EIO, "io-error", "disk may be failing"),
        (errno.EBUSY, "busy", "mount point"),
        (errno.EEXIST, "taken", "not overwritten"),
        (errno.ENAMETOOLONG, "other", "kernel's log"),
    ],
)
def test_each_error_of_the_kernel_has_a_reason_and_a_fix(number, reason, fix):
    found = explain.explained(OSError(number, ""), b"/v/f\n", "could not be moved")
    assert found.reason == reason
    assert str(found).startswith(f"/v/f\\n: could not be moved: {os.strerror(number)}; ")
    assert fix in str(found)


def test_a_mount_on_the_way_and_errors_without_a_number():
    found = explain.explained(CrossesMountError(errno.EXDEV, ""), b"/v", "x")
    assert found.reason == "other-filesystem"
    found = explain.explained(OSError("strange"), b"/v", "x")
    assert (found.reason, str(found)) == ("other", "/v: x: strange; look at the kernel's log")


def test_a_limit_of_this_process_is_named():
    found = explain.explained(OSError(errno.EMFILE, "Too many"), b"/v", "x")
    assert found.reason == "other"
    assert "kernel's log" not in str(found)
    assert "LimitNOFILE" in str(found) or "ulimit" in str(found)


@pytest.mark.parametrize(
    ("file", "directory", "reason"),
    [
        (explain.IMMUTABLE, 0, "immutable"),
        (explain.APPEND, 0, "append-only"),
        (0, explain.IMMUTABLE, "immutable"),
        (0, explain.APPEND, "append-only"),
        (None, None, "denied"),
        (0, 0, "denied"),
    ],
)
def test_what_forbids_a_move(monkeypatch, file, directory, reason):
    monkeypatch.setattr(explain, "_flags_of", lambda *_: file)
    monkeypatch.setattr(explain, "inode_flags", lambda _fd: directory)
    found = explain.explained_move(OSError(errno.EPERM, ""), 5, b"f", b"/v/d/f")
    assert found.reason == reason
    if file:
        assert f"the file is {reason}" in str(found)
        assert "/v/d/f` and scan again" in str(found)
    elif directory:
        assert f"its directory is {reason}" in str(found)
        assert " /v/d` and scan again" in str(found)
    other = explain.explained_move(OSError(errno.EBUSY, ""), 5, b"f", b"/v/d/f")
    assert other.reason == "busy"


def test_flags_of_what_cannot_be_opened_are_unknown(tmp_path):
    with closing(os.open(tmp_path, os.O_RDONLY)) as fd:
        assert explain._flags_of(fd, b"none") is None


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


# records


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


# selection


def _listed(number, **changes):
    values = {
        "state": RecordState.QUARANTINED, "acted": f"2026-01-0{number}T00:00:00+00:00",
        "path": f"/srv/www/a{number}/f.jpg".encode(),
        "owner": None, "uid": 5, "withdrawn": "", "each_digest": (), **changes,
    }  # fmt: skip
    return Briefed(str(number), SimpleNamespace(**values))


def chosen(monkeypatch, listed, **given):
    monkeypatch.setattr(restore_selection, "briefs", lambda _store: listed)
    found = restore_selection.Selection(**given).selected(None)
    return found.ids, found.unread


def test_only_what_is_there_is_selected_and_unreadable_records_are_reported(monkeypatch):
    listed = [_listed(1), _listed(2, state=RecordState.DISPLACED), Briefed("3", None, "damaged")]
    listed += [
        _listed(number, state=state)
        for number, state in enumerate(
            set(RecordState) - {RecordState.QUARANTINED, RecordState.DISPLACED}, start=4
        )
    ]  # fmt: skip
    assert chosen(monkeypatch, listed) == (["1", "2"], ["damaged"])


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (("/srv/www/a1/f.jpg",), ["1"]),
        (("/srv/www/a1",), ["1"]),
        (("/srv/www/a1/",), ["1"]),
        (("/srv/www/a",), []),
        (("/srv/www",), ["1", "2"]),
        (("/",), ["1", "2"]),
        (("/srv/*/a2/*",), ["2"]),
        (("*.jpg",), ["1", "2"]),
        (("*.JPG",), []),
        (("/srv/www/a1/f.jpg/x",), []),
        (("/nowhere", "/srv/www/a2"), ["2"]),
    ],
)
def test_selection_by_path(monkeypatch, paths, found):
    assert chosen(monkeypatch, [_listed(1), _listed(2)], paths=paths) == (found, [])


def test_selection_through_a_link(monkeypatch, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    path = os.fsencode(tmp_path / "real" / "f")
    listed = [_listed(1, path=path)]
    assert chosen(monkeypatch, listed, paths=(str(tmp_path / "link"),)) == (["1"], [])


def test_selection_by_category_and_by_withdrawal(monkeypatch):
    listed = [
        _listed(1, category="baseline"),
        _listed(2, category="csam", withdrawn="2026-01-02T00:00:00Z"),
        _listed(3, category="other"),
    ]
    assert chosen(monkeypatch, listed, categories=("csam", "other")) == (["2", "3"], [])
    assert chosen(monkeypatch, listed, withdrawn=True) == (["2"], [])


def test_selection_by_time_takes_the_very_second(monkeypatch):
    since = 1767312000.0  # 2026-01-02T00:00:00Z
    listed = [_listed(1), _listed(2), _listed(3)]
    assert chosen(monkeypatch, listed, since=since) == (["2", "3"], [])
    assert chosen(monkeypatch, listed, since=since + 0.001) == (["3"], [])


@pytest.mark.parametrize(
    ("owner", "uid", "asked", "fits"),
    [
        ("root", 0, "root", True),
        ("root", 0, "0", True),
        ("other", 0, "root", False),  # the number is another user's by now
        (None, 0, "root", True),
        (None, 5, "root", False),
        ("gone", 7, "gone", True),  # this host has no such user any more
        (None, 7, "gone", False),
        ("other", 7, "7", True),
        ("7", 8, "7", False),  # a name of digits is a number
    ],
)
def test_selection_by_owner(monkeypatch, owner, uid, asked, fits):
    listed = [_listed(1, owner=owner, uid=uid), _listed(2, uid=None)]
    assert chosen(monkeypatch, listed, owners=(asked,)) == (["1"] if fits else [], [])


def test_all_conditions_must_fit(monkeypatch):
    listed = [_listed(1, owner="root", uid=0), _listed(2, owner="root", uid=0)]
    given = {"owners": ("root",), "paths": ("/srv/www/a1", "/srv/www/a2")}
    assert chosen(monkeypatch, listed, since=1767312000.0, **given) == (["2"], [])


# housekeeping


def test_a_quarantine_that_is_not_there_has_nothing_old(tmp_path, monkeypatch):
    none = os.fsencode(tmp_path / "none")
    assert retention.purge_older(none, 1) == retention.Purged(0, 0)
    assert not (tmp_path / "none").exists()
    (tmp_path / "none").write_bytes(b"")
    with pytest.raises(QuarantineError) as caught:
        retention.purge_older(none, 1)
    assert caught.value.reason == "unsafe-store"
