"""Sets the bits of digests in a filter, in this process or in several worker processes.

Each worker process sets the bits of its share of the digests in an array of its own, in memory that
the worker shares with the parent process. At the end, the parent process joins the arrays by OR.
The resulting filter does not depend on the number of processes.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
from itertools import islice
from operator import add
from typing import TYPE_CHECKING

from bitarray import bitarray
from pybloom_live.pybloom import make_hashfuncs

from hashscan.errors import StateError
from hashscan.known.filters.bit_file import geometry
from hashscan.processes import Child

if TYPE_CHECKING:
    from collections.abc import Iterable
    from multiprocessing.connection import Connection

#: Number of digests handed to a worker at a time. For fewer digests, a second process costs more
#: time than it saves.
_BATCH = 4096
_WORTH_IT = 8 * _BATCH


def set_bits(bits: bitarray, capacity: int, error_rate: float, hex_digests: Iterable[str]) -> int:
    """Set the filter's bits of lower-case ``hex_digests``; return the number of digests.

    The bits are the same as those set by pybloom-live's ``BloomFilter.add``.
    """
    slices, bits_per_slice = geometry(capacity, error_rate)
    hashes, _ = make_hashfuncs(slices, bits_per_slice)
    offsets = range(0, slices * bits_per_slice, bits_per_slice)
    count = 0
    for digest in hex_digests:
        # One assignment for the bits of all slices takes two thirds of the time of an assignment
        # for each slice.
        bits[list(map(add, offsets, hashes(digest)))] = 1
        count += 1
    return count


def fill(
    bits: bitarray, capacity: int, error_rate: float, digests: Iterable[bytes], *, jobs: int
) -> int:
    """Set the filter's bits of raw ``digests`` with ``jobs`` processes; return their number.

    Raises:
        StateError: a worker process died, e.g. because memory was short; ``bits`` must not be used.
    """
    digests = iter(digests)
    first = list(islice(digests, _WORTH_IT))
    count = set_bits(bits, capacity, error_rate, (raw.hex() for raw in first))
    if jobs < 2:
        return count + set_bits(bits, capacity, error_rate, (raw.hex() for raw in digests))
    batch = list(islice(digests, _BATCH))
    if not batch:
        return count
    crew = _Crew(jobs, len(bits), capacity, error_rate)
    try:
        while batch:
            crew.give(batch)
            count += len(batch)
            batch = list(islice(digests, _BATCH))
        crew.join_into(bits)
    finally:
        crew.close()
    return count


class _Crew:
    """The worker processes. The pipes to the workers are bounded, so that digests never pile up."""

    def __init__(self, jobs: int, length: int, capacity: int, error_rate: float) -> None:
        self._length = length
        self._shared = [mmap.mmap(-1, (length + 7) // 8) for _ in range(jobs)]
        self._workers: list[Child] = []
        self._next = 0
        try:
            for shared in self._shared:
                self._workers.append(Child(_work, shared, length, capacity, error_rate))
        except OSError:
            self.close()
            raise

    def give(self, batch: list[bytes]) -> None:
        """Hand a batch of digests to the next worker, after this worker took its last batch."""
        try:
            self._workers[self._next].connection.send(batch)
        except OSError as error:
            raise self._died() from error
        self._next = (self._next + 1) % len(self._workers)

    def join_into(self, bits: bitarray) -> None:
        """Wait for all workers, and add the bits that they set to the filter's bits."""
        for worker in self._workers:
            try:
                worker.connection.send(None)
            except OSError as error:
                raise self._died() from error
        for worker, shared in zip(self._workers, self._shared, strict=True):
            if worker.wait() != 0:
                raise self._died()
            bits |= _view(shared, self._length)

    def _died(self) -> StateError:
        codes = [worker.exit_code for worker in self._workers if worker.exit_code]
        told = f" (exit code {codes[0]})" if codes else ""
        return StateError(
            f"a process that filled the filter died{told}, so there is no filter; see the kernel's "
            "log (out of memory?), and try again with --jobs 1"
        )

    def close(self) -> None:
        """Kill the workers, and release their pipes and the shared memory."""
        for worker in self._workers:
            worker.end()
        for shared in self._shared:
            with contextlib.suppress(BufferError):  # a traceback may hold a view of this memory
                shared.close()


def _view(shared: mmap.mmap, length: int) -> bitarray:
    return bitarray(buffer=shared, endian="little")[:length]


def _work(
    pipe: Connection,
    shared: mmap.mmap,
    length: int,
    capacity: int,
    error_rate: float,
) -> None:
    bits = bitarray(buffer=shared, endian="little")
    assert len(bits) >= length
    try:
        while (batch := pipe.recv()) is not None:
            set_bits(bits, capacity, error_rate, (raw.hex() for raw in batch))
    except (EOFError, OSError):
        sys.exit(1)
