"""Finds volumes that no scan and no watch covers although hashscan reported no error.

Sources: the catalog, the daemon's status file, and the list of mounts. This module touches no
volume on a file server: the server may never answer.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from cronsim import CronSim, CronSimError

from hashscan.errors import UnsafePathError
from hashscan.files import DAEMON_STATUS
from hashscan.fs.named import resolve
from hashscan.jobs.complaint_reasons import Reason, ReasonFault
from hashscan.text import counted, human_age, local_time, shown
from hashscan.watch.mounts import MountTable, mounts_now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.catalog.status_overview import Overview
    from hashscan.config.settings import Settings
    from hashscan.jobs.daemon_status import DaemonStatus

#: Age in seconds of the status file from which a running daemon counts as hanging.
_SILENT = 60.0
#: A volume may be without a whole scan for this many intervals of the schedule, plus these seconds.
_SCANS_MISSED, _SCAN_LATE = 2.0, 3600.0
#: Seconds without a whole scan that are allowed if no daemon runs: scans by a timer may be weekly.
_BY_HAND = 8 * 86400.0
#: Seconds that may pass until the watch of a volume is active.
_STARTING = 60.0
#: Seconds by which a stored time may be ahead of the clock.
_AHEAD = 3600.0
#: Bytes that must be free on the file systems of the state and the quarantine.
_LEAST_ROOM = 16 << 20
_OTHER_SETTINGS = (
    "the running daemon does not use this configuration: run 'systemctl reload hashscan' (or send "
    "it SIGHUP), and see what its log says"
)
_NEVER = (
    "nothing has been scanned with the state {} yet: start the daemon (systemctl start hashscan), "
    "or run 'hashscan scan'; if there was a scan, check --config and --state"
)
_START = "start the daemon (systemctl start hashscan), or find out why 'hashscan scan' is not run"


class VolumeFacts(NamedTuple):
    """Holds the facts about the volumes that ``status`` has read so far.

    Attributes:
        running: id of the process that scans with this state directory now.
        daemon: the daemon's status file; ``None``: no daemon has worked with this state directory.
        alive: the daemon that wrote the status file is running.
        unread: the catalog exists but cannot be read.
    """

    settings: Settings
    catalog: Overview | None
    running: int | None
    daemon: DaemonStatus | None
    alive: bool
    unread: bool = False


def mark_of(settings: Settings) -> str:
    """Return a digest of the settings: equal configurations have equal digests."""
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()


def troubles(seen: VolumeFacts) -> list[ReasonFault]:
    """Return the faults that stop all scans, or the scans of one volume."""
    daemon = seen.daemon
    found = [*_unreadable_daemon_file(seen), *no_room(seen.settings)]
    if daemon is not None:
        found += _daemon_trouble(daemon, alive=seen.alive)
    if not seen.alive:
        found += _not_there(seen)
    return found


def gaps(seen: VolumeFacts) -> tuple[ReasonFault, ...]:
    """Return complaints about volumes that are not watched, or were not scanned for too long."""
    daemon, catalog = seen.daemon, seen.catalog
    if daemon is not None and seen.alive:
        found = [*_uncovered(daemon), *_not_scanned(daemon, catalog), *_nothing_looks(seen)]
        if seen.settings.volumes and daemon.get("settings") not in {None, mark_of(seen.settings)}:
            found.insert(0, ReasonFault(Reason.CONFIGURATION, _OTHER_SETTINGS))
    elif daemon is not None:
        found = list(_stopped(seen.settings.state, daemon))
    elif catalog is None or catalog.scan is None:
        known = seen.running is not None or seen.unread
        never = _NEVER.format(shown(seen.settings.state))
        found = [] if known else [ReasonFault(Reason.SCAN_LATE, never)]
    else:
        found = [*_died(seen), *_late_by_hand(seen)]
    return (*found, *_unread(catalog))


def _unreadable_daemon_file(seen: VolumeFacts) -> Iterator[ReasonFault]:
    path = os.path.join(seen.settings.state, DAEMON_STATUS)
    if seen.daemon is None and os.path.lexists(path):
        yield ReasonFault(
            Reason.STATE,
            f"{shown(path)} cannot be read, so nothing is known about the daemon: check its owner "
            "and mode, or restart the daemon, which writes the file again",
        )


def no_room(settings: Settings) -> Iterator[ReasonFault]:
    """Complain if the state directory or the quarantine is on a full or read-only file system."""
    places = {settings.state: "the state"}
    if settings.quarantine.action == "quarantine":
        places[settings.quarantine_directory] = "the quarantine"
    for path, name in places.items():
        try:
            room = os.statvfs(path)
        except OSError:
            # The first scan creates the directory; otherwise another check reports why it is
            # missing.
            continue
        if room.f_flag & os.ST_RDONLY:
            message = f"{name} {shown(path)} is on a read-only file system: mount it writable"
            yield ReasonFault(Reason.STORAGE, message)
        elif room.f_bavail * room.f_frsize < _LEAST_ROOM or (room.f_files and not room.f_favail):
            yield ReasonFault(
                Reason.STORAGE,
                f"{name} {shown(path)} is on a full file system: free some space there, or no "
                "match can be moved or recorded",
            )


def _daemon_trouble(daemon: DaemonStatus, *, alive: bool) -> list[ReasonFault]:
    if not alive and daemon.get("stopped"):
        return []
    if not alive:
        died = (
            f"the daemon (process {daemon.get('pid')}) has died; see its log (journalctl -u "
            "hashscan), and start it again"
        )
        return [ReasonFault(Reason.DAEMON, died)]
    found = []
    silent = time.time() - float(daemon.get("time") or 0)
    if silent > _SILENT:
        message = (
            f"the daemon has said nothing for {human_age(silent)}; see its log, and restart it"
        )
        found.append(ReasonFault(Reason.DAEMON, message))
    elif silent < -_AHEAD:
        message = (
            f"the daemon's status file is from {human_age(-silent)} in the future: set the clock "
            "right (timedatectl), then restart the daemon"
        )
        found.append(ReasonFault(Reason.CLOCK, message))
    if daemon.get("reload_refused"):
        message = f"the last reload was refused: {daemon['reload_refused']}"
        found.append(ReasonFault(Reason.CONFIGURATION, message))
    found += [
        ReasonFault(Reason.VOLUME_MISSING, f"{shown(one['path'])}: not scanned: {one['away']}")
        for one in daemon.get("volumes", ())
        if one.get("away")
    ]
    return found


def _stopped(directory: str, daemon: DaemonStatus) -> tuple[ReasonFault, ...]:
    """Complain about a stopped daemon: the sysadmin may have forgotten to start it again."""
    if not daemon.get("stopped"):
        return ()
    since = human_age(time.time() - float(daemon.get("time") or 0))
    path = shown(os.path.join(directory, DAEMON_STATUS))
    message = (
        f"the daemon was stopped {since} ago, and nothing is watched or scanned by schedule until "
        f"it starts again (systemctl start hashscan); if it shall not run any more, remove {path}"
    )
    return (ReasonFault(Reason.DAEMON_STOPPED, message),)


def _uncovered(daemon: DaemonStatus) -> list[ReasonFault]:
    found: list[ReasonFault] = []
    output = daemon.get("output")
    if output:
        message = (
            f"the daemon's reader did not take {output['lost']:,} results since"
            f" {local_time(output['since'])}: {output['message']}; the log has them (journalctl -u"
            " hashscan), and 'hashscan quarantine list' names the moved files; restart the daemon"
            " with a reader"
        )
        found.append(ReasonFault(Reason.OUTPUT, message))
    for one in daemon.get("volumes", ()):
        if one.get("away"):
            continue  # Another complaint reports this volume as missing.
        path = shown(one["path"])
        started = time.time() - float(one.get("starting") or time.time())
        if started > _STARTING:
            message = (
                f"{path}: its watch has been starting for {human_age(started)}; the volume is "
                "scanned as soon as the watch works"
            )
        elif one.get("unwatched") and not one["directories"]:
            message = f"{path}: it is not watched, only scans find changes: {one['message']}"
        elif one.get("unwatched"):
            message = (
                f"{path}: {counted(one['unwatched'], 'directory', 'directories')} "
                f"{'is' if one['unwatched'] == 1 else 'are'} not watched, only scans find changes "
                f"there: {one['message']}"
            )
        else:
            continue
        found.append(ReasonFault(Reason.NOT_WATCHED, message))
    return found


def _nothing_looks(seen: VolumeFacts) -> list[ReasonFault]:
    """Complain about volumes that are neither watched nor scanned by schedule."""
    if seen.settings.scan.schedule is not None:
        return []
    return [
        ReasonFault(
            Reason.NOT_WATCHED,
            f"{shown(one.path)}: it is neither watched (watch: off) nor scanned by schedule "
            "(scan.schedule: none), so nothing is found there after the daemon's start: set one of "
            "them",
        )
        for one in seen.settings.volumes
        if one.watch == "off"
    ]


def _not_scanned(daemon: DaemonStatus, catalog: Overview | None) -> list[ReasonFault]:
    """Complain about volumes without a whole scan for too long while the daemon runs."""
    every = daemon.get("scan_every")
    most = _BY_HAND if every is None else _SCANS_MISSED * float(every) + _SCAN_LATE
    found = []
    now, started = time.time(), float(daemon["started"])
    for one in daemon.get("volumes", ()):
        last = catalog.by_volume.get(os.fsencode(one["path"])) if catalog else None
        ended = 0.0 if last is None else last.ended or last.started
        late = now - max(ended, started)
        if one.get("away") or (every is None and ended >= started):
            continue
        if every is not None and ended and now - ended > max(most, _BY_HAND):
            # A daemon that restarts again and again gets no more time than a daemon that runs on.
            late = now - ended if now - started > _SCAN_LATE else 0.0
        if late > most:
            why = (
                "though the daemon began one at its start"
                if every is None
                else f"but scan.schedule wants one every {human_age(float(every))}"
            )
            message = (
                f"{shown(one['path'])}: no whole scan for {human_age(late)}, {why}; see the log"
            )
            found.append(ReasonFault(Reason.SCAN_LATE, message))
    return found


# Without daemon


def _mounts() -> MountTable:
    with suppress(OSError):
        return mounts_now()
    return MountTable(())


def _roots(settings: Settings, mounts: MountTable) -> Iterator[tuple[bytes, bool]]:
    """Return the volumes' resolved paths, and whether each path leads across a file server."""
    for one in settings.volumes:
        path = os.path.normpath(one.path)
        if mounts.reach(os.fsencode(path)).server:
            yield os.fsencode(path), True
            continue
        with suppress(UnsafePathError):
            path = resolve(path)
        yield os.fsencode(path), False


def resolved_roots(settings: Settings) -> list[bytes]:
    """Return the configured volumes as the catalog and the daemon name them; wait for no volume."""
    return [root for root, _ in _roots(settings, _mounts())]


def with_distinct_volumes(settings: Settings) -> Settings:
    """Return the settings with one volume for each directory, if several paths lead to it.

    If several configured paths lead to one directory, the last path counts, as in a one-off scan.
    """
    distinct = dict(zip(resolved_roots(settings), settings.volumes, strict=True))
    return settings.model_copy(update={"volumes": tuple(distinct.values())})


def _not_there(seen: VolumeFacts) -> list[ReasonFault]:
    """Complain about missing volumes, without access to a volume on a file server."""
    mounts = _mounts()
    found = []
    for root, is_remote in _roots(seen.settings, mounts):
        if not is_remote and not os.path.isdir(root):
            message = f"{shown(root)}: the volume is not there: check the path and the mount"
        elif seen.catalog and root in seen.catalog.mounted and not mounts.is_mounted(root):
            message = (
                f"{shown(root)}: its file system is not mounted, so it is not scanned: mount it"
            )
        else:
            continue
        found.append(ReasonFault(Reason.VOLUME_MISSING, message))
    return found


def _died(seen: VolumeFacts) -> list[ReasonFault]:
    """Complain if the last scan was killed: the sysadmin may not have noticed the kill."""
    scan = seen.catalog.scan if seen.catalog else None
    if scan is None or scan.ended is not None or seen.running is not None:
        return []
    message = (
        f"the last scan (began {human_age(time.time() - scan.started)} ago) was killed before its "
        "end, or an error ended it: see its messages and the kernel's log (out of memory?), and "
        "run 'hashscan scan' again: it goes on where that scan was"
    )
    return [ReasonFault(Reason.SCAN_KILLED, message)]


def _late_by_hand(seen: VolumeFacts) -> list[ReasonFault]:
    """Complain about volumes without a whole scan for too long, if no daemon runs."""
    catalog = seen.catalog
    assert catalog is not None
    most = max(_BY_HAND, _SCANS_MISSED * (_interval(seen.settings) or 0.0) + _SCAN_LATE)
    now = time.time()
    found = []
    last = {root: catalog.by_volume.get(root) for root, _ in _roots(seen.settings, _mounts())}
    if not last:
        last = {b"": catalog.whole}
    for root, scan in last.items():
        where = f"{shown(root)}: " if root else ""
        if scan is None:
            if seen.running is None:
                message = f"{where}no whole scan yet; run 'hashscan scan' again"
                found.append(ReasonFault(Reason.SCAN_LATE, message))
            continue
        late = now - (scan.ended or scan.started)
        if late > most:
            message = (
                f"{where}no whole scan for {human_age(late)}, and no daemon runs: {_START} any more"
            )
            found.append(ReasonFault(Reason.SCAN_LATE, message))
        elif late < -_AHEAD:
            message = (
                f"{where}the last whole scan ended {human_age(-late)} in the future: set the clock "
                "right (timedatectl)"
            )
            found.append(ReasonFault(Reason.CLOCK, message))
    return found


def _interval(settings: Settings) -> float | None:
    """Return the seconds between two scans by schedule.

    The result is ``None`` if the configuration has no schedule.
    """
    if settings.scan.schedule is None:
        return None
    try:
        times = CronSim(settings.scan.schedule, datetime.fromtimestamp(time.time()))  # noqa: DTZ006
        first, second = next(times), next(times)
    except (CronSimError, StopIteration):
        return None
    return second.timestamp() - first.timestamp()


def _unread(catalog: Overview | None) -> Iterator[ReasonFault]:
    """Complain about so many unreadable files that hashscan may lack rights, or a disk may fail."""
    if catalog is None or catalog.whole is None or not catalog.problems:
        return
    files = catalog.whole.files or 0
    if catalog.problems * 2 > files or (catalog.problems > 100 and catalog.problems * 10 > files):
        yield ReasonFault(
            Reason.UNREADABLE,
            f"{catalog.problems:,} of {files:,} files or directories could not be read: run "
            "hashscan as root, and see the kernel's log for errors of the disk",
        )
