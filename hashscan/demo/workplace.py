"""Makes the demo's directory, and removes it however the demo ends."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from hashscan.demo.tree import remove
from hashscan.errors import HashscanError, InterruptError, UsageError
from hashscan.fs.named import opened_named
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator


class DemoError(HashscanError):
    """Reports that a result of the demo was not as expected."""


@contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that no file is left behind."""

    def stop(number: int, frame: object) -> None:
        del number, frame
        raise InterruptError("demo: stopped by SIGTERM")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def workplace(directory: str | None, out: IO[str], *, keep: bool) -> Iterator[str]:
    """Make an empty directory; with ``keep`` it is not removed, and its path is written to ``out``.

    Raises:
        UsageError: the directory cannot be made, or the disk is full.
        DemoError: the directory cannot be removed.
    """
    _check(directory or tempfile.gettempdir())
    try:
        place = os.path.realpath(tempfile.mkdtemp(prefix="hashscan-demo-", dir=directory))
    except OSError as error:
        raise UsageError(
            f"{shown(directory or tempfile.gettempdir())}: the demo cannot make a directory there: "
            f"{error.strerror}; name another with --directory DIR"
        ) from error
    ended = False
    try:
        yield place
        ended = True
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise UsageError(
            f"{shown(place)}: {error.strerror}; the demo needs about 200 MiB: free some space, or "
            "name another directory with --directory DIR"
        ) from error
    finally:
        if keep:
            print(f"\nKept, as asked: {shown(place)}", file=out)
            print(f"Remove it with: rm -rf {shlex.quote(place)}", file=out, flush=True)
        else:
            _clear(place, out, ended=ended)


def _check(directory: str) -> None:
    """Refuse a directory early that the demo's commands would refuse later.

    Raises:
        UsageError: another user can replace files that are made there.
    """
    try:
        with opened_named(os.fsencode(directory)) as named:
            if named.unsafe is not None and os.geteuid() == 0:
                raise UsageError(
                    f"{shown(directory)}: root's demo may not be where somebody else can replace "
                    f"it: {named.unsafe}; name another with --directory DIR"
                )
    except OSError:
        return  # Making a directory there reports this error.


def _clear(place: str, out: IO[str], *, ended: bool) -> None:
    """Remove the directory; a failure to remove it must not hide why the demo ended."""
    try:
        remove(place)
    except OSError as error:
        message = (
            f"{shown(place)}: the demo's directory could not be removed: {error.strerror}; "
            f"run: rm -rf {shlex.quote(place)}"
        )
        if ended:
            raise DemoError(message) from error
        print(message, file=out, flush=True)
