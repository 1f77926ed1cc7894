"""hashscan.audit.folder: the directory of the log and its files are nobody's links."""

import os

import pytest

from hashscan.errors import StateError


@pytest.mark.parametrize("name", ["head", "000001.jsonl"])
@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "socket-like"])
def test_nothing_is_written_through_what_is_no_file(small, tmp_path, name, kind):
    small.directory.mkdir(mode=0o700)
    target = tmp_path / "target"
    target.write_bytes(b"")
    place = small.directory / name
    if kind == "link":
        place.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    else:
        os.symlink("/nowhere/at/all", place)
    with pytest.raises(StateError, match=f"audit/{name}.* cannot be written: .*; (re)?move"):
        small.fill(1)
    assert target.read_bytes() == b""


def test_a_link_in_the_place_of_the_directory_is_refused(small, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    small.directory.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="cannot be written"):
        small.fill(1)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_reason_and_the_fix_are_said(small, monkeypatch):
    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StateError, match="no space left on device; free some space there"):
        small.fill(1)
