"""An archive costs no more than its bounds of members, bytes and time."""

import gzip

import pytest
from archive_samples import PACKERS, read, tar_of, zip_of

from hashscan.archives.budget import ArchiveError, ArchiveLimits


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
