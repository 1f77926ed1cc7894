"""Checks whether the daemon's start or reload can use the files that the configuration names."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from hashscan.errors import FilterError
from hashscan.jobs.allowed_matches import check_allow, open_allow
from hashscan.jobs.known_set import check_known_set, open_known_set
from hashscan.jobs.sync import check_root, from_repository

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.config.settings import Settings
    from hashscan.state import State


def not_fetched_yet(
    settings: Settings, state: State, notice: Callable[[str], None], *, keep: bool
) -> FilterError | None:
    """Return why the filters of a repository have to be fetched first.

    The result is ``None`` if all files that the configuration names can be used.

    If ``keep`` is set, filters that are made from lists are stored for the scans. Otherwise nothing
    is written: lists are only read, and the pinned root of a repository is checked.

    Raises:
        HashscanError: a file that the configuration names cannot be used.
    """
    if keep:
        allow = open_allow(settings, state, notice, nullcontext)
        if allow is not None:
            allow.close()
    else:
        check_allow(settings, state)
        check_root(settings)
    try:
        if keep:
            open_known_set(settings, state, (), notice)
        elif settings.service is not None:
            check_known_set(settings, state, notice)
    except FilterError as error:
        if not from_repository(settings):
            raise
        return error
    return None
