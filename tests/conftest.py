"""What every test may use."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
from pathlib import Path

import hypothesis
import pytest

# A shell that starts the tests in the background (make test &) lets them ignore Ctrl-C, and what they
# start would inherit that. A handler of our own is back at the default in each new program.
signal.signal(signal.SIGINT, signal.default_int_handler)

# On a loaded machine any example may be slow; each test has its time limit from pytest-timeout.
hypothesis.settings.register_profile("gate", deadline=None)
hypothesis.settings.load_profile("gate")

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


def pytest_sessionfinish():
    """End the processes that a failed test left: they ignore the SIGTERM of Python's own end."""
    for process in multiprocessing.active_children():
        process.kill()


@pytest.fixture
def volume(tmp_path):
    """An empty directory to be scanned; taken away by rm, which depth does not stop."""
    root = tmp_path / "volume"
    root.mkdir()
    yield root
    subprocess.run(["rm", "-rf", str(root)], check=False)


# A chroot's / may be no mount point: then nobody can make a mount namespace of its own there.
_ROOT_IS_MOUNTED = os.path.exists("/proc/self/mountinfo") and any(
    line.split()[4] == "/"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
)
_NEEDS_NAMESPACE = ("unshare", "in_mount_namespace", "MS_PRIVATE")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Skip what fails in such a chroot because it needs a mount namespace."""
    report = yield
    text = report.longreprtext if report.failed else ""
    if not _ROOT_IS_MOUNTED and any(word in text for word in _NEEDS_NAMESPACE):
        path, line, _ = item.location
        report.outcome = "skipped"
        reason = "Skipped: / is no mount point (a chroot), so there is no mount namespace"
        report.longrepr = (path, line or 0, reason)
    return report
