"""Carries out an administrator's decision on a hold: in store, allow-list, audit log, files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.audit import events
from hashscan.audit.actor import Who
from hashscan.errors import MachineError
from hashscan.jobs.brakes import HoldLog
from hashscan.jobs.release_holds import move_released
from hashscan.quarantine import dismissed_digests
from hashscan.quarantine.hold_types import HoldState
from hashscan.text import rfc3339, said_by, shown

if TYPE_CHECKING:
    from hashscan.config.settings import Settings
    from hashscan.jobs.release_holds import Released
    from hashscan.model import Digest
    from hashscan.quarantine.hold_types import Hold
    from hashscan.quarantine.holds import Holds
    from hashscan.reporter import Reporter
    from hashscan.state import State


def release(
    settings: Settings, state: State, holds: Holds, number: int, why: str, reporter: Reporter
) -> tuple[Hold, Released]:
    """Release a hold and move its files; if an earlier release was killed, continue it.

    Raises:
        HashscanError: the hold is unknown, or the state directory or the quarantine cannot be used.
    """
    who = Who.current("command")
    hold = holds.get(number)
    if hold.state is not HoldState.RELEASED:
        HoldLog(settings, state, "command").decided(
            events.HOLD_RELEASED, hold, holds.digests(number), why
        )
        # A killed dismissal may have left allow-list entries of a hold that still waits.
        try:
            dismissed_digests.remove(state.dismissed, hold.id)
        except OSError as error:
            raise _unwritten(state, error) from error
        hold = holds.release(number, who=str(who), why=why)
    done = move_released(
        settings,
        state,
        holds.files(number),
        tell=reporter.match,
        notice=reporter.notice,
        forget=holds.forget_file,
    )
    return hold, done


def dismiss(settings: Settings, state: State, holds: Holds, number: int, why: str) -> Hold:
    """Dismiss a hold: allow its digests, so that its files stay at their places.

    Raises:
        HashscanError: the hold is unknown or dismissed, or the state directory cannot be written.
    """
    who = str(Who.current("command"))
    hold = holds.get(number)
    if hold.state is HoldState.DISMISSED:
        # ``dismiss`` raises the HashscanError for a hold that an administrator already dismissed.
        return holds.dismiss(number, who=who, why=why)
    digests = holds.digests(number)
    HoldLog(settings, state, "command").decided(events.HOLD_DISMISSED, hold, digests, why)
    try:
        dismissed_digests.add(state.dismissed, _entries(holds, hold, digests, who, why))
    except OSError as error:
        raise _unwritten(state, error) from error
    return holds.dismiss(number, who=who, why=why)


def _entries(
    holds: Holds, hold: Hold, digests: list[Digest], who: str, why: str
) -> list[dismissed_digests.DismissedContent]:
    """Return an allow-list entry for each held content, and each digest without a file."""
    contents = dict.fromkeys(one.digests.each() for one in holds.files(hold.number))
    rest = set(digests).difference(*contents)
    groups = [*contents, *((one,) for one in sorted(rest))]
    if hold.has_one_content:
        groups = [tuple(digests)]
    return [dismissed_digests.DismissedContent(one, hold.id, who, rfc3339(), why) for one in groups]


def _unwritten(state: State, error: OSError) -> MachineError:
    return MachineError(f"{shown(state.dismissed)}: cannot be written: {said_by(error)}")
