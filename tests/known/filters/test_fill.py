"""hashscan.known.filters.fill: one process and several set the same bits, and no bit is missing."""

import errno
import multiprocessing
import os
import signal
from types import SimpleNamespace

import pytest
from bitarray import bitarray
from faulty import raising
from pybloom_live import BloomFilter

from hashscan.errors import StateError
from hashscan.known.filters import fill
from hashscan.known.filters.bit_file import geometry


def empty(capacity, error_rate):
    slices, bits_per_slice = geometry(capacity, error_rate)
    bits = bitarray(slices * bits_per_slice, endian="little")
    bits.setall(0)
    return bits


@pytest.mark.parametrize("error_rate", [0.1, 1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("capacity", [10, 2000, 60_000])
def test_the_bits_are_those_of_pybloom_live(error_rate, capacity):
    digests = [os.urandom(20).hex() for _ in range(min(capacity, 3000))]
    theirs = BloomFilter(capacity, error_rate)
    for digest in digests:
        theirs.add(digest)
    ours = empty(capacity, error_rate)
    assert fill.set_bits(ours, capacity, error_rate, digests) == len(digests)
    assert ours == theirs.bitarray


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(fill, "_BATCH", 50)
    monkeypatch.setattr(fill, "_WORTH_IT", 100)


@pytest.mark.parametrize("jobs", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 3333])
def test_several_processes_set_the_same_bits(jobs, count, small_batches):
    digests = [os.urandom(20) for _ in range(count)]
    alone, together = empty(4000, 1e-6), empty(4000, 1e-6)
    fill.set_bits(alone, 4000, 1e-6, (raw.hex() for raw in digests))
    assert fill.fill(together, 4000, 1e-6, iter(digests), jobs=jobs) == count
    assert together == alone
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("when", [200, 3000])
def test_a_process_that_is_killed_is_no_filter(when, small_batches):
    def digests():
        for number in range(20_000):
            if number == when:
                victim = multiprocessing.active_children()[0]
                os.kill(victim.pid, signal.SIGKILL)
                victim.join()
            yield os.urandom(20)

    with pytest.raises(StateError, match=r"died.*--jobs 1"):
        fill.fill(empty(20_000, 1e-6), 20_000, 1e-6, digests(), jobs=2)
    assert multiprocessing.active_children() == []


def test_an_error_of_the_source_leaves_no_process(small_batches):
    def digests():
        yield from (os.urandom(20) for _ in range(1000))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill.fill(empty(2000, 1e-6), 2000, 1e-6, digests(), jobs=3)
    assert multiprocessing.active_children() == []


def test_a_process_that_hangs_is_not_waited_for():
    crew = fill._Crew(2, len(empty(2000, 1e-6)), 2000, 1e-6)
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGSTOP)
    crew.close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("step", ["give", "join"])
def test_a_process_that_died_before_it_took_a_batch_is_no_filter(step):
    crew = object.__new__(fill._Crew)
    pipe = SimpleNamespace(send=raising(errno.EPIPE))
    crew._workers = [SimpleNamespace(exit_code=code, connection=pipe) for code in (0, -9)]
    crew._next = 0
    with pytest.raises(StateError, match=r"filled the filter died \(exit code -9\)"):
        if step == "give":
            crew.give([b"1" * 20])
        else:
            crew.join_into(bitarray())
