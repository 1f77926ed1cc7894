"""Decides the exit code of a scan from its summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.errors import ExitCode, exit_code_of

if TYPE_CHECKING:
    from hashscan.model import Summary


def exit_code(summary: Summary) -> ExitCode:
    """Return a scan's exit code: the most urgent code that applies (``exit_code_of``)."""
    codes = {ExitCode.NOTHING_FOUND}
    if summary.interrupted:
        codes.add(ExitCode.INTERRUPTED)
    if summary.undecided:
        codes.add(ExitCode.MATCHES)
    if summary.pending:
        codes.add(ExitCode.SERVICE)
    if summary.problems:
        codes.add(ExitCode.UNREADABLE)
    return exit_code_of(codes)
