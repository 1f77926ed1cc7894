"""Writes ``config.example.yaml`` from the settings' own types."""

from __future__ import annotations

import json
import re
import textwrap
import typing
from typing import TYPE_CHECKING, Any

from hashscan.config.messages import models_of
from hashscan.config.section import Starter
from hashscan.config.settings import Settings

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_HEAD = """\
# The configuration of hashscan. This file is generated: `hashscan config init` writes it.
#
# A line such as "#key: value" (no space after the #) shows an optional setting with its default or
# an example; remove the # to set it. Unknown keys are errors. `hashscan config check` lists all
# errors of this file. Durations: 10s, 5m, 1h, 7d. Sizes: 1000, 50MiB, 2GiB.
"""
_WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./:-]*")
_NOT_TEXT = frozenset({"yes", "no", "true", "false", "on", "off", "null", "y", "n"})


def inline(value: Any) -> str:
    """Write a setting's value in one line of YAML."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT and value[-1] != ":"
        # JSON's strings are YAML's double-quoted ones
        return (
            value if plain or re.fullmatch(r"[1-9][0-9]*[A-Za-z%]+", value) else json.dumps(value)
        )
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inline(item) for item in value) + "]"
    return json.dumps(value)


def render() -> str:
    """Make the text of ``config.example.yaml``."""
    lines = [_HEAD.rstrip()]
    for name, field in Settings.model_fields.items():
        lines += ["", *_comment(field, "")]
        inner = models_of(field.annotation)
        if not inner:
            lines.append(_setting(Settings, name, field, ""))
            continue
        if field.examples:  # the section's keys exclude each other: write only the example
            for key, part in inner[0].model_fields.items():
                lines += _wrapped(f"{key}: {part.description}", "#   ", "#     ")
            lines.append(_setting(Settings, name, field, ""))
            continue
        lines.append(f"{name}:")
        is_list = typing.get_origin(field.annotation) is tuple
        indent = "    " if is_list else "  "
        body = []
        for key, part in inner[0].model_fields.items():
            body += [*_comment(part, indent), _setting(inner[0], key, part, indent)]
        if is_list:  # YAML's dash is before the first setting that is not commented out
            first = next(i for i, line in enumerate(body) if not line.lstrip().startswith("#"))
            body[first] = "  - " + body[first].lstrip()
        lines += body
    return "\n".join(lines) + "\n"


def _comment(field: FieldInfo, indent: str) -> list[str]:
    head = f"{indent}# "
    return _wrapped(field.description or "", head, head)


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _setting(model: type[BaseModel], name: str, field: FieldInfo, indent: str) -> str:
    if field.examples:
        value = field.examples[0]
    else:
        # the default in the form that people write; a required setting has an example
        value = model.model_construct().model_dump(mode="json")[name]
    mark = "" if any(isinstance(one, Starter) for one in field.metadata) else "#"
    return f"{indent}{mark}{name}: {inline(value)}"
