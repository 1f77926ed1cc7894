"""Answers a hotline that asks whether the content of a URL is still on this machine.

A hotline believes the answer and stops checking the URL. So the answer *offline* needs three
conditions: the daemon has seen that the file of a notice with this URL is away, no file is at the
file's path now, and the web server has no file at the URL. If hashscan cannot check one of these
conditions, the answer is *unknown*. hashscan only checks, by descriptor, whether files exist, and
fetches nothing.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from hashscan.errors import UnsafePathError
from hashscan.fs.beneath import closing
from hashscan.fs.named import open_named
from hashscan.fs.served import ServedKind
from hashscan.notices.notice import ItemState, Role
from hashscan.notices.sites.disk import Disk
from hashscan.notices.sites.location import LocationKind, UndecidedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.notices.notice import Item
    from hashscan.notices.reader import NoticeReader
    from hashscan.notices.sites.sites import Sites

#: The most items with the URL that are checked, the latest items first, and the most files of these
#: items.
_MOST_ITEMS, _MOST_FILES = 20, 50
_AWAY = frozenset({ItemState.REMOVED, ItemState.GONE})


class ContentPresence(StrEnum):
    """Whether the content of a URL is on this machine: the values of the answer to a hotline."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class Checked(NamedTuple):
    """The answer to a hotline about a URL.

    Attributes:
        presence: whether the content of the URL is on this machine.
        reason: why hashscan gives the answer: one word of ``REASONS``.
        removed: time at which hashscan noticed the last removal of the content, in seconds since
            the epoch.
    """

    presence: ContentPresence
    reason: str
    removed: float | None = None


#: The reasons for an answer, and their meanings. No meaning contains a path, because the client may
#: be a stranger.
REASONS = {
    "file": "a file is at the URL",
    "removed": "the file of the notice is not in its place, and no other file is at the URL",
    "absent": "the site is here, and no file is at the URL",
    "never-here": "no file is at the URL, and hashscan never found one for a notice of this URL",
    "unconfirmed": "no file is at the URL, but the daemon has not yet seen that it is away",
    "elsewhere": "no file is at the URL, but the file of the notice is still in its place",
    "not-there": "a directory that should hold the file is missing, empty or cannot be opened",
    "directory": "a directory without an index file is at the URL",
    "script": "a script, or another server, answers",
    "no-site": "no site of this machine has the host",
    "undecided": "hashscan cannot decide on the web server's answer",
}
_KINDS = {
    LocationKind.FILE: (ContentPresence.ONLINE, "file"),
    LocationKind.DIRECTORY: (ContentPresence.UNKNOWN, "directory"),
    LocationKind.SCRIPT: (ContentPresence.UNKNOWN, "script"),
    LocationKind.NO_SITE: (ContentPresence.UNKNOWN, "no-site"),
    LocationKind.UNDECIDED: (ContentPresence.UNKNOWN, "undecided"),
}


def check(
    url: str, reader: NoticeReader | None, sites: Sites, *, trust_sites: bool = False
) -> Checked:
    """The answer to a hotline's question about a URL.

    Args:
        url: the URL as the hotline writes it.
        reader: reads the stored notices; ``None``: no notice was ever stored.
        sites: the sites that this machine's web servers serve.
        trust_sites: answer *offline* even if hashscan never found a file for a notice with the URL.

    Raises:
        StateError: the file of notices cannot be read.
    """
    items = [] if reader is None else reader.named(url, _MOST_ITEMS)
    removed = max((one.removed for one in items if one.removed is not None), default=None)
    location = sites.locate(url)
    if location.kind in _KINDS:
        return Checked(*_KINDS[location.kind], removed)
    if not location.root or not _has_entries(location.root):
        return Checked(ContentPresence.UNKNOWN, "not-there", removed)
    places = [] if reader is None else list(_places(items, reader))
    for place in places:
        if (there := _is_there(place.root, place.path)) is not False:
            return Checked(
                ContentPresence.UNKNOWN, "not-there" if there is None else "elsewhere", removed
            )
    if not all(place.seen_away for place in places):
        return Checked(ContentPresence.UNKNOWN, "unconfirmed", removed)
    if places:
        return Checked(ContentPresence.OFFLINE, "removed", removed)
    if trust_sites:
        return Checked(ContentPresence.OFFLINE, "absent", removed)
    return Checked(ContentPresence.UNKNOWN, "never-here", removed)


class _Place(NamedTuple):
    """The directory and the path below the directory at which hashscan saw a file.

    Attributes:
        seen_away: whether the daemon has seen that the file is away while its file system was
            mounted.
    """

    root: bytes
    path: bytes
    seen_away: bool


def _places(items: list[Item], reader: NoticeReader) -> Iterator[_Place]:
    """The directories and paths of the files that notices with the URL name."""
    number = 0
    for item in items:
        files = [one for one in reader.files(item.number) if one.role is Role.NAMED]
        for one in files:
            yield _Place(one.volume, one.path, one.away is not None)
            number += 1
            if number >= _MOST_FILES:
                return
        if not files and item.path is not None:
            yield _Place(*os.path.split(item.path), item.state in _AWAY)


def _is_there(root: bytes, path: bytes) -> bool | None:
    """Whether a file exists at a path below a directory; ``None``: hashscan cannot decide."""
    if not _has_entries(root):
        return None
    with Disk() as disk:
        try:
            return disk.find(root, path).entry is not ServedKind.ABSENT
        except UndecidedError:
            return None


def _has_entries(directory: bytes) -> bool:
    """Whether a directory has entries; an empty directory may lack its mounted file system."""
    try:
        with closing(open_named(directory).fd) as named:
            fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=named)
        with closing(fd), os.scandir(fd) as entries:
            return next(entries, None) is not None
    except (OSError, ValueError, UnsafePathError):
        return False
