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
    """Raised if a result of the demo is not as expected."""


@contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that no file of the demo is left behind."""

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
    """Yield an empty directory; remove it, or with ``keep`` print its path to ``out``.

    Raises:
        UsageError: the demo's directory cannot be made, or the disk is full.
        DemoError: the demo's directory cannot be removed.
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
    """Raise an error early for a directory that the demo's commands would reject later.

    Raises:
        UsageError: another user can replace files in the directory.
    """
    try:
        with opened_named(os.fsencode(directory)) as named:
            if named.unsafe is not None and os.geteuid() == 0:
                raise UsageError(
                    f"{shown(directory)}: root's demo may not be where somebody else can replace "
                    f"it: {named.unsafe}; name another with --directory DIR"
                )
    except OSError:
        return  # ``mkdtemp`` reports this error.


def _clear(place: str, out: IO[str], *, ended: bool) -> None:
    """Remove the demo's directory; a failure must not hide the error that ended the demo."""
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
