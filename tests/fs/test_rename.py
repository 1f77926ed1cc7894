"""Moving one entry, both ways, with and without renameat2."""

import errno
import os

import pytest

from hashscan.fs import rename
from hashscan.fs.rename import put, take


@pytest.fixture(params=["renameat2", "fallback"])
def two(request, tmp_path, monkeypatch):
    """A customer's directory and a private one."""
    if request.param == "fallback":
        monkeypatch.setattr(rename, "_renameat2", None)
    fds = []
    for name in ("customer", "private"):
        (tmp_path / name).mkdir()
        fds.append(os.open(tmp_path / name, os.O_RDONLY))
    yield tmp_path / "customer", tmp_path / "private", *fds
    for fd in fds:
        os.close(fd)


def make(kind, path):
    if kind == "file":
        path.write_bytes(b"one")
    elif kind == "link":
        path.symlink_to("nowhere")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
        (path / "inner").write_bytes(b"")


KINDS = ["file", "link", "fifo", "directory"]


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(two, kind):
    customer, private, customer_fd, private_fd = two
    make(kind, customer / "a\n")
    before = os.lstat(customer / "a\n")
    take(customer_fd, b"a\n", private_fd, b"unique")
    assert os.listdir(customer) == []
    assert os.lstat(private / "unique").st_ino == before.st_ino
    put(private_fd, b"unique", customer_fd, b"a\n")
    assert os.listdir(private) == []
    after = os.lstat(customer / "a\n")
    assert (after.st_ino, after.st_mode, after.st_nlink) == (
        before.st_ino,
        before.st_mode,
        before.st_nlink,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("there", KINDS)
def test_put_replaces_nothing(two, kind, there):
    customer, private, customer_fd, private_fd = two
    make(kind, private / "unique")
    make(there, customer / "a")
    before = os.lstat(customer / "a")
    with pytest.raises(FileExistsError):
        put(private_fd, b"unique", customer_fd, b"a")
    assert os.lstat(customer / "a").st_ino == before.st_ino
    assert os.listdir(private) == ["unique"]


def test_put_half_done_by_a_killed_process_is_finished(two):
    customer, private, customer_fd, private_fd = two
    (private / "unique").write_bytes(b"one")
    os.link(private / "unique", customer / "a")
    put(private_fd, b"unique", customer_fd, b"a")
    assert os.listdir(private) == []
    assert (customer / "a").read_bytes() == b"one"


def test_errors_come_as_the_kernel_says(two):
    customer, private, customer_fd, private_fd = two
    with pytest.raises(FileNotFoundError):
        take(customer_fd, b"none", private_fd, b"unique")
    with pytest.raises(FileNotFoundError):
        put(private_fd, b"none", customer_fd, b"a")
    assert os.listdir(customer) == os.listdir(private) == []


def test_a_directory_that_cannot_be_put_back_leaves_none_in_its_place(two, monkeypatch):
    customer, private, customer_fd, private_fd = two
    (private / "unique").mkdir()

    def fails(*_args, **_options):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises(OSError, match="Input/output error"):
        rename._put_by_link(private_fd, b"unique", customer_fd, b"a")
    assert os.listdir(customer) == []
    assert os.listdir(private) == ["unique"]
