"""The standard streams, which may be closed or full, or have no reader.

If a result cannot be written, the command ends with ``OutputError``, for every command and every
error of the kernel (EPIPE, ENOSPC, EBADF, EIO). A message that cannot be written to standard error
is dropped, because the command's work does not depend on messages.
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
#: Milliseconds to wait for the reader of a stream that another program made non-blocking.
_WAIT = 1000


def open_standard_streams() -> None:
    """Open a descriptor for each closed standard stream, and make Python's three streams.

    Without this function, the next opened file, e.g. a customer's file or the catalog, would get
    the number of the closed stream, and hashscan would write messages into that file.
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
    """Raise unless standard output has a reader, as far as the kernel knows without a write.

    Raises:
        OutputError: standard output is closed, or its reader has ended.
    """
    poll = select.poll()
    poll.register(1, 0)  # poll(2) always reports POLLERR, POLLHUP and POLLNVAL.
    if poll.poll(0):
        raise OutputError(_OUT + _WHY[errno.EPIPE])
    if fcntl.fcntl(1, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OutputError(_OUT + _WHY[errno.EBADF])


def _occupy(number: int) -> None:
    """Open a descriptor with a closed stream's number: a read finds the end, a write fails.

    A write to the descriptor fails with EBADF. The function does not use /dev/null, because a
    chroot may have no /dev.
    """
    place, writer = os.pipe()
    os.close(writer)
    if place != number:
        os.dup2(place, number)
        os.close(place)
    os.set_inheritable(number, True)


def _text(raw: io.FileIO, before: TextIO | None) -> io.TextIOWrapper:
    """Return an unbuffered text stream, in the encoding of the stream that it replaces.

    The stream escapes characters that the encoding lacks, so that no file name can end a command.
    """
    encoding = getattr(before, "encoding", None) or "utf-8"
    # Python's UTF-8 mode is on for names and files, but a terminal has its locale's encoding.
    if raw.isatty():
        encoding = locale.getencoding()
    # Python's own unbuffered streams (option -u) also write directly to a raw file.
    return io.TextIOWrapper(raw, encoding, "backslashreplace", write_through=True)


class _Results(io.FileIO):
    """Standard output: a failed write ends the command with ``OutputError``."""

    _torn = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of ``data``; if an error cut off the last line, end that line first.

        Raises:
            OutputError: standard output cannot be written.
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
            # Another program shares the terminal or the pipe, and made it non-blocking.
            poll = select.poll()
            poll.register(self.fileno(), select.POLLOUT)
            poll.poll(_WAIT)
        return written


class _Messages(io.FileIO):
    """Standard error: a failed write is ignored."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write ``data`` to standard error; drop ``data`` if the write fails."""
        with contextlib.suppress(OSError):
            super().write(data)
        return len(memoryview(data))
