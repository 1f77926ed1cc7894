"""Tar archives of each packer, and hostile ones."""

import gzip
import hashlib
import io
import tarfile

import pytest
from archive_samples import FILES, PACKERS, SMALL, WANTED, contents, raw, read, tar_of

from hashscan.archives.budget import ArchiveError
from hashscan.archives.members import LeftOutMember, kind_of_archive, read_members


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
