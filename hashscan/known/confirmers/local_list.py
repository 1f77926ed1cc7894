"""A known set from local digest lists: a filter and an index on disk, built once and kept.

Below the cache directory (``STATE/filters``) each state of the lists has a directory
``local-LISTS-KEY``: LISTS is a digest of the lists' paths, KEY a digest of the lists' content and
of the options for reading the lists. The directory is made under another name, synced, and renamed
when it is complete. So the directory is complete or absent, even if the build is killed. The
directory holds:

- ``filter.bloom``, its metadata (``filter_file``) and its tiers (``tiers``),
- the index and its seal (``digest_index``).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hashscan.durable import make_directories, sync_directory
from hashscan.errors import (
    DigestListError,
    FilterError,
    Finding,
    StateError,
    UsageError,
)
from hashscan.known.confirmers.digest_index import LocalConfirmer, seal, write_index
from hashscan.known.filters.build import write_filter, write_tiers
from hashscan.known.filters.filter_file import BloomFile, load
from hashscan.known.lists.categories import chosen
from hashscan.known.lists.entries import FatalListError
from hashscan.known.lists.reader import STDIN, open_list
from hashscan.known.lists.staging import BuildProgress, staging
from hashscan.model import DEFAULT_CATEGORY
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

#: Version of the format of a known set's directory; raise the number whenever hashscan must not use
#: the directories of an older hashscan.
BUILDER_VERSION = 5
#: Number of known sets that are kept for the same lists: the known set in use, and the known set
#: that was used before it.
KEPT = 2
#: Seconds after which an unused known set, of any lists, is removed when another known set is made.
UNUSED = 90 * 86400
_FILTER = "filter.bloom"
_UNFINISHED = ".unfinished-"


@dataclass(frozen=True, slots=True)
class LocalKnownSet:
    """A known set from local lists, opened by ``open_local``.

    Attributes:
        filters: paths of the filter files, which other processes open with ``load``.
        loaded: the loaded filters of the files ``filters``.
        confirmer: gives the verdicts; the caller must close the confirmer at the end.
        digests: number of distinct digests in the known set.
        remarks: sentences for the user on entries of the lists that were left out, or that may be
            wrong.
        built: whether the set was built by this call; false: a kept set was used.
        key: a digest of the lists' content and of the options for reading them.
    """

    filters: list[str]
    loaded: list[BloomFile]
    confirmer: LocalConfirmer
    digests: int
    remarks: list[str]
    built: bool
    key: str


def open_local(
    lists: Sequence[str],
    cache_directory: str,
    *,
    skip_invalid: bool = False,
    only_categories: Collection[str] | None = None,
    on_progress: Callable[[BuildProgress], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> LocalKnownSet:
    """Open the known set of ``lists``; make the set first if it is missing or damaged on disk.

    Args:
        lists: paths of digest lists.
        cache_directory: the directory of the known sets; made (mode 0700) if it is missing.
        skip_invalid: leave invalid lines out instead of raising for them.
        only_categories: leave out entries of other categories; the module ``categories`` has the
            default.
        on_progress: called repeatedly while the known set is made.
        on_notice: called with a sentence for the user, e.g. that a damaged known set is made again.

    Raises:
        UsageError: ``lists`` is empty, a list is standard input, or a category's name is
            impossible.
        DigestListError: a list cannot be used; no known set was made.
        StateError: the disk has no room for the known set, or the cache directory cannot be used.
            No half-made known set remains on the disk.
    """
    notice = on_notice or (lambda _message: None)
    paths, only, key, group = _wanted(lists, skip_invalid, only_categories)
    directory = os.path.join(cache_directory, f"{group}-{key[:20]}")
    name = "local:" + ",".join(shown(path) for path in paths)
    found = _open_kept(directory, key, name, notice)
    if found:
        return found
    try:
        make_directories(cache_directory)
        with _locked(cache_directory, notice):
            _clean(cache_directory)
            # Another process may have made the known set; a damage of the set was already reported.
            found = _open_kept(directory, key, name, lambda _message: None)
            if found:
                return found
            made = _make(paths, cache_directory, key, skip_invalid, only, on_progress)
            if os.path.lexists(directory):
                _remove(directory)
            os.replace(made, directory)
            sync_directory(cache_directory)
            _prune(cache_directory, group, directory)
    except (OSError, StateError) as error:
        # If nothing but a tier is damaged, the set is used without that tier.
        spare = _open_kept(directory, key, name, lambda _message: None, strict=False)
        if spare:
            return spare
        if isinstance(error, StateError):
            raise
        raise StateError(
            f"{shown(cache_directory)}: the known set cannot be kept: {error.strerror}; make room "
            "there or mend the permissions, then run the command again"
        ) from error
    try:
        return _open(directory, key, name, built=True)
    except (FilterError, StateError, OSError) as error:
        raise StateError(
            f"{shown(directory)}: what was just written cannot be read back: {error}; check the "
            "disk, then run the command again"
        ) from error


def check_local(
    lists: Sequence[str], cache_directory: str, *, only_categories: Collection[str] | None = None
) -> None:
    """Check lists as ``open_local`` does, but write nothing. Lists of a kept set are not read.

    Raises:
        UsageError: ``lists`` is empty, a list is standard input, or a category's name is
            impossible.
        DigestListError: one of the digest lists cannot be used.
        StateError: the disk has no room for sorting the digests of the lists.
    """
    paths, only, key, group = _wanted(lists, False, only_categories)
    directory = os.path.join(cache_directory, f"{group}-{key[:20]}")
    if found := _open_kept(directory, key, "", lambda _message: None):
        found.confirmer.close()
        return
    with staging(", ".join(shown(path) for path in paths)) as area:
        area.fill(paths, skip_invalid=False, only_categories=only, on_progress=None)


class _Wanted(NamedTuple):
    """The requested known set: its lists, categories and key, and a digest of the lists' paths."""

    paths: list[str]
    only: frozenset[str] | None
    key: str
    group: str


def _wanted(
    lists: Sequence[str], skip_invalid: bool, only_categories: Collection[str] | None
) -> _Wanted:
    if not lists or STDIN in lists:
        raise UsageError("a local known set is made from files: give the paths of digest lists")
    paths = [os.path.abspath(path) for path in lists]
    only = chosen(only_categories)
    key = _key(paths, skip_invalid=skip_invalid, only=only)
    group = "local-" + hashlib.sha256(os.fsencode("\0".join(paths))).hexdigest()[:12]
    return _Wanted(paths, only, key, group)


def _key(paths: list[str], *, skip_invalid: bool, only: frozenset[str] | None) -> str:
    """The key of a known set: a SHA-256 of the lists' content and of the options for reading.

    Raises:
        DigestListError: names all lists that cannot be read.
    """
    how = [BUILDER_VERSION, skip_invalid, only and sorted(only)]
    total = hashlib.sha256(json.dumps(how).encode())
    findings: list[Finding] = []
    for path in paths:
        try:
            with open_list(path) as descriptor, open(descriptor, "rb", closefd=False) as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        except FatalListError as error:
            findings.append(error.finding)
        except OSError as error:
            findings.append(Finding(shown(path), f"cannot be read: {error.strerror}"))
    if findings:
        raise DigestListError("the known set cannot be used:", findings)
    return total.hexdigest()


@contextlib.contextmanager
def _locked(cache_directory: str, notice: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock for making known sets; the kernel releases the lock of a dead process."""
    path = os.path.join(cache_directory, ".lock")
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            notice("another hashscan makes a known set in the same state directory: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(
    paths: list[str],
    cache_directory: str,
    key: str,
    skip_invalid: bool,
    only: frozenset[str] | None,
    on_progress: Callable[[BuildProgress], None] | None,
) -> str:
    """Make the known set under a temporary name; return the path of its directory."""
    made = os.path.join(cache_directory, _UNFINISHED + secrets.token_hex(8))
    os.mkdir(made, 0o700)
    try:
        with staging(f"{shown(cache_directory)}: the known set") as area:
            staged = area.fill(
                paths, skip_invalid=skip_invalid, only_categories=only, on_progress=on_progress
            )
            path = os.path.join(made, _FILTER)
            metadata, _ = write_filter(
                area, path, category=DEFAULT_CATEGORY, on_progress=on_progress
            )
            tiers = write_tiers(area, path, metadata)
            advice = " (if that cannot be right: --no-tiers, or scan.tiers: false)"
            told = [one.text + (advice if one.name in tiers.made else "") for one in tiers.told()]
            write_index(area, staged, made, key, told)
        if _key(paths, skip_invalid=skip_invalid, only=only) != key:
            raise UsageError(
                f"{', '.join(shown(path) for path in paths)}: changed while it was read; run the "
                "command again when it is complete"
            )
        seal(made)
    except BaseException:
        _remove(made)
        raise
    return made


def _open_kept(
    directory: str, key: str, name: str, notice: Callable[[str], None], *, strict: bool = True
) -> LocalKnownSet | None:
    """Open the known set on disk; ``None`` if the set does not exist, or is damaged.

    If ``strict`` is false, a known set with a damaged tier is still used.
    """
    if not os.path.lexists(directory):
        return None
    try:
        found = _open(directory, key, name, built=False, strict=strict)
    except (FilterError, StateError, OSError) as error:
        notice(f"{shown(directory)}: the kept known set is damaged and made again ({error})")
        return None
    with contextlib.suppress(OSError):  # the directory may be read-only now
        os.utime(directory)  # _prune reads this time of the last use
    return found


def _open(
    directory: str, key: str, name: str, *, built: bool, strict: bool = True
) -> LocalKnownSet:
    path = os.path.join(directory, _FILTER)
    one = load(path)
    if strict and one.tiers_unused:
        raise StateError("; ".join(one.tiers_unused))
    confirmer = LocalConfirmer(name, directory, key)
    digests, remarks = confirmer.meta()
    if digests != one.metadata.digests:
        confirmer.close()
        raise StateError(f"{shown(directory)}: index and filter hold different numbers of digests")
    return LocalKnownSet([path], [one], confirmer, digests, remarks, built, key)


def _prune(cache_directory: str, group: str, current: str) -> None:
    """Remove known sets that are long unused, and old ones of the same lists."""
    others = sorted(
        (
            (entry.stat(follow_symlinks=False).st_mtime, entry.name)
            for entry in os.scandir(cache_directory)
            if entry.name.startswith("local-") and entry.path != current
        ),
        reverse=True,
    )
    same = [name for _, name in others if name.startswith(f"{group}-")]
    unused = [name for used, name in others if used < time.time() - UNUSED]
    for name in {*same[KEPT - 1 :], *unused}:
        _remove(os.path.join(cache_directory, name))


def _clean(cache_directory: str) -> None:
    """Remove directories that killed builds left; the caller's lock ensures that no build runs."""
    for name in os.listdir(cache_directory):
        if name.startswith(_UNFINISHED):
            _remove(os.path.join(cache_directory, name))


def _remove(directory: str) -> None:
    """Remove a known set's directory; after a kill, a later ``_clean`` removes the rest."""
    parent, name = os.path.split(directory)
    if not name.startswith(_UNFINISHED):
        away = os.path.join(parent, _UNFINISHED + secrets.token_hex(8))
        os.replace(directory, away)
        directory = away
    if not os.path.isdir(directory) or os.path.islink(directory):
        os.unlink(directory)
        return
    for entry in os.listdir(directory):
        os.unlink(os.path.join(directory, entry))
    os.rmdir(directory)
