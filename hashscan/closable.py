"""The base class of objects that are closed at the end of a ``with`` block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Closable(ABC):
    """An object that closes itself at the end of a ``with`` block."""

    @abstractmethod
    def close(self) -> None:
        """Close the object's files and connections, and free its other resources."""

    def __enter__(self) -> Self:
        """Return the object itself for the ``with`` statement."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the object at the end of the block."""
        self.close()
