"""Watches directories by inotify(7): one watch for each directory, through watchdog's interface.

A watch is put on a directory that was opened safely from the volume's root, never on a path. Events
and walks keep the tree of watched directories (``tree``) up to date. Each overflow of the queue,
each failed watch and each moved-in tree is reported as a loss, and the daemon scans the affected
files.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import itertools
import os
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from watchdog.observers.inotify_c import (
    InotifyConstants,
    InotifyFD,
    Mask,
    WatchDescriptor,
    inotify_add_watch,
    inotify_rm_watch,
)

from hashscan.fs.beneath import (
    MAX_PATH,
    CrossesMountError,
    closing,
    open_directory,
    open_root,
    open_step,
)
from hashscan.fs.volume import excluder
from hashscan.watch.source import Changed, Coverage, Lost
from hashscan.watch.tree import MOST_LEVELS, ROOT, NoPlaceError, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hashscan.fs.volume import Volume
    from hashscan.watch.source import WatchReport
    from hashscan.watch.tree import Node

_MASK = Mask(
    InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_EXCL_UNLINK
)
_TELLS = InotifyConstants.IN_CLOSE_WRITE | InotifyConstants.IN_MOVED_TO | InotifyConstants.IN_CREATE
_LIMIT = "/proc/sys/fs/inotify/max_user_watches"
_BUFFER = 256 << 10
#: Number of directories that are walked between two reads of the kernel's queue, and largest number
#: of bytes of events that are kept during the walk.
_DRAIN_AFTER = 64
_MOST_UNREAD = 64 << 20
_MOST_EVENTS = 8192
#: Seconds between two attempts to set the watches that failed before.
_TRY_AGAIN = 60.0
#: The pause between two attempts is at least this multiple of the length of an attempt.
_TRY_AGAIN_AFTER = 20.0
#: Seconds between two walks that complete the tree of watches after the queue overflowed.
_WALK_AGAIN = 3.0
#: Largest number of bytes of a path that is reported as an example.
_LONGEST_EXAMPLE = 1024
#: Seconds after which a changed number of watched directories is reported again.
_COUNT_AFTER = 10.0
#: Errors of a directory that was removed or replaced after its name was read.
_CHANGED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_WATCHED_NOW = "directories are watched now that were not"
_UNPLACED = "something changed in a directory that lies too deep, or was moved just now"


class _Volume:
    """Holds a volume, plus the state of its inotify watches."""

    def __init__(self, number: int, volume: Volume) -> None:
        self.number = number
        self.volume = volume
        self.excludes = excluder(volume.exclude)
        self.root: int = -1
        self.watched = self.told_of = 0
        self.unwatched = 0
        self.example = b""
        self.message = ""

    def coverage(self) -> Coverage:
        self.told_of = self.watched
        return Coverage(
            self.number, "inotify", self.watched, self.unwatched, self.example, self.message
        )


class InotifySource:
    """Reports changes by an inotify watch on each directory; see ``source.Source``."""

    def __init__(
        self, volumes: Sequence[Volume], *, alive: Callable[[], None] = lambda: None
    ) -> None:
        """Prepare to watch volumes; a volume inside another volume has watches of its own.

        ``alive`` is called repeatedly while many directories are walked.

        Raises:
            OSError: the limit of inotify instances is reached.
        """
        self._volumes = [_Volume(number, volume) for number, volume in enumerate(volumes)]
        self._roots = {volume.root for volume in volumes}
        self._kernel = InotifyFD()
        self._fd = self._kernel._inotify_fd  # noqa: SLF001 - it reads by a thread, else by none
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        fcntl.fcntl(self._fd, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        fcntl.fcntl(self._fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        self._alive = alive
        self._tree = Tree()
        self._moved: dict[int, int] = {}
        #: Watches of new directories whose subdirectories are not watched yet.
        self._came: dict[int, None] = {}
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0
        self._limited = False
        self._met: set[int] = set()
        self._try_again = 0.0
        self._count_at = 0.0
        self._walk_at: float | None = None
        self._walked = 0.0

    def start(self) -> list[WatchReport]:
        """Watch every directory of the volumes."""
        reports: list[WatchReport] = []
        for one in self._volumes:
            reports += self._watch_volume(one)
        return reports

    def fileno(self) -> int:
        """Return a descriptor that is readable if the kernel has events."""
        return self._fd

    def close(self) -> None:
        """Close the descriptor of inotify; this removes the watches."""
        self._kernel.close()
        # watchdog's reading thread would close the descriptor, but the thread was never started.
        with suppress(OSError):
            os.close(self._fd)

    # Watches

    def _watch_volume(self, one: _Volume) -> list[WatchReport]:
        """Set the missing watches of a volume; existing watches are kept."""
        one.unwatched, one.example, one.message = 0, b"", ""
        began = time.monotonic()
        self._met = set()
        try:
            root = open_root(one.volume.root)
        except OSError as error:
            self._forget(one.root)
            one.unwatched, one.message = 1, f"it cannot be opened: {error.strerror}"
            return [one.coverage()]
        with closing(root):
            found = self._add(one, root, ROOT, b"", b"")
            if found is not None:
                if one.root != found:
                    self._forget(one.root)  # A file system is mounted on the root now.
                one.root = found
            self._watch_below(one, root, b"", found)
        # The walk did not find these directories, and the events of their removal may be lost.
        for watch in self._tree.watches_of(one.number):
            if watch not in self._met:
                self._forget(watch)
        now = time.monotonic()
        self._try_again = now + max(_TRY_AGAIN, _TRY_AGAIN_AFTER * (now - began))
        return [one.coverage()]

    def _watch_below(self, one: _Volume, root: int, path: bytes, watch: int | None) -> None:
        """Watch the directories below ``path``; count the directories that cannot be watched."""
        # Directories are opened again by path, so that depth costs no descriptors.
        waiting: list[tuple[bytes, int | None]] = [(path, watch)]
        cross = not one.volume.one_file_system
        for walked in itertools.count(1):
            if not waiting:
                return
            if walked % _DRAIN_AFTER == 0:
                self._drain()
            self._alive()
            here, above = waiting.pop()
            try:
                directory = open_directory(root, here, cross_mounts=cross)
            except OSError as error:
                if error.errno not in _CHANGED:
                    self._not_watched(one, here, error)
                continue
            with closing(directory):
                for name in self._directories(one, directory, here):
                    below = here + b"/" + name if here else name
                    try:
                        child = open_step(directory, name, cross_mounts=cross)
                    except CrossesMountError:
                        continue  # Scans do not enter directories of another mount either.
                    except OSError as error:
                        if error.errno not in _CHANGED:
                            self._not_watched(one, below, error)
                        continue
                    with closing(child):
                        found = self._add(one, child, above, name, below)
                    if below.count(b"/") < MOST_LEVELS and len(below) <= MAX_PATH:
                        waiting.append((below, found))

    def _directories(self, one: _Volume, directory: int, path: bytes) -> Iterator[bytes]:
        prefix = path + b"/" if path else b""
        root = one.volume.root.rstrip(b"/") + b"/"
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    self._alive()
                    if not entry.is_dir(follow_symlinks=False):
                        continue
                    name = os.fsencode(entry.name)
                    below = prefix + name
                    if root + below in self._roots:
                        continue
                    if not (one.excludes(below) or one.excludes(below + b"/")):
                        yield name
        except OSError as error:
            self._not_watched(one, path, error)

    def _add(
        self, one: _Volume, fd: int, parent: int | None, name: bytes, path: bytes
    ) -> int | None:
        """Watch an open directory; if no watch is possible, count it and return ``None``."""
        if parent is None:
            # The directory's parent is not watched, so events of a watch on the directory would
            # have no path.
            one.unwatched += 1
            return None
        if path.count(b"/") >= MOST_LEVELS or len(path) > MAX_PATH:
            # Scans do not enter directories of this depth either, and they report these
            # directories.
            self._not_watched(one, path, OSError(errno.ENAMETOOLONG, "it lies too deep"))
            return None
        if self._limited:
            self._not_watched(one, path, OSError(errno.ENOSPC, ""))
            return None
        watch = inotify_add_watch(self._fd, b"/proc/self/fd/%d" % fd, _MASK)
        if watch < 0:
            error = OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            self._limited = error.errno == errno.ENOSPC
            self._not_watched(one, path, error)
            return None
        before = self._tree.put(watch, one.number, parent, name)
        if before is not None:
            self._volumes[before].watched -= 1
        one.watched += 1
        self._met.add(watch)
        return int(watch)

    def _not_watched(self, one: _Volume, path: bytes, error: OSError) -> None:
        one.unwatched += 1
        one.example = one.example or path[:_LONGEST_EXAMPLE]
        if error.errno == errno.ENOSPC:
            with open(_LIMIT, encoding="ascii") as file:
                limit = int(file.read())
            wanted = max(2 * limit, 524288)
            one.message = (
                f"the limit of inotify watches ({limit:,}) is reached; raise it: "
                f"sysctl fs.inotify.max_user_watches={wanted}, and for good in /etc/sysctl.d"
            )
        else:
            one.message = one.message or f"a watch cannot be set: {error.strerror}"

    def _forget(self, watch: int) -> None:
        """Remove the watches of a directory and all directories below it."""
        for one, node in self._tree.take_out(watch):
            self._volumes[node.volume].watched -= 1
            # The kernel may have removed the watch already, which does not matter.
            inotify_rm_watch(self._fd, WatchDescriptor(one))
            self._limited = False

    # Kernel events

    def _drain(self) -> None:
        """Read the kernel's queue of events during a long walk.

        The method ``read`` reports the events later.

        A walk that sets tens of thousands of watches takes seconds: meanwhile the queue would
        overflow.
        """
        while self._unread_bytes < _MOST_UNREAD:
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return
            self._unread.append(data)
            self._unread_bytes += len(data)

    def _next_events(self) -> bytes | None:
        if self._unread:
            data = self._unread.popleft()
            self._unread_bytes -= len(data)
            return data
        try:
            return os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return None

    @property
    def has_more(self) -> bool:
        """Return whether events were read from the kernel and are not reported yet."""
        return bool(self._unread)

    def read(self) -> list[WatchReport]:
        """Return the changes and losses since the last call of ``read``."""
        reports: dict[WatchReport, None] = {}
        count = 0
        while count < _MOST_EVENTS:
            data = self._next_events()
            if data is None:
                break
            for event in InotifyFD._parse_event_buffer(data):  # noqa: SLF001
                count += 1
                for one in self._reports_of(*event):
                    reports[one] = None
        if not count:
            # The queue is empty, so directories that were moved away did not return to a volume.
            for watch in self._moved.values():
                # If the directory has a place again, another move brought the directory back.
                if self._tree.is_away(watch):
                    self._forget(watch)
            self._moved.clear()
        for one in self._watch_what_came():
            reports[one] = None
        for one in [*self._make_whole(), *self._counts()]:
            reports[one] = None
        return list(reports)

    def _counts(self) -> list[WatchReport]:
        now = time.monotonic()
        if now < self._count_at:
            return []
        self._count_at = now + _COUNT_AFTER
        return [one.coverage() for one in self._volumes if one.told_of != one.watched]

    def _reports_of(self, watch: int, mask: int, cookie: int, name: bytes) -> list[WatchReport]:
        if mask & InotifyConstants.IN_Q_OVERFLOW:
            if self._walk_at is None:
                self._walk_at = max(time.monotonic(), self._walked + _WALK_AGAIN)
            return []
        node = self._tree.get(watch)
        if node is None:
            return []
        if mask & (InotifyConstants.IN_UNMOUNT | InotifyConstants.IN_IGNORED):
            return self._gone(watch, node)
        try:
            place = self._tree.place(watch)
        except NoPlaceError:
            return [Lost(node.volume, b"", "unplaced", _UNPLACED)] if name else []
        if place is None or not name:
            return []
        volume, directory = place
        one = self._volumes[volume]
        path = directory + b"/" + name if directory else name
        is_directory = bool(mask & InotifyConstants.IN_ISDIR)
        if mask & InotifyConstants.IN_MOVED_FROM and is_directory:
            child = self._tree.child(watch, name)
            if child is not None:
                self._tree.move_away(child)
                self._moved[cookie] = child
        if not mask & _TELLS:
            return []
        if one.excludes(path) or (is_directory and one.excludes(path + b"/")):
            self._forget_moved(cookie)
            return []
        reports: list[WatchReport] = [Changed(volume, directory, name)]
        if is_directory:
            reports = self._directory_came(one, watch, name, path, cookie) + reports
        return reports

    def _forget_moved(self, cookie: int) -> None:
        child = self._moved.pop(cookie, None) if cookie else None
        if child is not None and self._tree.is_away(child):
            self._forget(child)

    def _directory_came(
        self, one: _Volume, watch: int, name: bytes, path: bytes, cookie: int
    ) -> list[WatchReport]:
        """Watch a directory that was created or moved in, but not its subdirectories yet."""
        before = one.unwatched
        child = self._moved.pop(cookie, None) if cookie else None
        node = None if child is None else self._tree.get(child)
        if child is not None and node is not None:
            if node.volume != one.number:
                self._forget(child)
            else:
                self._tree.put(child, one.number, watch, name)
        try:
            root = open_root(one.volume.root)
        except OSError as error:
            self._not_watched(one, path, error)
            return [one.coverage()]
        with closing(root):
            try:
                directory = open_directory(root, path, cross_mounts=not one.volume.one_file_system)
            except OSError as error:
                if error.errno in _CHANGED:
                    # The directory is gone, or has another name, which another event reports.
                    return []
                self._not_watched(one, path, error)
                return [one.coverage()]
            with closing(directory):
                found = self._add(one, directory, watch, name, path)
        if found is not None:
            self._came[found] = None
        return [one.coverage()] if one.unwatched != before else []

    def _watch_what_came(self) -> list[WatchReport]:
        """Watch the directories below new directories; return changes of the coverage.

        This method runs once for all events that were read together. If a customer renames the top
        of a large tree again and again, the tree must not be walked each time while the kernel's
        queue overflows.
        """
        reports: list[WatchReport] = []
        came, self._came = self._came, {}
        for watch in self._tree.topmost(came):
            node = self._tree.get(watch)
            try:
                place = self._tree.place(watch)
            except NoPlaceError:
                if node is not None:
                    reports.append(Lost(node.volume, b"", "unplaced", _UNPLACED))
                continue
            if place is None:
                continue  # The directory was removed, or moved out of the volume.
            one = self._volumes[place[0]]
            before = one.unwatched
            try:
                root = open_root(one.volume.root)
            except OSError as error:
                self._not_watched(one, place[1], error)
            else:
                with closing(root):
                    self._watch_below(one, root, place[1], watch)
            if one.unwatched != before:
                reports.append(one.coverage())
        return reports

    def _gone(self, watch: int, node: Node) -> list[WatchReport]:
        """Forget a watched directory that was removed, or whose file system was unmounted."""
        is_root = node.parent == ROOT
        one = self._volumes[node.volume]
        self._forget(watch)
        if not is_root:
            return []
        one.root, one.unwatched = -1, 1
        one.message = "it is not there: its file system was unmounted, or it was removed"
        return [one.coverage(), Lost(one.number, b"", "mount", one.message)]

    def _make_whole(self) -> list[WatchReport]:
        """Set the watches that could not be set because of an overflow or the limit of watches."""
        now = time.monotonic()
        overflowed = self._walk_at is not None and now >= self._walk_at
        again = now >= self._try_again and any(one.unwatched for one in self._volumes)
        if not (overflowed or again):
            return []
        self._limited = False
        reports: list[WatchReport] = []
        for one in self._volumes:
            if overflowed or one.unwatched:
                before = one.unwatched
                reports += self._watch_volume(one)
                if one.unwatched < before:
                    # No event reported changes in these directories until now.
                    reports.append(Lost(one.number, b"", "unwatched", _WATCHED_NOW))
        if overflowed:
            self._walk_at, self._walked = None, time.monotonic()
            message = "the kernel's queue of changes (fs.inotify.max_queued_events) was full"
            reports += [Lost(one.number, b"", "overflow", message) for one in self._volumes]
        return reports

    def rewatch(self, volume: int) -> list[WatchReport]:
        """Watch the directories of a volume that exist now."""
        return self._watch_volume(self._volumes[volume])
