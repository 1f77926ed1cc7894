"""Makes answers to notices from Jinja2 templates, built in or in the administrator's directory.

A template begins with ``Subject: ...`` and an empty line; the text of the answer follows. Templates
run in Jinja2's sandbox, without access to other files. An unknown name in a template raises an
error.
"""

from __future__ import annotations

import os
import stat
import sys
import traceback
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import StrictUndefined, Template
from jinja2.exceptions import TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hashscan.errors import UsageError
from hashscan.fs.beneath import closing
from hashscan.text import one_line, said_by, shown

if TYPE_CHECKING:
    from types import TracebackType

#: The most bytes of a template, and the most characters of an answer's text and of its subject.
LARGEST_TEMPLATE = 256 * 1024
LARGEST_ANSWER = 64 * 1024 * 1024
LONGEST_SUBJECT = 200
_SUBJECT = "Subject:"


class TemplateSource(NamedTuple):
    """The text of an answer's template. ``path``: the administrator's file; ``None``: built in."""

    name: str
    text: str
    path: str | None = None


class AnswerText(NamedTuple):
    """An answer to a notice, made from a template. ``body`` ends with a newline."""

    subject: str
    body: str


def source_of(directory: str | None, language: str, kind: str) -> TemplateSource:
    """The template of an answer: the file in ``directory``; without the file, the built-in one.

    Raises:
        UsageError: the template's file cannot be read, or is no text.
    """
    if directory is not None:
        path = os.path.join(directory, language, f"{kind}.txt")
        text = _read(path)
        if text is not None:
            return TemplateSource(shown(path), text, path)
    built_in = files("hashscan.notices.answers") / "texts" / language / f"{kind}.txt"
    return TemplateSource(
        f"the built-in {language}/{kind}.txt", built_in.read_text(encoding="utf-8")
    )


def _read(path: str) -> str | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"the template {shown(path)}: {said_by(error)}; check the file") from error
    with closing(fd):
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise UsageError(f"the template {shown(path)} is not a regular file; replace it")
        with open(fd, "rb", closefd=False) as file:
            content = file.read(LARGEST_TEMPLATE + 1)
    if len(content) > LARGEST_TEMPLATE:
        raise UsageError(f"the template {shown(path)} has more than 256 KiB; shorten it")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the template {shown(path)} is not UTF-8 at byte {error.start}; save it as UTF-8"
        ) from error


def render(source: TemplateSource, facts: dict[str, Any]) -> AnswerText:
    """The answer that a template makes from ``facts`` (see ``facts.facts_of``).

    Raises:
        UsageError: the template has an error, or makes no subject.
    """
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        # HTML escapes would change URLs in the plain text of an answer. The facts contain no line
        # ends.
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=None,
        cache_size=0,
    )
    try:
        code = environment.compile(source.text, source.name, source.name)
        template = Template.from_code(environment, code, {**environment.globals})
        parts, size = [], 0
        for part in template.generate(facts):
            size += len(part)
            if size > LARGEST_ANSWER:
                raise _refused(source, None, "it writes more than 64 MiB")
            parts.append(part)
    except TemplateSyntaxError as error:
        raise _refused(source, error.lineno, str(error.message)) from error
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError,
            RecursionError) as error:  # fmt: skip
        line = _line(source, sys.exc_info()[2])
        raise _refused(source, line, f"{type(error).__name__}: {error}") from error
    return _split(source, "".join(parts))


def _line(source: TemplateSource, trace: TracebackType | None) -> int | None:
    """The line of the template that caused an error; ``None``: the error does not name a line."""
    lines = [one.lineno for one in traceback.extract_tb(trace) if one.filename == source.name]
    return lines[-1] if lines else None


def _refused(source: TemplateSource, line: int | None, why: str) -> UsageError:
    where = source.name if line is None else f"{source.name}, line {line}"
    return UsageError(
        f"the template cannot be used: {where}: {one_line(why)[:300]}; correct it, or remove the "
        "file for the built-in template"
    )


def _split(source: TemplateSource, text: str) -> AnswerText:
    head, _, body = text.lstrip("\r\n").partition("\n")
    subject = " ".join(head.removeprefix(_SUBJECT).split())
    if not head.startswith(_SUBJECT) or not subject or not subject.isprintable():
        raise _refused(source, 1, f"it must begin with a line '{_SUBJECT} ...'")
    lines = [line.rstrip() for line in body.strip().splitlines()]
    return AnswerText(subject[:LONGEST_SUBJECT], "\n".join(lines) + "\n")
