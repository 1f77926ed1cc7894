"""Parses JSON texts from senders, with bounds on the number of values and on the nesting."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from hashscan.text import shown

#: The most values in a JSON document. Without this bound, 1 MB of ``[],[],…`` takes 100 MB of
#: memory.
MOST_VALUES = 300_000


def load(text: str) -> Any:
    """The value of a JSON text, as Python objects.

    Raises:
        ValueError: the text is no JSON, has too many values, or is nested too deeply; or an object
            of the text has a name twice, so that two programs may read the object differently.
    """
    if sum(map(text.count, "[{,")) > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES:,} values")
    try:
        return json.loads(text, object_pairs_hook=_without_repeated_names, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: line {error.lineno}: {error.msg}") from None


def _without_repeated_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {shown(twice[:100])} is there twice")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
