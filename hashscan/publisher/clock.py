"""The publisher's clock: refuses to sign or remove files if the wall clock is far ahead.

If the wall clock is ahead, a signature is valid for too long, and cannot be revoked: an attacker
who controls a mirror can serve the signed files until the signature expires. So the publisher keeps
its own count of elapsed time, in a file beside the keys (see ``timeline``).
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from hashscan.durable import replace_file
from hashscan.errors import UsageError
from hashscan.publisher.keys import PIN
from hashscan.text import human_age, local_time, shown
from hashscan.timeline import FILE, Timeline, instant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashscan.publisher.repository import Repository

_LONGEST = 1 << 20
#: Seconds by which the wall clock may be ahead of the publisher's count of time: the machine may
#: have been off.
_AHEAD = 7 * 86400.0
#: Seconds by which the wall clock may be ahead of the publisher's count while the snapshot is
#: valid.
_FAR_AHEAD = 366 * 86400.0


def _places(keys: Sequence[str]) -> Iterator[str]:
    for directory in keys:
        if os.path.lexists(os.path.join(directory, PIN)):
            yield os.path.join(directory, FILE)


def _kept(keys: Sequence[str]) -> Timeline | None:
    """The newest record of the clock beside the keys; ``None`` if each is missing or damaged."""
    found = []
    for path in _places(keys):
        try:
            with open(path, "rb") as file:
                found.append(Timeline.parse(file.read(_LONGEST)))
        except OSError:
            continue
    return max(filter(None, found), key=lambda one: one.counted, default=None)


def check_clock(repository: Repository, keys: Sequence[str], *, is_right: bool) -> None:
    """Raise if the wall clock is too far ahead of the publisher's count of time.

    If the snapshot has expired, the clock may be a week ahead, so a new signature is valid for two
    weeks too long at most. If the snapshot is still valid, the snapshot may have been signed for a
    longer term, or with a clock that was ahead: then the wall clock may be a year ahead. A
    publisher who signed nothing for more than a year may still sign if the machine was on.

    Args:
        repository: the repository, in the state that was signed last.
        keys: directories that hold the publisher's keys.
        is_right: true if a person has checked the clock; then the function never raises.

    Raises:
        UsageError: the wall clock is too far ahead; the message says how to sign nevertheless.
    """
    expires = repository.snapshot.signed.expires.timestamp()
    before, now = _kept(keys), instant()
    certain = -math.inf if before is None else before.spans[-1].offset + before.at(now).counted
    ahead = now.wall - certain
    if is_right or ahead <= _AHEAD:
        return
    if now.wall > expires:
        raise UsageError(
            f"{shown(repository.directory)}: not signed: the clock says {local_time(now.wall)}, "
            f"and what was signed last was valid until {local_time(expires)}: either nothing was "
            "signed since, or the clock is ahead, and new signatures would be valid for too long. "
            "Check the clock (timedatectl); if it is right, give --clock-is-right"
        )
    if _FAR_AHEAD < ahead < math.inf:
        raise UsageError(
            f"{shown(repository.directory)}: not signed: the clock says {local_time(now.wall)}, "
            f"which is {human_age(ahead)} more than the time counted beside the keys: either this "
            "machine was off for as long, or the clock is ahead, and new signatures would be valid "
            "for too long. Check the clock (timedatectl); if it is right, give --clock-is-right"
        )


def keep_clock(keys: Sequence[str]) -> Timeline:
    """Store the publisher's count of time beside the keys, and return the count.

    Raises:
        UsageError: the file with the count of time cannot be written.
    """
    before, now = _kept(keys), instant()
    timeline = Timeline.begin(now) if before is None else before.at(now)
    if before is None or timeline.differs(before):
        for path in _places(keys):
            try:
                replace_file(path, timeline.to_json())
            except OSError as error:
                raise UsageError(
                    f"{shown(path)}: published, but the count of time cannot be kept there: "
                    f"{error.strerror}; make room or mend the permissions, and refresh"
                ) from error
    return timeline
