"""hashscan.scan.file_hasher: a file with several names is hashed by one of them."""

import hashlib
import os
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from scanning import options_of

from hashscan.fs.beneath import closing
from hashscan.fs.reading import identity_in, stamp_of
from hashscan.model import FileDigests
from hashscan.scan.file_hasher import FileHasher
from hashscan.scan.hard_links import LinkTable
from hashscan.scan.hashing import Hashed
from hashscan.scan.messages import WorkerSettings

CONTENT = b"ordinary"
DIGESTS = FileDigests(sha1=hashlib.sha1(CONTENT).digest())
OTHER = FileDigests(sha1=b"1" * 20)


@pytest.fixture
def hasher():
    """A hasher, and a catalog that knows no file."""
    settings = WorkerSettings(options_of(), (), "", judged=1, scan=1)
    asked, links = [], LinkTable()
    one = FileHasher(
        settings, SimpleNamespace(linked=lambda *given: asked.append(given)), links, None,
        screen=None, reader=None, pace=SimpleNamespace(bounds=False),
        outbox=SimpleNamespace(show_life=lambda _count=0: None),
    )  # fmt: skip
    one.asked = asked
    yield one
    links.close()


@pytest.fixture
def linked(tmp_path):
    """Descriptor of a directory with a file ``a``, and the file's status."""
    (tmp_path / "a").write_bytes(CONTENT)
    os.utime(tmp_path / "a", (1, 1))
    os.link(tmp_path / "a", tmp_path / "b")
    with closing(os.open(tmp_path, os.O_RDONLY)) as fd:
        yield fd, os.stat("a", dir_fd=fd)


def put(hasher, status, digests, *, racy):
    with hasher._links.claim(identity_in(status), list) as place:
        place.put(stamp_of(status), digests, racy=racy)


def test_the_first_name_is_hashed_and_the_second_is_not(hasher, linked):
    directory, status = linked
    first = hasher.hash_link(directory, b"a", status, 9)
    assert (first.digests, first.bytes_read) == (DIGESTS, len(CONTENT))
    second = hasher.hash_link(directory, b"none", status, 9)
    assert second == Hashed(status, DIGESTS, 0, racy=first.racy)
    assert hasher.asked == [(9, status.st_ino, stamp_of(status))]


@pytest.mark.parametrize("racy", [True, False])
def test_the_digests_of_another_name_are_taken(hasher, linked, racy):
    directory, status = linked
    put(hasher, status, OTHER, racy=racy)
    assert hasher.hash_link(directory, b"a", status, 9) == Hashed(status, OTHER, 0, racy=racy)
    assert hasher.asked == []


def test_digests_of_other_algorithms_are_not_enough(hasher, linked):
    directory, status = linked
    put(hasher, status, FileDigests(md5=b"1" * 16), racy=False)
    assert hasher.hash_link(directory, b"a", status, 9).digests == DIGESTS


@pytest.mark.parametrize("full", [True, False])
def test_what_the_catalog_knows_of_an_inode_is_taken_unless_all_is_hashed(hasher, linked, full):
    directory, status = linked
    hasher._options = replace(hasher._options, full=full)
    hasher._catalog.linked = lambda *_: SimpleNamespace(digests=OTHER)
    found = hasher.hash_link(directory, b"a", status, 9)
    if full:
        assert (found.digests, found.bytes_read) == (DIGESTS, len(CONTENT))
    else:
        assert found == Hashed(status, OTHER, 0, racy=False)


def test_a_file_whose_other_name_is_held_for_long_is_hashed(hasher, linked):
    directory, status = linked
    alive = []
    hasher._show_life = lambda count=0: alive.append(count)

    @contextmanager
    def claim(_identity, on_wait):
        on_wait()
        raise TimeoutError
        yield

    hasher._links.claim = claim
    assert hasher.hash_link(directory, b"a", status, 9).digests == DIGESTS
    assert alive == [0, len(CONTENT)]


def test_a_file_that_cannot_be_hashed_leaves_nothing_for_its_other_names(hasher, linked):
    directory, status = linked
    assert not isinstance(hasher.hash_link(directory, b"none", status, 9), Hashed)
    assert hasher.hash_link(directory, b"a", status, 9).digests == DIGESTS
