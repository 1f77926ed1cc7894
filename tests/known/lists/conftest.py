"""Lists whose digests are taken or left out."""

from taken_lists import taken

__all__ = ["taken"]
