"""Reads VICS JSON, the exchange format of Project VIC and of other tools, as a stream.

Source: the OData documents of the VICS data model, as exporters write them: ``odata.metadata``
``…/ProjectVic/DataModels/1.x.xml#Media`` or ``#Cases``, in 2.0 ``@odata.context``
``…/ProjectVic/DataModels/2.0.xml/…/$metadata#Media``. Beside this name is ``value``: an array of
media, or (``#Cases``) an array of cases, each case with an array ``Media``. A medium has
``MediaID``, ``MD5`` and ``SHA1`` (usually upper-case hexadecimal; one of the two may be empty or
null), ``MediaSize`` (a number, from some tools a text), ``Category`` (a number whose meaning each
country sets) and, since 1.2, ``AlternativeHashes``: an array of ``{HashName, HashValue}``. hashscan
reads the hashes ``SHA256`` and ``XXH3-4096``, the key of the first block (``model.head_key``), and
ignores PhotoDNA. ``MediaFiles`` repeats the medium's MD5 for each name of the file.

The category 2 becomes ``vics-2``. If a medium of this model has an invalid category (see
``categories``) or no category, its category is ``vics-none``, which does not count as known. Names
are compared without regard to case. hashscan reads two other forms, too: an array of media or of
digests without the envelope, and several documents in a row (JSON lines). A medium with digests in
an object or array inside the medium (``"hashes": {"md5": …}``) counts as invalid.

Arrays called ``value`` or ``Media`` are read element by element. Every other value is decoded as a
whole, up to 4 Mi characters. So a document of any size is read in bounded memory.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from hashscan.known.lists.categories import vics_category
from hashscan.known.lists.columns import (
    digest_name,
    is_class,
    is_of_a_file,
    may_be_category,
    may_be_digest,
    plain_name,
)
from hashscan.known.lists.entries import (
    HEAD_NAME,
    FatalListError,
    ListEntry,
    TextSource,
    is_digest,
    row,
)
from hashscan.model import ALGORITHMS, HEX_LENGTH
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hashscan.model import Algorithm

_CHUNK = 256 * 1024
#: Length, in characters, of the longest JSON value that is decoded as a whole.
VALUE_LIMIT = 4 * 1024 * 1024
#: Most levels to which arrays ``value`` and ``Media`` may be nested in a document.
_DEPTH = 16
_HEAD = HEAD_NAME.replace("-", "")
_HASHES = re.compile(r"(?:file|media|content)?(?:hash|digest|checksum)(?:e?s|values?|list)?")
_LONGEST_NAME = 100
_SHORTEST = min(HEX_LENGTH.values())
_DIGEST_LIKE = re.compile(rf"[0-9A-Fa-f]{{{_SHORTEST}}}").search
#: The most values that are kept of an object that is too long to decode as a whole.
_MOST_FIELDS = 100
_CONTAINERS = ("value", "media")
_BLANK = re.compile(r"[ \t\r\n\ufeff]*")


#: The reason why an object with two values for a name is invalid. The same text, as a name in the
#: decoded object, marks such an object.
_TWICE = "a name is here twice"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a decoded JSON object, with the mark ``_TWICE`` if the object has a name twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        found[_TWICE] = True
    return found


def entries(source: TextSource) -> Iterator[ListEntry]:
    """Yield the entries of a VICS document; count faults in the list's report.

    Raises:
        FatalListError: the document is not JSON from some character on, so the rest cannot be read.
            hashscan never skips this fault: otherwise it would miss all later entries silently.
    """
    reader = _Reader(source)
    try:
        while reader.peek():
            if reader.peek() not in "{[":
                raise reader.error("is no JSON: an object or an array was expected")
            yield from reader.walk(0)
    except RecursionError as error:
        raise reader.error("is nested too deeply") from error


class _Reader:
    """Reads a document through a window of text that moves forward; ``_at`` is an index in it."""

    def __init__(self, source: TextSource) -> None:
        self._text, self._report = source
        self._window = ""
        self._at = 0
        self._end = False
        self._line = 1
        self._counted = 0  # ``_line`` is the document's line at this index of the window
        self._record = 0
        self._decode = json.JSONDecoder(object_pairs_hook=_object).raw_decode

    def error(self, what: str) -> FatalListError:
        return FatalListError(
            f"{self._report.name}:{self._line_now()}",
            f"record {self._record}: {what}",
            "the rest of it cannot be read; export or fetch the list again",
        )

    def _more(self) -> bool:
        """Drop the window's text before the index ``_at``, and read more of the document."""
        if self._end:
            return False
        chunk = self._text.read(_CHUNK)
        self._line_now()
        self._window = self._window[self._at :] + chunk
        self._at = self._counted = 0
        self._end = not chunk
        return bool(chunk)

    def peek(self) -> str:
        """Return the document's next character that is not blank; empty at the document's end."""
        while True:
            blank = _BLANK.match(self._window, self._at)
            assert blank
            self._at = blank.end()
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._more():
                return ""

    def _take(self, *wanted: str) -> str:
        character = self.peek()
        if character not in wanted or not character:
            what = "ends in the middle" if not character else "is no JSON"
            raise self.error(f"{what}: {' or '.join(wanted)} was expected")
        self._at += 1
        return character

    def _value(self) -> tuple[bool, Any]:
        """Decode the document's next JSON value as a whole.

        Returns:
            Whether the value was decoded, and the value. If an object or array is longer than the
            limit, it is not decoded, and ``_at`` stays before it.
        """
        if not self.peek():
            raise self.error("ends in the middle")
        while True:
            try:
                value, end = self._decode(self._window, self._at)
            except ValueError as error:
                if len(self._window) - self._at < VALUE_LIMIT:
                    if self._more():
                        continue
                    raise self.error("is no JSON, or ends in the middle") from error
                if self._window[self._at] in "{[":
                    return False, None
                raise self.error("a value is too long") from error
            # A number at the end of the window may continue in the next text of the document.
            if end == len(self._window) and self._window[end - 1] not in '"}]' and self._more():
                continue
            self._at = end
            return True, value

    def walk(self, depth: int) -> Iterator[ListEntry]:
        """Yield the entries of the object or array that begins at the index ``_at``."""
        if depth > _DEPTH:
            raise self.error("is nested too deeply")
        if self.peek() == "{":
            yield from self._object(depth)
        else:
            yield from self._array(depth)

    def _array(self, depth: int) -> Iterator[ListEntry]:
        self._take("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            decoded, value = self._value()
            if decoded:
                yield from self._decoded(value, depth)
            else:
                yield from self.walk(depth + 1)
            if self._take(",", "]") == "]":
                return

    def _object(self, depth: int) -> Iterator[ListEntry]:
        """Yield the entries of an object, read key by key: an envelope, or a very long object."""
        fields: dict[str, Any] = {}
        contained = twice = False
        self._take("{")
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                raise self.error("is no JSON: a name was expected")
            _, name = self._value()
            self._take(":")
            key = name.lower()
            if key in _CONTAINERS and self.peek() == "[":
                contained = True
                yield from self._array(depth + 1)
            else:
                decoded, value = self._value()
                if not decoded:
                    raise self.error("a value is too long")
                # A JSON object may have millions of names that hashscan does not read.
                if (
                    key in _READ
                    or _role_of(key[:1000])
                    or (len(fields) < _MOST_FIELDS and _may_hold_digests(value))
                ):
                    twice = twice or key in fields
                    fields[key] = value
            if self._take(",", "}") == "}":
                break
        if contained:
            self._check_envelope(fields)
        elif twice:
            self._record += 1
            self._refuse(_TWICE)
        else:
            yield from self._medium(fields)

    def _check_envelope(self, fields: dict[str, Any]) -> None:
        """Raise for a document that has a category or a digest beside its media."""
        beside = {
            name: one
            for name, one in fields.items()
            if name not in _CONTAINERS or not isinstance(one, list)
        }
        what = ""
        if fields.get("category") is not None and not self._report.every_category:
            what = "category"
        elif any(next(_digests_inside(name, one), None) for name, one in beside.items()):
            what = "digest"
        if what:
            raise FatalListError(
                f"{self._report.name}:{self._line_now()}",
                f"a {what} is outside of the media",
                f"give each medium its own {what}",
            )
        self._note_unread(beside)

    def _decoded(self, value: Any, depth: int) -> Iterator[ListEntry]:
        """Yield the entries of a decoded element of an array of media or digests."""
        if depth > _DEPTH:
            raise self.error("is nested too deeply")
        if isinstance(value, str):
            value = {"hash": value}
        if not isinstance(value, dict):
            self._record += 1
            self._refuse("neither an object nor a digest")
            return
        fields = {key.lower(): one for key, one in value.items()}
        if len(fields) < len(value) or _TWICE in fields:
            self._record += 1
            self._refuse(_TWICE)
            return
        contained = False
        for key in _CONTAINERS:
            inner = fields.get(key)
            if isinstance(inner, list):
                contained = True
                for element in inner:
                    yield from self._decoded(element, depth + 1)
        if contained:
            self._check_envelope(fields)
        else:
            yield from self._medium(fields)

    def _medium(self, fields: dict[str, Any]) -> list[ListEntry]:
        self._record += 1
        cells: list[tuple[Algorithm | None, str]] = []
        heads: list[str] = []
        alternatives = fields.get("alternativehashes") or ()
        if not isinstance(alternatives, list | tuple):
            self._refuse("AlternativeHashes is not an array")
            return []
        for one in alternatives:
            if not isinstance(one, dict):
                self._refuse("AlternativeHashes holds a value that is not an object")
                return []
            named = {key.lower(): value for key, value in one.items()}
            name, value = str(named.get("hashname", "")).lower()[:1000], named.get("hashvalue")
            role = _role_of(name)
            if plain_name(name) == _HEAD:
                if value is not None and not isinstance(value, str):
                    self._refuse(f"{HEAD_NAME} is not a text")
                    return []
                if value:
                    heads.append(value)
            elif role and not self._add(cells, name, role, value):
                return []
        for name, value in fields.items():
            role = _role_of(name)
            if role and not self._add(cells, name, role, value):
                return []
        if len({one.strip().lower() for one in heads}) > 1:
            if self._refuse_key(f"{HEAD_NAME} stands here twice, and not the same"):
                return []
            heads = []
        if self._unread_category(fields) or self._unread_digests(fields, cells):
            return []
        size = fields.get("mediasize", fields.get("size"))
        if fields.get("mediasize") is not None and fields.get("size") is not None:
            if self._refuse_key("MediaSize and Size both stand here: one is enough"):
                return []
            size = None
        return row(
            self._report,
            self._line_now(),
            cells,
            "" if size is None else str(size),
            _category(fields),
            heads[0] if heads else "",
            f"record {self._record}: ",
        )

    def _add(
        self,
        cells: list[tuple[Algorithm | None, str]],
        name: str,
        role: _Role,
        value: object,
    ) -> bool:
        """Add a medium's digest if it is not null; return false if it makes the medium invalid."""
        if role.algorithm is None:
            if not role.digest or not _has_digest(value):
                return True
            self._refuse(
                f"'{shown(name[:60])}' may be a digest, but hashscan does not know the name"
            )
            return False
        if isinstance(value, str):
            cells.append((role.algorithm or None, value))
            return True
        if value is None:
            return True
        self._refuse(f"{name[:60]} is no text")
        return False

    def _unread_category(self, fields: dict[str, Any]) -> bool:
        """Count a medium as invalid if it has its category under another name than ``Category``."""
        if self._report.every_category or "category" in fields or "mediaid" in fields:
            return False  # a VICS medium without a category does not count as known
        for name, value in fields.items():
            role = _role_of(name[:1000])
            if (value is not None and role and role.category) or _is_class(value):
                self._refuse(f"'{shown(name[:60])}' may be the category: call it Category if it is")
                return True
        return False

    def _unread_digests(
        self, fields: dict[str, Any], cells: list[tuple[Algorithm | None, str]]
    ) -> bool:
        """Count a medium as invalid if digests are inside a value; count other unread digests."""
        read = {text.strip().lower() for _, text in cells}
        doubtful = {}
        for name, value in fields.items():
            if name in _READ_AS_TEXT or (name == "mediafiles" and read) or not value:
                continue
            if _may_hold_digests(value):
                doubtful[name] = value
        for name, value in doubtful.items():
            if not isinstance(value, str) and set(_digests_inside(name, value)) - read:
                self._refuse(
                    f"'{shown(name[:60])}' has digests inside of it, which are not read",
                    "put md5, sha1 and sha256 into the medium itself",
                )
                return True
        self._note_unread(doubtful, read)
        return False

    def _note_unread(self, fields: dict[str, Any], read: Collection[str] = ()) -> None:
        """Count an object with a possible digest under a name that hashscan does not read."""
        for name, value in fields.items():
            short = name[:1000]
            if short == "mediaid" or _role_of(short) or is_of_a_file(plain_name(short)):
                continue
            if set(_digests_inside("hash", value)) - set(read):
                self._report.note_unread(name)
                return

    def _refuse_key(self, what: str) -> bool:
        return self._report.refuse_key(self._line_now(), f"record {self._record}: {what}")

    def _refuse(self, what: str, fix: str = "") -> None:
        self._report.refuse(self._line_now(), f"record {self._record}: {what}", fix)

    def _line_now(self) -> int:
        self._line += self._window.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line


def _category(fields: dict[str, Any]) -> str:
    """An object's category as a text; empty if the object has none and is not a VICS medium."""
    if "category" in fields or "mediaid" in fields:
        return vics_category(fields.get("category"))
    return ""


#: The lower-case names that hashscan reads in a medium, besides the names of digests.
_READ = frozenset({"alternativehashes", "mediasize", "size", "category", "mediaid"})
#: The names in a medium whose values need no search for unread digests.
_READ_AS_TEXT = _READ - {"category", "mediaid"} | set(ALGORITHMS)


@dataclass(frozen=True, slots=True)
class _Role:
    """The meaning of a JSON value in a medium, as the value's name says.

    Attributes:
        algorithm: the algorithm of the digest that the value is (``""``: any algorithm); ``None``:
            hashscan does not read the value as a digest.
        digest: true if the value may be a digest, but hashscan does not read the value as a digest.
        category: true if the value may be the medium's category.
    """

    algorithm: Algorithm | Literal[""] | None
    digest: bool
    category: bool


@lru_cache(maxsize=1024)
def _role_of(name: str) -> _Role | None:
    """The role of a value called ``name`` (lower case), or ``None`` if the value has no role."""
    plain = plain_name(name)
    found = digest_name(plain)
    algorithm = found if found or plain in ("hash", "filehash") else None
    role = _Role(algorithm, algorithm is None and may_be_digest(plain), may_be_category(plain))
    return role if algorithm is not None or role.digest or role.category else None


def _is_class(value: object) -> bool:
    """Whether a JSON value is a class of files, whatever the value's name is."""
    values = value if isinstance(value, list) else [value]
    return any(isinstance(one, str) and is_class(one) for one in values)


def _has_digest(value: object) -> bool:
    return isinstance(value, str) and is_digest(value)


def _may_hold_digests(value: object) -> bool:
    if isinstance(value, str):
        return is_digest(value)
    return bool(value) and isinstance(value, list | dict) and _DIGEST_LIKE(repr(value)) is not None


def _digests_inside(name: str, value: object) -> Iterator[str]:
    """The texts in a medium's array or object ``name`` that are named as digests, in lower case.

    A text is named as a digest by its own name (``"md5"``), by the name of its array or object
    (``"hashes"``), or by a name beside it (``{"type": "md5", "value": …}``).
    """
    plain = plain_name(name[:1000])
    called = _HASHES.fullmatch(plain) is not None or may_be_digest(plain)
    if isinstance(value, str):
        if called and is_digest(value):
            yield value.strip().lower()
    elif isinstance(value, list):
        for one in value:
            yield from _digests_inside(name, one)
    elif isinstance(value, dict):
        beside = any(
            isinstance(one, str) and len(one) <= _LONGEST_NAME and digest_name(plain_name(one))
            for one in value.values()
        )
        for inner, one in value.items():
            yield from _digests_inside("hash" if called or beside else inner, one)
