"""Parses Apache httpd's configuration, and ``.htaccess`` files, into directives and sections.

``apache.py`` and ``apache_request.py`` evaluate the directives. This module parses the
configuration without a library, because the existing library has no bounds and does not parse
nested sections of ``.htaccess`` files. Source: httpd.apache.org/docs/2.4, "Configuration Files",
"Configuration Sections", core.
"""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hashscan.notices.sites.location import UndecidedError
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.notices.sites.read_files import ReadFiles

_MOST_FILES = 50_000
_DEEPEST = 30
_WORD = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(\S+))""")
_VARIABLE = re.compile(r"\$\{([A-Za-z0-9_]+)\}")
#: Apache modules that are compiled into every package of Apache.
_COMPILED = frozenset(
    {"core", "so", "http", "http_core", "version", "unixd", "log_config", "logio"}
)
#: The version of Apache that ``IfVersion`` compares: the latest version of 2.4.
_VERSION = (2, 4, 99)


@dataclass(frozen=True, slots=True)
class ApacheDirective:
    """A directive of Apache, or a section with its ``block``. The directive's name is lower-case.

    Attributes:
        raw: the arguments as one text, for directives that do not split their arguments by quotes.
    """

    name: str
    args: tuple[str, ...]
    where: str
    block: tuple[ApacheDirective, ...] | None = None
    raw: str = ""


@dataclass(slots=True)
class _State:
    """The modules and variables of Apache that the lines parsed so far define."""

    root: str
    defined: dict[str, str] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    files: int = 0


class _Lines:
    """The logical lines of a configuration file of Apache: lines joined at a backslash."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        text = content.decode("utf-8", "surrogateescape")
        self._lines = iter(enumerate(text.split("\n"), 1))

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for number, first in self._lines:
            parts = [first.rstrip("\r")]
            while parts[-1].endswith("\\"):
                parts[-1] = parts[-1][:-1]
                following = next(self._lines, None)
                if following is None:
                    break
                parts.append(following[1].rstrip("\r"))
            text = "".join(parts).strip()
            if text and not text.startswith("#"):
                yield number, text


def _words(text: str) -> tuple[str, ...]:
    words = []
    for found in _WORD.finditer(text):
        if found[1] is not None:
            words.append(re.sub(r'\\(["\\])', r"\1", found[1]))
        elif found[2] is not None:
            words.append(re.sub(r"\\(['\\])", r"\1", found[2]))
        else:
            words.append(found[3])
    return tuple(words)


class ApacheReader:
    """Parses Apache's files into directives, and adds modules and variables to ``state``."""

    def __init__(self, server_root: str, read_files: ReadFiles) -> None:
        """Begin without modules and variables of Apache.

        ``server_root``: Apache's root directory until a directive ``ServerRoot`` sets another.
        ``read_files``: reads each configuration file.
        """
        self.state = _State(server_root)
        self._read_files = read_files

    def main(self, path: str) -> tuple[ApacheDirective, ...]:
        """The directives of Apache's main file and, in place of ``Include``, of included files.

        Raises:
            UndecidedError: a part of Apache's configuration cannot be read, so hashscan cannot
                decide on Apache's answers.
        """
        return tuple(self._file(path, 0))

    def htaccess(self, name: str, content: bytes) -> tuple[ApacheDirective, ...]:
        """The directives of a customer's ``.htaccess`` file.

        Raises:
            UndecidedError: a section of the file is not closed, so Apache answers 500.
        """
        return tuple(self._block(_Lines(name, content), "", 0, None))

    def _file(self, path: str, depth: int) -> Iterator[ApacheDirective]:
        self.state.files += 1
        if depth > _DEEPEST or self.state.files > _MOST_FILES:
            raise UndecidedError(f"{shown(path)} includes itself, or too many files")
        yield from self._block(_Lines(path, self._read_files.read(path)), "", depth, path)

    def _block(
        self, lines: _Lines, until: str, depth: int, path: str | None
    ) -> Iterator[ApacheDirective]:
        """The directives from the next line up to the end of the section ``until``."""
        if depth > _DEEPEST:
            raise UndecidedError(f"{shown(lines.name)}: too many nested sections")
        for number, text in lines:
            where = f"{shown(lines.name)}:{number}"
            if text.startswith("</"):
                if text[2:].rstrip("> \t").lower() != until:
                    raise UndecidedError(f"{where}: {shown(text[:100])} closes another section")
                return
            if text.startswith("<"):
                name, _, rest = text[1:].rstrip().removesuffix(">").partition(" ")
                name, rest = name.strip().lower(), self._replaced(rest.strip())
                inner = self._block(lines, name, depth + 1, path)
                if name.startswith("if") and name != "if":
                    if self._holds(name, rest, where):
                        yield from inner
                    else:
                        self._skip(lines, name, where)
                    continue
                yield ApacheDirective(name, _words(rest), where, tuple(inner), rest)
                continue
            parts = text.split(None, 1)
            name, rest = parts[0].lower(), self._replaced(parts[1] if len(parts) > 1 else "")
            one = ApacheDirective(name, _words(rest), where, None, rest)
            if path is not None and name in {"include", "includeoptional"}:
                for included in self._included(one):
                    yield from self._file(included, depth + 1)
                continue
            # A ``.htaccess`` file, which has no ``path`` here, defines nothing for other files.
            if path is not None or name == "use":
                self._note(one)
            yield one
        if until:
            raise UndecidedError(f"{shown(lines.name)}: the section {shown(until)} is not closed")

    @staticmethod
    def _skip(lines: _Lines, name: str, where: str) -> None:
        open_sections = 1
        for _, text in lines:
            if text.startswith("</"):
                open_sections -= text[2:].rstrip("> \t").lower() == name
            elif text.startswith("<"):
                open_sections += re.split(r"[\s>]", text[1:], maxsplit=1)[0].lower() == name
            if not open_sections:
                return
        raise UndecidedError(f"{where}: the section {shown(name)} is not closed")

    def _replaced(self, text: str) -> str:
        defined = self.state.defined
        return _VARIABLE.sub(lambda found: defined.get(found[1], found[0]), text)

    def _note(self, one: ApacheDirective) -> None:
        if one.name == "define" and one.args:
            self.state.defined[one.args[0]] = one.args[1] if len(one.args) > 1 else ""
        elif one.name == "undefine" and one.args:
            self.state.defined.pop(one.args[0], None)
        elif one.name == "serverroot" and one.args:
            self.state.root = one.args[0]
        elif one.name == "loadmodule" and len(one.args) > 1:
            file = os.path.basename(one.args[1])
            self.state.modules |= {one.args[0], file.removesuffix(".so") + ".c"}
        elif one.name == "use":
            raise UndecidedError(
                f"a macro is used at {one.where}, and hashscan evaluates no macros"
            )

    def _holds(self, name: str, text: str, where: str) -> bool:
        negated = text.startswith("!")
        words = _words(text.removeprefix("!").strip())
        if not words:
            raise UndecidedError(f"{where}: the section {shown(name)} has no condition")
        if name == "ifmodule":
            short = words[0].removeprefix("mod_").removesuffix(".c").removesuffix("_module")
            found = words[0] in self.state.modules or short in _COMPILED
        elif name == "ifdefine":
            found = words[0] in self.state.defined
        elif name == "iffile":
            file = self._full(words[0])
            found = os.path.exists(file)
            self._read_files.result(file, lambda: os.path.exists(file), found)
        elif name == "ifversion":
            found = _is_version(words)
        else:
            raise UndecidedError(f"{where}: hashscan cannot evaluate the section {shown(name)}")
        return found != negated

    def _full(self, path: str) -> str:
        return os.path.join(self.state.root, path)

    def _included(self, one: ApacheDirective) -> list[str]:
        if not one.args:
            raise UndecidedError(f"{one.where}: Include names no file")
        path = self._full(one.args[0])
        found = list(_matching(path))
        self._read_files.result(path, lambda: list(_matching(path)), found)
        if not found and one.name == "include" and not re.search(r"[*?\[]", path):
            raise UndecidedError(f"{one.where}: there is no {shown(path)}")
        return found


def _matching(pattern: str) -> Iterator[str]:
    """The configuration files whose paths fit a pattern, in the order of their names."""
    places = ["/"]
    for name in pattern.split("/"):
        if not name:
            continue
        following: list[str] = []
        for place in places:
            if re.search(r"[*?\[]", name):
                try:
                    names = sorted(os.listdir(place))
                except OSError:
                    continue
                fitting = [one for one in names if fnmatch.fnmatchcase(one, name)]
                if not name.startswith("."):
                    fitting = [one for one in fitting if not one.startswith(".")]
                following += [os.path.join(place, one) for one in fitting]
            elif os.path.exists(os.path.join(place, name)):
                following.append(os.path.join(place, name))
        places = following
    for place in places:
        if os.path.isdir(place):
            for above, names, files in os.walk(place):  # noqa: TID251 - the server's own files
                names.sort()
                yield from (os.path.join(above, one) for one in sorted(files))
        else:
            yield place


def _is_version(words: tuple[str, ...]) -> bool:
    operator, wanted = words if len(words) > 1 else ("=", words[0])
    try:
        given = tuple(int(one) for one in wanted.split("."))
    except ValueError:
        raise UndecidedError(f"IfVersion {shown(wanted)} is not understood") from None
    here = _VERSION[: len(given)]
    return {
        "=": here == given, "==": here == given, "!=": here != given, ">": here > given,
        ">=": here >= given, "<": here < given, "<=": here <= given,
    }.get(operator, False)  # fmt: skip
