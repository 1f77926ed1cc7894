"""Watches by fanotify(7): one mark covers a file system, however many directories it has.

For each event the mark reports a handle of the directory and the entry's name (FAN_REPORT_DIR_FID,
FAN_REPORT_NAME; Linux 5.9), so that the kernel reports moves and links as well. The mark also
reports a handle of the entry itself (FAN_REPORT_FID). Without the entry's handle, the kernel does
not report a file that was opened by a handle (e.g. by an NFS server) if the kernel does not know
the file's directory. The events cover the whole file system. A handle is turned into a path once,
and events outside the volumes are dropped. The mark needs CAP_SYS_ADMIN, and opening handles needs
CAP_DAC_READ_SEARCH.

Sources of the layouts: the structures ``fanotify_event_metadata``, ``fanotify_event_info_fid`` and
``file_handle`` of <linux/fanotify.h> and open_by_handle_at(2).
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import struct
import time
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from hashscan.fs.beneath import closing, identity_of, open_root
from hashscan.fs.volume import Volume, excluder
from hashscan.text import shown
from hashscan.watch.mounts import mounts_now
from hashscan.watch.source import Changed, Coverage, Lost

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from hashscan.model import Identity
    from hashscan.watch.source import WatchReport

_CLOEXEC, _NONBLOCK, _UNLIMITED_QUEUE = 0x1, 0x2, 0x10
_REPORT_FID, _REPORT_DIR_FID, _REPORT_NAME = 0x200, 0x400, 0x800
_MARK_ADD, _MARK_FILESYSTEM = 0x1, 0x100
CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE = 0x8, 0x40, 0x80, 0x100
Q_OVERFLOW, ONDIR = 0x4000, 0x40000000
_MASK = CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | ONDIR
_AT_FDCWD = -100
_INFO_FID, _INFO_DFID_NAME = 1, 2
_METADATA = struct.Struct("=IBBHQii")
_INFO = struct.Struct("=BBH8sIi")
_VERSION = 3
_BUFFER = 256 << 10
_MOST_EVENTS = 8192
_CACHE = 16384
_PATH_MAX = 4096
_MOST_LEVELS = 4096
#: Seconds after an event in a directory whose path is too long; during these seconds all
#: directories with too long paths on that file system count as inside a volume.
_CLIMB_AFTER = 5.0
_TOO_DEEP = "something changed in a directory whose path is too long to be reported"
#: Seconds between two attempts to open the handle of a directory.
_PAUSES = (0.0005, 0.002, 0.01, 0.05)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fanotify_mark.argtypes = (
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_uint64,
    ctypes.c_int,
    ctypes.c_char_p,
)


class FanotifyEvent(NamedTuple):
    """Holds one event of fanotify.

    Attributes:
        mask: bits that name the kinds of changes in the event.
        filesystem: the ``fsid`` of the file system that ``handle`` belongs to.
        handle: type and bytes of the directory's file handle; empty if the kernel does not know the
            directory.
        name: name of the changed entry in the directory.
    """

    mask: int
    filesystem: bytes
    handle: bytes
    name: bytes


def parse(data: bytes) -> Iterator[FanotifyEvent]:
    """Yield the events in ``data``, the bytes that the kernel wrote; check each length in them.

    Raises:
        ValueError: ``data`` is not in the kernel's format of fanotify events.
    """
    at = 0
    while at + _METADATA.size <= len(data):
        length, version, _, header, mask, _, _ = _METADATA.unpack_from(data, at)
        if version != _VERSION or header < _METADATA.size or length < header:
            raise ValueError(f"not a fanotify event: version {version}, length {length}")
        if at + length > len(data):
            raise ValueError("a fanotify event is cut off")
        yield _event(mask, data[at + header : at + length])
        at += length


def _event(mask: int, info: bytes) -> FanotifyEvent:
    at = 0
    of_entry = b""
    while at + _INFO.size <= len(info):
        kind, _, length, filesystem, size, handle_type = _INFO.unpack_from(info, at)
        if length < _INFO.size or at + length > len(info):
            raise ValueError("a fanotify event's information is cut off")
        if kind == _INFO_DFID_NAME:
            start = at + _INFO.size
            if start + size > at + length:
                raise ValueError("a file handle is cut off")
            handle = struct.pack("=Ii", size, handle_type) + info[start : start + size]
            name = info[start + size : at + length].split(b"\0", 1)[0]
            return FanotifyEvent(mask, filesystem, handle, name)
        if kind == _INFO_FID:
            of_entry = filesystem
        at += length
    return FanotifyEvent(mask, of_entry, b"", b"")


def _init() -> int:
    flags = _CLOEXEC | _NONBLOCK | _UNLIMITED_QUEUE
    flags |= _REPORT_FID | _REPORT_DIR_FID | _REPORT_NAME
    fd = _libc.fanotify_init(flags, os.O_RDONLY | os.O_CLOEXEC)
    if fd < 0:
        raise _error("fanotify_init")
    return int(fd)


def _mark(fd: int, directory: int) -> None:
    """Mark the file system of an open directory for fanotify."""
    place = b"/proc/self/fd/%d" % directory
    if _libc.fanotify_mark(fd, _MARK_ADD | _MARK_FILESYSTEM, _MASK, _AT_FDCWD, place) < 0:
        raise _error("fanotify_mark")


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def _open_handle(mount: int, handle: bytes) -> int:
    """Open a directory by its file handle.

    Raises:
        OSError: ESTALE: the directory is gone.
    """
    for pause in _PAUSES:
        fd = _libc.open_by_handle_at(mount, handle, os.O_PATH | os.O_CLOEXEC)
        # The kernel (iget_locked in fs/inode.c) also reports ENOMEM if the inode is just being
        # made, because a new inode gets the number of a directory that is gone.
        if fd >= 0 or ctypes.get_errno() != errno.ENOMEM:
            break
        time.sleep(pause)
    if fd < 0:
        raise _error("open_by_handle_at")
    return int(fd)


def _handle_of(directory: int) -> tuple[int, bytes]:
    """Return the mount of an open directory, and the directory's handle with the handle's type."""
    buffer = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0), 8 + 128)
    mount = ctypes.c_int()
    if _libc.name_to_handle_at(directory, b"", buffer, ctypes.byref(mount), 0x1000) < 0:
        raise _error("name_to_handle_at")
    (size,) = struct.unpack_from("=I", buffer.raw)
    return mount.value, buffer.raw[: 8 + size]


def _fsid(directory: int) -> bytes:
    """Return a file system's identity, as in events: ``f_fsid`` of statfs(2)."""
    return struct.pack("=Q", os.fstatvfs(directory).f_fsid & (2**64 - 1))


_WHAT_TO_DO = {
    errno.EPERM: "it needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH: run hashscan as root, outside of "
    "a container",
    errno.EINVAL: "this kernel is too old for it; Linux 5.9 is needed",
    errno.ENOSYS: "this kernel was built without it, or a container's filter forbids it",
    errno.ENODEV: "this file system has no identity of its own",
    errno.EXDEV: "this file system has several identities, e.g. a subvolume of btrfs",
    errno.EOPNOTSUPP: "this file system has no file handles",
}


def why_not(volumes: Sequence[Volume]) -> str | None:
    """Return a line that says why fanotify cannot watch the volumes on this machine.

    The result is ``None`` if fanotify can watch the volumes.
    """
    return next((why for why in reasons_not(volumes) if why is not None), None)


def reasons_not(volumes: Sequence[Volume]) -> list[str | None]:
    """Return for each volume a line that says why fanotify cannot watch the volume.

    The line is ``None`` if fanotify can watch the volume.

    Each file system is tried once, however many volumes are on it.
    """
    try:
        fd = _init()
    except OSError as error:
        return [_told(error)] * len(volumes)
    found: list[str | None] = []
    tried: dict[int, str | None] = {}
    try:
        for volume in volumes:
            try:
                with closing(open_root(volume.root)) as root:
                    device = os.fstat(root).st_dev
                    if device not in tried:
                        tried[device] = _try(fd, root)
                    found.append(tried[device])
            except OSError as error:
                found.append(_told(error))
    finally:
        os.close(fd)
    return found


def _try(fd: int, root: int) -> str | None:
    try:
        _mark(fd, root)
        os.close(_open_handle(root, _handle_of(root)[1]))
    except OSError as error:
        return _told(error)
    return None


def _told(error: OSError) -> str:
    fix = _WHAT_TO_DO.get(error.errno or 0)
    return f"{error.strerror}" + (f" ({fix})" if fix else "")


def _is_outside(fd: int, roots: Collection[Identity]) -> bool:
    """Return whether a directory is certainly not below any of the directories ``roots``.

    For a directory without a path, this function climbs to the parents. A directory that is too
    deep for climbing counts as possibly below a root.
    """
    here = os.dup(fd)
    try:
        for _ in range(_MOST_LEVELS):
            now = identity_of(here)
            if now in roots:
                return False
            above = os.open(b"..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = above
            if identity_of(here) == now:
                return True  # The climb has reached the root of the file system.
        return False
    finally:
        os.close(here)


def _upwards(path: bytes) -> Iterator[bytes]:
    """Yield a path and all directories above it, the innermost first."""
    while path not in {b"/", b""}:
        yield path
        path = path.rpartition(b"/")[0] or b"/"
    yield path


class _Place(NamedTuple):
    """Holds the place of a directory: index of the volume and path below the volume's root."""

    volume: int
    directory: bytes


class FanotifySource:
    """Reports changes by marks on file systems; see ``source.Source``."""

    def __init__(self, volumes: Sequence[Volume]) -> None:
        """Prepare to watch volumes, even nested; a change belongs to the innermost volume."""
        self._volumes = volumes
        self._numbers = {volume.root: number for number, volume in enumerate(volumes)}
        self._excludes = [excluder(volume.exclude) for volume in volumes]
        self._fd = -1
        #: Time of the last change in a directory that is too deep, by file system.
        self._too_deep: dict[bytes, float] = {}
        self._cache: OrderedDict[tuple[bytes, bytes], _Place | None] = OrderedDict()
        #: A directory on each mount, by file system and mount. One directory for each mount
        #: resolves all handles, however many volumes there are.
        self._on: dict[bytes, dict[int, dict[bytes, Identity]]] = {}
        self._noted: dict[bytes, tuple[bytes, int]] = {}

    def start(self) -> list[WatchReport]:
        """Mark the file systems of all volumes."""
        self._fd = _init()
        reports: list[WatchReport] = []
        for number in range(len(self._volumes)):
            reports += self._watch(number)
        return reports

    def _watch(self, number: int) -> list[WatchReport]:
        volume = self._volumes[number]
        try:
            with closing(open_root(volume.root)) as root:
                _mark(self._fd, root)
                self._note(root, volume.root)
            trouble = "" if volume.one_file_system else self._watch_below(volume)
        except OSError as error:
            trouble = f"{_told(error)}: {shown(volume.root)}"
        if trouble:
            return [Coverage(number, "fanotify", unwatched=1, message=trouble)]
        return [Coverage(number, "fanotify")]

    def _note(self, root: int, path: bytes) -> None:
        """Note that the open directory ``root`` can resolve handles of its file system."""
        before = self._noted.get(path)
        if before is not None:
            self._on[before[0]][before[1]].pop(path, None)
            if not self._on[before[0]][before[1]]:
                del self._on[before[0]][before[1]]
        place = self._noted[path] = (_fsid(root), _handle_of(root)[0])
        self._on.setdefault(place[0], {}).setdefault(place[1], {})[path] = identity_of(root)

    def _watch_below(self, volume: Volume) -> str:
        """Mark the mounts below a volume that crosses file systems; return the failures."""
        trouble = ""
        for mount in mounts_now().below(volume.root):
            if mount.where == volume.root:
                continue
            try:
                with closing(open_root(mount.where)) as root:
                    _mark(self._fd, root)
                    self._note(root, mount.where)
            except OSError as error:
                trouble = f"{_told(error)}: {shown(mount.where)}"
        return trouble

    def fileno(self) -> int:
        """Return a descriptor that is readable if the kernel has events."""
        return self._fd

    @property
    def has_more(self) -> bool:
        """Return false: ``read`` returns all events that it has read, so no event waits."""
        return False

    def read(self) -> list[WatchReport]:
        """Return the changes and losses since the last call of ``read``."""
        reports: dict[WatchReport, None] = {}
        mounts: dict[int, int] = {}
        count = 0
        try:
            while count < _MOST_EVENTS:
                try:
                    data = os.read(self._fd, _BUFFER)
                except BlockingIOError:
                    break
                for event in parse(data):
                    count += 1
                    for one in self._reports_of(event, mounts):
                        reports[one] = None
        except ValueError as error:
            reports |= dict.fromkeys(self._all_lost("unreadable", str(error)))
        finally:
            # An open directory would keep the file system from being unmounted.
            for fd in mounts.values():
                if fd >= 0:
                    os.close(fd)
        return list(reports)

    def _all_lost(self, reason: str, message: str) -> list[WatchReport]:
        return [Lost(number, b"", reason, message) for number in range(len(self._volumes))]

    def _reports_of(self, event: FanotifyEvent, mounts: dict[int, int]) -> list[WatchReport]:
        if event.mask & Q_OVERFLOW:
            return self._all_lost("overflow", "the kernel's queue of changes was full")
        if event.mask & ONDIR and event.mask & (MOVED_FROM | MOVED_TO):
            self._cache.clear()  # All directories below the moved directory have another path now.
        if not event.filesystem or not event.mask & (CLOSE_WRITE | MOVED_TO | CREATE):
            return []
        if event.filesystem not in self._on:
            return self._all_lost("unplaced", "a change on a file system that nobody marked")
        if not event.handle:
            message = "a file was written that was opened by a handle (an export of NFS?)"
            return self._lost_on(event.filesystem, "unplaced", message)
        key = (event.filesystem, event.handle)
        if key in self._cache:
            place = self._cache[key]
        else:
            try:
                place = self._place(event, mounts)
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    self._too_deep[event.filesystem] = time.monotonic()
                    return self._lost_on(event.filesystem, "unplaced", _TOO_DEEP)
                if error.errno == errno.ESTALE:
                    return []  # The directory is gone, with all its entries.
                return self._lost_on(
                    event.filesystem, "unplaced", f"a change has no place: {error.strerror}"
                )
            self._cache[key] = place
            if len(self._cache) > _CACHE:
                self._cache.popitem(last=False)
        if place is None:
            return []
        path = place.directory + b"/" + event.name if place.directory else event.name
        excludes = self._excludes[place.volume]
        if not event.name or excludes(path):
            return []
        return [Changed(place.volume, place.directory, event.name)]

    def _lost_on(self, filesystem: bytes, reason: str, message: str) -> list[WatchReport]:
        concerned = {
            self._numbers[above]
            for roots in self._on.get(filesystem, {}).values()
            for root in roots
            for above in _upwards(root)
            if above in self._numbers
        }
        return [Lost(number, b"", reason, message) for number in sorted(concerned)]

    def _open_mount(self, mount: int, roots: Collection[bytes]) -> int:
        """Open a directory on a mount; return -1 if none of ``roots`` exists."""
        for root in roots:
            with suppress(OSError):
                fd = open_root(root)
                if _handle_of(fd)[0] == mount:
                    return fd
                os.close(fd)
        return -1

    def _place(self, event: FanotifyEvent, mounts: dict[int, int]) -> _Place | None:
        """Return the present place of the directory in an event.

        The result is ``None`` if the directory is outside the volumes.

        Raises:
            OSError: ESTALE: the directory is gone; ENAMETOOLONG: the directory's path is too long.
        """
        # A descriptor on a mount resolves only handles below that mount, and a file system may be
        # mounted, or bound, in several places.
        found: _Place | None = None
        for mount, roots in self._on.get(event.filesystem, {}).items():
            if mount not in mounts:
                mounts[mount] = self._open_mount(mount, roots)
            if mounts[mount] < 0:
                continue
            with closing(_open_handle(mounts[mount], event.handle)) as fd:
                try:
                    path = os.readlink(b"/proc/self/fd/%d" % fd)
                except OSError as error:
                    if error.errno != errno.ENAMETOOLONG:
                        raise
                    path = b"/" * _PATH_MAX
                if len(path) >= _PATH_MAX - 1:
                    last = self._too_deep.get(event.filesystem, -math.inf)
                    # Climbing takes long, and a customer may make thousands of deep directories.
                    if time.monotonic() - last > _CLIMB_AFTER and _is_outside(
                        fd, set(roots.values())
                    ):
                        continue
                    raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
                if not os.fstat(fd).st_nlink:
                    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            found = self._in_a_volume(path)
            if found is not None:
                return found
        return found

    def _in_a_volume(self, path: bytes) -> _Place | None:
        for root in _upwards(path):
            number = self._numbers.get(root)
            if number is not None:
                return _Place(number, path[len(root) :].lstrip(b"/"))
        return None

    def rewatch(self, volume: int) -> list[WatchReport]:
        """Mark the file systems that are mounted on and below a volume now."""
        self._cache.clear()
        return self._watch(volume)

    def close(self) -> None:
        """Close the descriptor of fanotify; this removes the marks."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
