"""What every test may use."""

import ctypes
import os
import signal
import subprocess

import pytest

# A shell that starts the tests in the background (make test &) lets them ignore Ctrl-C, and what they
# start would inherit that. A handler of our own is back at the default in each new program.
signal.signal(signal.SIGINT, signal.default_int_handler)

_NEW_MOUNTS, _SLAVE, _RECURSIVE = 0x20000, 1 << 19, 1 << 14


def pytest_configure(config):
    """Have mounts of our own: a run that is killed leaves none behind for the next one.

    Root only; the workers of pytest-xdist are forked with them. Source: unshare(2), CLONE_NEWNS.
    """
    if os.geteuid() != 0 or hasattr(config, "workerinput"):
        return
    libc = ctypes.CDLL(None)
    if libc.unshare(_NEW_MOUNTS) == 0:
        # Mounts made here must not reach the machine. A chroot whose / is no mount refuses this.
        libc.mount(None, b"/", None, _RECURSIVE | _SLAVE, None)


@pytest.fixture
def volume(tmp_path):
    """An empty directory to be scanned; taken away by rm, which depth does not stop."""
    root = tmp_path / "volume"
    root.mkdir()
    yield root
    subprocess.run(["rm", "-rf", str(root)], check=False)
