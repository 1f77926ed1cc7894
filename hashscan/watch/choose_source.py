"""Chooses the back-end (inotify, fanotify, off) that watches each volume, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hashscan.watch.fanotify import reasons_not

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.fs.volume import Volume


class Choice(NamedTuple):
    """Holds the back-end of a volume (``fanotify``, ``inotify``, ``off``), and the reason."""

    backend: str
    why: str


def choose(volumes: Sequence[Volume], modes: Sequence[str]) -> list[Choice]:
    """Return the back-end for each volume, by the volume's configured mode.

    The modes are ``auto``, ``inotify``, ``fanotify`` and ``off``.
    """
    wanted = [n for n, mode in enumerate(modes) if mode not in {"off", "inotify"}]
    reasons = dict(zip(wanted, reasons_not([volumes[n] for n in wanted]), strict=True))
    found = []
    for number, mode in enumerate(modes):
        if mode == "off":
            found.append(Choice("off", "the configuration says so (watch: off)"))
            continue
        if mode == "inotify":
            found.append(Choice("inotify", "the configuration says so (watch: inotify)"))
            continue
        missing = reasons[number]
        if missing is None:
            found.append(
                Choice("fanotify", "one mark for the whole file system, whatever its size")
            )
        elif mode == "fanotify":
            found.append(Choice("inotify", f"fanotify was asked for but cannot be had: {missing}"))
        else:
            found.append(Choice("inotify", f"fanotify cannot be had: {missing}"))
    return found
