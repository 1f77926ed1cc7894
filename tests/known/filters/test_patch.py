"""hashscan.known.filters: packing and patches give exactly what was announced, or nothing."""

import functools
import hashlib
import os
import secrets
from itertools import pairwise

import pytest
import zstandard
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from hashscan.errors import FilterError
from hashscan.known.filters import packing, patch
from hashscan.known.filters.filter_file import load
from hashscan.known.filters.metadata import dump
from hashscan.known.filters.writer import FilterWriter


def make(path, digests, *, capacity=400, previous=None):
    writer = FilterWriter(capacity=capacity)
    writer.add(digests)
    return writer.write(str(path), category="baseline", algorithms=["sha1"], previous=previous)


def random_digests(count):
    return [secrets.token_hex(20) for _ in range(count)]


@pytest.fixture
def versions(tmp_path):
    """Three versions of a set, as files; each adds and withdraws some."""
    digests = random_digests(300)
    sets = [digests[:250], digests[5:270], digests[:2] + digests[30:]]
    made, previous = [], None
    for number, held in enumerate(sets):
        previous = make(tmp_path / f"v{number}", held, previous=previous)
        made.append((str(tmp_path / f"v{number}"), previous, held))
    return made


# -- the same digests give the same bytes ---------------------------------------------------------


def test_the_same_set_gives_the_same_file(tmp_path):
    digests = random_digests(100)
    first = make(tmp_path / "a", digests)
    second = make(tmp_path / "b", reversed(digests), previous=first)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert second.sha256 == first.sha256
    other = make(tmp_path / "c", digests, capacity=401, previous=first)
    assert not set(other.canaries_present) & set(first.canaries_present)


# -- patches --------------------------------------------------------------------------------------


def test_a_patch_adds_and_removes(versions, tmp_path):
    for (base, _, _), (result, metadata, held) in pairwise(versions):
        difference = patch.diff(base, result)
        output = str(tmp_path / "made")
        patch.apply(base, difference, metadata, output)
        with open(output, "rb") as made, open(result, "rb") as wanted:
            assert made.read() == wanted.read()
        assert os.stat(output).st_mode & 0o777 == 0o600
        with open(output + ".json", "wb") as described:
            described.write(dump(metadata))
        assert all(digest in load(output) for digest in held)
        os.unlink(output)


def test_two_patches_in_a_row_are_one(versions, tmp_path):
    (first, _, _), (second, _, _), (third, metadata, _) = versions
    both = patch.compose(patch.diff(first, second), patch.diff(second, third))
    assert both == patch.diff(first, third)
    patch.apply(first, both, metadata, str(tmp_path / "made"))
    there_and_back = patch.compose(patch.diff(first, second), patch.diff(second, first))
    assert patch.count(there_and_back) == 0


def test_a_patch_for_another_base_gives_nothing(versions, tmp_path):
    (first, _, _), (second, _, _), (third, metadata, _) = versions
    output = str(tmp_path / "made")
    with pytest.raises(FilterError, match="announced"):
        patch.apply(second, patch.diff(first, third), metadata, output)
    make(tmp_path / "larger", random_digests(3), capacity=900)
    for base in (str(tmp_path / "larger"), os.devnull):
        with pytest.raises(FilterError, match="another"):
            patch.apply(base, patch.diff(first, third), metadata, output)
    assert not os.path.lexists(output)


def test_filters_that_have_nothing_in_common_have_no_patch(tmp_path):
    make(tmp_path / "a", random_digests(380))
    make(tmp_path / "b", random_digests(380))
    assert patch.diff(str(tmp_path / "a"), str(tmp_path / "b")) is None
    make(tmp_path / "c", random_digests(380), capacity=500)
    with pytest.raises(FilterError, match="lengths"):
        patch.diff(str(tmp_path / "a"), str(tmp_path / "c"))


@settings(deadline=None, max_examples=examples(300))
@given(data=st.data())
def test_no_damaged_patch_gives_anything(data):
    positions = data.draw(st.lists(st.integers(0, 9999), unique=True).map(sorted))
    good = patch._encode(positions, 10_000)
    assert list(patch._positions(good)) == positions
    at = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    how = data.draw(st.sampled_from(["flip", "cut", "more"]))
    if how == "flip":
        bad[at] ^= data.draw(st.integers(1, 255))
    elif how == "cut":
        del bad[at:]
    else:
        bad += data.draw(st.binary(min_size=1, max_size=9))
    try:
        found = list(patch._positions(bytes(bad)))
    except FilterError:
        return
    # A flipped gap may stay a patch; what it gives is then caught by the result's SHA-256.
    assert found == sorted(set(found))
    assert not found or found[-1] < patch.bits_of(bytes(bad))
    assert len(found) == patch.count(bytes(bad))


@pytest.mark.parametrize("end", [b"", b"\x85", b"\5\0", b"\5\x80"])
def test_a_patch_with_more_or_fewer_positions_than_it_says_is_refused(end):
    good = patch._encode([3, 9], 10_000)
    assert good.endswith(b"\3\5")
    with pytest.raises(FilterError, match="damaged patch"):
        list(patch._positions(good[:-1] + end))


@given(content=st.binary(max_size=200))
def test_anything_is_a_patch_or_refused(content):
    for head in (b"", patch.MAGIC):
        try:
            list(patch._positions(head + content))
        except FilterError:
            continue


# -- packing --------------------------------------------------------------------------------------


@settings(deadline=None)
@given(content=st.binary(max_size=5000), repeat=st.integers(1, 300))
def test_what_is_packed_is_unpacked(content, repeat):
    content *= repeat
    assert packing.unpack_bytes(packing.pack_bytes(content), len(content)) == content


def test_files_are_packed_and_unpacked(tmp_path):
    content = os.urandom(3_000_000) + bytes(9_000_000)
    (tmp_path / "a").write_bytes(content)
    packing.pack(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "b").stat().st_size < 3_100_000
    packing.unpack(str(tmp_path / "b"), str(tmp_path / "c"), len(content))
    assert (tmp_path / "c").read_bytes() == content
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        packing.unpack(str(tmp_path / "b"), str(tmp_path / "c"), len(content))
    assert (tmp_path / "c").read_bytes() == content


# Functions: each process that collects the tests would pack them.
@functools.cache
def bomb():
    return zstandard.ZstdCompressor().compress(bytes(1 << 25))


def wide():
    window = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=True)
    packer = zstandard.ZstdCompressor(compression_params=window)
    return packer.compress(os.urandom(1 << 16) * 200)


WITHOUT_SIZE = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 20))
GOOD = packing.pack_bytes(b"x" * 1000)


@pytest.mark.parametrize(
    ("frame", "length"),
    [
        (bomb, 1000),
        (WITHOUT_SIZE, 1000),
        (WITHOUT_SIZE, 1 << 20),
        (wide, (1 << 16) * 200),
        (GOOD, 999),
        (GOOD, 1001),
        (GOOD[:-1], 1000),
        (GOOD[:-4] + b"\0\0\0\0", 1000),
        (GOOD + b"x", 1000),
        (GOOD + GOOD, 1000),
        (GOOD + GOOD, 2000),
        (b"", 0),
        (b"no frame", 8),
        (b"\x50\x2a\x4d\x18\x04\0\0\0skip", 0),
    ],
)
def test_what_does_not_fit_is_refused(frame, length, tmp_path):
    frame = frame() if callable(frame) else frame
    (tmp_path / "frame").write_bytes(frame)
    with pytest.raises(FilterError):
        packing.unpack_bytes(frame, length)
    with pytest.raises(FilterError):
        packing.unpack(str(tmp_path / "frame"), str(tmp_path / "content"), length)
    assert os.listdir(tmp_path) == ["frame"]


def test_a_bomb_that_says_the_right_length_is_all_that_was_announced():
    # Whoever signs a length decides what is unpacked: this one is large, and exactly that large.
    assert hashlib.sha256(packing.unpack_bytes(bomb(), 1 << 25)).digest()


@settings(deadline=None, max_examples=examples(300))
@given(data=st.data())
def test_a_damaged_frame_never_gives_other_content(data):
    content = data.draw(st.binary(min_size=1, max_size=300))
    frame = bytearray(packing.pack_bytes(content))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = packing.unpack_bytes(bytes(frame), len(content))
    except FilterError:
        return
    assert found == content
