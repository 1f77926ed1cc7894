"""Lines for people, wrapped at the width of their terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap

#: Columns before the further lines of a text with a word that is too long for the usual indent.
_LITTLE = 4


def terminal_width() -> int | None:
    """The columns of the terminal at standard output; ``None``: it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wrapped(line: str, width: int | None, indent: int) -> str:
    """A line, wrapped between words to ``width`` columns; ``None``: as it is.

    ``indent`` is the number of columns before the further lines. If a word (a path, mostly) does
    not fit behind so many, there are only four. No word is ever broken, so that paths and commands
    can be copied.
    """
    if width is None or len(line) <= width:
        return line
    if max(map(len, line.split())) > width - indent:
        indent = min(indent, _LITTLE)
    body = line.lstrip(" ")
    return textwrap.fill(
        body,
        max(width, indent + 20),
        initial_indent=line[: len(line) - len(body)],
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def for_terminal(text: str, indent: int) -> str:
    """All lines of a text, wrapped; lines that do not begin with a space are indented by two."""
    width = terminal_width()
    lines = text.split("\n")
    return "\n".join(wrapped(one, width, indent if one[:1] == " " else 2) for one in lines)
