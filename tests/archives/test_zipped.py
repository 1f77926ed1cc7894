"""Zip archives: their directory is checked before it is read."""

import io
import struct
import warnings
import zipfile

import pytest
from archive_samples import FILES, WANTED, contents, read, zip_of

from hashscan.archives.budget import ArchiveError
from hashscan.archives.members import read_members


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_zip(method):
    assert contents(read(zip_of(FILES, method))) == WANTED


def test_a_member_without_a_name_counts():
    data = zip_of({"a": b"content"})
    at = data.index(b"PK\1\2")
    entry = bytearray(data[at : data.index(b"PK\5\6")])
    entry[28:30] = b"\0\0"
    del entry[46:47]
    data = data[:26] + b"\0\0" + data[28:30] + data[31:at]
    end = b"PK\5\6\0\0\0\0\1\0\1\0" + struct.pack("<LLH", len(entry), len(data), 0)
    assert list(contents(read(data + entry + end))) == [b""]


def test_an_encrypted_member_is_left_out():
    data = bytearray(zip_of({"a": b"x" * 99}))
    data[data.index(b"PK\1\2") + 8] |= 1
    assert [one.why for one in read(bytes(data))] == ["encrypted"]


def test_members_that_overlap():
    """As David Fifield's zip bombs: many names for one compressed content."""
    data = zip_of({"a": b"x" * 5000})
    place = data.index(b"PK\1\2")
    entry = data[place : data.index(b"PK\5\6")]
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 9 * len(entry), place, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # duplicate names
        with pytest.raises(ArchiveError, match="overlap"):
            read(data[:place] + 9 * entry + end)


def test_a_directory_of_a_zip_that_is_too_large():
    data = bytearray(zip_of({"a": b"x" * 99}))
    place = data.index(b"PK\5\6")
    data[place + 12 : place + 16] = struct.pack("<L", 0xF0000000)
    with pytest.raises(ArchiveError, match="directory of more than 64 MiB"):
        read(bytes(data))


def zip_directory(entries, *, size=None, zip64=None):
    """A zip file that is only a directory of one-letter names, and what its end says of it."""
    entry = b"PK\1\2" + bytes(24) + struct.pack("<HHH", 1, 0, 0) + bytes(12) + b"a"
    directory = entry * entries
    end = b""
    if zip64 is not None:
        end = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, zip64, 0)
        end += struct.pack("<4sLQL", b"PK\6\7", 0, len(directory), 1)
    size = len(directory) if size is None else size
    last = struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0)
    return b"PK\3\4" + directory + end + last


def test_a_directory_with_too_many_members_is_not_read_by_zipfile(monkeypatch):
    monkeypatch.setattr(zipfile, "ZipFile", lambda _file: pytest.fail("it takes the memory"))
    with pytest.raises(ArchiveError, match="more than 200,000 members"):
        list(read_members(io.BytesIO(zip_directory(200_001))))


def test_the_size_of_a_directory_in_zip64_counts_although_the_other_one_is_small(monkeypatch):
    monkeypatch.setattr(zipfile, "ZipFile", lambda _file: pytest.fail("it takes the memory"))
    for size, why in ((65 << 20, "more than 64 MiB"), (1 << 20, "its directory is missing")):
        with pytest.raises(ArchiveError, match=why):
            list(read_members(io.BytesIO(zip_directory(1, size=0, zip64=size))))
    with pytest.raises(ArchiveError, match="its directory is missing"):
        list(read_members(io.BytesIO(zip_directory(1, size=1000))))
