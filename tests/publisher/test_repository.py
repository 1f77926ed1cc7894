"""Errors of the disk of a publisher and of an agent: each names its place and the way out."""

import errno
import os

import pytest

from hashscan.errors import LockedError, StateError, UsageError
from hashscan.publisher.repository import explained, open_repository


@pytest.mark.parametrize("path", [None, "/repository/metadata"])
def test_an_error_of_the_disk_names_its_place_and_what_stays(path):
    with pytest.raises(StateError) as caught, explained("/repository"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    assert str(caught.value).startswith(
        f"{path or '/repository'}: the repository cannot be written: No space left on device; "
        "agents see what was published before"
    )


def test_other_errors_are_as_they_were():
    with pytest.raises(LockedError, match="held"), explained("/repository"):
        raise LockedError("held")


def test_a_directory_without_all_metadata_is_no_repository(publisher):
    pin = publisher.read("1.root.json")
    assert open_repository(publisher.path, pin).timestamp.signed.version >= 1
    os.unlink(os.path.join(publisher.path, "metadata", "timestamp.json"))
    with pytest.raises(UsageError) as caught:
        open_repository(publisher.path, pin)
    assert str(caught.value).startswith(
        f"{publisher.path}/metadata/timestamp.json: No such file or directory; is "
        f"{publisher.path} a repository?"
    )
