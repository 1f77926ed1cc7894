"""Members of archives are hashed as a stream, whatever a hostile archive says of itself."""

import bz2
import gzip
import hashlib
import io
import lzma
import resource
import struct
import tarfile
import warnings
import zipfile

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hashscan.archives.budget import ArchiveError, ArchiveLimits
from hashscan.archives.members import LeftOutMember, Member, kind_of_archive, read_members

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


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar(packer, form):
    packed = PACKERS[packer](tar_of(FILES, form))
    assert kind_of_archive(packed[:512]) == packer.split()[0]
    found = read(packed)
    assert contents(found) == WANTED
    one = next(one for one in found if one.name == b"two.css")
    content = FILES["two.css"]
    assert one.digests.md5.hex() == hashlib.md5(content).hexdigest()
    assert one.digests.sha1.hex() == hashlib.sha1(content).hexdigest()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_zip(method):
    assert contents(read(zip_of(FILES, method))) == WANTED


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_absolute_ones(form):
    names = {"x" * 300 + "/y": b"1" * 99, "/etc/passwd": b"2" * 99, "../../up": b"3" * 99}
    assert set(contents(read(tar_of(names, form)))) == {one.encode() for one in names}
    assert set(contents(read(zip_of(names)))) == {one.encode() for one in names}


def test_what_is_no_file_is_left_out():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in (b"1", b"2", b"3", b"4", b"5", b"6", b"Z"):
            member = tarfile.TarInfo(f"kind{kind.decode()}")
            member.type, member.linkname = kind, "/etc/shadow"
            archive.addfile(member)
        member = tarfile.TarInfo("file")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    found = read(out.getvalue())
    assert [one.why for one in found if isinstance(one, LeftOutMember)] == [
        "link", "link", "device", "device", "directory", "fifo", "unknown-type",
    ]  # fmt: skip
    assert list(contents(found)) == [b"file"]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/shadow")
        archive.writestr(zipfile.ZipInfo("directory/"), "")
        archive.writestr("file", "abc")
    found = read(out.getvalue())
    assert [one.why for one in found if isinstance(one, LeftOutMember)] == ["link", "directory"]
    assert list(contents(found)) == [b"file"]


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


HOSTILE = {
    "size beyond all": raw(size=b"\x80" + b"\xff" * 11),
    "negative size": raw(size=b"\xff" * 12),
    "size that is no number": raw(size=b"9z"),
    "cut off": raw(size=b"00000010000") + b"x" * 100,
    "cut off in the padding": raw(size=b"00000000001") + b"x",
    "long name of a gigabyte": raw(kind=b"L", size=b"10000000000") + bytes(4096),
    "pax header of a gigabyte": raw(kind=b"x", size=b"10000000000") + bytes(4096),
    "pax header without a length": raw(kind=b"x", size=b"00000000010") + b"nonsense" + bytes(504),
    "pax record beyond its header": raw(kind=b"x", size=b"00000000010") + b"99 a=b\n\0" + bytes(504),
    "pax record of no length": raw(kind=b"x", size=b"00000000010") + b"0 a=bcd\n" + bytes(504),
    "pax size": raw(kind=b"x", size=b"00000000031")
    + b"25 size=9999999999999999\n" + bytes(487) + raw(),
    "damaged in the middle": raw() + b"x" * 512,
    "map of a sparse member without end": raw(kind=b"S", rest=b"\0" * 137 + b"\1")
    + (b"\0" * 504 + b"\1" + bytes(7)) * 50,
    "no tar file": b"x" * 2000,
    "half a header": raw()[:300],
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tar(name):
    with pytest.raises(ArchiveError):
        list(read_members(io.BytesIO(gzip.compress(HOSTILE[name])), SMALL))


def test_a_sparse_member_is_left_out_and_the_next_is_read():
    sparse = b"22 GNU.sparse.major=1\n"
    data = raw(kind=b"x", size=b"%011o" % len(sparse)) + sparse.ljust(512, b"\0")
    data += raw(b"sparse", size=b"00000000001") + b"x".ljust(512, b"\0")
    data += raw(b"file", size=b"00000000001") + b"y".ljust(512, b"\0")
    found = read(data + bytes(1024))
    assert [one.why for one in found if isinstance(one, LeftOutMember)] == ["sparse"]
    assert list(contents(found)) == [b"file"]


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz", "zstd", "zip"])
def test_a_bomb_costs_no_more_than_its_bound(packer):
    if packer == "zip":
        packed = zip_of({f"bomb{number}": bytes(1 << 20) for number in range(6)})
    else:
        packed = PACKERS[packer](tar_of({"bomb": bytes(6 << 20)}))
    assert len(packed) < 20_000
    with pytest.raises(ArchiveError, match=r"holds more than 4\.0 MiB"):
        read(packed)


def test_members_and_time_are_bounded():
    many = gzip.compress(tar_of({f"{number}": b"" for number in range(1001)}))
    with pytest.raises(ArchiveError, match="more than 1,000 members"):
        read(many)
    with pytest.raises(ArchiveError, match="more than 1,000 members"):
        read(zip_of({f"{number}": b"" for number in range(1001)}))
    with pytest.raises(ArchiveError, match="longer than"):
        read(many, ArchiveLimits(seconds=-1.0))


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


@pytest.mark.parametrize("cut", [1, 30, 200])
@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz", "zstd", "zip"])
def test_an_archive_that_is_cut_off(packer, cut):
    files = {"a": bytes(range(256)) * 30, "b": b"12345" * 99}
    packed = zip_of(files) if packer == "zip" else PACKERS[packer](tar_of(files))
    with pytest.raises(ArchiveError):
        read(packed[: -min(cut, len(packed) // 2)])


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


BASES = [PACKERS[name](tar_of(FILES)) for name in PACKERS] + [
    zip_of(FILES),
    tar_of(FILES, tarfile.GNU_FORMAT),
    raw(kind=b"S", rest=b"\0" * 137 + b"\1") + bytes(512) + raw() + bytes(1024),
]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_archives_end_with_an_error_or_members(data):
    base = bytearray(data.draw(st.sampled_from(BASES)))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(base) - 1))
        base[place : place + data.draw(st.integers(1, 4))] = data.draw(st.binary(max_size=6))
        if not base:
            break
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            found = read(bytes(base))
        except ArchiveError:
            found = []
    assert all(type(one) in {Member, LeftOutMember} for one in found)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300_000, f"{grown} KiB"
