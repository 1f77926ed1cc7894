"""What the store holds, by inode and by path, so that no step has to look at every record.

Each half is built when it is first asked for and kept up to date by the store's own writes. The
store throws both away when somebody else has held its lock meanwhile: see ``Store.lock``.
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
    """Ids by a key; an id has one key at most.

    Nearly every key has one id, which is then kept without a dictionary: a process that acts for
    months has the records of all that it ever moved here.
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
    """Ids of records by the inode of their content, by that of the moved file, and by path."""

    def __init__(
        self,
        ids: Callable[[], list[str]],
        content_of: Callable[[str], Identity | None],
        briefs: Callable[[], Iterable[Briefed]],
    ) -> None:
        """Read the store by these three when it is needed."""
        self._all = ids
        self._content_of = content_of
        self._briefs = briefs
        self._contents: _Groups[Identity] | None = None
        self._recorded: tuple[_Groups[Identity], _Groups[bytes]] | None = None

    def reset(self) -> None:
        """Forget all: the store may have changed by other hands."""
        self._contents = None
        self._recorded = None

    def note(self, record: Record) -> None:
        """Take in a record that was written just now, and where its content lies."""
        if self._contents is not None:
            self._contents.put(record.id, self._content_of(record.id))
        if self._recorded is not None:
            self._recorded[0].put(record.id, record.identity)
            self._recorded[1].put(record.id, record.origin.full_path)

    def forget(self, record_id: str) -> None:
        """Take out a record that was removed."""
        if self._contents is not None:
            self._contents.put(record_id, None)
        if self._recorded is not None:
            for groups in self._recorded:
                groups.put(record_id, None)

    def contents(self, identity: Identity) -> frozenset[str]:
        """Ids whose content is a name of this inode, which lies in the store."""
        if self._contents is None:
            self._contents = _Groups()
            for record_id in self._all():
                self._contents.put(record_id, self._content_of(record_id))
        return frozenset(self._contents.of(identity))

    def names(self, identity: Identity) -> list[str]:
        """Ids of records of files that were moved and had this identity on their volume."""
        return list(self._read()[0].of(identity))

    def at(self, full_path: bytes) -> list[str]:
        """Ids of records of files that had this path."""
        return list(self._read()[1].of(full_path))

    def _read(self) -> tuple[_Groups[Identity], _Groups[bytes]]:
        if self._recorded is None:
            self._recorded = (_Groups(), _Groups())
            for record_id, brief, _ in self._briefs():
                if brief is not None:  # else it is damaged: list and verify report it
                    self._recorded[0].put(record_id, brief.identity)
                    self._recorded[1].put(record_id, brief.path)
        return self._recorded
