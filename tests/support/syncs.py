"""Records the names that a piece of code makes, and whether it syncs each to the disk."""

import os
import stat
from contextlib import contextmanager

from hashscan.fs import rename


def _identity(status):
    return status.st_dev, status.st_ino


class Synced:
    """Changes of names and syncs, in order.

    Attributes:
        events: ``(call, directory, name)`` for a name that was made, ``("fsync", inode, None)``.
    """

    def __init__(self):
        self.events = []
        self.made = []

    def __del__(self):
        for where, *_ in self.made:
            os.close(where)

    def named(self, call, path, directory):
        above, name = os.path.split(os.fsencode(path))
        status = os.stat(above or b".", dir_fd=directory)
        lasting = os.stat(path, dir_fd=directory, follow_symlinks=False)
        where = os.open(above or b".", os.O_PATH | os.O_DIRECTORY, dir_fd=directory)
        self.made.append((where, name, _identity(lasting), len(self.events)))
        self.events.append((call, _identity(status), name))

    def lost_in_a_power_cut(self):
        """Names that were made, are still there, and whose directory was not synced afterwards."""
        lost = []
        for where, name, inode, number in self.made:
            try:
                there = os.stat(name, dir_fd=where, follow_symlinks=False)
                directory = os.fstat(where)
            except FileNotFoundError:
                continue
            if _identity(there) == inode and directory.st_nlink:
                later = self.events[number:]
                if ("fsync", _identity(directory), None) not in later:
                    lost.append(name)
        return lost

    def empty_after_a_power_cut(self):
        """Files that got their last name before their content was synced."""
        found = []
        for where, name, inode, number in self.made:
            try:
                there = os.stat(name, dir_fd=where, follow_symlinks=False)
            except FileNotFoundError:
                continue
            is_last_name = stat.S_ISREG(there.st_mode) and there.st_nlink == 1
            is_synced = ("fsync", inode, None) in self.events[:number]
            if is_last_name and _identity(there) == inode and not is_synced:
                found.append(name)
        return found


@contextmanager
def watched(monkeypatch):
    """A ``Synced`` of this process's calls until the block ends."""
    seen = Synced()
    real = {name: getattr(os, name) for name in ("fsync", "replace", "link", "mkdir")}
    renameat2 = rename._renameat2

    def fsync(fd):
        real["fsync"](fd)
        seen.events.append(("fsync", _identity(os.fstat(fd)), None))

    def replace(old, new, **options):
        real["replace"](old, new, **options)
        seen.named("replace", new, options.get("dst_dir_fd"))

    def link(old, new, **options):
        real["link"](old, new, **options)
        seen.named("link", new, options.get("dst_dir_fd"))

    def mkdir(path, *arguments, **options):
        real["mkdir"](path, *arguments, **options)
        seen.named("mkdir", path, options.get("dir_fd"))

    def no_replace(old_directory, old, new_directory, new, flags):
        result = renameat2(old_directory, old, new_directory, new, flags)
        if result == 0:
            seen.named("rename", new.value, new_directory.value)
        return result

    with monkeypatch.context() as patch:
        for call in (fsync, replace, link, mkdir):
            patch.setattr(os, call.__name__, call)
        patch.setattr(rename, "_renameat2", no_replace)
        yield seen
