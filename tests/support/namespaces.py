"""Mounts and users of a process's own; a test that needs them is skipped if there are none here.

A chroot's / may be no mount point: no process there can keep the mounts that it makes to itself.
"""

import ctypes
import functools
import os
import subprocess
import warnings

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x20000
#: Mounts; other owners; immutable files; devices; handles of files; leases of others' files.
_CAPABILITIES = {
    "CAP_SYS_ADMIN": 21,
    "CAP_CHOWN": 0,
    "CAP_LINUX_IMMUTABLE": 9,
    "CAP_MKNOD": 27,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_LEASE": 28,
}
_MS_REC, _MS_PRIVATE, _MS_SLAVE = 1 << 14, 1 << 18, 1 << 19


def own_mounts(propagation=_MS_PRIVATE):
    """Give this process mounts of its own. Source: unshare(2), mount_namespaces(7).

    Raises:
        OSError: With the call that failed as its file name.
    """
    _checked("unshare", _libc.unshare(_CLONE_NEWNS))
    _checked("mount of /", _libc.mount(b"none", b"/", None, _MS_REC | propagation, None))


def own_mounts_if_possible():
    """Give this process mounts of its own, in which what the machine mounts still appears.

    In a chroot whose / is no mount point, its mounts reach the machine.

    Returns:
        Whether they do not.
    """
    try:
        own_mounts(_MS_SLAVE)
    except OSError:
        return False
    return True


def _checked(call, result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), call)


@functools.cache
def why_no_mounts():
    """Why no process can have mounts of its own here, or "" if it can: a child tries."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            own_mounts()
        except OSError as error:
            os.write(writing, f"{error.filename}: {error.strerror}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        failed = pipe.read()
    os.waitpid(pid, 0)
    return failed and f"no mounts of a process's own here ({failed})"


@functools.cache
def why_no_users():
    """Why no process can have users of its own here, or "" if it can: ``unshare`` tries."""
    try:
        ran = subprocess.run(
            ["unshare", "-U", "-r", "true"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "unshare is not installed"
    return f"no users of a process's own here ({ran.stderr.strip()})" if ran.returncode else ""


@functools.cache
def why_no_root():
    """Why the tests marked ``root`` cannot run here, or "" if they can: rights of this process.

    A container's root may lack some. Source: capabilities(7), proc(5).
    """
    if os.geteuid() != 0:
        return "needs root"
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            has = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return ""
    missing = [name for name, number in _CAPABILITIES.items() if not has >> number & 1]
    return f"this root lacks {', '.join(missing)}" if missing else ""


def needed(why):
    """Skip the test that calls this if ``why()`` has a reason."""
    import pytest  # here: what the tests start imports this file too

    if why():
        pytest.skip(why())


def in_shell(script, **more):
    """What ``subprocess.run`` gives for a shell that may mount what it likes."""
    needed(why_no_mounts)
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False, **more
    )
