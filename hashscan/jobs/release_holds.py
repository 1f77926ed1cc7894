"""Moves the files of a released hold, also while a scan or the daemon runs."""

from __future__ import annotations

import os
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from hashscan.audit.recorder import Recorder
from hashscan.fs.reading import identity_in, stamp_of
from hashscan.jobs.allowed_matches import Allowing, open_allow
from hashscan.jobs.brakes import open_brakes
from hashscan.jobs.volume_probe import check_all
from hashscan.model import ALGORITHMS, Candidate, MatchEvent
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.dismissed_digests import Dismissed
from hashscan.quarantine.hold_types import matched
from hashscan.quarantine.store import Store
from hashscan.scan.hashing import Hasher, NotHashed, hash_below
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashscan.config.settings import Settings
    from hashscan.model import Actor
    from hashscan.quarantine.hold_types import HeldFile
    from hashscan.state import State

#: Seconds to wait for another process that works in the quarantine.
_PATIENCE = 30.0


class Released(NamedTuple):
    """Holds the numbers of files that ``move_released`` moved, and did not move."""

    moved: int = 0
    gone: int = 0
    failed: int = 0


def move_released(
    settings: Settings,
    state: State,
    files: Iterable[HeldFile],
    *,
    tell: Callable[[MatchEvent], None],
    notice: Callable[[str], None],
    forget: Callable[[HeldFile], None],
) -> Released:
    """Move the files of a released hold that still have the content that the hold is about.

    Args:
        settings: the configuration.
        state: the state directory.
        files: files that the hold covers.
        tell: function that receives each match after the action on it.
        notice: function that receives messages for the administrator.
        forget: function that receives each file that is gone, or has another content now.

    Raises:
        HashscanError: the quarantine or an allow-list cannot be used.
    """
    files = list(files)
    volumes = sorted({one.volume for one in files})
    answers = check_all([os.fsdecode(one) for one in volumes])
    away = {
        volume: seen.error
        for volume, seen in zip(volumes, answers, strict=True)
        if seen.error is not None
    }
    moved = gone = failed = 0
    for volume, error in away.items():
        number = counted(sum(one.volume == volume for one in files), "file")
        notice(f"{shown(volume)}: {number} not moved: {error}")
    hasher = Hasher(frozenset(ALGORITHMS))
    with ExitStack() as stack:
        actor = _open_actor(settings, state, stack, notice, away)
        for file in files:
            if file.volume in away:
                failed += 1
                continue
            candidate = _now(hasher, file)
            if isinstance(candidate, NotHashed) and candidate.reason != "vanished":
                why = candidate.message or candidate.reason
                notice(f"{shown(file.full_path)}: not moved: it cannot be read: {why}")
                failed += 1
            elif not isinstance(candidate, Candidate):
                forget(file)
                gone += 1
            else:
                match = matched(file, candidate)
                acted = actor.act(match)
                tell(MatchEvent(match, acted))
                moved += acted.action == "quarantined"
                failed += acted.problem is not None
    return Released(moved, gone, failed)


def _open_actor(
    settings: Settings,
    state: State,
    stack: ExitStack,
    notice: Callable[[str], None],
    away: Iterable[bytes],
) -> Actor:
    allow = open_allow(settings, state, notice, nullcontext)
    if allow is not None:
        stack.callback(allow.close)
    store = stack.enter_context(
        Store.open(
            os.fsencode(settings.quarantine_directory),
            create=True,
            recorder=Recorder.of(settings, "command", state),
        )
    )
    quarantine = Quarantine(store, cross_mounts=None, patience=_PATIENCE, absent=list(away))
    for recovered in quarantine.recovered:
        notice(f"quarantine {recovered.record_id}: {recovered.message}")
    brakes = open_brakes(settings, state, quarantine, "command")
    stack.callback(brakes.close)
    actor = brakes if allow is None else Allowing(allow, brakes)
    return Allowing(Dismissed(state.dismissed), actor)


def _now(hasher: Hasher, file: HeldFile) -> Candidate | NotHashed | None:
    """Return the file of a hold with its present status.

    The result is ``None`` if the file does not have the content of the hold any more.
    """
    hashed = hash_below(hasher, file.volume, file.path)
    if isinstance(hashed, NotHashed):
        return hashed
    now = hashed.digests.as_dict()
    if any(now[name] != text for name, text in file.digests.as_dict().items()):
        return None
    status = hashed.status
    return Candidate(
        file.volume,
        file.path,
        identity=identity_in(status),
        stamp=stamp_of(status),
        digests=hashed.digests,
        links=status.st_nlink,
        uid=status.st_uid,
        hits=(),
    )
