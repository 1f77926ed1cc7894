"""Prints results: text for people, JSON lines for programs, the progress bar."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from hashscan.errors import OutputError
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.model import MatchEvent


def emit(text: str, stream: IO[str], event: MatchEvent | None = None) -> None:
    """Print a line without buffering; ``event``: the match that the line reports.

    Raises:
        OutputError: the line cannot be written. The error names the match's file if hashscan moved
            the file.
    """
    try:
        stream.write(text + "\n")
        stream.flush()
    except OutputError as error:
        if event is None or event.acted.action != "quarantined":
            raise
        path = shown(event.match.candidate.full_path)
        raise OutputError(
            error.why,
            f"{path} was quarantined as {event.acted.quarantine_id}, but not reported",
        ) from error
