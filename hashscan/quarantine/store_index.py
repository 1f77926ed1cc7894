"""An index of the store's records by inode and by path, so that no step reads every record.

Each part of the index is built at its first use. The store's own writes update it. The store resets
the index if another process has held the lock in between, see ``Store.lock``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashscan.model import Identity
    from hashscan.quarantine.records import Record
    from hashscan.quarantine.summary import Briefed

_Key = TypeVar("_Key")


class _Groups(Generic[_Key]):
    """Groups of record ids with the same key; each id has at most one key.

    If a key has only one id, the id is kept without a dictionary, to save memory: nearly every key
    has one id, and a daemon that runs for months indexes every record.
    """

    def __init__(self) -> None:
        self._key_of: dict[str, _Key] = {}
        self._ids: dict[_Key, str | dict[str, None]] = {}

    def put(self, record_id: str, key: _Key | None) -> None:
        old = self._key_of.get(record_id)
        if old == key:
            return
        if old is not None:
            del self._key_of[record_id]
            there = self._ids[old]
            if isinstance(there, dict):
                del there[record_id]
            if isinstance(there, str) or not there:
                del self._ids[old]
        if key is not None:
            self._key_of[record_id] = key
            there = self._ids.setdefault(key, record_id)
            if isinstance(there, dict):
                there[record_id] = None
            elif there != record_id:
                self._ids[key] = {there: None, record_id: None}

    def of(self, key: _Key) -> Iterable[str]:
        found = self._ids.get(key, ())
        return (found,) if isinstance(found, str) else found


class Index:
    """Finds record ids by the inode of a content, by the inode of a moved file, and by path."""

    def __init__(
        self,
        ids: Callable[[], list[str]],
        content_of: Callable[[str], Identity | None],
        briefs: Callable[[], Iterable[Briefed]],
    ) -> None:
        """Begin with an empty index; the three functions read the store at its first use."""
        self._all = ids
        self._content_of = content_of
        self._briefs = briefs
        self._contents: _Groups[Identity] | None = None
        self._recorded: tuple[_Groups[Identity], _Groups[bytes]] | None = None

    def reset(self) -> None:
        """Empty the index, because another process may have changed the store."""
        self._contents = None
        self._recorded = None

    def note(self, record: Record) -> None:
        """Add or update a record that was just written, and the inode of the record's content."""
        if self._contents is not None:
            self._contents.put(record.id, self._content_of(record.id))
        if self._recorded is not None:
            self._recorded[0].put(record.id, record.identity)
            self._recorded[1].put(record.id, record.origin.full_path)

    def forget(self, record_id: str) -> None:
        """Remove a record from the index, because it was removed from the store."""
        if self._contents is not None:
            self._contents.put(record_id, None)
        if self._recorded is not None:
            for groups in self._recorded:
                groups.put(record_id, None)

    def contents(self, identity: Identity) -> frozenset[str]:
        """Ids of records whose content in the store is the given inode."""
        if self._contents is None:
            self._contents = _Groups()
            for record_id in self._all():
                self._contents.put(record_id, self._content_of(record_id))
        return frozenset(self._contents.of(identity))

    def names(self, identity: Identity) -> list[str]:
        """Ids of records whose file had the given identity when it was moved from its volume."""
        return list(self._read()[0].of(identity))

    def at(self, full_path: bytes) -> list[str]:
        """Ids of records whose file had the given path."""
        return list(self._read()[1].of(full_path))

    def _read(self) -> tuple[_Groups[Identity], _Groups[bytes]]:
        if self._recorded is None:
            self._recorded = (_Groups(), _Groups())
            for record_id, brief, _ in self._briefs():
                if brief is not None:  # the commands ``list`` and ``verify`` report damaged records
                    self._recorded[0].put(record_id, brief.identity)
                    self._recorded[1].put(record_id, brief.path)
        return self._recorded
