"""Progress bars on a terminal: for a scan (files, bytes, rate, time left) and for a build."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Protocol

from hashscan.text import human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashscan.model import Progress


class BuildProgress(Protocol):
    """How far a build is: ``done`` of ``total`` (where that is known) in a ``stage``."""

    @property
    def stage(self) -> str:
        """Its name."""

    @property
    def done(self) -> int:
        """Of ``total``."""

    @property
    def total(self) -> int | None:
        """``None`` where it is not known."""


class ScanBar:
    """One bar on ``stream``; nothing is shown where that is no terminal.

    Drawn by whoever calls ``show``, without a thread: the engine forks worker processes.
    """

    def __init__(self, stream: IO[str]) -> None:
        """The bar appears at the first ``show``."""
        self._stream = stream
        self._started = time.monotonic()
        self._bar: _Bar | None = None
        self._on = stream.isatty()

    def show(self, progress: Progress) -> None:
        """Draw the present state."""
        if not self._on:
            return
        if self._bar is None:
            self._bar = _Bar(self._stream)
        seconds = max(0.001, time.monotonic() - self._started)
        self._bar.draw(
            progress.fraction,
            f"{progress.files:,} files",
            human_size(progress.bytes_hashed),
            f"{progress.files / seconds:,.0f} files/s",
            f"{human_size(progress.bytes_hashed / seconds)}/s",
            *([f"{progress.matches:,} matches"] if progress.matches else []),
        )

    def clear(self) -> None:
        """Take the bar away before a line is printed; the next ``show`` draws it again."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _Bar:
    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        self._progress = Progress(
            TextColumn("{task.percentage:>3.0f}%"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=Console(file=stream),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("scan", total=1.0, text="")
        self._progress.start()

    def draw(self, fraction: float, *texts: str) -> None:
        self._progress.update(self._task, completed=fraction, text="  ".join(texts))
        self._progress.refresh()

    def close(self) -> None:
        self._progress.stop()


@contextmanager
def build_bar(stream: IO[str]) -> Iterator[Callable[[BuildProgress], None] | None]:
    """A bar for each stage of a build, on a terminal; ``None`` elsewhere."""
    if not stream.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
        console=Console(file=stream),
        transient=True,
    )
    with bar:
        tasks: dict[str, TaskID] = {}

        def show(progress: BuildProgress) -> None:
            task = tasks.get(progress.stage)
            if task is None:
                task = tasks[progress.stage] = bar.add_task(progress.stage, total=progress.total)
                for stage, before in tasks.items():
                    if stage != progress.stage:
                        bar.update(before, visible=False)
            bar.update(task, completed=progress.done)

        yield show
