"""hashscan.watch.mounts: what is mounted where, and that it is told."""

import os
import select
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from namespaces import why_no_root

from hashscan.fs.volume import Volume
from hashscan.watch.mounts import (
    Mounts,
    MountTable,
    Reach,
    concerning,
    mount_of,
    mounts_now,
    parse,
    roots_now,
)

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
    (bound,) = parse(b"30 22 8:2 /home/a\\040b /srv rw - xfs /dev/sdb rw\n")
    assert (found[0].root, bound.root) == (b"/", b"/home/a b")


def test_the_mount_of_a_directory(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    number = mount_of(fd)
    os.close(fd)
    root = os.open("/", os.O_RDONLY)
    if mount_of(root) not in roots_now():
        pytest.skip("the root of this chroot is no mount, so /proc/self/mountinfo does not have it")
    os.close(root)
    assert number in roots_now()


def test_which_concern_a_volume():
    mounts = MountTable(parse(TEXT))
    assert {one.number for one in concerning(mounts, Volume(b"/srv/www"))} == {30}
    crossing = Volume(b"/srv/www", one_file_system=False)
    assert {one.number for one in concerning(mounts, crossing)} == {30, 31}
    assert {one.number for one in concerning(mounts, Volume(b"/"))} == {22}
    again = MountTable(parse(TEXT + b"40 22 8:9 / /srv rw - ext4 /dev/sde rw\n"))
    assert {one.number for one in concerning(again, Volume(b"/srv/www"))} == {40}


@given(st.binary(max_size=200))
def test_whatever_the_text_is(text):
    MountTable(parse(text)).reach(b"/srv/www")
    parse(TEXT + text)


SERVERS = b"""\
50 22 0:50 / /net/a rw - nfs4 [2001:db8::1]:/export/a rw
51 22 0:51 / /net/b rw - nfs4 [2001:db8::1]:/export/b rw
52 22 0:52 / /net/c rw - cifs //files/c rw
53 22 0:53 / /net/d rw - fuse.s3fs s3fs rw
54 22 0:54 / /net/e rw - fuse.s3fs s3fs rw
55 22 0:55 / /auto rw - autofs map rw
56 55 0:56 / /auto/x rw - nfs server:/x rw
57 50 8:7 / /net/a/disk rw - ext4 /dev/sdg rw
"""


def test_volumes_of_one_server_are_known_as_such():
    table = MountTable(parse(TEXT + SERVERS))
    a, b, c, d, e = (table.reach(b"/net/%s/www" % one) for one in (b"a", b"b", b"c", b"d", b"e"))
    assert a.server == b.server == b"nfs4 [2001:db8::1]"
    assert (a.mount, b.mount) == (50, 51)
    assert len({a.server, c.server, d.server, e.server, b""}) == 5
    assert table.reach(b"/net/a/disk/www") == a, "the way to the disk leads over the server"
    assert table.reach(b"/auto/x/www") == Reach(b"nfs server", 56)
    assert table.reach(b"/auto/y/www") == Reach(b"autofs /auto", 55)
    assert table.reach(b"/srv/www/a b/x") == Reach(b"", 31)
    assert table.reach(b"/net/../srv/./x") == Reach(b"", 30)


def test_links_are_followed_up_to_a_server_and_no_further(tmp_path):
    top = os.fsencode(tmp_path)
    (tmp_path / "link").symlink_to("server/www")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "www").symlink_to("elsewhere")  # behind the mount: it is not read
    line = b"60 22 0:60 / %s/server rw - nfs host:/ rw\n" % top
    table = MountTable(parse(TEXT + line))
    assert table.reach(top + b"/link/x") == Reach(b"nfs host", 60)
    assert table.reach(top + b"/loop/x").server == b""


def test_below():
    table = MountTable(parse(TEXT))
    assert [one.number for one in table.below(b"/srv/www")] == [31]
    assert [one.number for one in table.below(b"/srv")] == [30, 31, 32]
    assert [one.number for one in table.below(b"/")] == [22, 30, 31, 32]
    assert table.below(b"/srv/ww") == []


def test_the_cost_of_a_question_does_not_grow_with_the_mounts():
    lines = b"".join(b"%d 1 0:%d / /v/%d rw - tmpfs none rw\n" % (n, n, n) for n in range(20_000))
    table = MountTable(parse(lines))
    began = time.process_time()
    for n in range(20_000):
        assert table.is_mounted(b"/v/%d" % n)
        assert [one.number for one in table.below(b"/v/%d" % n)] == [n]
        assert table.kind(b"/v/%d/x/y" % n) == b"tmpfs"
    assert time.process_time() - began < 5  # 400 million comparisons would take a minute


@pytest.mark.skipif(bool(why_no_root()), reason=why_no_root())
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
        assert mounts_now().is_mounted(os.fsencode(place))
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert poll.poll(5000)
    assert mounts.changed() == [0]
    assert not mounts_now().is_mounted(os.fsencode(place))
    mounts.close()
