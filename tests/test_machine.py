"""Faults of the machine are named with their limit and the way to raise it."""

import errno
import os
import resource
import sqlite3

import pytest

from hashscan.errors import (
    ExitCode,
    FilterError,
    HashscanError,
    LockedError,
    OutputError,
    QuarantineError,
    StateError,
)
from hashscan.machine import (
    as_machine_error,
    exit_code_with_cause,
    explain,
    is_limited,
    with_cause,
)


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(errno.ENFILE, "Too many open files in system"), "fs.file-max"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
        (ImportError("x.so: failed to map segment from shared object"), "out of memory"),
        (ImportError("x.so: cannot open shared object file: Too many open files"), "ulimit -n"),
        (SystemError("error return without exception set"), "out of memory"),
        (ValueError("[digital envelope routines] malloc failure"), "out of memory"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "process of hashscan died"),
    ],
)
def test_limits(error, words):
    assert words in explain(error)
    assert words in str(as_machine_error(error))
    assert as_machine_error(error).exit_code == ExitCode.USAGE


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
def test_other_faults_of_a_place_name_it(number):
    told = str(as_machine_error(OSError(number, os.strerror(number), "/the/place")))
    assert told.startswith(f"/the/place: {os.strerror(number)}; ")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EBADF, "Bad file descriptor"),
        OSError("no number"),
        KeyError("x"),
        ValueError(),
    ],
)
def test_own_faults(error):
    assert explain(error) is None
    assert as_machine_error(error) is None


def test_the_limit_takes_the_place_of_advice_that_does_not_help():
    full = OSError(errno.EMFILE, "Too many open files")
    error = caused(StateError("/state/lock: Too many open files; free some space"), full)
    told = with_cause(error)
    assert told.startswith("/state/lock: too many open files: this process may have ")
    assert "space" not in told
    assert is_limited(error)


def test_an_internal_error_with_a_limit_behind_it_is_none():
    error = HashscanError("worker processes died")
    assert exit_code_with_cause(error) == ExitCode.INTERNAL
    assert exit_code_with_cause(caused(error, MemoryError())) == ExitCode.USAGE


@pytest.mark.parametrize(
    "error", [FilterError("x: cannot be read"), QuarantineError("x: closed", reason="other")]
)
def test_a_limit_says_nothing_about_a_file_or_a_filter(error):
    assert exit_code_with_cause(error) in {ExitCode.FILTER, ExitCode.UNREADABLE}
    error = caused(error, OSError(errno.EMFILE, "Too many open files"))
    assert exit_code_with_cause(error) == ExitCode.USAGE


def test_a_reader_that_has_gone_is_no_process_that_died():
    error = caused(OutputError("its reader has gone"), BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert with_cause(error) == "its reader has gone"
    assert not is_limited(error)


@pytest.fixture(params=[resource.RLIMIT_AS, resource.RLIMIT_DATA])
def memory(request):
    before = resource.getrlimit(request.param)
    resource.setrlimit(request.param, (1 << 42, before[1]))
    yield
    resource.setrlimit(request.param, before)


def test_the_limit_of_memory_is_named(memory):
    assert "may use 4.0 TiB" in explain(MemoryError())


def test_a_held_lock_is_no_limit():
    error = caused(LockedError("another one works"), BlockingIOError(errno.EAGAIN, "x"))
    assert with_cause(error) == "another one works"
    assert not is_limited(error)


@pytest.fixture
def file_size():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_sqlite_hides(file_size, tmp_path):
    with pytest.raises(sqlite3.Error) as caught:
        sqlite3.connect(tmp_path).execute("SELECT 1 FROM sqlite_master")
    assert "1.0 GiB" in explain(caught.value)


def test_a_file_system_has_a_limit_too():
    assert "file system" in explain(OSError(errno.EFBIG, "File too large"))
