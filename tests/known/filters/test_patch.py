"""hashscan.known.filters: patches give exactly what was announced, or nothing."""

import os
import secrets
from itertools import pairwise

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from hashscan.errors import FilterError
from hashscan.known.filters import patch
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
    assert patch._head(there_and_back)[1] == 0


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
    assert len(found) == patch._head(bytes(bad))[1]


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


def test_patches_are_for_filters_of_one_size(tmp_path):
    digests = [f"{number:040x}" for number in range(50)]
    for name, held, capacity in (
        ("a", digests[:20], 400), ("b", digests[10:], 400),
        ("c", digests[:20], 4000), ("d", digests[10:], 4000),
    ):  # fmt: skip
        make(tmp_path / name, held, capacity=capacity)
    small = patch.diff(str(tmp_path / "a"), str(tmp_path / "b"))
    large = patch.diff(str(tmp_path / "c"), str(tmp_path / "d"))
    with pytest.raises(FilterError, match="different sizes cannot be joined"):
        patch.compose(small, large)
    found = load(str(tmp_path / "c")).metadata
    with pytest.raises(FilterError, match="is for a filter of another size"):
        patch.apply(str(tmp_path / "c"), small, found, str(tmp_path / "out"))
    with pytest.raises(FilterError, match="is for a filter of another length"):
        patch.apply(str(tmp_path / "a"), small, found, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
