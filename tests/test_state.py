"""The state directory: which names are hashscan's, and which the file system's."""

import os

import pytest

from hashscan import files
from hashscan.daemon.status_file import write_facts
from hashscan.errors import UsageError
from hashscan.state import State


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "state").mkdir(mode=0o755)
    return tmp_path / "state"


@pytest.mark.parametrize(
    "name",
    [
        "lost+found",
        ".snapshot",
        ".snapshots",
        ".zfs",
        "aquota.user",
        ".daemon.json.tmp",
        f".daemon.json.{'0a' * 6}.tmp",
        "catalog.sqlite3-wal",
        "catalog.sqlite3-shm",
        "daemon.json",
        "lock",
        "filters",
        "beside",
        "quarantine",
    ],
)
def test_a_directory_with_what_is_ours_or_nobodys_is_taken(directory, name):
    directory.chmod(0o700)
    (directory / name).touch() if "." in name else (directory / name).mkdir()
    State(str(directory))
    assert (directory / name).exists()
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_fresh_mount_is_made_private(directory):
    (directory / "lost+found").mkdir()
    State(str(directory))
    assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["x", ".x.tmp", "daemon.json.tmp", ".daemon.json", "LOST+FOUND"])
def test_what_is_somebodys_is_named(directory, name):
    (directory / "lost+found").mkdir()
    (directory / name).touch()
    with pytest.raises(UsageError, match=r"holds other files, e\.g\. ") as caught:
        State(str(directory))
    assert f"e.g. {name}; give" in str(caught.value)
    assert directory.stat().st_mode & 0o777 == 0o755


def test_killed_while_the_status_is_written(directory, monkeypatch):
    """Every temporary name of the status file is known."""
    directory.chmod(0o700)

    def killed(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_facts(str(directory), {})
    (left,) = os.listdir(directory)
    assert files.temporary_of(left) == files.DAEMON_STATUS
    State(str(directory))


def test_a_mount(tmp_path):
    """A real file system, as mkfs makes it."""
    import subprocess

    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    image, top = tmp_path / "image", tmp_path / "mount"
    top.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True, capture_output=True)
        mounted = subprocess.run(["mount", "-o", "loop", image, top], capture_output=True)
    except FileNotFoundError as error:
        pytest.skip(f"{error.filename} is not installed")
    if mounted.returncode:
        pytest.skip(f"no loop mounts here: {mounted.stderr!r}")
    try:
        State(str(top))
        assert top.stat().st_mode & 0o777 == 0o700
    finally:
        subprocess.run(["umount", top], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user: needs root")
def test_another_users_state_is_for_that_user_or_root(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    os.chmod(tmp_path, 0o755)
    os.seteuid(4711)
    try:
        with pytest.raises(UsageError, match="Permission denied; run as root, or as its owner"):
            State(str(tmp_path / "state"))
    finally:
        os.seteuid(0)
