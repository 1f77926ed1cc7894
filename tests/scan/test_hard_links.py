"""hashscan.scan.hard_links: digests that processes share between the names of one inode."""

import errno
import multiprocessing
import time

import pytest
from faulty import Faulty, raising

from hashscan.model import FileDigests, Identity, Stamp
from hashscan.scan import hard_links
from hashscan.scan.hard_links import LinkTable


def test_a_place_that_is_held_for_long_is_given_up(monkeypatch):
    table = hard_links.LinkTable()
    waits = []
    now = [0.0]
    busy = raising(errno.EAGAIN, hard_links.fcntl.lockf, on=lambda _fd, how, *_: how != 8)
    monkeypatch.setattr(hard_links, "fcntl", Faulty(hard_links.fcntl, lockf=busy))
    clock = Faulty(hard_links.time, monotonic=lambda: now[0], sleep=lambda _s: None)
    monkeypatch.setattr(hard_links, "time", clock)

    def on_wait():
        waits.append(1)
        now[0] += hard_links.LONGEST_WAIT / 2

    with pytest.raises(TimeoutError), table.claim(Identity(1, 2), on_wait):
        pass
    assert len(waits) == 3, "it waits to the very end of its time"
    table.close()


def test_a_place_of_a_killed_process_says_nothing():
    table = hard_links.LinkTable()
    stamp = Stamp(3, 4, 5)
    with table.claim(Identity(1, 2), lambda: None) as place:
        assert place.get(stamp) is None
        place.put(stamp, FileDigests(sha1=b"s" * 20), racy=True)
        assert place.get(stamp) == (FileDigests(sha1=b"s" * 20), True)
        assert place.get(Stamp(3, 4, 6)) is None
        place.put(stamp, FileDigests(), racy=False)
        assert place.get(stamp) is None, "it was killed before it had said which digests"
    table.close()


STAMP = Stamp(10, 20, 30)


DIGESTS = FileDigests(sha1=b"s" * 20)


def nothing():
    pass


def test_a_link_is_found_under_its_stamp_only():
    table = LinkTable()
    identity = Identity(1, 2)
    with table.claim(identity, nothing) as place:
        assert place.get(STAMP) is None
        place.put(STAMP, DIGESTS, racy=True)
    with table.claim(identity, nothing) as place:
        assert place.get(STAMP) == (DIGESTS, True)
        assert place.get(Stamp(10, 20, 31)) is None
        place.put(STAMP, FileDigests(b"m" * 16, b"s" * 20, b"t" * 32), racy=False)
        assert place.get(STAMP) == (FileDigests(b"m" * 16, b"s" * 20, b"t" * 32), False)
    table.close()


def test_another_process_waits_and_a_dead_one_lets_go():
    table = LinkTable()
    identity = Identity(1, 2)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def hold():
        with table.claim(identity, nothing):
            theirs.send(1)
            time.sleep(60)

    process = context.Process(target=hold, daemon=True)
    process.start()
    assert ours.recv() == 1
    waits = []

    def waited():
        waits.append(1)
        if len(waits) == 3:
            process.kill()

    with table.claim(identity, waited):
        assert len(waits) >= 3
    process.join()
    for end in (ours, theirs):
        end.close()
    table.close()
