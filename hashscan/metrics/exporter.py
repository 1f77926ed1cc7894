"""The process that exports the metrics of a daemon: over HTTP, as a textfile, or both.

The exporter is a process of its own, so that no client and no large catalog delays the daemon. One
of its threads collects the metrics; the exporter's event loop serves the newest text.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hashscan.config.loader import load_or_default
from hashscan.config.password import read_token
from hashscan.errors import ConfigError, HashscanError, MachineError
from hashscan.metrics.collect import collect, page, page_without_configuration, write_textfile
from hashscan.metrics.server import Metrics, serve
from hashscan.text import said_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.config.settings import Settings
    from hashscan.metrics.families import Snapshot

#: Shortest pause between two collections of the metrics: in seconds, and as a multiple of the
#: duration of the last collection.
EVERY, SHARE = 15.0, 20.0
#: Seconds for which the exporter collects metrics after the last HTTP request.
_LASTING = 300.0
#: Seconds between two writes of the textfile of metrics.
TEXTFILE_EVERY = 60.0
#: The server sends a text of metrics for this multiple of the pause between two collections.
_BEHIND = 4.0


class _Collector:
    """Collects the metrics with the present configuration, as ``status`` does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mark: object = None
        self._cpu = (0.0, 0.0)

    def text(self) -> bytes:
        """Return the present metrics as text in the format of Prometheus.

        Raises:
            HashscanError: the metrics cannot be collected.
        """
        try:
            self._reload()
        except ConfigError:
            return page_without_configuration()
        return page(self._never_less(collect(self._settings)))

    def _reload(self) -> None:
        path = self._settings.file
        if path is None:
            return
        try:
            status = os.stat(path)
            mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        except OSError:
            mark = None
        if mark is None or mark != self._mark:
            self._settings = load_or_default(path, state=self._settings.state, check_files=False)
            self._mark = mark

    def _never_less(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with CPU times that never fall.

        The kernel's sum of the CPU times can miss a process that ends during the reading.
        """
        used = snapshot.daemon, snapshot.children
        most = [max(one.cpu, before) for one, before in zip(used, self._cpu, strict=True)]
        self._cpu = (most[0], most[1])
        daemon, children = (one._replace(cpu=cpu) for one, cpu in zip(used, most, strict=True))
        return snapshot._replace(daemon=daemon, children=children)


class _Exporter:
    """The exporter's event loop: starts collections of metrics, serves and writes their results."""

    def __init__(self, settings: Settings, report: Callable[[str], None]) -> None:
        self._collector = _Collector(settings)
        self._textfile = settings.metrics.textfile
        self._wanted = asyncio.Event()
        self._asked = -_LASTING
        self._report = report
        self.metrics = Metrics(self._ask)

    def _ask(self) -> None:
        self._asked = time.monotonic()
        self._wanted.set()

    async def run(self) -> None:
        """Collect metrics while clients ask, and write the textfile, until the process ends."""
        loop = asyncio.get_running_loop()
        # The first write of the textfile waits: a daemon that has just started has not written
        # its status yet.
        written = time.monotonic() + EVERY - TEXTFILE_EVERY
        with ThreadPoolExecutor(1) as pool:
            while True:
                began = time.monotonic()
                due = self._textfile is not None and began - written >= TEXTFILE_EVERY
                asked = self._wanted.is_set() or began - self._asked < _LASTING
                if due or asked:
                    self._wanted.clear()
                    text = await loop.run_in_executor(pool, self._collect)
                    apart = max(EVERY, SHARE * (time.monotonic() - began))
                    # The answer to clients after a failed collection is an error, for a few
                    # seconds; a collected text is the answer until the next collection.
                    self.metrics.put(text, EVERY if text is None else _BEHIND * apart)
                    if due and text is not None and self._textfile is not None:
                        written = began
                        await loop.run_in_executor(pool, self._write, self._textfile, text)
                await self._pause(time.monotonic() - began, written)

    async def _pause(self, took: float, written: float) -> None:
        least = max(EVERY, SHARE * took)
        if time.monotonic() - self._asked < _LASTING:
            await asyncio.sleep(least)
            return
        wait = None
        if self._textfile is not None:
            wait = max(0.1, SHARE * took, written + TEXTFILE_EVERY - time.monotonic())
        try:
            await asyncio.wait_for(self._wanted.wait(), wait)
        except TimeoutError:
            return

    def _collect(self) -> bytes | None:
        try:
            return self._collector.text()
        except (HashscanError, OSError, MemoryError) as error:
            self._report(f"the metrics cannot be collected: {error}")
            return None

    def _write(self, path: str, text: bytes) -> None:
        try:
            write_textfile(path, text)
        except MachineError as error:
            self._report(str(error))


def bound(listen: str) -> socket.socket:
    """Return a socket that is bound to an address of ``metrics.listen``.

    Raises:
        MachineError: the address in ``metrics.listen`` cannot be bound.
    """
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
    except OSError as error:
        listener.close()
        raise MachineError(
            f"metrics.listen: {listen}: {said_by(error)}: name another port, or end the program"
            " that has it (ss -ltnp)"
        ) from error
    return listener


def export(settings: Settings, report: Callable[[str], None]) -> None:
    """Serve and write the metrics until the process is ended.

    The exporter calls ``report`` with a message for each failed collection or write of the metrics.

    Raises:
        ConfigError: the token for clients of the metrics cannot be read.
        MachineError: the address in ``metrics.listen`` cannot be bound.
    """
    section = settings.metrics
    token = None if section.token_file is None else read_token(section.token_file)
    listener = None if section.listen is None else bound(section.listen)

    async def run() -> None:
        exporter = _Exporter(settings, report)
        if listener is not None:
            await serve(listener, exporter.metrics, token)
        await exporter.run()

    asyncio.run(run())
