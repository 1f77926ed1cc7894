"""The authority for moving a file: a list, or a notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Authority:
    """The notice that names a file, and whether the file moves because of it.

    Attributes:
        kind: ``list``: the known set decides, and the notice is only named; ``notice``: no list
            knows the file, and it moves because the notice names it.
        notice: id of the notice.
        reference: the sender's own number.
        sender: the authority that orders the removal, else the sender; ``None``: anonymous.
    """

    kind: Literal["list", "notice"]
    notice: str
    reference: str | None = None
    sender: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """Ready for JSON."""
        return {
            "kind": self.kind,
            "notice": self.notice,
            "reference": self.reference,
            "sender": self.sender,
        }
