"""Lists that cannot be read, and those on standard input."""

import errno

import pytest
from faulty import break_os, open_descriptors, raising

from hashscan.errors import DigestListError
from hashscan.known.lists import reader
from hashscan.known.lists.reader import STDIN, Lists

MD5 = "ab" * 16


def test_a_list_on_a_disk_that_fails(tmp_path, monkeypatch):
    path = tmp_path / "list"
    path.write_text(MD5 + "\n")
    assert [one.hex for one in Lists([str(path)])] == [MD5]
    before = open_descriptors()
    break_os(monkeypatch, reader, read=raising(errno.EIO))
    with pytest.raises(DigestListError, match="cannot be read: Input/output error") as caught:
        list(Lists([str(path)]))
    assert "check the disk and the path" in str(caught.value)
    assert open_descriptors() == before


def test_standard_input_is_not_closed(monkeypatch):
    class Input:
        def fileno(self):
            return 77

    monkeypatch.setattr(reader.sys, "stdin", Input())
    with reader.open_list(STDIN) as descriptor:
        assert descriptor == 77
