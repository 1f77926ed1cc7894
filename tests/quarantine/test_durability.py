"""What must be on disk before the next step, is: a power cut finds no step ahead of its reason."""

import os

import pytest
from isolating import confirmed, recovered

from hashscan.fs import rename
from hashscan.quarantine.restore import restore


@pytest.fixture
def steps(monkeypatch):
    """Every fsync, rename, unlink and rmdir as (call, path), in order."""
    seen = []

    def path_of(fd):
        return os.readlink(f"/proc/self/fd/{fd}")

    real_fsync, real_replace, real_unlink, real_rmdir = os.fsync, os.replace, os.unlink, os.rmdir
    real_rename = rename._renameat2

    def fsync(fd):
        seen.append(("fsync", path_of(fd)))
        real_fsync(fd)

    def replace(old, new, *, src_dir_fd, dst_dir_fd):
        seen.append(("rename", f"{path_of(dst_dir_fd)}/{os.fsdecode(new)}"))
        real_replace(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def unlink(name, *, dir_fd):
        seen.append(("unlink", f"{path_of(dir_fd)}/{os.fsdecode(name)}"))
        real_unlink(name, dir_fd=dir_fd)

    def rmdir(name, *, dir_fd):
        real_rmdir(name, dir_fd=dir_fd)
        seen.append(("rmdir", f"{path_of(dir_fd)}/{os.fsdecode(name)}"))

    def renameat2(old_dir, old, new_dir, new, flags):
        result = real_rename(old_dir, old, new_dir, new, flags)
        if result == 0:
            seen.append(("rename", f"{path_of(new_dir.value)}/{os.fsdecode(new.value)}"))
        return result

    for call in (fsync, replace, unlink, rmdir):
        monkeypatch.setattr(os, call.__name__, call)
    monkeypatch.setattr(rename, "_renameat2", renameat2)
    return seen


def in_order(seen, *wanted):
    """Each wanted step after the one before it."""
    position = -1
    for call, end in wanted:
        later = [
            number
            for number, (name, path) in enumerate(seen)
            if number > position and name == call and path.endswith(end)
        ]
        assert later, (call, end, seen[position + 1 :])
        position = later[0]


def test_each_step_is_on_disk_before_the_next(volume, quarantine, store_path, steps):
    (volume / "d").mkdir()
    (volume / "d" / "f").write_bytes(b"known")
    match = confirmed(volume, "d/f")
    steps.clear()
    one = quarantine.act(match).quarantine_id
    entry = f"/{one}"
    intent = [
        ("fsync", f"{entry}/record.json.new"),
        ("rename", f"{entry}/record.json"),
        ("fsync", entry),
        ("fsync", "/store"),
    ]
    final = [
        ("fsync", f"{entry}/record.json.new"),
        ("rename", f"{entry}/record.json"),
        ("fsync", entry),
    ]
    same = os.stat(volume).st_dev == os.stat(store_path).st_dev
    if same:
        moved = [
            ("rename", f"{entry}/content"),
            ("fsync", f"{entry}/content"),
            ("fsync", entry),
            ("fsync", "/volume/d"),
        ]
    else:
        moved = [
            ("rename", f"/.hashscan{entry}"),
            ("fsync", f"{entry}/content.part"),
            ("rename", f"{entry}/content"),
            ("fsync", entry),
            *final,
            ("unlink", f"/.hashscan{entry}"),
            ("fsync", "/.hashscan"),
            ("rmdir", "/volume/.hashscan"),
            ("fsync", "/volume/d"),
        ]
    in_order(steps, *intent, *moved, *final)

    steps.clear()
    with recovered(store_path) as store:
        restore(store, one)
    moved = [("rename", "/volume/d/f"), ("fsync", "/volume/d")]
    if not same:
        moved = [
            ("fsync", f"/.hashscan{entry}"),
            *final,
            *moved,
            ("unlink", f"{entry}/content"),
        ]
    in_order(steps, *final, *moved, ("fsync", entry), *final)
