"""What a look at a tree of files compares."""

import os
import stat

from hashscan.demo import tree


def test_a_look_sees_every_change(place):
    root = place / "root"
    root.mkdir()
    (root / "file").write_bytes(b"one")
    (root / "link").symlink_to("file")
    before = tree.look(str(root))
    assert set(before) == {b"file", b"link"}
    status = os.stat(root / "file")
    (root / "file").write_bytes(b"two")
    os.utime(root / "file", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert tree.look(str(root)) != before
    (root / "file").write_bytes(b"one")
    assert tree.look(str(root)) != before  # another mtime
    os.utime(root / "file", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert tree.look(str(root)) == before
    os.chmod(root / "file", 0o600)
    assert tree.look(str(root)) != before
    os.chmod(root / "file", stat.S_IMODE(status.st_mode))
    os.link(root / "file", root / "second")
    assert tree.look(str(root))[b"file"] != before[b"file"]
    os.unlink(root / "second")
    assert tree.look(str(root)) == before
    (root / "link").unlink()
    (root / "link").symlink_to("elsewhere")
    assert tree.look(str(root)) != before
