"""Turns YAML text into plain data, with the line of every key.

The data are plain trees of dicts, lists and single values. Aliases (a few lines of them expand to
gigabytes), tags and duplicate keys are errors. Only ``null``, booleans, decimal integers and
decimal fractions are typed; all other values are text, because YAML 1.1 would read ``1:30`` as 90
and ``010`` as 8.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import yaml

from hashscan.config.yaml_lines import Document, Loc, TextError
from hashscan.text import one_line

#: Most levels of nesting in a configuration file; the settings have four levels.
_DEEPEST = 20
#: Most values (YAML nodes) in a configuration file.
_MOST = 100_000
_TRUE = frozenset({"yes", "true", "on"})


#: Length in characters of the longest message of PyYAML that is shown; a shown message quotes only
#: a character or a name.
_LONGEST = 500
_QUOTE = 'put the value in quotes, as in "*.bak": YAML takes signs such as * & ! % @ at its start'
#: Pairs of a regular expression for a message of PyYAML and the fix; the first expression that
#: matches gives the fix.
_FIXES = (
    (r"scanning an? (alias|anchor|tag)|undefined alias|directive", _QUOTE),
    (r"'\\t'", "indent with spaces, not with tabs"),
    (r"cannot start any token", _QUOTE),
    (r"escape|hexadecimal", "put the value in single quotes: in them a backslash is a backslash"),
    (
        r"quoted scalar",
        "close the quotes; put text that holds a quote into quotes of the other kind",
    ),
    (
        r"flow (sequence|mapping|node)",
        "close each [ and {; put values with one of , [ ] { } # ! in quotes",
    ),
    (
        r"mapping values are not allowed|expected ':'|simple key",
        'put values that hold ": " in quotes; write `key: value`, indented with spaces',
    ),
    (r"single document", "keep one document: remove the lines --- and ..."),
    (r"", "put the value in quotes, or correct the indentation: with spaces, keys in one column"),
)


def _fix(told: str, *, tabs: bool) -> str:
    if tabs:
        return "indent with spaces, not with tabs"
    return next(fix for words, fix in _FIXES if re.search(words, told))


def _where(error: yaml.MarkedYAMLError) -> tuple[int, str]:
    """The line of a YAML fault, from 0, and words for the line where the faulty text begins."""
    mark, begin = error.problem_mark or error.context_mark, error.context_mark
    line = mark.line if mark else 0
    if begin is None or begin.line == line or not re.search("flow|quoted", error.context or ""):
        return line, ""
    if re.search("stream end|end of stream", error.problem or ""):
        return begin.line, ""
    return line, f" (it begins in line {begin.line + 1})"


def _false_blank(key: str) -> str | None:
    """The first character of a key that is invisible or like a blank, but no blank for YAML."""
    return next(
        (sign for sign in key if sign != " " and unicodedata.category(sign) in {"Zs", "Cf"}), None
    )


def _has_tab(lines: list[str], number: int) -> bool:
    """Whether the line ``number``, or the line before it, is indented with a tab."""
    return any(re.match(r"[ -]*\t", line) for line in lines[max(0, number - 1) : number + 1])


class _Loader(yaml.SafeLoader):
    """Composes the YAML nodes of a text; constructs no Python objects from the nodes."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - the base class's own attribute

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.refused: dict[int, str] = {}  # fault of each faulty node, by the node's id
        self._depth = self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._count += 1
        if self._depth >= _DEEPEST:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=event.start_mark)
        if self._count > _MOST:
            raise yaml.MarkedYAMLError(problem="too many values", problem_mark=event.start_mark)
        if self.check_event(yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            alias = yaml.ScalarNode("", "", event.start_mark, event.end_mark)
            self.refused[id(alias)] = "this is an alias for YAML (*name), which is not allowed here"
            return alias
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if getattr(event, "tag", None) is not None:
            self.refused[id(node)] = "this is a tag for YAML (!name), which is not allowed here"
        elif isinstance(event, yaml.ScalarEvent) and event.anchor is not None:
            self.refused[id(node)] = "this is an anchor for YAML (&name), which is not allowed here"
        return node


_Loader.add_implicit_resolver("null", re.compile(r"^(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(
    "bool",
    re.compile(r"^(yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$"),
    list("yYnNtTfFoO"),
)
_NUMBER_STARTS = list("-+0123456789")
_Loader.add_implicit_resolver("int", re.compile(r"^[-+]?(0|[1-9][0-9]{0,17})$"), _NUMBER_STARTS)
_Loader.add_implicit_resolver(
    "float", re.compile(r"^[-+]?[0-9]{1,18}\.[0-9]{0,18}$"), _NUMBER_STARTS
)


class _Builder:
    def __init__(self, refused: dict[int, str]) -> None:
        self.document = Document()
        self._refused = refused

    def build(self, node: yaml.Node, loc: Loc) -> Any:
        line = node.start_mark.line + 1
        self.document.lines.setdefault(loc, line)
        if id(node) in self._refused:
            self._fault(loc, line, self._refused[id(node)], _QUOTE)
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*loc, index)) for index, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if id(key_node) in self._refused or not isinstance(key_node, yaml.ScalarNode):
                self.document.faults.append(
                    (loc, line, "a key here is not a plain word", "write it as `key: value`")
                )
                continue
            key = key_node.value
            here = (*loc, key)
            if (sign := _false_blank(key)) is not None:
                what = f"the key holds a character that only looks like a blank (U+{ord(sign):04X})"
                self.document.faults.append((here, line, what, "write the line again, with spaces"))
                continue
            if key in data:
                first = self.document.lines[here]
                what = f"the key is here again; it is already in line {first}"
                self.document.faults.append((here, line, what, "keep one of the two"))
                continue
            self.document.lines[here] = line
            data[key] = self.build(value_node, here)
        return data

    def _fault(self, loc: Loc, line: int, what: str, fix: str) -> None:
        self.document.faults.append((loc, line, what, fix))
        self.document.spoiled.add(loc)


def _scalar(node: yaml.Node) -> str | int | float | bool | None:
    text: str = node.value
    if node.tag == "null":
        return None
    if node.tag == "bool":
        return text.lower() in _TRUE
    if node.tag == "int":
        return int(text)
    if node.tag == "float":
        return float(text)
    return text


def parse(content: bytes) -> Document:
    """Parse the content of a configuration file in YAML; the caller limits the file's size.

    Raises:
        TextError: the content is not UTF-8 or not YAML, is nested more than 20 deep, or has more
            than 100,000 values.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = f"byte {content[error.start]:#04x} is not UTF-8"
        raise TextError(line, what, "save the file as UTF-8") from error
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = "a control character, which YAML does not allow"
        raise TextError(line, what, "remove it") from error
    except yaml.MarkedYAMLError as error:
        told = ", ".join(part for part in (error.context, error.problem) if part)
        line, begin = _where(error)
        tabs = _has_tab(text.splitlines(), line)
        what = f"not YAML: {one_line(told[:_LONGEST])}{begin}"
        raise TextError(line + 1, what, _fix(told, tabs=tabs)) from error
    finally:
        if loader is not None:
            loader.dispose()
    if node is None:
        return Document()
    builder = _Builder(loader.refused)
    builder.document.data = builder.build(node, ())
    return builder.document
