"""hashscan.scan.volume_root: the open root of a volume, and roots that vanish."""

import errno
import os

import pytest
from faulty import break_os, open_descriptors, raising

from hashscan.fs.volume import Roots, Volume
from hashscan.model import Identity
from hashscan.scan import volume_root as root_module
from hashscan.scan.volume_root import VanishedError, VolumeRoot


def test_a_root_is_opened_once_and_closed_once(tmp_path):
    before = open_descriptors()
    root = VolumeRoot(Volume(os.fsencode(tmp_path)), 7)
    root.close()
    root.open()
    fd = root.fd
    root.open()
    assert root.fd == fd
    assert root.device == os.stat(tmp_path).st_dev
    assert root.row_device == (root.device, -7)
    assert root.device_of(os.stat(tmp_path)) == -7
    assert root.device_of(os.stat("/proc")) == os.stat("/proc").st_dev
    root.close()
    root.close()
    assert (root.fd, open_descriptors()) == (-1, before)


@pytest.mark.parametrize(
    ("number", "known", "kind"),
    [
        (errno.ENOENT, True, VanishedError),
        (errno.EACCES, True, VanishedError),
        (errno.ENOENT, False, FileNotFoundError),
        (errno.EMFILE, True, OSError),
    ],
)
def test_a_root_that_cannot_be_opened_any_more(tmp_path, monkeypatch, number, known, kind):
    identity = Identity(1, 2) if known else None
    root = VolumeRoot(Volume(os.fsencode(tmp_path)), 7, identity)
    monkeypatch.setattr(root_module, "open_root", raising(number))
    with pytest.raises((OSError, VanishedError)) as caught:
        root.open()
    assert isinstance(caught.value, kind)
    assert isinstance(caught.value, VanishedError) is (kind is VanishedError)


def test_volumes_inside_a_volume_that_cannot_be_reached_hide_no_other(tmp_path):
    (tmp_path / "v" / "there").mkdir(parents=True)
    (tmp_path / "v" / "file").touch()
    volume = os.fsencode(tmp_path / "v")
    root = VolumeRoot(Volume(volume), 7)
    root.open()
    inside = [volume + b"/" + name for name in (b"gone", b"file/x", b"there")]
    before = open_descriptors()
    root.find_others(Roots([volume, *inside]))
    status = os.stat(tmp_path / "v" / "there")
    assert root.others == {Identity(status.st_dev, status.st_ino)}
    assert open_descriptors() == before
    root.close()


def test_why_a_root_has_vanished(tmp_path, monkeypatch):
    root = VolumeRoot(Volume(os.fsencode(tmp_path)), 7)
    assert root.why_vanished() == ""
    break_os(monkeypatch, root_module, scandir=raising(errno.ESTALE))
    assert root.why_vanished() == "it cannot be listed any more: Stale file handle"
    monkeypatch.setattr(root_module, "open_root", raising(errno.ENOENT))
    assert root.why_vanished().startswith("it cannot be listed any more: No such file")
    other = VolumeRoot(Volume(os.fsencode(tmp_path)), 7, Identity(1, 2))
    assert other.why_vanished().startswith("it cannot be opened any more")
