"""Tests that need mounts of their own are skipped where there are none, and no other test is."""

import os
import subprocess
import sys

import namespaces
import pytest

SUPPORT = os.path.dirname(namespaces.__file__)
#: One test that fails and only names what others need, and one for each way to need it.
TESTS = """
import another_user, isolating, namespaces, ready
def test_that_fails():
    in_mount_namespace = "unshare, MS_PRIVATE"
    raise OSError(in_mount_namespace)
def test_in_a_child(): isolating.in_mount_namespace(lambda: None)
def test_in_a_shell(): assert namespaces.in_shell("mount -t tmpfs none /mnt").returncode == 0
def test_of_a_command(): assert ready.hashscan("--version", within=("hidden", "/mnt")).returncode == 0
def test_as_another(tmp_path):
    (tmp_path / "etc").mkdir()
    assert another_user.run(tmp_path, "true", uid=0, etc=tmp_path / "etc").returncode == 0
def test_that_needs_nothing(tmp_path): pass
"""


#: The machine's own tree below a directory that is no mount point. $1: an empty directory, $2: the place to be in.
CHROOT = """
mount -t tmpfs none "$1" && mkdir "$1/root"
for one in /*; do
  if [ -L "$one" ]; then cp -a "$one" "$1/root/"
  elif [ -d "$one" ]; then mkdir "$1/root$one" && mount --rbind "$one" "$1/root$one"; fi
done
place=$2; root=$1/root; shift 2
exec chroot "$root" sh -c 'cd "$0" && exec "$@"' "$place" "$@"
"""


def run(place, *before):
    (place / "test_it.py").write_text(TESTS)
    (place / "conftest.py").write_text(f"import sys; sys.path.insert(0, {SUPPORT!r})")
    return subprocess.run(
        [*before, sys.executable, "-m", "pytest", "-q", "-ra", "--tb=short", "-p", "no:cacheprovider",
         "-c", os.devnull, f"--basetemp={place}/base", f"--rootdir={place}", "test_it.py"],
        cwd=place, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_in_a_chroot_whose_root_is_no_mount(tmp_path):
    namespaces.needed(namespaces.why_no_mounts)
    (tmp_path / "top").mkdir()
    out = run(tmp_path, "unshare", "-m", "sh", "-c", CHROOT, "x", tmp_path / "top", tmp_path)
    assert "1 failed, 1 passed, 4 skipped" in out, out
    assert "[4]" in out
    assert "no mounts of a process's own here (mount of /: Invalid argument)" in out


def test_nothing_is_skipped_where_the_command_succeeds():
    ran = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    assert bool(namespaces.why_no_mounts()) == (ran.returncode != 0)
