"""Reads, checks and shows single values of the configuration.

Each check takes a value from YAML and returns the typed value, or raises the error that ``bad``
makes. Error messages repeat only harmless values, because a user may have written a password in any
setting.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, PlainSerializer, PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from hashscan.errors import UnsafePathError
from hashscan.fs.named import resolve
from hashscan.hosts import is_loopback
from hashscan.model import category_name
from hashscan.text import parse_duration, parse_size, shown

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds of the longest duration: ten years; a longer duration is a mistake in typing.
LONGEST = 3660 * 86400.0
SHORTEST = 0.001
#: Bytes of the largest size: 8 PiB; ``parse_size`` uses floats, and is not exact for larger sizes.
LARGEST = 1 << 53
_NONE = "none"
#: Largest number of words of a command (a program and its arguments).
_MOST_WORDS = 20
#: Length in characters of the longest text that gives a number with its unit.
_LONGEST_TEXT = 40

# Key of pydantic's validation context; its value is true if checks use the file system.
CHECK_FILES = "check_files"


def bad(what: str, fix: str = "", *, at: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """Make the error for an invalid value: fault, fix, and its position ``at`` below the value."""
    return PydanticCustomError("hashscan", "{what}", {"what": what, "fix": fix, "at": at})


def checks_files(info: ValidationInfo) -> bool:
    """Whether the validation context demands checks of the file system."""
    return bool(isinstance(info.context, dict) and info.context.get(CHECK_FILES))


def kind_of_value(value: object) -> str:
    """The kind of a value in words for a user who writes YAML, e.g. ``a number``."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "a switch (true, false, yes, no, on, off)"
    for kinds, words in (
        ((int, float), "a number"),
        (str, "text"),
        ((list, tuple), "a list"),
        (dict, "a section"),
    ):
        if isinstance(value, kinds):
            return words
    return "something else"


def _is_none(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() == _NONE)


def or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a check like ``check`` that also allows ``none`` (or no value), as ``None``."""
    return lambda value: None if _is_none(value) else check(value)


def none_shown(shower: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function like ``shower`` that also writes ``None`` as ``none``."""
    return lambda value: _NONE if value is None else shower(value)


# The following checks read numbers with units.


def duration(value: object) -> float:
    """Convert ``10s``, ``7d`` or a number of seconds to seconds."""
    examples = "write e.g. 10s, 5m, 1h or 7d"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise bad(f"must be a duration, but it is {kind_of_value(value)}", examples)
    text = str(value)
    try:
        seconds = parse_duration(text) if len(text) <= _LONGEST_TEXT else -1.0
    except ValueError:
        raise bad("is not a duration", examples) from None
    if not SHORTEST <= seconds <= LONGEST:
        raise bad("is not a sensible duration", f"{examples}; at least 1ms, at most ten years")
    return seconds


def exact_duration(value: object, *, at_least: float = SHORTEST) -> float:
    """Convert a duration on which an irreversible action depends to seconds.

    The duration must have a unit. The function raises for the unit ``m``, which means minutes in
    hashscan and months in other programs.
    """
    examples = "write e.g. 90d, 12h or 30min; months and years as days"
    given = str(value).strip()
    if isinstance(value, int | float) or given.replace(".", "").isdigit():
        raise bad("has no unit", examples)
    if re.fullmatch(r"[0-9.]+\s*m", given):
        number = given[:-1].strip()
        raise bad(
            "can be read as minutes or as months",
            f"write {number}min for minutes, or days, e.g. 90d",
        )
    try:
        seconds = parse_duration(given) if len(given) <= _LONGEST_TEXT else -1.0
    except ValueError:
        raise bad("is not a duration", examples) from None
    if not at_least <= seconds <= LONGEST:
        least = human_duration(at_least, minute="min")
        raise bad("is not a sensible duration", f"{examples}; from {least} to ten years")
    return seconds


def retention(value: object) -> float:
    """Check the duration after which hashscan removes the contents of quarantined files for good.

    The duration must have a unit, and must not be a likely mistake in typing.
    """
    return exact_duration(value)


def human_retention(seconds: float) -> str:
    """The shortest text that ``exact_duration`` reads as exactly ``seconds``."""
    return human_duration(seconds, minute="min")


def human_duration(seconds: float, *, minute: str = "m") -> str:
    """The shortest text that ``duration`` reads as exactly ``seconds``."""
    for unit, length in (("d", 86400), ("h", 3600), (minute, 60), ("s", 1)):
        if seconds >= length and seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds!r}s"


def size(value: object) -> int:
    """Convert a size such as ``50MiB``, or a number of bytes, to bytes."""
    examples = "write e.g. 50MiB, 2GiB or 1000"
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise bad(f"must be a size, but it is {kind_of_value(value)}", examples)
    text = str(value)
    try:
        count = parse_size(text) if len(text) <= _LONGEST_TEXT else -1
    except ValueError:
        raise bad("is not a size", f"{examples}, or none") from None
    if not 1 <= count <= LARGEST:
        raise bad("is not a sensible size", f"{examples}, or none for no bound")
    return count


def shown_size(count: int) -> str | int:
    """The shortest text that ``size`` reads as exactly ``count``."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count % 1024**power == 0:
            return f"{count // 1024**power}{unit}"
    return count


_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,2})?)\s*%", re.ASCII)


def percent(value: object) -> float:
    """Convert ``20%`` to 0.2. A number without the percent sign is ambiguous: raise."""
    found = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found or not 0 < float(found.group(1)) <= 100:
        raise bad("must be a share above 0% and up to 100%", "write e.g. 20%, or none")
    return float(found.group(1)) / 100


def human_percent(share: float) -> str:
    """Write a share from 0 to 1 as a text that ``percent`` reads."""
    return f"{round(share * 100, 2):g}%"


def jobs(value: object) -> int | str:
    """Check ``auto`` or a positive number of worker processes."""
    if isinstance(value, str) and value.lower() == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1024:
        raise bad(
            "must be auto or a number of processes from 1 to 1024", "write `jobs: auto` or e.g. 2"
        )
    return value


# The following checks read text, paths and addresses.


def text(value: object) -> str:
    """Check that a value is a printable text of at most 1,000 characters; return the text."""
    if isinstance(value, str):
        if len(value) > 1000 or not value.isprintable():
            raise bad("must be one line of at most 1000 printable characters", "correct the text")
        return value
    fix = "put it in quotes" if isinstance(value, bool | int | float) else ""
    raise bad(f"must be text, but it is {kind_of_value(value)}", fix)


def absolute_path(value: object) -> str:
    """Check a full path; return the path without double and trailing slashes."""
    if not isinstance(value, str):
        raise bad(
            f"must be a path, but it is {kind_of_value(value)}", "write the full path, from / on"
        )
    try:
        raw = os.fsencode(value)
    except UnicodeEncodeError:
        raise bad("holds a character that no path can hold", "correct the path") from None
    if b"\0" in raw:
        raise bad("holds a NUL byte, which no path can hold", "correct the path")
    if not value.startswith("/"):
        raise bad(f"{short_path(value)} is not a full path", "write the full path, from / on")
    if len(raw) > 4095:
        raise bad("is longer than a path can be (4095 bytes)", "correct the path")
    return re.sub("/+", "/", value).rstrip("/") or "/"


def short_path(path: str) -> str:
    """Write a path for a message, without the middle of a very long path."""
    return shown(path if len(path) <= 300 else path[:150] + "…" + path[-150:])


def _stat(path: str, fix: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise bad(f"{short_path(path)}: {(error.strerror or str(error)).lower()}", fix) from None


def _resolved(path: str) -> str:
    try:
        return resolve(path)
    except UnsafePathError as error:
        raise bad(str(error)) from None


def place(path: str, info: ValidationInfo) -> str:
    """Check the path of a directory of hashscan; if checks use the file system, resolve links."""
    return _resolved(path) if checks_files(info) else os.path.normpath(path)


def same_file(path: str, info: ValidationInfo) -> str:
    """Return a text that is equal for two paths to the same file, through any links."""
    return os.path.realpath(path) if checks_files(info) else os.path.normpath(path)


def existing_file(path: str, info: ValidationInfo) -> str:
    """Check that the file ``path`` is a readable regular file; return ``path``."""
    if checks_files(info):
        status = _stat(path, "create the file, or correct the path")
        if not stat.S_ISREG(status.st_mode):
            raise bad(f"{short_path(path)} is not a regular file", "name a regular file")
        if not os.access(path, os.R_OK, effective_ids=True):
            raise bad(
                f"{short_path(path)} may not be read by this user", "run as root, or let it read"
            )
    return path


def words(value: object) -> object:
    """Return a list of a program and its arguments, not yet checked; raise for a single text."""
    if isinstance(value, str):
        raise bad("must be a list, because no shell splits it", "write [/full/path, word]")
    return value


def program(given: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
    """Check a program with its full path, and its arguments; return the words of the command."""
    if given is None:
        return None
    if not 1 <= len(given) <= _MOST_WORDS:
        raise bad("must name a program", "write its full path and its arguments, as a list")
    path = existing_file(absolute_path(given[0]), info)
    if checks_files(info) and not os.access(path, os.X_OK):
        raise bad(f"{short_path(path)} is not executable", "run: chmod +x on it")
    return (path, *given[1:])


def own_directory(path: str | None, info: ValidationInfo) -> str | None:
    """Check that ``path`` is a directory, or that hashscan can make one; return ``path``."""
    if path is not None and checks_files(info):
        _resolved(path)
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return path
        except OSError as error:
            told = (error.strerror or str(error)).lower()
            raise bad(
                f"{short_path(path)}: {told}", "choose a directory that this user may use"
            ) from None
        if not stat.S_ISDIR(status.st_mode):
            raise bad(f"{short_path(path)} is not a directory", "choose another path")
    return path


_CATEGORY = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def category(value: object) -> str:
    """Check the name of a category of hashscan: lower-case letters, digits, ``_`` and ``-``."""
    if not isinstance(value, str) or not _CATEGORY.fullmatch(value):
        raise bad(
            "must be the name of a category: lower-case letters, digits, _ and -",
            "write e.g. baseline",
        )
    return value


def list_category(value: object) -> str:
    """Check the name of a category as digest lists spell the name: free text."""
    found = text(value)
    if category_name(found) is None:
        raise bad("must be the name of a category, at most 64 letters", "write e.g. vics-1")
    return found


_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
# This pattern of a mail address is narrower than RFC 5322: a mail server may take a leading | or /
# for a program or a file, and a leading - for an option.
_LOCAL_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=&'~-]{0,63}")


def is_host_name(found: str) -> bool:
    """Whether a text is a host name in ASCII, without a dot at its end."""
    return _HOST_NAME.fullmatch(found) is not None


def is_mail_address(found: str) -> bool:
    """Whether a text is one plain mail address in ASCII that all mail servers read alike."""
    local, _, host = found.rpartition("@")
    dots = local.endswith(".") or ".." in local
    return bool(_LOCAL_PART.fullmatch(local)) and not dots and is_host_name(host)


def mail_address(value: object) -> str:
    """Check the text of one plain mail address; return the address."""
    if not isinstance(value, str) or not is_mail_address(value):
        raise bad("must be one mail address in ASCII", "write e.g. abuse@host.example")
    return value


def host_name(value: object) -> str:
    """Check a text that names a host; return the host's name."""
    if not isinstance(value, str) or not is_host_name(value):
        raise bad(
            "must be a host name in ASCII, without a dot at its end", "write e.g. host.example"
        )
    return value.lower()


# This pattern of a URL is narrower than RFC 3986: parsers read backslashes, escapes and empty ports
# differently.
_PLAIN_URL = re.compile(
    r"https?://(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
    r"(?:/[A-Za-z0-9._~-]+)*/*"
)


def url(value: object, *, in_the_clear: bool = False) -> str:
    """Check an ``https`` URL, or ``http`` to this machine; no credentials, no query.

    ``in_the_clear``: allow ``http`` to any machine too, because the files fetched from the URL are
        signed.
    """
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]{1,2000}", value):
        raise bad("must be a URL in ASCII without spaces", "write e.g. https://hcs.example")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise bad(f"is not a URL: {shown(str(error))}", "write e.g. https://hcs.example") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise bad("must start with https:// and a host", "write e.g. https://hcs.example")
    if "@" in parts.netloc:
        raise bad(
            "must not hold a user name or password", "use username and password_file for them"
        )
    if "?" in value or "#" in value:
        raise bad("must have no query (?) and no fragment (#)", "remove it")
    if not _PLAIN_URL.fullmatch(value) or port == 0:
        raise bad(
            "holds signs that programs read in different ways, or port 0",
            "write https://host, https://host:port or https://host/path, with letters, digits and"
            " . _ ~ - only",
        )
    if parts.scheme == "http" and not is_loopback(host) and not in_the_clear:
        raise bad(
            "http:// is allowed to this machine only: credentials and digests would be readable"
            " on the way",
            "write https://",
        )
    return value


def is_clear(found: str) -> bool:
    """Whether credentials for the URL ``found`` would travel unencrypted to another machine."""
    parts = urlsplit(found)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def proxy(value: object) -> str:
    """Check the URL of an HTTP proxy; return the URL."""
    found = url(value, in_the_clear=True)
    if urlsplit(found).path.strip("/"):
        raise bad(
            "must be a host and a port, without a path", "write e.g. http://proxy.example:3128"
        )
    return found


def is_url(source: str) -> bool:
    """Whether a filter's source is a repository rather than the path of a file."""
    return not source.startswith("/")


def source(value: object, info: ValidationInfo) -> str:
    """Check the path of a filter file, or the URL of a repository."""
    if isinstance(value, str) and "://" in value:
        return url(value, in_the_clear=True)
    if isinstance(value, str) and not value.startswith("/"):
        raise bad(
            "is neither a full path nor a URL",
            "write the full path of a filter file, from / on, or https://…",
        )
    return existing_file(absolute_path(value), info)


def listen(value: object) -> str:
    """Check the address and port of a listening socket."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[0-9.]+|localhost):([0-9]{1,5})", str(value))
    if found and 1 <= int(found.group(2)) <= 65535:
        host = found.group(1).strip("[]")
        try:
            if host == "localhost" or ipaddress.ip_address(host):
                return str(value)
        except ValueError:
            pass
    raise bad("must be an address and a port", "write e.g. 127.0.0.1:9464 or [::1]:9464, or none")


# The types of the settings' fields follow. ``model_dump(mode="json")`` returns each value in the
# form that people write.


def shower(function: Callable[[Any], Any]) -> PlainSerializer:
    """Mark a type with the function that writes its values in ``config show``."""
    return PlainSerializer(function, when_used="json")


Duration = Annotated[float, PlainValidator(duration), shower(human_duration)]
DurationOrNone = Annotated[
    float | None, PlainValidator(or_none(duration)), shower(none_shown(human_duration))
]
RetentionOrNone = Annotated[
    float | None, PlainValidator(or_none(retention)), shower(none_shown(human_retention))
]
SizeOrNone = Annotated[int | None, PlainValidator(or_none(size)), shower(none_shown(shown_size))]
PercentOrNone = Annotated[
    float | None, PlainValidator(or_none(percent)), shower(none_shown(human_percent))
]
Jobs = Annotated[int | Literal["auto"], PlainValidator(jobs)]
Text = Annotated[str, PlainValidator(text)]
Category = Annotated[str, PlainValidator(category)]
ListCategory = Annotated[str, PlainValidator(list_category)]
Source = Annotated[str, PlainValidator(source)]
#: The path of a volume is not checked on disk: a dead file server never answers.
Volume = Annotated[str, PlainValidator(absolute_path)]
File = Annotated[str, PlainValidator(absolute_path), AfterValidator(existing_file)]
PathOrNone = Annotated[str | None, PlainValidator(or_none(absolute_path)), shower(none_shown(str))]
ProxyOrNone = Annotated[str | None, PlainValidator(or_none(proxy)), shower(none_shown(str))]
OwnDirectory = Annotated[str, PlainValidator(absolute_path), AfterValidator(own_directory)]
OwnDirectoryOrNone = Annotated[
    str | None,
    PlainValidator(or_none(absolute_path)),
    AfterValidator(own_directory),
    shower(none_shown(str)),
]
