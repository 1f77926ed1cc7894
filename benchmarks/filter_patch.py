# ruff: noqa: INP001 - a script, not a package
"""Bytes of a whole filter and of a patch, published with the real publisher; random digests.

Usage: python benchmarks/filter_patch.py [DIGESTS [ADDED [WITHDRAWN]]]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

from hashscan.known.filters import packing, patch
from hashscan.publisher.publish import init
from hashscan.publisher.versions import add


def main(count: int, added: int, withdrawn: int) -> None:
    """Publish two versions, and print a table."""
    with tempfile.TemporaryDirectory() as directory:
        listed = os.path.join(directory, "list")
        repository, keys = os.path.join(directory, "repository"), os.path.join(directory, "keys")
        digests = [os.urandom(20).hex() for _ in range(count)]

        def write(found: list[str]) -> None:
            with open(listed, "w", encoding="ascii") as file:
                file.writelines(f"{digest}\n" for digest in found)

        init(repository, keys)
        write(digests)
        started = time.monotonic()
        add(repository, [keys], "baseline", [listed])
        first = time.monotonic() - started
        write([*digests[withdrawn:], *(os.urandom(20).hex() for _ in range(added))])
        started = time.monotonic()
        done = add(repository, [keys], "baseline", [listed])
        second = time.monotonic() - started
        (found,) = done.patches
        targets = os.path.join(repository, "targets", "baseline")
        (name,) = (name for name in os.listdir(targets) if "patch-from" in name)
        with open(os.path.join(targets, name), "rb") as file:
            frame = file.read()
        length = packing.zstandard.frame_content_size(frame)
        positions = patch._head(packing.unpack_bytes(frame, length))[1]  # noqa: SLF001 - no other code counts them
        print(f"digests                  {count:>14,}")  # noqa: T201
        print(f"added, withdrawn         {added:>8,} {withdrawn:>5,}")  # noqa: T201
        print(f"filter file              {done.metadata.length:>14,} bytes")  # noqa: T201
        print(f"  as fetched             {done.length:>14,} bytes")  # noqa: T201
        print(f"bits that differ         {positions:>14,}")  # noqa: T201
        print(f"patch                    {length:>14,} bytes")  # noqa: T201
        print(f"  as fetched             {found.length:>14,} bytes")  # noqa: T201
        print(f"whole : patch            {done.length / found.length:>14,.0f} : 1")  # noqa: T201
        print(f"repository add           {first:>8.1f} s, then {second:.1f} s")  # noqa: T201


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:4]]
    main(*given, *(3_200_000, 1_000, 10)[len(given) :])
