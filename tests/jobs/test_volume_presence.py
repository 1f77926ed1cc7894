"""hashscan.jobs.volume_presence: whether a volume is there, or only its mount point."""

import errno
import os
from types import SimpleNamespace

import pytest
from faulty import raising

from hashscan.jobs import (
    volume_presence,
)
from hashscan.jobs.volume_presence import Seen
from hashscan.model import Identity


class Mounts:
    """A catalog that knows which volumes were mounted."""

    def __init__(self, *mounted):
        self.mounted = set(mounted)
        self.set_mounted, self.forget_mounted = self.mounted.add, self.mounted.discard
        self.was_mounted = self.mounted.__contains__


def test_an_empty_mount_point_is_not_an_empty_volume():
    def seen(**given):
        return SimpleNamespace(
            **{"error": None, "mounted": False, "empty": False, "root": b"/v", **given}
        )

    catalog = Mounts()
    assert (
        volume_presence.why_not_there(seen(error="it does not answer"), catalog)
        == "it does not answer"
    )
    assert volume_presence.why_not_there(seen(empty=True), catalog) is None
    assert volume_presence.why_not_there(seen(mounted=True), catalog) is None
    assert catalog.mounted == {b"/v"}
    assert "is not mounted" in volume_presence.why_not_there(seen(empty=True), catalog)
    assert catalog.mounted == {b"/v"}, "it is still expected"
    assert volume_presence.why_not_there(seen(empty=True), catalog, meant=True) is None
    assert catalog.mounted == set()
    catalog.mounted.add(b"/v")
    assert volume_presence.why_not_there(seen(), catalog) is None
    assert catalog.mounted == set(), "it has files, so it is a plain directory now"


def test_without_proc_nothing_is_known_of_mounts(monkeypatch):
    monkeypatch.setattr(volume_presence, "mounts_now", raising(errno.ENOENT))
    assert volume_presence.follow_mounts(b"/v")() == []


def seen(root, number=None, error=None, *, refused=False, identity=None):
    return SimpleNamespace(
        root=root, number=number, error=error, refused=refused, identity=identity,
        mounted=False, empty=False,
    )  # fmt: skip


def test_what_a_check_of_a_volume_finds(tmp_path, monkeypatch):
    root = os.fsencode(tmp_path)
    table = SimpleNamespace(is_mounted=lambda path: path == root)
    status = os.stat(tmp_path)
    seen = volume_presence.check_volume(root, table)
    assert seen == Seen(root, None, Identity(status.st_dev, status.st_ino), True, True)
    (tmp_path / "x").touch()
    assert volume_presence.check_volume(root, table).empty is False
    gone = volume_presence.check_volume(root + b"/none", table)
    assert gone == Seen(
        root + b"/none", "it cannot be opened: No such file or directory", number=errno.ENOENT
    )
    monkeypatch.setattr(volume_presence, "open_root", raising(errno.EMFILE))
    limited = volume_presence.check_volume(root, table)
    assert limited.error.startswith("it cannot be opened: too many open files: this process may")
    assert limited.number == errno.EMFILE


def test_without_proc_the_kernel_says_what_is_mounted(tmp_path, monkeypatch):
    monkeypatch.setattr(volume_presence, "mounts_now", raising(errno.ENOENT))
    assert volume_presence._is_mounted(b"/proc", None) is True
    assert volume_presence._is_mounted(os.fsencode(tmp_path), None) is False
    monkeypatch.setattr(volume_presence, "mounts_now", raising(errno.EIO))
    with pytest.raises(OSError):
        volume_presence._is_mounted(b"/", None)


def test_which_mounts_below_a_volume_were_unmounted(monkeypatch):
    class Table:
        """Mounts by their place: number and kind."""

        def __init__(self, **mounts):
            self.mounts = {b"/" + os.fsencode(name): one for name, one in mounts.items()}

        def below(self, _root):
            return [
                SimpleNamespace(where=where, number=number)
                for where, (number, _) in self.mounts.items()
            ]

        def kind(self, where):
            return self.mounts.get(where, (0, None))[1]

    before = Table(v=(1, b"ext4"), a=(2, b"ext4"), b=(3, b"nfs"), c=(4, b"nfs"))
    monkeypatch.setattr(volume_presence, "mounts_now", lambda: before)
    unmounted = volume_presence.follow_mounts(b"/v")
    assert unmounted() == []
    after = Table(a=(2, b"ext4"), b=(9, b"autofs"), c=(8, b"nfs"))
    monkeypatch.setattr(volume_presence, "mounts_now", lambda: after)
    assert unmounted() == [b"/c"], "the root itself is checked elsewhere"
