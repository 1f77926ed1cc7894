"""The tell stage: ``text`` for people, ``jsonl`` for programs; siblings with one interface."""

from __future__ import annotations

from typing import IO

from hashscan.errors import OutputError


def emit(text: str, stream: IO[str]) -> None:
    """Print one line at once.

    Raises:
        BrokenPipeError: the reader has gone.
        OutputError: the line cannot be written.
    """
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"standard output cannot be written: {error.strerror}; what was done is on record"
        ) from error
