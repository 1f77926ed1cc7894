"""What every test may use."""

import contextlib
import gc
import os
import signal
import subprocess
from pathlib import Path

import huge_pages
import hypothesis
import namespaces
import old_runs
import pytest
import unsynced
from examples import examples

# A shell that starts the tests in the background (make test &) lets them ignore Ctrl-C, and what they
# start would inherit that. A handler of our own is back at the default in each new program.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The machine's locale decides nothing; tests of locales set their own. Python itself adds LC_CTYPE if
# there is none, as in a container, and then ``ready`` would not know which one the test means.
for _name in [name for name in os.environ if name.startswith("LC_")]:
    del os.environ[_name]
os.environ["LANG"] = "C.UTF-8"

unsynced.install()

# On a loaded machine any example may be slow; each test has its time limit from pytest-timeout.
hypothesis.settings.register_profile(
    "gate", deadline=None, database=None, max_examples=examples(100)
)
hypothesis.settings.load_profile("gate")


def pytest_configure(config):
    """Let neither an earlier run nor the machine's configuration decide the result of this run.

    As root, use mounts of our own, so that a killed run leaves no mount for the next run; a mount
    hides the machine's own configuration. The workers of pytest-xdist inherit the mounts.
    """
    if hasattr(config, "workerinput"):
        return
    old_runs.remove()
    if os.geteuid() != 0:
        return
    if namespaces.own_mounts_if_possible() and os.path.isdir("/etc/hashscan"):
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "mode=755", "none", "/etc/hashscan"], check=True
        )


_HERE = Path(__file__).parent
#: Rooms in which a descriptor that stays open would end a daemon after days.
_CLOSING = ("catalog", "config", "daemon", "fs", "jobs", "quarantine", "scan")
#: Files with a test that takes ten seconds or more beside the tests of the other processes. They begin
#: first: otherwise the other processes wait for them at the end.
_LONGEST = frozenset(
    _HERE / path
    for path in (
        "cli/test_notice_add.py", "cli/test_report.py", "daemon/test_watchers.py",
        "demo/test_story.py", "e2e/test_daemon_dead_server.py", "e2e/test_daemon_unmoved.py",
        "e2e/test_memory.py", "e2e/test_real_volume.py", "e2e/test_sixty_days.py",
        "e2e/test_soak.py", "known/sync/test_sync_stateful.py",
        "known/sync/test_synced_filters.py", "notify/test_outbox.py",
        "packaging/test_unit_rights.py", "publisher/test_publish_killed.py",
        "quarantine/test_kill.py", "service/test_hostile_clients.py", "test_database.py",
        "test_docs.py", "test_mutants.py", "test_namespaces.py", "test_own_mounts.py",
    )
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Begin with the longest; skip ``root`` tests if this process lacks a right that one needs."""
    items.sort(key=lambda item: item.path not in _LONGEST)
    if why := namespaces.why_no_root():
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collect the tests without a search for garbage, which takes a tenth of the time and finds none."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    """Make it cheap to fork this process: it holds five thousand tests, and the tests fork it often."""
    gc.collect()
    gc.freeze()
    huge_pages.collapse()


def pytest_report_header():
    """Say why tests of commands without a configuration fail."""
    found = [
        one
        for one in (
            "/etc/hashscan/config.yaml",
            os.path.expanduser("~/.config/hashscan/config.yaml"),
        )
        if os.path.exists(one)
    ]
    return [f"{one} is there: some tests expect none" for one in found]


def _descriptors():
    """What each open descriptor of this process leads to; a library keeps its sockets."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return {number: path for number, path in found.items() if not path.startswith("socket:")}


@pytest.fixture(autouse=True)
def _descriptors_are_closed(request):
    """Fail a test of one of these rooms if it leaves a descriptor open."""
    if not any(request.path.is_relative_to(_HERE / room) for room in _CLOSING):
        yield
        return
    before = _descriptors()
    yield
    left = _descriptors().items() - before.items()
    if left:
        gc.collect()  # a failed test's traceback, or a cycle, may hold an object that closes it
        left = _descriptors().items() - before.items()
    assert not left, f"left open: {sorted(left)}"


@pytest.fixture
def volume(tmp_path):
    """An empty directory to be scanned; taken away by rm, which depth does not stop."""
    root = tmp_path / "volume"
    root.mkdir()
    yield root
    subprocess.run(["rm", "-rf", str(root)], check=False)
