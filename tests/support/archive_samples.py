"""Archives of the same files in each form, and what is read from them."""

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile

import zstandard

from hashscan.archives.budget import ArchiveLimits
from hashscan.archives.members import Member, read_members

FILES = {"a/one.png": b"one" * 1000, "two.css": b"2" * 512, "b/three": b"", "ü/vier": b"4" * 70_001}


#: Small bounds, so that a hostile archive shows it soon.
SMALL = ArchiveLimits(members=1000, produced=4 << 20, seconds=20.0)


def tar_of(files, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def zip_of(files, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def read(data, limits=SMALL):
    return list(read_members(io.BytesIO(data), limits))


def contents(found):
    return {one.name: (one.size, one.digests.sha256.hex()) for one in found if type(one) is Member}


WANTED = {
    name.encode(): (len(content), hashlib.sha256(content).hexdigest())
    for name, content in FILES.items()
}


PACKERS = {
    "tar": lambda data: data,
    "gzip": gzip.compress,
    "gzip of two": lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "xz of two": lambda data: lzma.compress(data[:700]) + bytes(4) + lzma.compress(data[700:]),
    "zstd": zstandard.ZstdCompressor().compress,
}


def raw(name=b"f", size=b"00000000000", kind=b"0", rest=b""):
    """A tar header with a right checksum."""
    header = bytearray(512)
    header[: len(name)] = name
    header[124 : 124 + len(size)] = size
    header[156:157] = kind
    header[257:265] = b"ustar\x0000"
    header[345 : 345 + len(rest)] = rest
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)
