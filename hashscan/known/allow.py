"""The allow-list: files that must never be moved, by their digests.

The files of an allow-list are digest lists, which answer exactly, and filters, which may wrongly
answer yes. Entries of every category are used, because a class of innocent files
("non-pertinent") is a good allow-list.
"""

from __future__ import annotations

import csv
import mmap
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.errors import ConfigError, DigestListError, UsageError
from hashscan.known.confirmers.local_list import check_local, open_local
from hashscan.known.filters.open_filter import kind_of_filter, open_filter
from hashscan.known.lists.categories import EVERY, VICS
from hashscan.known.lists.entries import FatalListError
from hashscan.known.lists.reader import open_list
from hashscan.model import Digest, FileDigests
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hashscan.known.confirmers.digest_index import LocalConfirmer
    from hashscan.known.filters.open_filter import FilterFile
    from hashscan.known.lists.staging import BuildProgress
    from hashscan.model import Algorithm

#: Error rate above which the user is warned about a filter of the allow-list. Filters that hashscan
#: builds have 1e-6.
_ERRS_RARELY = 1e-6
#: Number of answers of ``origin`` that are cached: the same stock image may be in thousands of
#: customers' sites.
_MOST_ORIGINS = 4096


#: First line, and the columns, of a list made by ``allow build``. The last column names the origin
#: of a file's content.
BUILT = "# An allow-list of hashscan, made by 'hashscan allow build'.\n"
BUILT_COLUMNS = ("md5", "sha1", "sha256", "file_name")


@dataclass(frozen=True, slots=True)
class _Exact:
    path: str
    algorithms: frozenset[Algorithm]
    index: LocalConfirmer

    def holds(self, digest: Digest) -> bool:
        return self.index.confirm(digest).known

    def origin(self, digest: Digest) -> str:
        return origin_in(self.path, digest)


@dataclass(frozen=True, slots=True)
class _Filter:
    path: str
    algorithms: frozenset[Algorithm]
    one: FilterFile

    def holds(self, digest: Digest) -> bool:
        return digest.hex in self.one

    def origin(self, _digest: Digest) -> str:
        return ""


class AllowList:
    """Digests of files that must never be moved.

    Attributes:
        paths: paths of the allow-list's files.
        algorithms: the algorithms of the allow-list's digests.
    """

    def __init__(self, parts: Sequence[_Exact | _Filter]) -> None:
        """Keep the opened lists and filters; only ``open_allow_list`` calls this."""
        # Digest lists come before filters: a list never errs, so ``find`` names the list.
        self._parts = sorted(parts, key=lambda part: isinstance(part, _Filter))
        self.paths = tuple(part.path for part in parts)
        self._origins: dict[Digest, str] = {}
        self.algorithms: frozenset[Algorithm] = frozenset().union(
            *(part.algorithms for part in parts)
        )

    def find(self, digests: FileDigests) -> str | None:
        """The path of the allow-list's file that holds one of a file's digests, or ``None``.

        Raises:
            ServiceError: the index of a digest list cannot be read, so it is unknown whether the
                file is allowed.
        """
        found = self._find(digests)
        return None if found is None else found[0].path

    def origin(self, digests: FileDigests) -> str:
        """The origin of an allowed file's content; empty if the allow-list does not name it.

        Raises:
            ServiceError: the index of a digest list cannot be read.
        """
        found = self._find(digests)
        if found is None:
            return ""
        part, digest = found
        if digest not in self._origins:
            if len(self._origins) >= _MOST_ORIGINS:
                self._origins.clear()
            self._origins[digest] = part.origin(digest)
        return self._origins[digest]

    def _find(self, digests: FileDigests) -> tuple[_Exact | _Filter, Digest] | None:
        for part in self._parts:
            for algorithm in part.algorithms:
                text = digests.hex(algorithm)
                if text is not None and part.holds(Digest(algorithm, text)):
                    return part, Digest(algorithm, text)
        return None

    def missing(self, digests: FileDigests) -> list[Algorithm]:
        """The allow-list's algorithms for which ``digests`` has no digest of the file."""
        return sorted(name for name in self.algorithms if digests.hex(name) is None)

    def close(self) -> None:
        """Close the files of the allow-list."""
        for part in self._parts:
            if isinstance(part, _Exact):
                part.index.close()


def open_allow_list(
    paths: Iterable[str],
    cache_directory: str,
    *,
    algorithms: Iterable[Algorithm],
    on_notice: Callable[[str], None],
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> AllowList:
    """Open the files of an allow-list.

    Args:
        paths: paths of the allow-list's files: digest lists, filters of hashscan, DCSO filters.
        cache_directory: directory in which the indexes of lists are kept (``STATE/filters``).
        algorithms: the algorithms to assume for filters that do not name their algorithms.
        on_notice: called with sentences for the user, e.g. about a filter with a high error rate.
        on_progress: called repeatedly while the index of a list is made.

    Raises:
        ConfigError: a digest list of the allow-list cannot be used.
        FilterError: a filter of the allow-list cannot be used.
        StateError: the disk has no room for an index, or the cache directory cannot be used.
    """
    algorithms = tuple(algorithms)
    parts: list[_Exact | _Filter] = []
    try:
        for path in paths:
            if kind_of_filter(os.path.realpath(path)) == "other":
                parts.append(_exact(path, cache_directory, on_notice, on_progress))
            else:
                one = open_filter(path, algorithms=algorithms)
                parts.append(_Filter(path, one.algorithms, one))
                if one.metadata.error_rate > _ERRS_RARELY:
                    on_notice(
                        f"allow: {shown(path)}: is a filter that holds by mistake up to "
                        f"{one.metadata.error_rate:g} of all digests: as many matches may be "
                        "allowed wrongly; a digest list makes no such mistakes"
                    )
    except BaseException:
        AllowList(parts).close()
        raise
    return AllowList(parts)


def check_allow_list(
    paths: Iterable[str], cache_directory: str, *, algorithms: Iterable[Algorithm]
) -> None:
    """Check the files of an allow-list as ``open_allow_list`` does, but write no index.

    Raises:
        ConfigError: a digest list of the allow-list cannot be used.
        FilterError: a filter of the allow-list cannot be used.
        StateError: the disk has no room for sorting the digests of the lists.
    """
    for path in paths:
        if kind_of_filter(os.path.realpath(path)) == "other":
            with _as_config_error():
                check_local([path], cache_directory, only_categories=EVERY)
        else:
            open_filter(path, algorithms=algorithms)


@contextmanager
def _as_config_error() -> Iterator[None]:
    try:
        yield
    except DigestListError as error:
        raise ConfigError(
            "allow: the allow-list cannot be used, so nothing is scanned or moved:", error.findings
        ) from error
    except UsageError as error:
        raise ConfigError(f"allow: {error}", []) from error


def _exact(
    path: str,
    cache_directory: str,
    on_notice: Callable[[str], None],
    on_progress: Callable[[BuildProgress], None] | None,
) -> _Exact:
    with _as_config_error():
        known = open_local(
            [path],
            cache_directory,
            only_categories=EVERY,
            on_notice=on_notice,
            on_progress=on_progress,
        )
    for remark in known.remarks if known.built else ():
        on_notice(f"allow: {remark}")
    condemned = f"{VICS}1"
    if condemned in known.confirmer.categories:
        on_notice(
            f"allow: {shown(path)}: holds digests of category {condemned} (child abuse material): "
            "files with them are never moved; unless that is meant, take them out"
        )
    (one,) = known.loaded
    return _Exact(path, one.algorithms, known.confirmer)


def origin_in(path: str, digest: Digest) -> str:
    """The origin of a content in a list made by ``allow build``; empty if the list names none.

    The function searches the whole list, at the speed of memory.
    """
    try:
        with (
            open_list(path) as descriptor,
            mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as text,
        ):
            if text[: len(BUILT)] != BUILT.encode():
                return ""
            place = 0
            while (place := text.find(digest.hex.encode(), place)) >= 0:
                begin = text.rfind(b"\n", 0, place) + 1
                end = text.find(b"\n", place)
                row = text[begin : end if end >= 0 else len(text)].decode("utf-8", "replace")
                cells = next(csv.reader([row]), [])
                column = BUILT_COLUMNS.index(digest.algorithm)
                if len(cells) == len(BUILT_COLUMNS) and cells[column] == digest.hex:
                    return cells[-1]
                place += 1
    except (OSError, ValueError, FatalListError, csv.Error):
        pass
    return ""
