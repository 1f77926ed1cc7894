"""Progress bars on a terminal: for a scan (files, bytes, rate, time left) and for a build."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Protocol

from hashscan.text import counted, human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashscan.reporter import Progress


class BuildBar(Protocol):
    """The progress of a build of a filter: the number of finished units in the present stage."""

    @property
    def stage(self) -> str:
        """Return the name of the build's present stage."""

    @property
    def done(self) -> int:
        """Return the number of finished units in the build's present stage."""

    @property
    def total(self) -> int | None:
        """Return the number of all units in the build's present stage; ``None``: unknown."""


class ScanBar:
    """A scan's progress bar on ``stream``, if ``stream`` is a terminal that can redraw lines.

    ``show`` draws the bar without a thread, because the scan forks worker processes. On any other
    stream, the bar's methods print nothing.
    """

    def __init__(self, stream: IO[str]) -> None:
        """Draw no progress bar yet; the first ``show`` draws the bar."""
        self._stream = stream
        self._bar: _Bar | None = None
        self._on = _can_redraw(stream)

    def show(self, progress: Progress) -> None:
        """Draw the progress bar with the scan's present numbers."""
        if not self._on:
            return
        if self._bar is None:
            self._bar = _Bar(self._stream)
        seconds = max(0.001, progress.seconds)
        if progress.remaining is not None:
            fraction = min(0.99, seconds / (seconds + progress.remaining))
        elif progress.expected is not None:
            fraction = min(0.99, progress.files / progress.expected.files)
        else:
            fraction = progress.fraction
        self._bar.draw(fraction, fields(progress))

    def clear(self) -> None:
        """Remove the progress bar, so that a line can be printed; ``show`` draws the bar again."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def fields(progress: Progress) -> list[tuple[int, str]]:
    """Return a scan's numbers as texts with a rank; a narrow bar omits the high ranks first."""
    seconds = max(0.001, progress.seconds)
    shown = [(0, f"ETA {_duration(progress.remaining)}"), (2, f"{progress.files:,} files")]
    if progress.matches:
        shown.append((1, counted(progress.matches, "match", "matches")))
    shown.append((3, human_size(progress.bytes_hashed)))
    shown.append((4, f"{progress.files / seconds:,.0f} files/s"))
    shown.append((5, f"{human_size(progress.bytes_hashed / seconds)}/s"))
    return shown


def fitted(shown: list[tuple[int, str]], width: int) -> str:
    """Return the scan's numbers that fit into ``width`` columns, as one text."""
    for most in range(max(rank for rank, _ in shown), -1, -1):
        text = "  ".join(one for rank, one in shown if rank <= most)
        if len(text) <= width:
            break
    return text


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _can_redraw(stream: IO[str]) -> bool:
    return stream.isatty() and os.environ.get("TERM", "dumb").lower() not in {"", "dumb", "unknown"}


#: Columns of the progress bar without the scan's numbers; columns of the percentage and the spaces.
_BAR = 20
_BESIDE = 4 + 1 + 1


class _Bar:
    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

        self._console = Console(file=stream)
        self._progress = Progress(
            TextColumn("{task.percentage:>3.0f}%"),
            BarColumn(bar_width=_BAR if self._console.width >= 2 * _BAR else 1),
            TextColumn("{task.fields[text]}", markup=False),
            console=self._console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("scan", total=1.0, text="")
        self._progress.start()

    def draw(self, fraction: float, shown: list[tuple[int, str]]) -> None:
        width = self._console.width
        text = fitted(shown, width - _BESIDE - (_BAR if width >= 2 * _BAR else 1))
        self._progress.update(self._task, completed=fraction, text=text)
        self._progress.refresh()

    def close(self) -> None:
        self._progress.stop()


@contextmanager
def build_bar(stream: IO[str]) -> Iterator[Callable[[BuildBar], None] | None]:
    """Return a function that draws a build's progress on a terminal; ``None``: no terminal."""
    if not _can_redraw(stream):
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

        def show(progress: BuildBar) -> None:
            task = tasks.get(progress.stage)
            if task is None:
                task = tasks[progress.stage] = bar.add_task(progress.stage, total=progress.total)
                for stage, before in tasks.items():
                    if stage != progress.stage:
                        bar.update(before, visible=False)
            bar.update(task, completed=progress.done)

        yield show
