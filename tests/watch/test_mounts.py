"""hashscan.watch.mounts: what is mounted where, and that it is told."""

import os
import select
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashscan.fs.volume import Volume
from hashscan.watch.mounts import Mounts, concerning, is_mounted, parse

TEXT = b"""\
22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
30 22 8:2 / /srv rw - xfs /dev/sdb rw
31 30 8:3 / /srv/www/a\\040b rw - ext4 /dev/sdc rw
32 30 8:4 / /srv/wwwother rw - ext4 /dev/sdd rw
nonsense
33 30 8:5
"""


def test_parse():
    found = parse(TEXT)
    assert [one.where for one in found] == [b"/", b"/srv", b"/srv/www/a b", b"/srv/wwwother"]
    assert [one.kind for one in found] == [b"ext4", b"xfs", b"ext4", b"ext4"]


def test_which_concern_a_volume():
    mounts = parse(TEXT)
    assert {one.number for one in concerning(mounts, Volume(b"/srv/www"))} == {30}
    crossing = Volume(b"/srv/www", one_file_system=False)
    assert {one.number for one in concerning(mounts, crossing)} == {30, 31}
    assert {one.number for one in concerning(mounts, Volume(b"/"))} == {22}
    again = parse(TEXT + b"40 22 8:9 / /srv rw - ext4 /dev/sde rw\n")
    assert {one.number for one in concerning(again, Volume(b"/srv/www"))} == {40}


@given(st.binary(max_size=200))
def test_whatever_the_text_is(text):
    parse(text)
    parse(TEXT + text)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_mount_is_told(tmp_path):
    place, other = tmp_path / "v", tmp_path / "w"
    place.mkdir()
    other.mkdir()
    mounts = Mounts([Volume(os.fsencode(place)), Volume(os.fsencode(other))])
    poll = select.poll()
    poll.register(mounts.fileno(), select.POLLPRI | select.POLLERR)
    mounts.changed()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
    try:
        assert poll.poll(5000)
        assert mounts.changed() == [0]
        assert is_mounted(os.fsencode(place))
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert poll.poll(5000)
    assert mounts.changed() == [0]
    assert not is_mounted(os.fsencode(place))
    mounts.close()
