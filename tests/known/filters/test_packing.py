"""Packed bytes: exactly as many as announced, or none."""

import functools
import hashlib
import io
import os
from types import SimpleNamespace

import pytest
import zstandard
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from hashscan.errors import FilterError
from hashscan.known.filters import (
    packing,
)


def test_more_than_was_announced_is_never_written(monkeypatch):
    """zstd checks the length of a frame itself; this is the second lock."""
    packed = packing.pack_bytes(b"x" * 5000)
    assert packing.unpack_bytes(packed, 5000) == b"x" * 5000
    for length in (4999, 5001):
        with pytest.raises(FilterError, match=f"is no zstd frame of {length} bytes"):
            packing.unpack_bytes(packed, length)
    parameters = SimpleNamespace(content_size=4999, dict_id=0, window_size=1)
    monkeypatch.setattr(packing.zstandard, "get_frame_parameters", lambda _head: parameters)
    out = io.BytesIO()
    with pytest.raises(FilterError, match="unpacks to more than 4999 bytes"):
        packing._unpack(io.BytesIO(packed), out, 4999)
    assert out.getvalue() == b""
    parameters.content_size = 5001
    with pytest.raises(FilterError, match="is cut off"):
        packing._unpack(io.BytesIO(packed), io.BytesIO(), 5001)
    for parameters.window_size, parameters.dict_id in ((packing._WINDOW + 1, 0), (1, 5)):
        with pytest.raises(FilterError):
            packing._unpack(io.BytesIO(packed), io.BytesIO(), 5001)
    assert zstandard.ZstdError


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
    # The signed length bounds what is unpacked: this length is large, and exactly right.
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
