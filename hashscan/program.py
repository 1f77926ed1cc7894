"""Runs a program of the administrator within bounds: no shell, no environment, a time limit.

A process that the program leaves behind is killed with it, unless it left the process group, and
cannot hold the caller by keeping the output open.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: The whole environment of such a program.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_BLOCK = 65536
#: Seconds between two questions whether to stop.
_TICK = 0.5


class Ran(NamedTuple):
    """The result of a program.

    Attributes:
        code: its exit code; negative: the signal that ended it.
        output: the first bytes of its standard output.
        too_long: it printed more.
        in_time: it ended by itself within the time limit.
    """

    code: int
    output: bytes
    too_long: bool
    in_time: bool


def run_program(
    words: Sequence[str],
    seconds: float,
    most: int,
    *,
    given: bytes | None = None,
    errors_too: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Ran:
    """Run a program until it ends, or ``seconds`` have passed; then kill its process group.

    Args:
        words: the program and its arguments.
        seconds: the time limit.
        most: bytes of output that are kept; it may print more.
        given: its standard input; ``None``: empty.
        errors_too: its standard error is part of the output; else nobody reads it.
        stopped: is asked twice a second; True ends the program as the time limit does.

    Raises:
        OSError: it cannot be started.
    """
    with open(os.memfd_create("input"), "w+b") as file:
        file.write(given or b"")
        file.seek(0)
        process = subprocess.Popen(  # noqa: S603 - the administrator's own program, no shell
            list(words),
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors_too else subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    assert process.stdout is not None
    ended = os.pidfd_open(process.pid)
    try:
        output, too_long, in_time = _read(process.stdout.fileno(), ended, seconds, most, stopped)
    finally:
        with suppress(OSError):  # also what it started; before wait() frees its number
            os.killpg(process.pid, signal.SIGKILL)
        os.close(ended)
        process.stdout.close()
        code = process.wait()
    return Ran(code, output, too_long, in_time)


def _read(
    fd: int, ended: int, seconds: float, most: int, stopped: Callable[[], bool]
) -> tuple[bytes, bool, bool]:
    """The output until the end of the program; whether there was more, and whether it ended."""
    os.set_blocking(fd, False)
    output, too_long, in_time = b"", False, False
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while not in_time and (left := end - time.monotonic()) > 0 and not stopped():
            ready = {key.fd for key, _ in selector.select(min(left, _TICK))}
            in_time = ended in ready
            # After the program's end: what it printed before, without waiting for others.
            for more in _available(fd) if fd in ready or in_time else ():
                too_long = too_long or len(output) + len(more) > most
                output = (output + more)[:most]
                if not more:
                    selector.unregister(fd)
                    fd = -1
                if time.monotonic() > end:
                    break
    return output, too_long, in_time


def _available(fd: int) -> Iterator[bytes]:
    """The blocks that can be read now; an empty one is the end."""
    with suppress(BlockingIOError):
        while fd >= 0:
            more = os.read(fd, _BLOCK)
            yield more
            if not more:
                return
