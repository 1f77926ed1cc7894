"""Wraps lines for people at the width of their terminal."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

#: Columns before the further lines of a text if a word does not fit after the usual indent.
_LITTLE = 4
#: A command in quotes: people copy the command as a whole, so no line break splits it.
_COMMAND = re.compile("'(?:hashscan|systemctl|journalctl) [^']*'")


def terminal_width() -> int | None:
    """Return the columns of the terminal at standard output; ``None``: there is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wrapped(line: str, width: int | None, indent: int) -> str:
    """Wrap a line between words at ``width`` columns; ``None``: return the line unchanged.

    ``indent`` is the number of columns before the further lines. If a word, e.g. a long path, does
    not fit after ``indent`` columns, the further lines have only four columns before them. No line
    break splits a word or a command in quotes, so that people can copy paths and commands.
    """
    if width is None or len(line) <= width:
        return line
    line = _COMMAND.sub(lambda found: found[0].replace(" ", "\0"), line)
    if max(map(len, line.split())) > width - indent:
        indent = min(indent, _LITTLE)
    body = line.lstrip(" ")
    filled = textwrap.fill(
        body,
        max(width, indent + 20),
        initial_indent=line[: len(line) - len(body)],
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.replace("\0", " ")


def for_terminal(text: str, indent: int) -> str:
    """Wrap each line of a text; further lines get ``indent`` if the line begins with a space."""
    width = terminal_width()
    lines = text.split("\n")
    return "\n".join(wrapped(one, width, indent if one[:1] == " " else 2) for one in lines)
