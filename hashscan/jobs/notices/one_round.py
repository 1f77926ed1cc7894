"""One round over the items of notices: find the items' files, act on the files, settle items.

An open item of a notice goes through the steps below. The result of each step is on the disk before
the next step begins:

    find its files -> hash and judge -> "located" -> move -> find copies by digest -> "removed"

After a kill at any instant the next round continues with the item: the quarantine's record says
whether a file was moved, and a file counts as away only after a check of the file's path.

A round also checks some removed and gone items again. If a file is back at the item's URL or path,
or if the catalog has the item's content at another path, the item is reopened.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from hashscan.audit.recorder import Recorder
from hashscan.catalog.find_files import open_finder
from hashscan.errors import ConfigError, FilterError, LockedError, UsageError
from hashscan.jobs.daemon_status import status_of_running_daemon
from hashscan.jobs.known_set import open_known_set
from hashscan.jobs.notices.act import NoticeActs
from hashscan.jobs.notices.hash_files import NoticeFiles
from hashscan.jobs.notices.items import OpenItems
from hashscan.jobs.notices.locate_files import LocatedFiles
from hashscan.jobs.notices.returned_files import ReturnedFiles
from hashscan.jobs.notices.round_result import LEFT_OUT, Memory, Round, is_waiting
from hashscan.jobs.volume_probe import check_all
from hashscan.notices.notice import ItemState
from hashscan.notices.sites.sites import Sites
from hashscan.notices.store import NoticeStore
from hashscan.state import Lock
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hashscan.config.settings import Settings
    from hashscan.jobs.known_set import KnownSet
    from hashscan.jobs.volume_presence import Seen
    from hashscan.state import State

#: The most open items of notices on which one round works, and the most settled items that one
#: round checks in each state.
MOST_OPEN = 2000
MOST_SETTLED = 500
#: The most rounds that one command does; the daemon works on the notices' items that are left.
_MOST_ROUNDS = 1000
#: A round waits this many seconds for another process that works on notices, and tries the lock
#: again after ``_TRY_LOCK_AFTER`` seconds.
LOCK_WAIT = 30.0
_TRY_LOCK_AFTER = 0.1
_RETURNING = (ItemState.REMOVED, ItemState.GONE)


def run_round(
    settings: Settings,
    state: State,
    known: KnownSet | None,
    memory: Memory,
    *,
    why_unknown: str = "",
    absent: Collection[bytes] = (),
    begins: Callable[[int], None] = lambda _item: None,
    sites: Sites | None = None,
    probe: Callable[[list[str]], list[Seen]] = check_all,
    clock: Callable[[], float] = time.time,
) -> Round:
    """Work on open items of notices, then check some settled items.

    Args:
        settings: hashscan's configuration.
        state: opens the files in the state directory.
        known: the known set that judges the files; ``None``: no known set can be used.
        memory: the values that the last round left for this round.
        why_unknown: why no known set can be used; "": a known set is given.
        absent: roots of volumes that do not answer; a move into quarantine that began on one of
            these volumes is left unfinished.
        begins: called with an item's number before the work on the item begins.
        sites: the web servers' sites as the last round read them; changed configurations are read
            again.
        probe: checks whether the directories of volumes are there.
        clock: returns the current time in seconds since the epoch.

    Raises:
        HashscanError: the file of notices, the catalog or the configuration cannot be used.
    """
    result = Round(memory)
    with ExitStack() as stack:
        _lock_notices(state, stack)
        recorder = Recorder.of(settings, "notice", state)
        store = stack.enter_context(NoticeStore(state.notices, recorder))
        whole = not memory.after
        items = store.open_items(memory.after, MOST_OPEN)
        settled = {
            one: store.items_of(one, memory.settled_after.get(one, 0), MOST_SETTLED)
            for one in _RETURNING
        }
        memory.after = items[-1].number if len(items) == MOST_OPEN else 0
        result.more = bool(memory.after)
        result.open = bool(items)
        now = clock()
        left_out = {
            one for one, until in memory.left_out.items() if is_waiting(until, now, LEFT_OUT)
        }
        items = [one for one in items if one.number not in left_out]
        if whole and not memory.after:
            memory.done = {
                one.number: memory.done[one.number] for one in items if one.number in memory.done
            }
        if not items and not any(settled.values()):
            return result
        finder = open_finder(state.catalog)
        if finder is not None:
            stack.enter_context(finder)
        files = NoticeFiles(
            settings,
            was_mounted=finder.was_mounted if finder else lambda _volume: False,
            probe=probe,
        )
        acts = stack.enter_context(
            NoticeActs(
                settings,
                state,
                known,
                result.say,
                recorder,
                why_unknown=why_unknown,
                absent=absent,
            )
        )
        sites = sites or Sites(settings.sites)
        sites.renew()
        places = LocatedFiles(state, files, acts, store, finder, known, sites)
        returns = ReturnedFiles(store, files, places, result, clock)
        work = OpenItems(store, files, acts, places, finder, result, clock, known, returns)
        if not memory.recovered:
            acts.recover()
            memory.recovered = True
        work.run(items, begins)
        for state_of, some in settled.items():
            wanted = [one for one in some if one.number not in left_out]
            last = returns.reopen_by_place(wanted, begins)
            if last is None and len(some) == MOST_SETTLED:
                last = some[-1].number
            memory.settled_after[state_of] = last or 0
    return result


def _lock_notices(state: State, stack: ExitStack) -> None:
    """Wait until no other process works on notices, at most ``LOCK_WAIT`` seconds.

    The other process may hang, so the wait is bounded. Two rounds at the same time do no harm,
    because the quarantine has a lock of its own.
    """
    until = time.monotonic() + LOCK_WAIT
    while True:
        try:
            stack.enter_context(Lock(state.notices_lock))
        except LockedError:
            if time.monotonic() > until:
                return
            time.sleep(_TRY_LOCK_AFTER)
        else:
            return


def run_now(settings: Settings, state: State, say: Callable[[str], None]) -> bool:
    """Do rounds while notices' items need work; False if a running daemon does the rounds.

    A scan may run at the same time as the rounds. ``say`` is called with matches, and with lines
    for the log.

    Raises:
        HashscanError: a round failed as in ``run_round``; the notices are stored, and a later round
            works on the notices.
    """
    if status_of_running_daemon(state) is not None:
        return False
    known, why = None, ""
    try:
        known = open_known_set(settings, state, (), say)
    except (ConfigError, FilterError, UsageError) as error:
        why = str(error)
    memory, sites = Memory(), Sites(settings.sites)
    for _ in range(_MOST_ROUNDS):
        done = run_round(settings, state, known, memory, why_unknown=why, sites=sites)
        for event in done.events:
            path, acted = shown(event.match.candidate.full_path), event.acted
            what = f"{acted.action} as {acted.quarantine_id}" if acted.quarantine_id else ""
            message = f" ({acted.message.removeprefix(f'{path}: ')})" if acted.message else ""
            say(f"{path}: {what or acted.action}{message} [{event.match.why}]")
        for _, text in done.lines:
            say(text)
        if not done.more:
            break
    return True
