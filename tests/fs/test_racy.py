"""hashscan.fs.racy: which stamps may hide a later change, and who may still write to a file."""

import fcntl
import mmap
import os
import signal
from contextlib import suppress
from types import SimpleNamespace

import pytest
from isolating import fork
from page_cache import PAGE

from hashscan.fs import racy as module
from hashscan.fs.racy import has_writer

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("changed", "age", "is_in_memory", "has_writer", "racy"),
    [
        (SECOND + 1, SECOND // 10 - 1, False, False, True),
        (SECOND + 1, SECOND // 10, False, False, False),
        (SECOND, 2 * SECOND - 1, False, False, True),  # it may have whole seconds, or two
        (SECOND, 2 * SECOND, False, False, False),
        (SECOND + 1, 3600 * SECOND - 1, False, True, True),
        (SECOND + 1, 3600 * SECOND, False, True, False),  # a later change has a new stamp
        (SECOND + 1, 9999 * SECOND, True, True, True),
        (SECOND + 1, 9999 * SECOND, True, False, False),
    ],
)
def test_a_stamp_may_hide_a_later_change(monkeypatch, changed, age, is_in_memory, has_writer, racy):
    monkeypatch.setattr(module, "has_writer", lambda _fd: has_writer)
    reader = SimpleNamespace(is_plain=lambda _device: is_in_memory)
    assert module.is_racy(0, changed, 1, changed + age, reader) is racy


def test_writers_are_seen(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x" * PAGE)
    fd = os.open(path, os.O_RDONLY)
    if has_writer(fd) is None:
        pytest.skip("no leases on this file system")
    assert has_writer(fd) is False
    with open(path, "r+b") as writer:
        assert has_writer(fd) is True
        mapped = mmap.mmap(writer.fileno(), PAGE)
    assert has_writer(fd), "a mapping writes without an open descriptor"
    mapped.close()
    assert has_writer(fd) is False
    os.close(fd)


def test_asking_for_writers_signals_nobody(tmp_path):
    """Somebody opens the file for writing at the very instant at which the lease is held."""
    path = tmp_path / "f"
    path.write_bytes(b"x")

    def run():
        signal.signal(signal.SIGIO, signal.SIG_DFL)  # which kills
        fd = os.open(path, os.O_RDONLY)
        opened = 0

        def opens():
            nonlocal opened
            with suppress(BlockingIOError):
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            opened += 1

        real = fcntl.fcntl

        def interleaved(fd, command, argument=0):
            if (command, argument) == (fcntl.F_SETLEASE, fcntl.F_UNLCK):
                opens()
            return real(fd, command, argument)

        fcntl.fcntl = interleaved
        try:
            answers = {has_writer(fd) for _ in range(5)}
        finally:
            fcntl.fcntl = real
        return answers, opened

    kind, value = fork(run)
    assert kind == "returned", value
    answers, opened = value
    if answers == {None}:
        pytest.skip("no leases on this file system")
    assert (answers, opened) == ({False}, 5)


def test_no_leases_no_answer():
    reading, writing = os.pipe()
    assert has_writer(reading) is None
    os.close(reading)
    os.close(writing)
