"""Forks child processes; each has a pipe to its parent, and ends if the parent ends."""

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
#: Seconds to wait for the end of a child process that was killed.
_ENDS_WITHIN = 2.0
#: This process's ends of the pipes to its children. Each new child closes its copies of these ends:
#: with a copy, another child would not notice the end of this process.
_ends: WeakSet[Connection] = WeakSet()


class Child:
    """A child process of this process, and a pipe in both directions.

    The kernel kills the child when this process ends, also if this process is killed. The child
    ignores the signals that a terminal or a service manager sends to all processes, because this
    process ends it, by ``end``. The child's standard input is empty. The child has no copy of this
    process's ends of pipes to other children.

    Example::

        def double(connection: Connection, number: int) -> None:
            connection.send(2 * number)


        child = Child(double, 21)
        try:
            answer = child.connection.recv()  # EOFError: it died
        finally:
            child.end()

    Attributes:
        connection: this process's end of the pipe; reading raises EOFError if the child has ended.
        pid: the child's process id.
    """

    def __init__(
        self,
        main: Callable[[Connection, *Arguments], object],
        *arguments: *Arguments,
        lowest: bool = False,
    ) -> None:
        """Fork a child that calls ``main`` with the child's end of the pipe and ``arguments``.

        The child's exit code is 0 if ``main`` returns, and 1 if ``main`` raises. The calling
        process must have only one thread, because a fork copies locks that other threads hold.

        Args:
            main: the function that the child runs.
            arguments: the further arguments of ``main``, after the pipe.
            lowest: True to give the child the lowest CPU and I/O priority.

        Raises:
            OSError: a limit of the machine forbids a new process; no descriptor is left open.
        """
        self.connection, theirs = Pipe()
        _ends.add(self.connection)
        # Python would not let a child with the flag ``daemon`` start processes.
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
        """Return the child's exit code, or minus the signal that killed it; ``None``: it runs."""
        # After ``end``, Python's process object is closed, and ``_exit_code`` has the exit code.
        with suppress(ValueError):
            self._exit_code = self._process.exitcode
        return self._exit_code

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait up to ``seconds`` until the child ends by itself; return ``exit_code``."""
        with suppress(ValueError):  # after ``end``, the process object is closed
            self._process.join(seconds)
        return self.exit_code

    def kill(self) -> None:
        """Send SIGKILL to the child, and do not wait for its end."""
        with suppress(ValueError):  # after ``end``, the process object is closed
            self._process.kill()

    def end(self) -> None:
        """Close the connection, kill the child, close its descriptors; a second call is harmless.

        A child that does not end within 2 seconds waits inside the kernel, e.g. for a dead file
        server. ``end`` does not wait any longer for such a child, and ``exit_code`` is ``None``
        until the child ends.
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
    gc.enable()  # ``_start`` had switched the garbage collector off
    _end_with(parent)
    for one in list(_ends):
        one.close()
    _ends.clear()
    _ends.add(connection)  # processes that this child forks close their copies
    if lowest:
        step_aside()
    main(connection, *arguments)


def _end_with(parent: int) -> None:
    """Make the kernel kill this process when ``parent``, which forked this process, ends.

    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    signal.set_wakeup_fd(-1)
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    # If this process ignored SIGCHLD, it would get no exit code of the programs that it runs.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # The parent ended before prctl was called.
        os._exit(0)


def _start(process: BaseProcess) -> None:
    """Start a process by fork; close the pipes' descriptors if the fork fails."""
    collects = gc.isenabled()
    gc.disable()  # Garbage that closes descriptors would change the free numbers.
    try:
        numbers = _free_numbers()
        try:
            process.start()
        except OSError:
            # multiprocessing makes two pipes before it forks, and does not close the pipes if the
            # fork fails. The descriptors of the pipes have the numbers that were free before the
            # call.
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
    """Kill all children that still run, so that Python does not wait for them at its end."""
    for process in multiprocessing.active_children():
        process.kill()
