"""Describes the authority for moving a file: a list, or a notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Authority:
    """Describes the notice that names a file, and whether the file moves because of the notice.

    Attributes:
        kind: ``list``: the file moves because of the known set, and the records only mention the
            notice; ``notice``: no list has the file's digest, and the file moves because of the
            notice.
        notice: id of the notice that names the file.
        reference: the sender's own number of the notice.
        sender: the authority that orders the removal, or else the sender of the notice; ``None``:
            the sender is anonymous.
    """

    kind: Literal["list", "notice"]
    notice: str
    reference: str | None = None
    sender: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """Return the authority as a JSON object."""
        return {
            "kind": self.kind,
            "notice": self.notice,
            "reference": self.reference,
            "sender": self.sender,
        }
