"""Quarantine and restore where nobody interferes."""

import errno
import hashlib
import os
import stat
import struct
import subprocess

import pytest
from isolating import all_records, confirmed, needs_root, recovered, snapshot

from hashscan.errors import QuarantineError
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.restore import restore


def acl(*entries):
    """POSIX ACL as the kernel keeps it (linux/posix_acl_xattr.h): version 2, tag, perm, id."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


ACL = acl(
    (0x01, 6, 0xFFFFFFFF),
    (0x02, 4, 1234),
    (0x04, 4, 0xFFFFFFFF),
    (0x10, 4, 0xFFFFFFFF),
    (0x20, 0, 0xFFFFFFFF),
)
# linux/capability.h: VFS_CAP_REVISION_2, cap_net_bind_service permitted
CAPABILITY = struct.pack("<IIIII", 0x02000000, 1 << 10, 0, 0, 0)


def nasty(path):
    """Owner, set-user-ID, attributes, ACL and times that a careless copy loses."""
    if os.geteuid() == 0:
        os.chown(path, 12345, 54321)
        os.setxattr(path, "trusted.mark", b"\0\xff")
    for name, value in (("user.note", b"x" * 500), ("system.posix_acl_access", ACL)):
        os.setxattr(path, name, value)
    os.chmod(path, 0o4654)
    if os.geteuid() == 0:
        os.setxattr(path, "security.capability", CAPABILITY)
    os.utime(path, ns=(1_234_567_890_123_456_789, 987_654_321_987_654_321))


NAMES = [
    b"plain.jpg",
    b".hidden",
    b"[x]/deep/er/file",
    b"new\nline\t\x1b[31m",
    b"not-utf8-\xff\xfe",
    b"a b;$(touch x)'\"",
    b"\xe2\x80\xae/gpj.exe",
]


@pytest.mark.parametrize("name", NAMES)
def test_round_trip_keeps_content_and_metadata(volume, quarantine, store_path, name):
    full = os.fsencode(volume) + b"/" + name
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as file:
        file.write(os.urandom(3_000_000))
    nasty(full)
    before = snapshot(full)
    acted = quarantine.act(confirmed(volume, name))
    assert (acted.action, acted.problem, acted.remaining_links) == ("quarantined", None, 0)
    assert not os.path.lexists(full)
    assert not os.path.lexists(volume / ".hashscan")
    with recovered(store_path) as store:
        (record,) = all_records(store)
        assert record.id == acted.quarantine_id
        assert record.origin.path == name
        assert record.digests.as_dict() == {
            k: hashlib.new(k, before[-1]).hexdigest() for k in ("md5", "sha1", "sha256")
        }
        one = record.metadata
        assert (one.mode, one.uid, one.gid) == before[:3]
        assert (one.atime_ns, one.mtime_ns) == before[3]
        assert one.xattrs == before[4]
        assert stat.S_IMODE(os.stat(store_path).st_mode) == 0o700
        restored = restore(store, record.id)
        assert restored.path == full
        assert restored.notes == ()
        assert snapshot(full) == before
        assert store.load(record.id).state is RecordState.RESTORED
        assert not os.path.lexists(volume / ".hashscan")


def test_the_record_has_the_identity_of_the_restored_file(volume, quarantine, store_path):
    (volume / "f").write_bytes(b"known content")
    acted = quarantine.act(confirmed(volume, "f"))
    with recovered(store_path) as store:
        restore(store, acted.quarantine_id)
        status = (volume / "f").stat()
        restored = store.load(acted.quarantine_id).target_identity
        assert (restored.device, restored.inode) == (status.st_dev, status.st_ino)


@pytest.mark.parametrize("size", [0, 1, 4096, (1 << 20) + 1])
def test_any_size(volume, quarantine, store_path, size):
    (volume / "f").write_bytes(os.urandom(size))
    before = snapshot(volume / "f")
    acted = quarantine.act(confirmed(volume, "f"))
    assert acted.action == "quarantined", acted
    with recovered(store_path) as store:
        restore(store, acted.quarantine_id)
    assert snapshot(volume / "f") == before


def test_sparse_content_is_identical_and_stays_sparse(volume, quarantine, store_path):
    with open(volume / "f", "wb") as file:
        file.truncate(20 << 20)
        file.seek(10 << 20)
        file.write(b"data")
    before = hashlib.sha256((volume / "f").read_bytes()).digest()
    acted = quarantine.act(confirmed(volume, "f"))
    with recovered(store_path) as store:
        content = store_path / acted.quarantine_id / "content"
        assert os.stat(content).st_blocks * 512 < 1 << 20
        restore(store, acted.quarantine_id)
    assert hashlib.sha256((volume / "f").read_bytes()).digest() == before
    assert os.stat(volume / "f").st_blocks * 512 < 1 << 20


def test_six_thousand_bytes_deep(volume, quarantine, store_path):
    names = [b"d" * 200] * 30
    fd = os.open(volume, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=fd)
        following = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = following
    with open(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd), "wb") as file:
        file.write(b"deep content")
    status = os.stat("f", dir_fd=fd)
    near = confirmed_at(volume, b"/".join([*names, b"f"]), status, b"deep content")
    acted = quarantine.act(near)
    assert acted.action == "quarantined", acted
    assert os.listdir(fd) == []
    with recovered(store_path) as store:
        restore(store, acted.quarantine_id)
    with open(os.open("f", os.O_RDONLY, dir_fd=fd), "rb") as file:
        assert file.read() == b"deep content"
    os.close(fd)


def confirmed_at(volume, path, status, content):
    from dataclasses import replace

    from hashscan.model import Identity, Stamp

    (volume / "model").write_bytes(content)
    match = confirmed(volume, "model")
    (volume / "model").unlink()
    candidate = replace(
        match.candidate,
        path=path,
        identity=Identity(status.st_dev, status.st_ino),
        stamp=Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns),
    )
    return replace(match, candidate=candidate)


def test_hard_links_come_back_as_one_inode(volume, quarantine, store_path):
    for name in ("a", "b", "c"):
        if name == "a":
            (volume / "a").write_bytes(os.urandom(5000))
        else:
            os.link(volume / "a", volume / name)
    before = snapshot(volume / "a")
    first = quarantine.act(confirmed(volume, "a"))
    second = quarantine.act(confirmed(volume, "b"))
    assert (first.remaining_links, second.remaining_links) == (2, 1)
    with recovered(store_path) as store:
        restore(store, second.quarantine_id)
        restore(store, first.quarantine_id)
    assert os.path.samefile(volume / "a", volume / "b")
    assert snapshot(volume / "a") == before


def test_restored_is_held_until_its_record_is_purged(volume, quarantine, store_path):
    from hashscan.quarantine.manage import purge

    (volume / "f").write_bytes(b"known content")
    acted = quarantine.act(confirmed(volume, "f"))
    with recovered(store_path) as store:
        restore(store, acted.quarantine_id)
    again = quarantine.act(confirmed(volume, "f"))
    assert (again.action, again.problem) == ("held", None)
    assert "restored by the administrator" in again.message
    assert (volume / "f").read_bytes() == b"known content"
    # Other content under that name, and that content under another name, are not held.
    (volume / "g").write_bytes(b"known content")
    assert quarantine.act(confirmed(volume, "g")).action == "quarantined"
    with recovered(store_path) as store, store.lock():
        with pytest.raises(QuarantineError, match="it is restored"):
            purge(store, acted.quarantine_id)
        purge(store, acted.quarantine_id, lift=True)
    assert quarantine.act(confirmed(volume, "f")).action == "quarantined"


def test_other_content_at_a_restored_path_is_not_held(volume, quarantine, store_path):
    (volume / "f").write_bytes(b"known content")
    acted = quarantine.act(confirmed(volume, "f"))
    with recovered(store_path) as store:
        restore(store, acted.quarantine_id)
    (volume / "f").write_bytes(b"worse content")
    assert quarantine.act(confirmed(volume, "f")).action == "quarantined"


def test_restore_never_overwrites_and_says_how_to_go_on(volume, tmp_path, quarantine, store_path):
    (volume / "d").mkdir()
    (volume / "d" / "f").write_bytes(b"known content")
    acted = quarantine.act(confirmed(volume, "d/f"))
    with recovered(store_path) as store:
        for make in (
            lambda: (volume / "d" / "f").write_bytes(b"newer"),
            lambda: os.symlink("/etc/passwd", volume / "d" / "f"),
            lambda: os.mkdir(volume / "d" / "f"),
        ):
            make()
            with pytest.raises(QuarantineError, match="another file has the name") as caught:
                restore(store, acted.quarantine_id)
            assert caught.value.reason == "taken"
            assert os.path.lexists(volume / "d" / "f")
            subprocess.run(["rm", "-r", volume / "d" / "f"], check=True)
        (volume / "d").rmdir()
        with pytest.raises(QuarantineError, match="the directory is gone") as caught:
            restore(store, acted.quarantine_id)
        assert caught.value.reason == "no-directory"
        (tmp_path / "else").mkdir()
        done = restore(store, acted.quarantine_id, to=os.fsencode(tmp_path / "else"))
        assert done.path == os.fsencode(tmp_path / "else" / "f")
        assert (tmp_path / "else" / "f").read_bytes() == b"known content"
        with pytest.raises(QuarantineError, match="there is no content"):
            restore(store, acted.quarantine_id)
    # held there too
    assert quarantine.act(confirmed(tmp_path / "else", "f")).action == "held"


def test_content_that_cannot_be_read_is_not_restored(volume, quarantine, store_path, monkeypatch):
    (volume / "f").write_bytes(b"known content")
    acted = quarantine.act(confirmed(volume, "f"))
    from hashscan.quarantine import restore as module
    from hashscan.quarantine.store import Store

    def fails(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(module, "read_file_at", fails)
    with Store.open(os.fsencode(store_path)) as store:
        with pytest.raises(QuarantineError, match="Input/output error"):
            restore(store, acted.quarantine_id)
        (record,) = all_records(store)
    assert record.state is RecordState.QUARANTINED
    assert not (volume / "f").exists()


def test_altered_content_needs_force(volume, quarantine, store_path):
    (volume / "f").write_bytes(b"known content")
    with open(volume / "f", "r+b", buffering=0) as writer:
        acted = quarantine.act(confirmed(volume, "f"))
        assert acted.action == "quarantined"
        assert "open for writing" in acted.message
        content = store_path / acted.quarantine_id / "content"
        with open(content, "r+b") as file:
            file.write(b"KNOWN")
        writer.write(b"KNOWN")
    from hashscan.quarantine.manage import verify
    from hashscan.quarantine.store import Store

    with Store.open(os.fsencode(store_path)) as store:
        assert [one.kind for one in verify(store).findings] == ["altered"]
        with pytest.raises(QuarantineError, match="--force") as caught:
            restore(store, acted.quarantine_id)
        assert caught.value.reason == "altered"
        restore(store, acted.quarantine_id, force=True)
    assert (volume / "f").read_bytes() == b"KNOWN content"


def test_same_content_under_a_new_inode_is_still_the_confirmed_content(volume, quarantine):
    (volume / "f").write_bytes(b"known content")
    match = confirmed(volume, "f")
    (volume / "g").write_bytes(b"known content")
    os.replace(volume / "g", volume / "f")
    assert quarantine.act(match).action == "quarantined"


@pytest.mark.root
@needs_root
def test_other_owners_keep_their_files(volume, quarantine, store_path):
    (volume / "f").write_bytes(b"known content")
    os.chown(volume / "f", 4711, 4712)
    os.chmod(volume / "f", 0o400)
    os.chown(volume, 4711, 4712)
    acted = quarantine.act(confirmed(volume, "f"))
    assert acted.action == "quarantined"
    with recovered(store_path) as store:
        restore(store, acted.quarantine_id)
    status = os.stat(volume / "f")
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (4711, 4712, 0o400)
