"""Checks the patterns of ``exclude``: globs against the path below a volume."""

from __future__ import annotations

import fnmatch
import re
from typing import Annotated

from pydantic import PlainValidator

from hashscan.config.values import bad, kind_of, short_path

_LONGEST_NAME = 255  # bytes of a name in a directory
_BRACKETS = re.compile(r"\[!?\]?[^]]*\]")
#: Signs that have a meaning in other programs, and none here: regular expression, what, fix.
_NOT_HERE = (
    (
        r"\{[^{}]*(,|\.\.)[^{}]*\}",
        "holds {…}, which is not a choice of names here",
        "write one pattern for each choice; for names that hold braces write [{] and [}]",
    ),
    (
        r"^!",
        "begins with !, which does not include files again here",
        "if a name begins with !, write ? instead",
    ),
    (
        r"\||\*\.\w+\s*[;,]\s*\*\.",
        "holds several patterns, and no sign gives a choice here",
        "write one pattern for each choice; for names that hold | write [|]",
    ),
    (
        r"^(re|regexp?|glob|fm|sh|pp|pf|path):\S",
        "begins with a kind of pattern of another program",
        "write a glob against the path below the volume",
    ),
    (
        r"^\$(\{\w+\}|\w+)(/|$)",
        "begins with a variable of a shell, which is only itself here",
        "write the path below the volume",
    ),
    (
        r"\\[][*?{}!\\ .$]",
        "holds a backslash, which does not escape here",
        "write [*], [?] or [[]; a dot is only itself",
    ),
    (
        r"^~(/|$)",
        "begins with ~, which is not a home directory here",
        "write the path below the volume",
    ),
)


def glob(value: object) -> str:
    """A pattern against the path below a volume; one that can match nothing is an error."""
    if not isinstance(value, str):
        comment = ": # begins a comment" if value is None else ""
        raise bad(
            f"must be a pattern, but it is {kind_of(value)}",
            f'put it in quotes, as in "*.bak"{comment}',
        )
    if not value or "\0" in value or len(value) > 4095:
        raise bad("must be a pattern", 'write e.g. "*/cache/*"')
    name = short_path(value)
    plain = _BRACKETS.sub("?", value)  # a slash in brackets does not separate names
    for words, what, fix in _NOT_HERE:
        if re.search(words, plain):
            raise bad(f"{name} {what}", fix)
    parts = plain.split("/")
    if {"", ".", ".."} & set(parts):
        kept = [part for part in value.split("/") if part not in {"", "."}]
        better = "" if plain != value or ".." in parts else "/".join(kept)
        raise bad(
            f"{name} never matches: paths are below the volume, as in a/b.jpg; they have no slash"
            " at the ends, and no //, . or ..",
            f'write "{short_path(better)}"' if better else "write the path below the volume",
        )
    if "(?!)" in fnmatch.translate(value):
        raise bad(f"{name} never matches: a range in its brackets is empty", "write e.g. [a-z]")
    if any(len(part) > _LONGEST_NAME and "*" not in part for part in parts):
        raise bad(f"{name} never matches: no name is that long", "correct the pattern")
    return value


Glob = Annotated[str, PlainValidator(glob)]
