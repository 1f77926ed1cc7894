"""Quarantine in a test: confirmed candidates, children that are killed, snapshots of files."""

import ctypes
import hashlib
import mmap
import os
import pickle
import signal
import struct
import tempfile
import time
import traceback
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import namespaces
import pytest

from hashscan.fs import rename
from hashscan.model import Candidate, Confirmed, Digest, FileDigests, FilterHit, Identity, Stamp
from hashscan.quarantine.manage import records, verify
from hashscan.quarantine.recover import recover
from hashscan.quarantine.store import Store

libc = ctypes.CDLL(None, use_errno=True)
needs_root = pytest.mark.skipif(bool(namespaces.why_no_root()), reason=namespaces.why_no_root())


def confirmed(volume, path, content=None):
    """What the act stage gets about a file; ``content``: what was hashed, if not what is there."""
    volume, path = os.fsencode(volume), os.fsencode(path)
    full = volume + b"/" + path
    status = os.lstat(full)
    if content is None:
        content = Path(os.fsdecode(full)).read_bytes()
        os.utime(full, ns=(status.st_atime_ns, status.st_mtime_ns))
        status = os.lstat(full)
    sha1 = hashlib.sha1(content)
    hit = FilterHit(Digest("sha1", sha1.hexdigest()), "baseline", "7")
    candidate = Candidate(
        volume=volume,
        path=path,
        identity=Identity(status.st_dev, status.st_ino),
        stamp=Stamp(len(content), status.st_mtime_ns, status.st_ctime_ns),
        digests=FileDigests(sha1=sha1.digest()),
        links=status.st_nlink,
        uid=status.st_uid,
        hits=(hit,),
    )
    return Confirmed(candidate, hit, "baseline", "https://hcs.example", "2026-01-02T03:04:05.678Z")


def snapshot(path):
    """All of a file but its inode and change time, without touching its access time."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME)
    try:
        status = os.fstat(fd)
        attributes = {name: os.getxattr(fd, name) for name in os.listxattr(fd)}
        content = os.pread(fd, status.st_size + 1, 0)
    finally:
        os.close(fd)
    times = (status.st_atime_ns, status.st_mtime_ns)
    return status.st_mode, status.st_uid, status.st_gid, times, attributes, content


def all_records(store):
    found = list(records(store))
    assert all(one.record for one in found), [one.trouble for one in found]
    return [one.record for one in found]


@contextmanager
def recovered(directory):
    """The store after the next start."""
    with Store.open(os.fsencode(directory)) as store:
        with store.lock(5):
            notes = recover(store)
        assert all(note.resolved for note in notes), notes
        with store.lock(5):
            assert recover(store) == []
        found = verify(store)
        assert found.findings == []
        yield store


def fork(function):
    """Run in a child; returns ("returned", value), ("raised", traceback) or ("killed", signal)."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            try:
                answer = ("returned", function())
            except BaseException:
                answer = ("raised", traceback.format_exc())
            with open(writing, "wb") as pipe:
                pickle.dump(answer, pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        raw = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return "killed", os.WTERMSIG(status)
    return pickle.loads(raw)


def in_child(function):
    """Run in a child, as if here: its value, or its failure."""
    kind, value = fork(function)
    if kind != "returned":
        raise AssertionError(value)
    return value


def in_mount_namespace(function):
    """Run in a child that may mount what it likes; all of it is gone afterwards."""

    def run():
        namespaces.own_mounts()
        return function()

    namespaces.needed(namespaces.why_no_mounts)
    return in_child(run)


def mount(source, target, kind, flags=0, options=None):
    def encoded(one):
        return None if one is None else os.fsencode(one)

    if libc.mount(encoded(source), encoded(target), encoded(kind), flags, encoded(options)) != 0:
        raise OSError(ctypes.get_errno(), "mount", target)


#: Every call by which the rooms change something on disk, and those that lead there.
CALLS = (
    "open", "mkdir", "write", "pwrite", "fsync", "replace", "rename", "link", "unlink", "rmdir",
    "ftruncate", "setxattr", "fchown", "fchmod", "utime",
)  # fmt: skip


#: When a process is killed. What is on disk after a call is what is there before the next one, as
#: every call that changes something is one of ``CALLS`` (test_every_call_passes_the_injection).
MOMENTS = ("before", "after") if os.environ.get("HASHSCAN_LONG") else ("after",)


def changes(name, args):
    """Whether a call of ``CALLS`` may change what a killed process leaves on disk."""
    if name == "open":
        return bool(args[1] & (os.O_CREAT | os.O_TRUNC))
    return name != "fsync"


def kill_at(number, when):
    """In a child: SIGKILL this process before or after its ``number``-th call that ``changes``."""
    count = 0

    def wrapped(call, name):
        def calling(*args, **kwargs):
            nonlocal count
            if not changes(name, args):
                return call(*args, **kwargs)
            count += 1
            mine = count
            if mine == number and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return call(*args, **kwargs)
            finally:
                if mine == number and when == "after":
                    os.kill(os.getpid(), signal.SIGKILL)

        return calling

    for name in CALLS:
        setattr(os, name, wrapped(getattr(os, name), name))
    if rename._renameat2 is not None:
        rename._renameat2 = wrapped(rename._renameat2, "renameat2")


def kill_everywhere(prepare, job, check, when):
    """Kill ``job(prepared)`` at each call in turn, and ``check(prepared)`` after each.

    Returns:
        How many calls it took until the job survived.
    """
    for number in range(1, 400):
        prepared = prepare(number)

        def killed(number=number, prepared=prepared):
            kill_at(number, when)
            job(prepared)

        kind, value = fork(killed)
        try:
            check(prepared)
        except BaseException as error:
            error.add_note(f"killed {when} call {number}")
            raise
        if kind == "returned":
            return number - 1
        assert (kind, value) == ("killed", signal.SIGKILL), value
    raise AssertionError("the job never survives")


@contextmanager
def adversary(step, pause=0.0005):
    """A process that calls ``step()`` again and again; yields a function that counts the calls.

    ``pause``: seconds between two calls. At full speed, the process takes a processor, and what a
    test runs beside it takes longer.
    """
    counter = mmap.mmap(-1, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        count = 0
        while os.getppid() != 1:
            with suppress(OSError):
                step()
            count += 1
            counter[:] = struct.pack("q", count)
            time.sleep(pause)
        os._exit(0)
    try:
        yield lambda: struct.unpack("q", counter[:])[0]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def exchange(one, other):
    """Swap two names in one instant."""
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


@contextmanager
def watched(directory):
    """Yields a function that tells how often anything in a directory was touched (inotify)."""
    fd = libc.inotify_init1(os.O_NONBLOCK)
    assert fd >= 0
    # all but IN_ATTRIB, which the exchange of names nearby may cause
    assert libc.inotify_add_watch(fd, os.fsencode(directory), 0xFFF & ~0x4) >= 0

    def events():
        try:
            return os.read(fd, 65536)
        except BlockingIOError:
            return b""

    try:
        yield events
    finally:
        os.close(fd)


@contextmanager
def in_memory():
    """A directory in memory: fsync costs nothing there, and it is another file system."""
    if not os.path.isdir("/dev/shm"):
        pytest.skip("this machine has no /dev/shm")
    with tempfile.TemporaryDirectory(prefix="hashscan-test-", dir="/dev/shm") as directory:
        yield Path(directory)
