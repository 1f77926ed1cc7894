"""Reports matches whose digests the allow-list contains, so that no scan moves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hashscan.errors import ServiceError
from hashscan.fs.reading import identity_in, stamp_of
from hashscan.model import ALGORITHMS, Acted, FileDigests, Problem
from hashscan.scan.hashing import Hasher, NotHashed, hash_below
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.config.settings import Settings
    from hashscan.jobs.known_set import Building
    from hashscan.known.allow import AllowList
    from hashscan.model import Actor, Algorithm, Candidate, Confirmed, Skipped
    from hashscan.state import State


def open_allow(
    settings: Settings, state: State, notice: Callable[[str], None], building: Building
) -> AllowList | None:
    """Open the configured allow-list; return ``None`` if no allow-list is configured.

    Raises:
        ConfigError: a digest list of the allow-list cannot be used.
        FilterError: a filter of the allow-list cannot be used.
        StateError: the state directory cannot be used.
    """
    if not settings.allow:
        return None
    from hashscan.known.allow import open_allow_list  # noqa: PLC0415 - only where it is needed

    with building() as on_progress:
        return open_allow_list(
            settings.allow,
            state.filters,
            algorithms=_algorithms(settings),
            on_notice=notice,
            on_progress=on_progress,
        )


def check_allow(settings: Settings, state: State) -> None:
    """Read the files that ``open_allow`` opens, to find faults; store nothing.

    Raises:
        ConfigError: a digest list of the allow-list cannot be used.
        FilterError: a filter of the allow-list cannot be used.
        StateError: the disk has no room to sort the digests of the lists.
    """
    if settings.allow:
        from hashscan.known.allow import check_allow_list  # noqa: PLC0415

        check_allow_list(settings.allow, state.filters, algorithms=_algorithms(settings))


def _algorithms(settings: Settings) -> tuple[Algorithm, ...]:
    """Return the algorithms that filters use if their metadata does not name them."""
    from hashscan.known.filters.open_filter import DEFAULT_ALGORITHMS  # noqa: PLC0415

    return settings.filter.algorithms if settings.filter else DEFAULT_ALGORITHMS


class Allowed(Protocol):
    """Describes the interface of an allow-list."""

    def find(self, digests: FileDigests) -> str | None:
        """Return the file of the allow-list that contains one of a file's digests.

        The result is ``None`` if the allow-list contains none of the digests.

        Raises:
            ServiceError: the allow-list cannot be searched.
        """
        ...

    def origin(self, digests: FileDigests) -> str:
        """Return more facts about an allowed content; empty: the allow-list has no more facts.

        Raises:
            ServiceError: the allow-list cannot be searched.
        """
        ...

    def missing(self, digests: FileDigests) -> list[Algorithm]:
        """Return the algorithms that ``digests`` lack and that a search of the allow-list needs."""
        ...


class Allowing:
    """Passes matches to another actor, except matches with a digest in the allow-list.

    If the allow-list cannot be searched, the match waits for a decision as a hold.
    """

    def __init__(self, allow: Allowed, actor: Actor) -> None:
        """``actor`` receives the matches that are not allowed."""
        self._allow = allow
        self._actor = actor
        self._hasher = Hasher(frozenset(ALGORITHMS))

    def act(self, match: Confirmed) -> Acted:
        """Report an allowed match, or pass a match that is not allowed to the other actor."""
        candidate = match.candidate
        try:
            found = self._allow.find(candidate.digests)
            origin = "" if found is None else self._allow.origin(candidate.digests)
            if found is None and self._allow.missing(candidate.digests):
                digests = self._hash(candidate)
                if isinstance(digests, NotHashed):
                    message = digests.message or "it is no file any more that can be hashed"
                    return _held(candidate, f"{digests.reason}: {message}", digests.reason)
                found = self._allow.find(digests)
                origin = "" if found is None else self._allow.origin(digests)
        except ServiceError as error:
            return _held(candidate, str(error), Problem.OTHER)
        if found is not None:
            return Acted(
                "allowed",
                message=f"{shown(candidate.full_path)}: stands in the allow-list {shown(found)}"
                + (f" ({shown(origin)})" if origin else ""),
            )
        return self._actor.act(match)

    def _hash(self, candidate: Candidate) -> FileDigests | NotHashed:
        """Return all digests of the candidate's content, if the candidate's file is unchanged."""
        hashed = hash_below(self._hasher, candidate.volume, candidate.path)
        if isinstance(hashed, NotHashed):
            return hashed
        before, now = candidate.digests.as_dict(), hashed.digests.as_dict()
        if (
            identity_in(hashed.status) != candidate.identity
            or stamp_of(hashed.status) != candidate.stamp
            or any(now[name] != text for name, text in before.items())
        ):
            return NotHashed(
                Problem.CHANGED, "it is not the file that was found; the next scan looks again"
            )
        return hashed.digests


def _held(candidate: Candidate, why: str, reason: Problem | Skipped) -> Acted:
    return Acted(
        "held",
        message=f"{shown(candidate.full_path)}: not moved, for nobody can say whether it stands in "
        f"the allow-list: {why}",
        problem=reason.value,
    )
