"""Turns pydantic's errors into messages for a sysadmin: file, line, setting, fault and fix."""

from __future__ import annotations

import difflib
import typing
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from hashscan.config.password import is_secret
from hashscan.config.settings import Settings
from hashscan.config.values import kind_of_value
from hashscan.config.yaml_lines import short
from hashscan.errors import Finding
from hashscan.text import shown

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic.fields import FieldInfo

    from hashscan.config.yaml_lines import Document, Loc

#: Most faults of a configuration file that are reported; a file with more faults is not a
#: configuration.
MOST = 100
_SECRETS = frozenset({"password", "passwd", "pass", "secret", "token", "credentials"})


def place(loc: Loc) -> str:
    """Write the position of a setting, e.g. ``("volumes", 0, "path")`` as ``volumes[0].path``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else ("." if text else "") + short(part)
    return text


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """The classes of sections of the configuration that a field's type contains."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_of(part)]


def section_at(loc: Loc) -> type[BaseModel] | None:
    """The class of the section at the position ``loc``, or ``None`` if no section is there."""
    model: type[BaseModel] = Settings
    for part in loc:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = models_of(field.annotation) if field else []
        if not inner:
            return None
        model = inner[0]
    return model


def field_at(loc: Loc) -> FieldInfo | None:
    """The field at the position ``loc``, or ``None`` if ``loc`` is not a section's field."""
    section = section_at(loc[:-1]) if loc else None
    return section.model_fields.get(str(loc[-1])) if section else None


def _unknown(loc: Loc) -> tuple[str, str]:
    section = section_at(loc[:-1])
    known = list(section.model_fields) if section else []
    key = short(str(loc[-1]))
    if key.lower() in _SECRETS:
        fix = f"write it into a file that only root can read, and name that as {_file_for(loc)}"
    elif near := difflib.get_close_matches(key.lower(), known, n=1):
        fix = f"did you mean `{near[0]}`?"
    else:
        fix = f"known here: {', '.join(known)}"
    return "unknown key", fix


def _file_for(loc: Loc) -> str:
    """The setting that should name a secret's file, if the configuration has the secret itself."""
    section = section_at(loc[:-1])
    named = [one for one in (section.model_fields if section else []) if is_secret(one)]
    like = f"{str(loc[-1]).lower()}_file"
    if like in named or named:
        return place((*loc[:-1], like if like in named else named[0]))
    return "service.password_file"


def _example(loc: Loc) -> str:
    field = field_at(loc)
    return f"write e.g. `{loc[-1]}: {field.examples[0]}`" if field and field.examples else ""


def _section_fix(loc: Loc, value: object) -> str:
    section = section_at(loc)
    known = list(section.model_fields) if section else []
    if isinstance(value, str):
        key = value.partition(":")[0]
        if key != value and key in known:
            return f"write a blank after the colon, as in `{key}: value`"
        if "path" in known and value.startswith("/"):
            return f"write `path: ` before it; known here: {', '.join(known)}"
    return f"write keys and values below it: {', '.join(known)}"


def _words(error: Any, loc: Loc) -> tuple[str, str]:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "hashscan":
        if loc and is_secret(str(loc[-1])) and isinstance(value, str) and not value.startswith("/"):
            # The value may be a secret that was written here by mistake, so the message does not
            # quote it.
            return "is not a full path", "write the path of the file that holds it, from / on"
        return context["what"], context["fix"]
    if kind == "extra_forbidden":
        return _unknown(loc)
    if kind == "missing":
        return "is missing", _example(loc)
    stands = f"but it is {kind_of_value(value)}"
    if kind == "bool_type":
        return f"must be true or false, {stands}", "write true or false, without quotes"
    if kind == "tuple_type":
        return f"must be a list, {stands}", "write `- ` before each item, or [a, b]"
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return f"must be a section, {stands}", _section_fix(loc, value)
    if kind == "literal_error":
        return f"must be {context['expected']}", "choose one of them"
    return str(error["msg"])[:200], ""


def findings(path: str, document: Document, error: ValidationError | None) -> list[Finding]:
    """All faults of a configuration file, in the order of the file's lines; at most 100 faults."""
    found: list[tuple[int, Loc, Any]] = [
        (line, loc, words) for loc, line, *words in document.faults
    ]
    for one in error.errors(include_url=False) if error else ():
        loc = (*one["loc"], *one.get("ctx", {}).get("at", ()))
        if one["type"] == "extra_forbidden" or not document.is_spoiled(loc):
            found.append((document.line(loc), loc, one))
    found.sort(key=lambda each: each[0])
    told = []
    for line, loc, one in found[:MOST]:
        words = _words(one, loc) if isinstance(one, dict) else one
        where = f"{shown(path)}:{line}" if document.lines else shown(path)
        told.append(Finding(f"{where}: {place(loc)}" if loc else where, *words))
    if len(found) > MOST:
        told.append(Finding(shown(path), f"and {len(found) - MOST} more"))
    return told
