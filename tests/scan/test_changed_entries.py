"""hashscan.scan.changed_entries: reported files that are at rest."""

import errno
import os
from types import SimpleNamespace

from faulty import raising

from hashscan.fs.beneath import closing
from hashscan.fs.listing import ListedFile
from hashscan.scan import changed_entries


def test_a_file_is_at_rest_unless_it_is_new_or_somebody_writes(tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"x")
    status = os.lstat(tmp_path / "f")
    now = [status.st_ctime_ns + changed_entries.REST]
    monkeypatch.setattr(changed_entries, "time", SimpleNamespace(time_ns=lambda: now[0]))
    with closing(os.open(tmp_path, os.O_RDONLY)) as fd:
        entry = ListedFile(b"f", status)
        assert changed_entries.is_at_rest(fd, entry) is True
        with open(tmp_path / "f", "ab"):
            assert changed_entries.is_at_rest(fd, entry) is False
        now[0] -= 1
        assert changed_entries.is_at_rest(fd, entry) is False
        now[0] = status.st_ctime_ns
        assert changed_entries.is_at_rest(fd, entry) is False
        now[0] -= 1  # the clock was set back
        assert changed_entries.is_at_rest(fd, entry) is True
        now[0] += 10 * changed_entries.REST
        for number, rests in ((errno.EAGAIN, False), (errno.EACCES, True), (errno.ENOENT, True)):
            monkeypatch.setattr(changed_entries, "open_file", raising(number))
            assert changed_entries.is_at_rest(fd, entry) is rests
