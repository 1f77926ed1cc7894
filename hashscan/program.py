"""Runs an administrator's program without a shell, with a time limit and a fixed environment.

hashscan kills all processes of the program's process group at the program's end. A process that
left the group cannot delay the caller, even if that process keeps the output open.
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

#: All environment variables that the administrator's program gets.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_BLOCK = 65536
#: Seconds between two calls of the function ``stopped``.
_TICK = 0.5


class Ran(NamedTuple):
    """The result of a run of an administrator's program.

    Attributes:
        code: the program's exit code; negative: the number of the signal that ended the program.
        output: the first bytes of the program's standard output.
        too_long: True if the program printed more bytes than ``output`` has.
        in_time: True if the program ended by itself within the time limit.
    """

    code: int
    output: bytes
    too_long: bool
    in_time: bool


def run_program(
    words: Sequence[str],
    seconds: float,
    limit: int,
    *,
    given: bytes | None = None,
    errors_too: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Ran:
    """Run a program until it ends or ``seconds`` have passed, then kill its process group.

    Args:
        words: the administrator's program and its arguments.
        seconds: the time limit of the program.
        limit: largest number of bytes of output to keep; further output is read and dropped.
        given: the text for the program's standard input; ``None``: an empty standard input.
        errors_too: True to keep the program's standard error, too, as part of the output.
        stopped: a function that is called twice a second; if it returns True, the program is
            killed.

    Raises:
        OSError: the administrator's program cannot be started.
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
        output, too_long, in_time = _read(process.stdout.fileno(), ended, seconds, limit, stopped)
    finally:
        # Kill the whole process group before wait() makes its number free for another group.
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        os.close(ended)
        process.stdout.close()
        code = process.wait()
    return Ran(code, output, too_long, in_time)


def _read(
    fd: int, ended: int, seconds: float, limit: int, stopped: Callable[[], bool]
) -> tuple[bytes, bool, bool]:
    """Read the program's output to its end; return output, too_long and in_time (see ``Ran``)."""
    os.set_blocking(fd, False)
    output, too_long, in_time = b"", False, False
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while not in_time and (left := end - time.monotonic()) > 0 and not stopped():
            ready = {key.fd for key, _ in selector.select(min(left, _TICK))}
            in_time = ended in ready
            # The program has ended: read its output without waiting for its child processes.
            for more in _available(fd) if fd in ready or in_time else ():
                too_long = too_long or len(output) + len(more) > limit
                output = (output + more)[:limit]
                if not more:
                    selector.unregister(fd)
                    fd = -1
                if time.monotonic() > end:
                    break
    return output, too_long, in_time


def _available(fd: int) -> Iterator[bytes]:
    """Yield the blocks of output that can be read now; an empty block marks the output's end."""
    with suppress(BlockingIOError):
        while fd >= 0:
            more = os.read(fd, _BLOCK)
            yield more
            if not more:
                return
