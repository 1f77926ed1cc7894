"""hashscan.fs.folders: nested directories that are made for a restored file."""

import os

import pytest
from syncs import watched

from hashscan.fs.folders import make_below


@pytest.fixture
def here(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_each_has_owner_and_mode_of_the_directory_above_and_no_descriptor_is_left(here, tmp_path):
    os.chmod(tmp_path, 0o751)
    before = descriptors()
    made = make_below(here, [b"a", b"b", b"c"], os.fsencode(tmp_path))
    assert descriptors() == before
    assert [one.path for one in made] == [
        os.fsencode(tmp_path) + below for below in (b"/a", b"/a/b", b"/a/b/c")
    ]
    assert {(one.uid, one.gid, one.mode) for one in made} == {(os.geteuid(), os.getegid(), 0o751)}
    assert os.stat(tmp_path / "a" / "b" / "c").st_mode & 0o7777 == 0o751


def test_those_that_are_there_are_entered_and_not_changed(here, tmp_path):
    (tmp_path / "a").mkdir(mode=0o700)
    before = descriptors()
    made = make_below(here, [b"a", b"b"], os.fsencode(tmp_path))
    assert descriptors() == before
    assert [one.path for one in made] == [os.fsencode(tmp_path / "a" / "b")]
    assert os.stat(tmp_path / "a").st_mode & 0o7777 == 0o700


def test_a_link_is_not_followed_and_no_descriptor_is_left(here, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    before = descriptors()
    with pytest.raises(OSError, match=r"link|directory"):
        make_below(here, [b"new", b"..", b"link", b"x"], os.fsencode(tmp_path))
    assert descriptors() == before
    assert os.listdir(tmp_path / "elsewhere") == []


def test_the_names_of_new_directories_are_on_the_disk(here, tmp_path, monkeypatch):
    with watched(monkeypatch) as seen:
        make_below(here, [b"a", b"b"], os.fsencode(tmp_path))
    assert [name for call, _, name in seen.events if call == "rename"] == [b"a", b"b"]
    assert seen.lost_in_a_power_cut() == []
