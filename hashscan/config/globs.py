"""Checks the patterns of ``exclude``: globs for the path below a volume."""

from __future__ import annotations

import fnmatch
import os
import re
from typing import Annotated

from pydantic import PlainValidator

from hashscan.config.values import bad, kind_of_value, short_path

#: Length in bytes of the longest name in a directory.
_LONGEST_NAME = 255
#: Pattern of brackets as ``fnmatch`` reads brackets: a ``]`` that comes first does not close them.
_BRACKETS = re.compile(r"\[!?+\]?+[^]]*\]")
_NO_NAMES = {"", ".", ".."}
#: Signs that have a meaning in other programs' patterns, but not in ``exclude``: regular
#: expression, fault, fix.
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
    """Check a pattern of ``exclude``; raise for a pattern that matches no path below a volume."""
    if not isinstance(value, str):
        comment = ": # begins a comment" if value is None else ""
        raise bad(
            f"must be a pattern, but it is {kind_of_value(value)}",
            f'put it in quotes, as in "*.bak"{comment}',
        )
    if not value or "\0" in value or len(value) > 4095:
        raise bad("must be a pattern", 'write e.g. "*/cache/*"')
    name = short_path(value)
    plain = _BRACKETS.sub("?", value)  # a slash in brackets ends no name
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
    if any(len(os.fsencode(part)) > _LONGEST_NAME and "*" not in part for part in parts):
        raise bad(f"{name} never matches: no name is that long", "correct the pattern")
    if not _can_match(value):
        raise bad(
            f"{name} never matches: its brackets stand for a slash or a dot where no path has one;"
            " paths are below the volume, and have no slash at the ends, and no //, . or ..",
            "write the path below the volume",
        )
    return value


def _can_match(pattern: str) -> bool:
    """Whether any path matches a pattern whose bracket ranges are not empty."""
    reached = {""}
    for piece in re.findall(rf"{_BRACKETS.pattern}|.", pattern, re.DOTALL):
        signs = _signs(piece)
        following = reached if piece == "*" else set()
        for name in reached:
            following = following | _after(name, signs)
        if piece == "*":  # two more signs for ``*`` lead to every name
            for _ in range(2):
                following = following.union(*(_after(name, signs) for name in following))
        reached = following
    return bool(reached - _NO_NAMES)


def _signs(piece: str) -> set[str]:
    """The kinds of signs that ``piece`` matches: slash, dot, or ``a`` (means any other sign)."""
    if piece in {"*", "?"}:
        return {"/", ".", "a"}
    matches = re.compile(fnmatch.translate(piece)).match
    found = {sign for sign in "/." if matches(sign)}
    others = (chr(number) for number in range(1, 256))
    if any(matches(sign) for sign in (*piece, *others) if sign not in "/."):
        found.add("a")
    return found


def _after(name: str, signs: set[str]) -> set[str]:
    """The possible last names of a path after one more sign; ``a`` means any valid name."""
    found = set()
    for sign in signs:
        if sign == "/":
            found |= set() if name in _NO_NAMES else {""}
        else:
            longer = name + sign
            found.add(longer if longer in _NO_NAMES else "a")
    return found


Glob = Annotated[str, PlainValidator(glob)]
