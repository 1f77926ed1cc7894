"""A restore, an export or a purge that fails half way: the file stays where it was."""

import errno
import os
from contextlib import ExitStack
from dataclasses import replace

import pytest
from faulty import break_os, open_descriptors, raising

from hashscan.errors import QuarantineError
from hashscan.fs.beneath import closing, open_root
from hashscan.model import FileDigests, Identity
from hashscan.quarantine import file_place, manage, restore, restore_target
from hashscan.quarantine.file_place import Opened, Spot
from hashscan.quarantine.records import Place, RecordState, StagingPlace

# restore


def test_a_restored_copy_that_is_not_what_was_read_is_refused(store, moved, volume, monkeypatch):
    record = store.load(moved)
    answers = iter([FileDigests(sha1=b"1" * 20), FileDigests(sha1=b"2" * 20)])
    monkeypatch.setattr(restore, "digests_of", lambda *_: next(answers))
    with (
        store.entry(moved) as entry,
        closing(os.open(volume, os.O_RDONLY)) as directory,
        pytest.raises(QuarantineError) as caught,
    ):
        restore._make_copy(record, Spot(entry, b"content"), Spot(directory, b"copy"))
    assert caught.value.reason == "io-error"
    assert "the copy differs from the content" in str(caught.value)


def test_a_restore_to_a_taken_name_is_refused_before_anything_changes(
    store, moved, volume, monkeypatch
):
    (volume / "f").write_bytes(b"the customer's")
    before = store.load(moved)
    monkeypatch.setattr(store, "save", raising(errno.EIO))
    monkeypatch.setattr(store, "announce", raising(errno.EIO))
    with pytest.raises(QuarantineError) as caught:
        restore.restore(store, moved)
    assert caught.value.reason == "taken"
    assert store.load(moved) == before


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EIO])
def test_a_restore_that_fails_leaves_the_file_in_quarantine(
    store, moved, volume, monkeypatch, number
):
    fails = raising(number)
    monkeypatch.setattr(restore, "put", fails)
    with store.lock(), pytest.raises(QuarantineError) as caught:
        restore.restore(store, moved)
    assert fails.count == 1, "no copy is made"
    assert caught.value.reason == ("taken" if number == errno.EEXIST else "io-error")
    record = store.load(moved)
    assert (record.state, record.target) == (RecordState.QUARANTINED, None)
    with store.lock():
        monkeypatch.undo()
        restore.restore(store, moved)
    assert (volume / "f").read_bytes() == b"known"


def test_another_file_that_comes_in_between_is_not_overwritten(store, moved, volume, monkeypatch):
    def taken(*_):
        (volume / "f").write_bytes(b"other")
        raise FileExistsError

    monkeypatch.setattr(restore, "put", taken)
    with pytest.raises(QuarantineError, match="another file has the name") as caught:
        restore.restore(store, moved)
    assert caught.value.reason == "taken"
    assert (volume / "f").read_bytes() == b"other"
    assert store.load(moved).state is RecordState.QUARANTINED


def test_where_content_is_after_a_failed_restore_is_looked_up_again(store, moved, monkeypatch):
    with store.entry(moved) as entry:
        status = os.stat("content", dir_fd=entry)
    identity = Identity(status.st_dev, status.st_ino)
    assert store.index.contents(identity) == {moved}
    monkeypatch.setattr(restore, "sync_directory", raising(errno.EIO))
    with pytest.raises(QuarantineError):
        restore.restore(store, moved)
    assert store.index.contents(identity) == frozenset()


def test_an_error_of_a_step_is_not_translated_twice(store, moved, monkeypatch):
    error = QuarantineError("as it was", reason="full")
    monkeypatch.setattr(restore, "_restore", lambda *_: (_ for _ in ()).throw(error))
    with store.lock(), pytest.raises(QuarantineError) as caught:
        restore.restore(store, moved)
    assert caught.value is error
    assert store.load(moved).state is RecordState.QUARANTINED


def test_a_displaced_file_goes_back_by_renaming_only(store, moved, monkeypatch):
    record = replace(store.load(moved), resume=RecordState.DISPLACED)
    monkeypatch.setattr(restore, "put", raising(errno.EXDEV))
    spot = Spot(0, b"x")
    to = Opened(record.origin, 0, spot)
    with pytest.raises(QuarantineError) as caught:
        restore._restore(store, record, spot, to)
    assert caught.value.reason == "other-filesystem"
    assert "only renamed, never copied" in str(caught.value)


@pytest.mark.parametrize("state", [RecordState.QUARANTINED, RecordState.DISPLACED])
def test_a_restore_that_fails_leaves_the_state_before(store, moved, monkeypatch, state):
    record = store.load(moved)
    staging = StagingPlace(record.origin, top_inode=1, private_inode=1)
    with store.lock():
        store.save(replace(record, state=state, staging=staging))
        monkeypatch.setattr(restore, "put", raising(errno.EIO))
        with pytest.raises(QuarantineError):
            restore.restore(store, moved)
    record = store.load(moved)
    assert (record.state, record.target) == (state, None)
    assert record.staging == (staging if state is RecordState.DISPLACED else None)


@pytest.mark.parametrize("change", [None, "identity", "size", "content", "hands"])
def test_a_name_is_linked_only_to_what_was_restored(store, moved, volume, monkeypatch, change):
    (volume / "f").write_bytes(b"known")
    status = (volume / "f").stat()
    record = store.load(moved)
    identity = Identity(status.st_dev, status.st_ino)
    other = replace(record, target=record.origin, target_identity=identity)
    if change == "identity":
        other = replace(other, target_identity=Identity(1, 1))
    elif change == "size":
        (volume / "f").write_bytes(b"known more")
    elif change == "content":
        (volume / "f").write_bytes(b"other")
    elif change == "hands":

        def link(_name, new, **given):
            os.close(os.open(new, os.O_CREAT | os.O_WRONLY, dir_fd=given["dst_dir_fd"]))

        break_os(monkeypatch, restore, link=link)
    with closing(os.open(volume, os.O_RDONLY)) as directory:
        before = open_descriptors()
        assert restore._link(record, other, Spot(directory, b"copy")) is (change is None)
        assert open_descriptors() == before
    assert (volume / "copy").exists() is (change is None)


@pytest.mark.parametrize("content", [b"other", b"longer content"])
def test_altered_content_is_restored_only_if_that_is_forced(store, moved, volume, content):
    with (
        store.entry(moved) as entry,
        closing(os.open("content", os.O_WRONLY | os.O_TRUNC, dir_fd=entry)) as fd,
    ):
        os.write(fd, content)
    with store.lock(), pytest.raises(QuarantineError, match="--force restores it") as caught:
        restore.restore(store, moved)
    assert caught.value.reason == "altered"
    assert not (volume / "f").exists()
    with store.lock():
        restore.restore(store, moved, force=True)
    assert (volume / "f").read_bytes() == content


def test_content_that_cannot_be_read_is_not_restored(store, moved, volume, monkeypatch):
    monkeypatch.setattr(restore, "read_file_at", raising(errno.EIO))
    with store.lock(), pytest.raises(QuarantineError) as caught:
        restore.restore(store, moved)
    assert caught.value.reason == "io-error"
    assert os.listdir(volume) == []


@pytest.mark.parametrize("how", ["renamed", "copied"])
def test_a_restored_file_is_on_record_with_its_inode_and_leaves_nothing_behind(
    store, moved, volume, monkeypatch, how
):
    before = store.load(moved).metadata
    across = raising(errno.EXDEV, restore.put, calls=1 if how == "copied" else 0)
    monkeypatch.setattr(restore, "put", across)
    with store.lock():
        restored = restore.restore(store, moved)
    status = os.stat(volume / "f")
    assert (restored.path, restored.notes) == (os.fsencode(volume / "f"), ())
    found = store.load(moved)
    assert (found.state, found.staging) == (RecordState.RESTORED, None)
    assert found.target_identity == Identity(status.st_dev, status.st_ino)
    assert (status.st_mode, status.st_mtime_ns) == (before.mode, before.mtime_ns)
    assert os.listdir(volume) == ["f"], "no private directory"
    with store.entry(moved) as entry:
        assert os.listdir(entry) == ["record.json"], "no content"


@pytest.mark.parametrize(
    ("record_fields", "other_fields", "is_linked"),
    [
        ({}, {}, True),
        ({"links": 1}, {}, False),
        ({"identity": None}, {}, False),
        ({"digests": None}, {}, False),
        ({}, {"state": RecordState.QUARANTINED}, False),
        ({}, {"identity": Identity(1, 1)}, False),
        ({}, {"digests": FileDigests(sha1=b"x" * 20)}, False),
        ({}, {"target": None}, False),
    ],
)
def test_a_copy_is_linked_to_another_name_that_was_restored(
    store, moved, monkeypatch, record_fields, other_fields, is_linked
):
    record = replace(store.load(moved), links=2)
    restored = {"state": RecordState.RESTORED, "target": record.origin}
    others = {"other": replace(record, **{**restored, **other_fields})}

    def load(record_id):
        if record_id == "damaged":
            raise QuarantineError("damaged", reason="damaged")
        return others[record_id]

    monkeypatch.setattr(store.index, "names", lambda _identity: ["damaged", "other"])
    monkeypatch.setattr(store, "load", load)
    linked = []
    monkeypatch.setattr(restore, "_link", lambda *given: linked.append(given) or True)
    copy = Spot(0, b"copy")
    record = replace(record, **record_fields)
    assert restore._link_sibling(store, record, copy) is is_linked
    assert linked == ([(record, others["other"], copy)] if is_linked else [])


# target


def test_a_directory_to_restore_to_that_cannot_be_used(store, moved, tmp_path):
    record = store.load(moved)
    place = Place(b"/restored", b"f", cross_mounts=False)
    for number, reason, words in (
        (errno.ENOENT, "no-directory", "there is no such directory; `mkdir -p /restored`"),
        (errno.ENOTDIR, "no-directory", "this is not a directory; name a directory with --to"),
        (errno.EACCES, "denied", "not restored"),
        (errno.EIO, "io-error", "not restored"),
    ):
        found = restore_target._no_named(OSError(number, ""), record, place)
        assert found.reason == reason
        assert words.replace("not restored", "restored") in str(found)


def test_the_missing_directories_of_a_place(store, moved, volume):
    record = store.load(moved)
    (volume / "a").mkdir()
    for path, where, missing in (
        (b"a/b/c/f", b"/a", [b"b", b"c"]), (b"b/f", b"", [b"b"]), (b"a/f", b"/a", []),
    ):  # fmt: skip
        place = replace(record.origin, path=path)
        with ExitStack() as stack:
            fd, found, names = restore_target._nearest(stack, place)
            assert (found, names) == (os.fsencode(volume) + where, missing)
            assert os.fstat(fd).st_ino == os.stat(found).st_ino
        error = FileNotFoundError(errno.ENOENT, "")
        if missing:
            words = f"the directory is gone (the file belongs to user {record.metadata.uid}"
            assert words in str(restore_target._no_directory(error, record, place))
            bare = str(restore_target._no_directory(error, replace(record, metadata=None), place))
            assert "the directory is gone; --mkdir" in bare
        else:
            text = str(restore_target._no_directory(error, record, place))
            assert "a file or a link has a directory's place" in text
    found = restore_target._no_directory(OSError(errno.EIO, ""), record, record.origin)
    assert found.reason == "io-error"
    gone = replace(record.origin, volume=os.fsencode(volume) + b"/none")
    found = restore_target._no_directory(FileNotFoundError(errno.ENOENT, ""), record, gone)
    assert (found.reason, "the volume is not there" in str(found)) == ("no-directory", True)


def test_a_root_that_goes_away_meanwhile_is_missing(store, moved, monkeypatch):
    record = store.load(moved)
    monkeypatch.setattr(restore_target, "open_directory", raising(errno.ENOENT))
    with ExitStack() as stack, pytest.raises(FileNotFoundError):
        restore_target._nearest(stack, record.origin)


def test_without_any_directory_nothing_is_made(monkeypatch):
    made = []
    opened = raising(errno.ENOENT)
    monkeypatch.setattr(restore_target, "opened_named", opened)
    with pytest.raises(FileNotFoundError):
        restore_target._make_named(b"/a/b", made)
    assert made == []
    assert opened.count == 3, "of b, of a, and of the root"


# upkeep


def test_a_limit_of_this_process_is_no_damage_of_a_record(store, moved, monkeypatch):
    limited = QuarantineError("no more", reason="other")
    limited.__cause__ = OSError(errno.EMFILE, "")
    monkeypatch.setattr(store, "load", lambda _id: (_ for _ in ()).throw(limited))
    with pytest.raises(QuarantineError) as caught:
        list(manage.records(store))
    assert caught.value is limited
    limited.__cause__ = None
    (found,) = manage.records(store)
    assert (found.record, found.trouble) == (None, "no more")


@pytest.mark.parametrize(
    ("found", "moved_with", "linked"), [(1, 1, False), (2, 1, True), (1, 2, True), (3, 3, True)]
)
def test_a_file_may_have_had_other_names(store, moved, found, moved_with, linked):
    record = store.load(moved)
    metadata = replace(record.metadata, links=moved_with)
    assert manage._is_linked(replace(record, links=found, metadata=metadata)) is linked
    assert manage._is_linked(replace(record, links=found, metadata=None)) is (found > 1)


@pytest.mark.parametrize("state", list(RecordState))
def test_what_each_state_is_verified_for(store, moved, monkeypatch, state):
    record = replace(store.load(moved), state=state)
    finding, hashed = manage._verify(store, record)
    if state in {RecordState.RESTORED, RecordState.PURGED, RecordState.UNDONE}:
        assert (finding, hashed) == (None, False)
    elif state in {RecordState.QUARANTINED, RecordState.DISPLACED}:
        assert (finding, hashed) == (None, True)
        os.unlink(os.fsdecode(store.path_of(moved)) + "/content")
        finding, hashed = manage._verify(store, record)
        assert (finding.kind, hashed) == ("missing", False)
        monkeypatch.setattr(manage, "Spot", raising(errno.EIO))
        finding, hashed = manage._verify(store, record)
        assert (finding.kind, finding.record_id, hashed) == ("unreadable", moved, False)
    else:
        assert (finding.kind, hashed) == ("unfinished", False)
        assert f"still {state}" in finding.message


@pytest.mark.parametrize("writing", [True, False])
def test_altered_content_names_the_process_that_had_the_file_open(store, moved, writing):
    with open(os.fsdecode(store.path_of(moved)) + "/content", "r+b") as file:
        file.write(b"K")
    record = replace(store.load(moved), open_for_writing=writing)
    finding, hashed = manage._verify(store, record)
    assert (finding.kind, hashed) == ("altered", True)
    assert ("a process had the file open" in finding.message) is writing


def test_a_record_that_is_forgotten_meanwhile_is_no_finding(store, moved, monkeypatch):
    os.unlink(os.fsdecode(store.path_of(moved)) + "/content")
    assert [one.kind for one in manage.verify(store).findings] == ["missing"]
    gone = QuarantineError("no record", reason="no-record")
    real = store.load
    answers = iter([real(moved)])

    def load(record_id):
        found = next(answers, None)
        if found is None:
            raise gone
        return found

    monkeypatch.setattr(store, "load", load)
    found = manage.verify(store)
    assert (found.findings, found.checked) == ([], 0)


def test_leftovers_of_a_private_directory(volume):
    assert list(manage._leftovers(os.fsencode(volume), set())) == []
    assert list(manage._leftovers(os.fsencode(volume / "none"), set())) == []
    (volume / ".hashscan").mkdir(mode=0o700)
    for name in ("known", "a", "b"):
        (volume / ".hashscan" / name).touch()
    found = list(manage._leftovers(os.fsencode(volume), {b"known"}))
    assert [(one.record_id, one.kind) for one in found] == [("a", "leftover"), ("b", "leftover")]
    assert f"{volume}/.hashscan/a: belongs to no record" in found[0].message


@pytest.mark.parametrize("job", ["export", "purge"])
def test_content_that_cannot_be_exported_or_purged(store, moved, tmp_path, monkeypatch, job):
    if job == "export":
        monkeypatch.setattr(manage, "open_file", raising(errno.EIO))
        with pytest.raises(QuarantineError) as caught:
            manage.export(store, moved, os.fsencode(tmp_path / "out.tar"))
        assert not (tmp_path / "out.tar").exists()
    else:
        monkeypatch.setattr(manage, "sync_directory", raising(errno.EIO))
        with store.lock(), pytest.raises(QuarantineError) as caught:
            manage.purge(store, moved)
        assert store.load(moved).state is RecordState.PURGING
    assert caught.value.reason == "io-error"
    assert moved in str(caught.value)


def test_only_quarantined_files_are_exported(store, moved, tmp_path):
    with store.lock():
        manage.purge(store, moved)
    with pytest.raises(QuarantineError) as caught:
        manage.export(store, moved, os.fsencode(tmp_path / "out.tar"))
    assert caught.value.reason == "not-quarantined"
    assert "it is purged" in str(caught.value)
    assert not (tmp_path / "out.tar").exists()


def test_the_roots_descriptor_is_closed_if_it_is_another_directory(place):
    with closing(open_root(place.volume)) as fd:
        inode = os.fstat(fd).st_ino
    root, found = file_place.opened_root(place)
    os.close(root)
    assert found.root_inode == inode
    before = open_descriptors()
    with pytest.raises(QuarantineError) as caught:
        file_place.opened_root(replace(place, root_inode=inode + 1))
    assert caught.value.reason == "other-root"
    assert open_descriptors() == before
