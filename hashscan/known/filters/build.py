"""Makes a filter file from digest lists."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hashscan.durable import remove, rename, rename_new, sync_directory, temporary_name
from hashscan.errors import StateError, UsageError
from hashscan.files import is_temporary_of
from hashscan.fs.named import opened_above, resolve
from hashscan.known.filters.bit_file import metadata_path
from hashscan.known.filters.metadata import is_category
from hashscan.known.filters.tiers import TIER_ERROR_RATE, tier_path
from hashscan.known.filters.writer import CANARIES, DEFAULT_ERROR_RATE, FilterWriter
from hashscan.known.lists.staging import BuildProgress, ListStaging, Staged, staging
from hashscan.leftovers import hold, remove_leftovers
from hashscan.model import DEFAULT_CATEGORY, TIER_NAMES, Algorithm, TierName
from hashscan.text import said_by, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from hashscan.known.filters.metadata import FilterMetadata, TierMetadata
    from hashscan.known.lists.reader import ListReport


class ToldTier(NamedTuple):
    """A tier that was made, plus the remarks on that tier for the user."""

    name: TierName
    text: str


@dataclass(frozen=True, slots=True)
class TiersMade:
    """The tiers that were made for a filter, and the reasons why other tiers were not made.

    Attributes:
        made: metadata of the made tiers, by the tier's name.
        lacking: for each tier that was not made: the number of digests that have no key for the
            tier.
        size_range: the smallest and the largest file size in bytes, if the lists name sizes.
        digests: number of digests in the known set.
        contradicted: number of digests for which the lists name several sizes; the tier of sizes
            has each of these sizes.
    """

    made: dict[TierName, TierMetadata]
    lacking: dict[TierName, int]
    size_range: tuple[int, int] | None
    digests: int
    contradicted: int = 0

    def told(self) -> list[ToldTier]:
        """Remarks for the user on each tier, and on tiers for which some digests lack keys."""
        found = []
        for name, lacking in self.lacking.items():
            if lacking < self.digests:
                text = f"{name}: none, for {lacking:,} of {self.digests:,} digests lack them"
                found.append(ToldTier(name, text))
        if "sizes" in self.made and self.size_range is not None:
            low, high = self.size_range
            found.append(
                ToldTier(
                    "sizes",
                    f"sizes: every digest has one, {low:,} to {high:,} bytes; files of other sizes"
                    " are not opened"
                    + (
                        f"; {self.contradicted:,} digests have several, and each counts"
                        if self.contradicted
                        else ""
                    ),
                )
            )
        if "heads" in self.made:
            found.append(
                ToldTier(
                    "heads",
                    "heads: every digest has the key of its first block; files that begin otherwise"
                    " are not read on",
                )
            )
        return found


@dataclass(frozen=True, slots=True)
class BuildReport:
    """The inputs and results of a build of a filter.

    Attributes:
        path: path of the filter file.
        metadata: metadata of the filter.
        digests: number of the filter's distinct digests, by algorithm.
        duplicates: number of repeated digests in the lists.
        categories: number of the filter's distinct digests, by the category that the lists name.
        lists: for each digest list, the counts of used and of left-out entries.
        tiers: the tiers that were made beside the filter.
        seconds: duration of the filter's build in seconds.
    """

    path: str
    metadata: FilterMetadata
    digests: dict[Algorithm, int]
    duplicates: int
    categories: dict[str, int]
    lists: list[ListReport]
    tiers: TiersMade
    seconds: float


def build(
    inputs: Sequence[str],
    output: str,
    *,
    category: str = DEFAULT_CATEGORY,
    error_rate: float = DEFAULT_ERROR_RATE,
    capacity: int | None = None,
    skip_invalid: bool = False,
    only_categories: Collection[str] | None = None,
    force: bool = False,
    tiers: bool = True,
    jobs: int | None = None,
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> BuildReport:
    """Make the filter file ``output`` (and its metadata beside it) from digest lists.

    Memory use does not grow with the lists, apart from the filter itself (29 bits a digest at the
    default error rate).

    Args:
        inputs: paths of digest lists; ``-`` is standard input.
        output: path of the filter file.
        category: category of the filter.
        error_rate: probability that a digest outside the filter hits, 1e-12 to 0.1.
        capacity: number of digests for which the filter has room; default: the number of distinct
            digests in the lists.
        skip_invalid: count invalid lines instead of raising an error for them.
        only_categories: leave out entries of other categories; the module ``categories`` has the
            default.
        force: replace an existing filter at ``output``.
        tiers: make each tier for which the lists give every digest a key.
        jobs: number of processes that fill the filter; default: the cores that this process may
            use.
        on_progress: called with the progress of the build, a few times a second at most.

    Raises:
        UsageError: an option cannot be used, or ``output`` exists already.
        DigestListError: a digest list cannot be used.
        StateError: the disk has no room for the filter, or is not writable.
    """
    started = time.monotonic()
    _check_options(category, error_rate)
    check_output(output, force=force)
    with staging(f"{shown(output)}: the filter") as area:
        staged = area.fill(
            inputs,
            skip_invalid=skip_invalid,
            only_categories=only_categories,
            on_progress=on_progress,
        )
        with _beside(output) as path:
            metadata, counts = write_filter(
                area,
                path,
                category=category,
                error_rate=error_rate,
                capacity=capacity,
                jobs=jobs,
                on_progress=on_progress,
            )
            made = write_tiers(area, path, metadata, wanted=tiers, jobs=jobs)
            _take_place(path, output, force=force)
        return _report(output, metadata, counts, staged, area, made, time.monotonic() - started)


def write_filter(
    area: ListStaging,
    output: str,
    *,
    category: str,
    error_rate: float = DEFAULT_ERROR_RATE,
    capacity: int | None = None,
    previous: FilterMetadata | None = None,
    jobs: int | None = None,
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> tuple[FilterMetadata, dict[Algorithm, int]]:
    """Write the filter of the digests in ``area``; return its metadata and its digest counts.

    The digests are counted by algorithm. ``previous``: metadata of the filter's previous version,
    see ``FilterWriter.write``. ``jobs``: number of processes, see ``build``.

    Raises:
        UsageError: the requested capacity is smaller than the number of digests.
        StateError: the filter's file or metadata cannot be written.
    """
    counts = area.counts()
    digests = sum(counts.values())
    needed = digests + CANARIES
    if capacity is not None and capacity < needed:
        raise UsageError(
            f"--capacity {capacity} is too small: the lists hold {digests} digests, and {CANARIES} "
            f"more are added to test the filter; give at least {needed}"
        )
    writer = FilterWriter(capacity=capacity or needed, error_rate=error_rate)
    jobs = jobs or len(os.sched_getaffinity(0))
    writer.add_raw(area.raw_digests(digests, on_progress), jobs=jobs)
    return writer.write(output, category=category, algorithms=counts, previous=previous), counts


def write_tiers(
    area: ListStaging,
    output: str,
    metadata: FilterMetadata,
    *,
    wanted: bool = True,
    capacities: Mapping[TierName, int] | None = None,
    previous: Mapping[TierName, TierMetadata] | None = None,
    jobs: int | None = None,
) -> TiersMade:
    """Write the tiers of a filter that was just made from a staging area.

    Args:
        area: the database of sorted digests from which the filter was made.
        output: path of the filter file.
        metadata: metadata of the filter.
        wanted: false if the user asked for a filter without tiers.
        capacities: for each tier, the number of keys for which it has room; default: the number of
            keys in ``area``.
        previous: metadata of the tiers of the filter's previous version, see
            ``FilterWriter.write``.
        jobs: number of processes that fill the tiers, see ``build``.

    Raises:
        StateError: the file or the metadata of a tier cannot be written.
    """
    made: dict[TierName, TierMetadata] = {}
    lacking: dict[TierName, int] = {}
    for name in TIER_NAMES:
        count = area.tier_count(name) if wanted else None
        if count is None:
            if wanted:
                lacking[name] = area.tier_lacking(name)
            continue
        capacity = (capacities or {}).get(name, count + CANARIES)
        writer = FilterWriter(capacity=max(capacity, count + CANARIES), error_rate=TIER_ERROR_RATE)
        writer.add_raw(area.tier_keys(name), jobs=jobs or len(os.sched_getaffinity(0)))
        made[name] = writer.write_tier(
            output, tier=name, sha256=metadata.sha256, previous=(previous or {}).get(name)
        )
    size_range = area.size_range() if "sizes" in made else None
    contradicted = area.contradicted() if "sizes" in made else 0
    return TiersMade(made, lacking, size_range, metadata.digests, contradicted)


@contextlib.contextmanager
def _beside(output: str) -> Iterator[str]:
    """Yield a path for a new filter file, in a new directory on the file system of ``output``.

    The function removes directories that killed builds of ``output`` left.

    Raises:
        StateError: the new directory cannot be made.
    """
    directory = temporary_name(output)
    path = os.path.join(directory, os.path.basename(output))
    own = os.path.basename(directory)
    try:
        with opened_above(os.fsencode(output)) as (above, name):
            remove_leftovers(above.fd, lambda entry: is_temporary_of(entry, os.fsdecode(name)))
            os.mkdir(own, 0o700, dir_fd=above.fd)
            try:
                with _opened_empty(own, above.fd) as fd:
                    try:
                        yield path
                    finally:
                        for entry in os.listdir(fd):
                            os.unlink(entry, dir_fd=fd)
            finally:
                os.rmdir(own, dir_fd=above.fd)
    except StateError as error:
        raise StateError(str(error).replace(shown(path), shown(output))) from error
    except OSError as error:
        raise _unwritable(output, error) from error


@contextlib.contextmanager
def _opened_empty(name: str, above: int) -> Iterator[int]:
    """A descriptor of the new directory ``name``, through which only this process writes.

    Raises:
        OSError: another process put another directory, or a link, under ``name``.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=above)
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077 or os.listdir(fd):
            raise OSError(errno.EEXIST, "another directory was put in the place of a new one", name)
        hold(fd)
        yield fd
    finally:
        os.close(fd)


def _take_place(path: str, output: str, *, force: bool) -> None:
    """Rename a filter and its tiers to their final names; ``force`` replaces existing files.

    Raises:
        UsageError: without ``force``: another build finished earlier; the files of that build are
            kept.
        StateError: with ``force``: another build of the same output wrote its files simultaneously.
        OSError: the filter, a tier or metadata cannot be renamed.
    """
    tiers = [(tier_path(path, name), tier_path(output, name)) for name in TIER_NAMES]
    pairs = [
        *((made, place) for one in tiers for made, place in (one, tuple(map(metadata_path, one)))),
        (path, output),
        (metadata_path(path), metadata_path(output)),
    ]
    made = {place: os.lstat(one) for one, place in pairs if os.path.lexists(one)}
    if force:
        # The tiers are renamed before the filter: a tier of another filter is never used. So a
        # process that reads the files between the renames, or after a kill, misses no known file,
        # and a process that waits for a new filter finds all files.
        for one, place in pairs:
            if place in made:
                rename(one, place)
            else:
                with contextlib.suppress(FileNotFoundError):
                    remove(place)
        if not all(_is_there(place, status) for place, status in made.items()):
            raise StateError(
                f"{shown(output)}: another process wrote the filter at the same time, so its files "
                "may not fit each other; run the command again when the other one has ended"
            )
    else:
        # The filter is renamed first, because it decides which of two builds goes on. The filter's
        # metadata are renamed last, because no process uses a filter without its metadata.
        pairs.insert(0, pairs.pop(-2))
        _take_new_place([pair for pair in pairs if pair[1] in made], made)
    sync_directory(os.path.dirname(output) or ".")


def _take_new_place(pairs: list[tuple[str, str]], made: Mapping[str, os.stat_result]) -> None:
    for index, (one, place) in enumerate(pairs):
        try:
            rename_new(one, place)
        except OSError as error:
            for _, taken in pairs[:index]:
                if _is_there(taken, made[taken]):
                    remove(taken)
            if not isinstance(error, FileExistsError):
                raise
            raise UsageError(
                f"{shown(place)}: exists: another process made it meanwhile; replace it with "
                "--force"
            ) from error


def _is_there(path: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), status)
    except FileNotFoundError:
        return False


def _unwritable(output: str, error: OSError) -> StateError:
    return StateError(
        f"{shown(output)}: the filter cannot be written: {error.strerror}; make room or mend the "
        "permissions there, then run the command again"
    )


def _check_options(category: str, error_rate: float) -> None:
    if not is_category(category):
        raise UsageError(
            f"--category {category!r} is no category: use up to 64 letters, digits, '.', '_', '-'"
        )
    if not 1e-12 <= error_rate <= 0.1:
        raise UsageError(f"--error-rate {error_rate} is not between 1e-12 and 0.1")


def check_output(output: str, *, force: bool) -> None:
    """Raise for an output path of a filter that exists already or cannot be written.

    Raises:
        UsageError: the output path cannot be used, e.g. because of a customer's link; the message
            says why, and the fix.
    """
    resolve(os.path.dirname(output) or ".")
    files = (output, *(tier_path(output, name) for name in TIER_NAMES))
    for path in (name for one in files for name in (one, metadata_path(one))):
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{shown(path)}: cannot be written: {said_by(error)}; check the path"
            ) from error
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{shown(path)}: is no regular file; give another name with -o")
        if not force:
            raise UsageError(f"{shown(path)}: exists; replace it with --force")
    directory = os.path.dirname(output) or "."
    if not os.path.basename(output) or not os.path.isdir(directory):
        raise UsageError(f"{shown(output)}: no such directory; make it, or give another -o")


def _report(
    output: str,
    metadata: FilterMetadata,
    counts: dict[Algorithm, int],
    staged: Staged,
    area: ListStaging,
    tiers: TiersMade,
    seconds: float,
) -> BuildReport:
    return BuildReport(
        path=output,
        metadata=metadata,
        digests=counts,
        duplicates=staged.taken - sum(counts.values()),
        categories=area.category_counts(staged.categories),
        lists=staged.reports,
        tiers=tiers,
        seconds=seconds,
    )
