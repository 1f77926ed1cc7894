"""Lines for people, wrapped at the width of their terminal."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

#: Columns before the further lines of a text with a word that is too long for the usual indent.
_LITTLE = 4
#: A command in quotes, which is copied as a whole.
_COMMAND = re.compile("'(?:hashscan|systemctl|journalctl) [^']*'")


def terminal_width() -> int | None:
    """The columns of the terminal at standard output; ``None``: it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wrapped(line: str, width: int | None, indent: int) -> str:
    """A line, wrapped between words to ``width`` columns; ``None``: as it is.

    ``indent`` is the number of columns before the further lines. If a word (a path, mostly) does
    not fit behind so many, there are only four. No word and no command in quotes is ever broken, so
    that paths and commands can be copied.
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
    """All lines of a text, wrapped; lines that do not begin with a space are indented by two."""
    width = terminal_width()
    lines = text.split("\n")
    return "\n".join(wrapped(one, width, indent if one[:1] == " " else 2) for one in lines)
