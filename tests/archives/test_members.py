"""Members of archives are hashed as a stream, whatever a hostile archive says of itself."""

import io
import resource
import tarfile
import warnings
import zipfile

import pytest
from archive_samples import FILES, PACKERS, contents, raw, read, tar_of, zip_of
from hypothesis import given, settings
from hypothesis import strategies as st

from hashscan.archives.budget import ArchiveError
from hashscan.archives.members import LeftOutMember, Member


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


@pytest.mark.parametrize("cut", [1, 30, 200])
@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz", "zstd", "zip"])
def test_an_archive_that_is_cut_off(packer, cut):
    files = {"a": bytes(range(256)) * 30, "b": b"12345" * 99}
    packed = zip_of(files) if packer == "zip" else PACKERS[packer](tar_of(files))
    with pytest.raises(ArchiveError):
        read(packed[: -min(cut, len(packed) // 2)])


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
