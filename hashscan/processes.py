"""Processes that this one forks: each has a pipe to this one, and ends with it."""

from __future__ import annotations

import atexit
import ctypes
import gc
import multiprocessing
import os
import signal
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING, TypeVarTuple
from weakref import WeakSet

from hashscan.priority import step_aside

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

Arguments = TypeVarTuple("Arguments")

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl
#: Seconds that a killed process has to end.
_ENDS_WITHIN = 2.0
#: This process's ends of pipes. While another process has a copy of one, the process at the other
#: end does not notice that this one has ended.
_ends: WeakSet[Connection] = WeakSet()


class Child:
    """A process forked from this one, and a pipe in both directions.

    The kernel kills it when this process ends, however it ends. It ignores the signals that a
    terminal or a service manager sends to all processes: this process ends it, by ``end``. Its
    standard input is empty. It has no copy of this process's ends of pipes to children.

    Example::

        def double(connection: Connection, number: int) -> None:
            connection.send(2 * number)


        child = Child(double, 21)
        try:
            answer = child.connection.recv()  # EOFError: it died
        finally:
            child.end()

    Attributes:
        connection: this process's end of the pipe; it ends (EOFError) when the child has ended.
        pid: the process id.
    """

    def __init__(
        self,
        main: Callable[[Connection, *Arguments], object],
        *arguments: *Arguments,
        lowest: bool = False,
    ) -> None:
        """Fork a process that calls ``main`` with its end of the pipe and ``arguments``.

        The exit code is 0 if ``main`` returns, and 1 if it raises. The calling process must have
        only one thread, because a fork copies locks that other threads hold.

        Args:
            main: the work of the process.
            arguments: for ``main``.
            lowest: give the process the lowest CPU and I/O priority.

        Raises:
            OSError: a limit of the machine forbids it; no descriptor is left open.
        """
        self.connection, theirs = Pipe()
        _ends.add(self.connection)
        # A daemon in Python's sense may not start processes.
        self._process = multiprocessing.get_context("fork").Process(
            target=_run, args=(os.getpid(), lowest, main, theirs, arguments), daemon=False
        )
        try:
            _start(self._process)
        except BaseException:
            self.connection.close()
            raise
        finally:
            theirs.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self._exit_code: int | None = None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative: the signal that killed it; ``None``: it has not ended."""
        with suppress(ValueError):  # closed: ``end`` has noted the code
            self._exit_code = self._process.exitcode
        return self._exit_code

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait until it ends by itself, at most ``seconds``; returns ``exit_code``."""
        with suppress(ValueError):  # it has ended, and is closed
            self._process.join(seconds)
        return self.exit_code

    def kill(self) -> None:
        """Send SIGKILL, and do not wait. ``connection`` ends, unless it waits in the kernel."""
        with suppress(ValueError):  # it has ended, and is closed
            self._process.kill()

    def end(self) -> None:
        """Close the connection, kill the process, and release its descriptors; again: nothing.

        A process that does not end within 2 seconds waits inside the kernel, e.g. for a dead file
        server. It is abandoned: ``exit_code`` is ``None`` until the kernel lets it end.
        """
        self.connection.close()
        self.kill()
        if self.wait(_ENDS_WITHIN) is not None:
            self._process.close()


def _run(
    parent: int,
    lowest: bool,
    main: Callable[[Connection, *Arguments], object],
    connection: Connection,
    arguments: tuple[*Arguments],
) -> None:
    gc.enable()  # see ``_start``
    _end_with(parent)
    for one in list(_ends):
        one.close()
    _ends.clear()
    _ends.add(connection)  # not for processes that this one forks
    if lowest:
        step_aside()
    main(connection, *arguments)


def _end_with(parent: int) -> None:
    """Have the kernel end this process when ``parent``, which forked it, ends, however it ends.

    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    signal.set_wakeup_fd(-1)
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if ignored, programs have no exit code
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(0)


def _start(process: BaseProcess) -> None:
    """Start a process by fork; if that fails, no descriptor is left open."""
    collects = gc.isenabled()
    gc.disable()  # garbage that closes descriptors would change which numbers are free
    try:
        numbers = _free_numbers()
        try:
            process.start()
        except OSError:
            # multiprocessing makes two pipes before it forks, and keeps them if the fork fails.
            # They have the numbers that were free a moment ago.
            for number in numbers:
                with suppress(OSError):
                    os.close(number)
            raise
    finally:
        if collects:
            gc.enable()


def _free_numbers() -> list[int]:
    """Return the numbers that the descriptors of the next two pipes get."""
    numbers: list[int] = []
    try:
        for _ in range(2):
            numbers += os.pipe()
    finally:
        for number in numbers:
            os.close(number)
    return numbers


@atexit.register
def _kill_all() -> None:
    """Kill the children that nobody ended, so that Python does not wait for them at the end."""
    for process in multiprocessing.active_children():
        process.kill()
