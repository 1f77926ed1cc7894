"""The standard streams: what happens if one is closed, full, or has lost its reader.

A result that cannot be written ends the command with ``OutputError``, whichever command writes it
and whatever the kernel says (EPIPE, ENOSPC, EBADF, EIO). A message on standard error that cannot be
written is dropped: the command's work does not depend on it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import locale
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

from hashscan.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_OUT = "standard output cannot be written: "
_WHY = {
    errno.EPIPE: "its reader has gone",
    errno.ECONNRESET: "its reader has gone",
    errno.EBADF: "it is closed; to have no output, send it to /dev/null",
    errno.EIO: "its terminal has gone, or its disk has failed",
    errno.EFBIG: "its file may not grow any more (ulimit -f)",
}
#: Milliseconds to wait for a reader, if somebody made the stream non-blocking.
_WAIT = 1000


def open_standard_streams() -> None:
    """Give every standard stream a place, and make the Python streams from them.

    If one is closed, the next file that is opened, a customer's or the catalog, would take its
    number, and messages would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _occupy(number)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _text(_Results(1, "wb", closefd=False), sys.stdout)
    sys.stderr = _text(_Messages(2, "wb", closefd=False), sys.stderr)


def check_reader() -> None:
    """Check that standard output can be written, as far as the kernel knows without a write.

    Raises:
        OutputError: it is closed, or its reader has gone.
    """
    poll = select.poll()
    poll.register(1, 0)  # POLLERR, POLLHUP and POLLNVAL are always reported
    if poll.poll(0):
        raise OutputError(_OUT + _WHY[errno.EPIPE])
    if fcntl.fcntl(1, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OutputError(_OUT + _WHY[errno.EBADF])


def _occupy(number: int) -> None:
    """Take a closed stream's number: a read finds the end, a write fails with EBADF.

    /dev/null is not used: a chroot may have no /dev.
    """
    place, writer = os.pipe()
    os.close(writer)
    if place != number:
        os.dup2(place, number)
        os.close(place)
    os.set_inheritable(number, True)


def _text(raw: io.FileIO, before: TextIO | None) -> io.TextIOWrapper:
    """A text stream that keeps nothing back, in the encoding of the stream that it replaces.

    No name can end a command by its characters: those that the encoding lacks are escaped.
    """
    encoding = getattr(before, "encoding", None) or "utf-8"
    if raw.isatty():  # UTF-8 mode is for names and files; a terminal has the alphabet of its locale
        encoding = locale.getencoding()
    # Python itself builds its unbuffered streams (-u) from a raw file in this way.
    return io.TextIOWrapper(raw, encoding, "backslashreplace", write_through=True)


class _Results(io.FileIO):
    """Standard output."""

    _torn = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of ``data``; a line that an error cut off before is ended first.

        Raises:
            OutputError: it cannot be written.
        """
        rest = memoryview(data).cast("B")
        length = len(rest)
        if self._torn:
            rest = memoryview(b"\n" + rest)
        begin = len(rest)
        try:
            while rest:
                rest = rest[self._some(rest) :]
        except OSError as error:
            self._torn = self._torn or len(rest) < begin
            why = _WHY.get(error.errno or 0) or error.strerror or str(error)
            raise OutputError(_OUT + why) from error
        self._torn = False
        return length

    def _some(self, rest: memoryview) -> int:
        while (written := super().write(rest)) is None:
            # Another program that shares the terminal or the pipe made it non-blocking.
            poll = select.poll()
            poll.register(self.fileno(), select.POLLOUT)
            poll.poll(_WAIT)
        return written


class _Messages(io.FileIO):
    """Standard error."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            super().write(data)
        return len(memoryview(data))
