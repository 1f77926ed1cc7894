"""Digest lists that carry more than digests: sizes, and the keys of first blocks."""

import hashlib
from unittest import mock

from hashscan.known.filters.build import build
from hashscan.model import HEAD_LENGTH, head_key


def listed(path, contents, *, columns=("sha1", "size", "xxh3-4096"), without=()):
    """Write a CSV list of what is known; ``without`` has contents that lack all but the digest."""
    lines = [",".join(columns)]
    for content in [*contents, *without]:
        cells = {
            "md5": hashlib.md5(content).hexdigest(),
            "sha1": hashlib.sha1(content).hexdigest(),
            "size": str(len(content)),
            "xxh3-4096": head_key(content[:HEAD_LENGTH]).hex(),
        }
        if content in without:
            cells["size"] = cells["xxh3-4096"] = ""
        lines.append(",".join(cells[column] for column in columns))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def tiered(path, contents, *, error_rate=1e-9, **options):
    """A filter file at ``path`` of the list that ``listed`` writes beside it.

    Its tiers hit by chance once in so many times that a test may count on it never to happen.
    """
    source = listed(path.with_name(f"{path.name}.csv"), contents, **options)
    with mock.patch("hashscan.known.filters.build.TIER_ERROR_RATE", error_rate):
        build([source], str(path), force=True, jobs=1)
    return str(path)
