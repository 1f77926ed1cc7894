"""Surroundings in which a command is run: limits, missing file systems, closed streams.

``ready.hashscan(…, within=(name, argument))`` calls one of these functions in the child process, as
the last step before the command is executed.
"""

import ctypes
import importlib
import os
import resource
import struct
import subprocess
import sys
import time

import namespaces

_libc = ctypes.CDLL(None, use_errno=True)
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC = 1, 0x20, 0x1000, 0x4000
_PR_SET_DUMPABLE = 4
_CAP_SYS_ADMIN, _CAP_SYS_RESOURCE = 21, 24
#: Functions for which a process needs mounts of its own.
MOUNTING = ("hidden", "read_only", "user")
#: The exit code of ``user`` if a mount fails.
NO_MOUNTS = 97
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}


def _checked(result):
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def limit(name, value):
    """A limit of this process (``ulimit``), e.g. NOFILE."""
    kind = getattr(resource, f"RLIMIT_{name}")
    resource.setrlimit(kind, (value, value))


def few_files(value):
    """Limit the descriptors to ``value`` more than are open now."""
    limit("NOFILE", len(os.listdir("/proc/self/fd")) - 1 + value)


def with_values(values):
    """Other values of constants, by their modules and names, e.g. ``hashscan.daemon.daemon._TRY_AGAIN``."""
    for name, value in values.items():
        where, _, constant = name.rpartition(".")
        module = importlib.import_module(where)
        assert hasattr(module, constant), name
        setattr(module, constant, value)


_BEGIN = time.time()


def quick_minutes():
    """The time of a clock whose minute is four seconds, for a schedule."""
    return _BEGIN + (time.time() - _BEGIN) * 15


def no_processes():
    """Allow no further process, by becoming a user with one process and root's rights to files."""
    os.setresuid(54321, 0, 0)
    header = struct.pack("<Ii", 0x20080522, 0)
    low = 0xFFFFFFFF & ~(1 << _CAP_SYS_ADMIN | 1 << _CAP_SYS_RESOURCE)
    data = struct.pack("<6I", low, low, 0, 0x1FF, 0x1FF, 0)
    _checked(_libc.syscall(_SYS_CAPSET[os.uname().machine], header, data))
    limit("NPROC", 1)


def memory(mebibytes):
    """Limit the memory to so much more than is used now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limit("AS", used + (mebibytes << 20))


def hidden(*places):
    """Empty file systems over these directories, for this process only."""
    namespaces.own_mounts()
    for place in places:
        if os.path.isdir(place):
            _checked(_libc.mount(b"none", os.fsencode(place), b"tmpfs", 0, None))


def read_only(*places):
    """Directories that nobody can write to; what is in them, e.g. the checkout, can be read."""
    namespaces.own_mounts()
    for place in filter(os.path.isdir, places):
        name = os.fsencode(place)
        _checked(_libc.mount(name, name, None, _MS_BIND | _MS_REC, None))
        _checked(_libc.mount(None, name, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY, None))


def user(uid, mounts, *arguments):
    """Another user, after the shell commands ``mounts`` in mounts of this process's own."""
    namespaces.own_mounts()
    done = subprocess.run(["bash", "-c", mounts, "x", *arguments], check=False)
    if done.returncode:
        os._exit(NO_MOUNTS if done.returncode == 99 else 99)
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        # As a process that was started by that user, this one may open its own /proc/self/fd.
        _checked(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))


def gone(directory):
    """A working directory that was removed."""
    os.mkdir(directory)
    os.chdir(directory)
    os.rmdir(directory)


def closed(*descriptors):
    """Closed standard streams, as Python starts with them."""
    for one in descriptors:
        os.close(one)
        setattr(sys, ("stdin", "stdout", "stderr")[one], None)


def opened(descriptor, path):
    """A standard stream on a file, e.g. /dev/full."""
    place = os.open(path, os.O_RDWR)
    os.dup2(place, descriptor)
    os.close(place)


def no_terminal():
    """No controlling terminal."""
    os.setsid()


def variable(name, value):
    """A variable of the environment."""
    os.environ[name] = value
