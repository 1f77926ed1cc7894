"""hashscan.jobs.machine_limits: limits of the kernel and of this process."""

import errno
import resource

import pytest

from hashscan.jobs import (
    machine_limits,
)


def test_open_files_are_limited_by_the_hard_limit_alone():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lower = (before[1] - 1, before[1])
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, lower)
        machine_limits.raise_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("error", "is_limit"),
    [
        (OSError(errno.EMFILE, ""), True), (OSError(errno.ENFILE, ""), True),
        (OSError(errno.EAGAIN, ""), True), (OSError(errno.ENOMEM, ""), True),
        (MemoryError(), True), (OSError(errno.EIO, ""), False), (ValueError(), False),
    ],
)  # fmt: skip
def test_limits_of_the_machine(error, is_limit):
    assert machine_limits.is_limit(error) is is_limit
