"""Packs files and patches as one zstd frame each (RFC 8878), and unpacks them within bounds.

The caller of ``unpack`` has the length of the content from signed metadata. ``unpack`` raises
``FilterError`` if the frame's content has another length, if the frame needs a larger window, is
cut off or damaged, or if bytes follow the frame. So a few bytes never unpack to more than the
announced length.
"""

from __future__ import annotations

import io
import os
from typing import IO

import zstandard

from hashscan.durable import new_file
from hashscan.errors import FilterError

_LEVEL = 9
#: Size in bytes of the largest window that a frame may need. Frames packed by hashscan need no
#: larger window.
_WINDOW = 1 << 23
#: Number of a frame's bytes that are unpacked in one step. These bytes unpack to 16 MiB at most
#: (the blocks have 128 KiB, each in 4 bytes), so memory never holds more.
_PIECE = 512


def pack(source: str, target: str) -> None:
    """Pack the file ``source`` as one frame into the new file ``target`` (mode 0600, synced).

    Raises:
        OSError: a file cannot be read or written; no half-written ``target`` remains.
    """
    with open(source, "rb") as content, new_file(target) as frame:
        length = os.fstat(content.fileno()).st_size
        _compressor().copy_stream(content, frame, size=length)


def pack_bytes(content: bytes) -> bytes:
    """Pack ``content`` as one zstd frame; return the bytes of the frame."""
    return _compressor().compress(content)


def unpack(source: str, target: str, length: int) -> None:
    """Unpack the frame in ``source`` into the new file ``target`` (mode 0600, synced).

    Args:
        source: path of a file that has exactly one zstd frame.
        target: path of the new file; must not exist.
        length: length in bytes that the unpacked content must have.

    Raises:
        FilterError: the frame is invalid; no ``target`` remains.
        OSError: a file cannot be read or written; no ``target`` remains.
    """
    with open(source, "rb") as frame, new_file(target) as content:
        _unpack(frame, content, length)


def unpack_bytes(content: bytes, length: int) -> bytes:
    """Unpack the zstd frame ``content``; return the unpacked bytes.

    Raises:
        FilterError: ``content`` is not a frame whose content has exactly ``length`` bytes.
    """
    result = io.BytesIO()
    _unpack(io.BytesIO(content), result, length)
    return result.getvalue()


def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(
            _LEVEL,
            window_log=_WINDOW.bit_length() - 1,
            write_checksum=True,
            write_content_size=True,
        )
    )


def _unpack(frame: IO[bytes], content: IO[bytes], length: int) -> None:
    head = frame.read(18)  # the longest frame header (RFC 8878, 3.1.1.1)
    try:
        found = zstandard.get_frame_parameters(head)
    except zstandard.ZstdError as error:
        raise FilterError("is no zstd frame") from error
    if found.content_size != length or found.dict_id:
        raise FilterError(f"is no zstd frame of {length} bytes")
    if found.window_size > _WINDOW:
        raise FilterError("is a zstd frame that needs too much memory")
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
    left = length
    piece = head
    try:
        while piece and not decompressor.eof:
            found_bytes = decompressor.decompress(piece)
            left -= len(found_bytes)
            if left < 0:
                raise FilterError(f"unpacks to more than {length} bytes")
            content.write(found_bytes)
            piece = decompressor.unused_data or frame.read(_PIECE)
    except zstandard.ZstdError as error:
        raise FilterError("is damaged: it does not unpack") from error
    if piece:
        raise FilterError("has more bytes after its zstd frame")
    if not decompressor.eof or left:
        raise FilterError("is cut off")
