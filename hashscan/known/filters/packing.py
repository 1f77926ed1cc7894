"""Files and patches as one zstd frame each (RFC 8878), unpacked within bounds.

Whoever unpacks knows the length of the content beforehand, from signed metadata. A frame that
gives another length, wants a larger window, is cut off, damaged or followed by anything is refused,
so that a few bytes never become more than what was announced.
"""

from __future__ import annotations

import io
import os
from typing import IO

import zstandard

from hashscan.durable import new_file
from hashscan.errors import FilterError

_LEVEL = 9
#: The largest window that a frame may ask for, in bytes: what is packed here never needs more.
_WINDOW = 1 << 23
#: Bytes of a frame that are unpacked at once: they give 16 MiB at most (blocks of 128 KiB, each in
#: 4 bytes), so that no more than that is ever held.
_PIECE = 512


def pack(source: str, target: str) -> None:
    """Write the file ``source`` as one frame to the new file ``target`` (mode 0600, synced).

    Raises:
        OSError: it cannot be read or written; nothing half-written stays.
    """
    with open(source, "rb") as content, new_file(target) as frame:
        length = os.fstat(content.fileno()).st_size
        _compressor().copy_stream(content, frame, size=length)


def pack_bytes(content: bytes) -> bytes:
    """``content`` as one frame."""
    return _compressor().compress(content)


def unpack(source: str, target: str, length: int) -> None:
    """Write the content of the frame in ``source`` to the new file ``target`` (0600, synced).

    Args:
        source: path of a file with one frame.
        target: must not be there.
        length: that the content must have, in bytes.

    Raises:
        FilterError: it is no such frame; no ``target`` stays.
        OSError: it cannot be read or written; no ``target`` stays.
    """
    with open(source, "rb") as frame, new_file(target) as content:
        _unpack(frame, content, length)


def unpack_bytes(content: bytes, length: int) -> bytes:
    """The content of the frame ``content``.

    Raises:
        FilterError: it is no frame with exactly ``length`` bytes in it.
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
        while piece:
            if decompressor.eof:
                raise FilterError("has more bytes after its zstd frame")
            found_bytes = decompressor.decompress(piece)
            left -= len(found_bytes)
            if left < 0:
                raise FilterError(f"unpacks to more than {length} bytes")
            content.write(found_bytes)
            if decompressor.unused_data:
                raise FilterError("has more bytes after its zstd frame")
            piece = frame.read(_PIECE)
    except zstandard.ZstdError as error:
        raise FilterError("is damaged: it does not unpack") from error
    if not decompressor.eof or left:
        raise FilterError("is cut off")
