"""The service's directory: the known sets, replaced atomically while the service runs.

``sets.json`` names two directories: ``known`` has the set for questions, and ``test`` has the set
for the test twin. Each set is an index like the index of a local list
(``known.confirmers.digest_index``). A known set on the disk is always whole or absent.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from typing import TYPE_CHECKING, Literal

from hashscan.durable import replace_file, sync_directory
from hashscan.errors import StateError, UsageError
from hashscan.fs.named import opened_named, resolve
from hashscan.known.confirmers.digest_index import LocalConfirmer, seal, write_index
from hashscan.known.lists.staging import staging
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from hashscan.known.lists.staging import BuildProgress

Which = Literal["known", "test"]
_SETS = "sets.json"
_LONGEST = 1 << 20


class Data:
    """The paths below the service's directory; makes a missing directory with mode 0700.

    Attributes:
        directory: path of the service's directory.
    """

    def __init__(self, directory: str, option: str = "--data") -> None:
        """Make the service's directory, or check it; ``option`` names the directory in messages.

        Raises:
            UsageError: the service's directory cannot be used, or other users may enter it.
        """
        self.directory = resolve(os.path.abspath(directory))
        try:
            with opened_named(os.fsencode(self.directory), make=0o700) as named:
                status = os.fstat(named.fd)
        except OSError as error:
            raise UsageError(
                f"{shown(directory)}: {error.strerror}; name another directory with {option}"
            ) from error
        if status.st_mode & 0o077 or status.st_uid != os.geteuid():
            raise UsageError(
                f"{shown(directory)}: belongs to somebody else, or is open to others (mode "
                f"{stat.S_IMODE(status.st_mode):04o}); run: chmod 700 {shown(directory)}"
            )

    def path(self, name: str) -> str:
        """Return the path of the file ``name`` in the service's directory."""
        return os.path.join(self.directory, name)

    def sets(self) -> dict[str, dict[str, str]]:
        """Return the directory and the key of each known set that is in use.

        Raises:
            StateError: the file ``sets.json`` is damaged.
        """
        try:
            with open(self.path(_SETS), "rb") as file:
                found = json.loads(file.read(_LONGEST))
            return {
                name: {"directory": one["directory"], "key": one["key"]}
                for name, one in found.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StateError(
                f"{shown(self.path(_SETS))}: is damaged; load the lists again with 'hashscan "
                "service load'"
            ) from error

    def stamp(self, name: str = _SETS) -> tuple[int, int] | None:
        """Return a file's identity, which changes if the file is replaced; ``None``: no file."""
        try:
            status = os.stat(self.path(name))
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def open_set(self, which: Which) -> LocalConfirmer | None:
        """Open the known set that is in use; return ``None`` if no set was loaded.

        Raises:
            StateError: the known set is damaged.
        """
        found = self.sets().get(which)
        if found is None:
            return None
        directory = self.path(os.path.basename(found["directory"]))
        try:
            return LocalConfirmer(which, directory, found["key"])
        except OSError as error:
            raise StateError(
                f"{shown(directory)}: cannot be read: {error.strerror}; load the lists again with "
                "'hashscan service load'"
            ) from error


def load_set(
    data: Data,
    which: Which,
    lists: Sequence[str],
    *,
    skip_invalid: bool = False,
    only_categories: Collection[str] | None = None,
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> int:
    """Replace the known set in use by a set made from ``lists``; return its number of digests.

    Raises:
        DigestListError: a list cannot be used; the service keeps the set in use.
        StateError: the new set cannot be written; the service keeps the set in use.
    """
    key = secrets.token_hex(16)
    name = f"set-{key}"
    directory = data.path(name)
    try:
        with staging(f"{shown(data.directory)}: the known set") as area:
            staged = area.fill(
                lists,
                skip_invalid=skip_invalid,
                only_categories=only_categories,
                on_progress=on_progress,
            )
            os.mkdir(directory, 0o700)
            write_index(area, staged, directory, key)
            seal(directory)
            digests = sum(area.counts().values())
        sync_directory(data.directory)
        sets = {**data.sets(), which: {"directory": name, "key": key}}
        replace_file(data.path(_SETS), json.dumps(sets, indent=2).encode() + b"\n")
        _tidy(data, {one["directory"] for one in sets.values()})
    except OSError as error:
        raise StateError(
            f"{shown(error.filename or directory)}: the set cannot be kept: {error.strerror}; make "
            "room there, then load it again. The set in use stays"
        ) from error
    return digests


def _tidy(data: Data, keep: set[str]) -> None:
    """Remove unused known sets; a service that has such a set open can still read the set."""
    for name in os.listdir(data.directory):
        if name.startswith("set-") and name not in keep:
            directory = data.path(name)
            for entry in os.listdir(directory):
                os.unlink(os.path.join(directory, entry))
            os.rmdir(directory)
