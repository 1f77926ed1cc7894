"""hashscan.known.repository.store: errors of the publisher's disk."""

import errno
import os

import pytest

from hashscan.errors import LockedError, StateError
from hashscan.known.repository.store import explained


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
