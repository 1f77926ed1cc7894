"""hashscan.scan.hashing: the right digests, or the reason why not."""

import errno
import hashlib
import os
import socket
import subprocess
import sys
import time

import pytest

from hashscan.fs.reading import CacheNeutralReader
from hashscan.model import ALGORITHMS, Problem, Skipped
from hashscan.scan import hashing
from hashscan.scan.hashing import (
    Hashed,
    Hasher,
    Linked,
    NotHashed,
    hash_below,
    outcome_of_error,
)


@pytest.fixture
def folder(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_all_digests_in_one_pass(tmp_path, folder, size):
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)
    counted = []
    hasher = Hasher(frozenset(ALGORITHMS), on_bytes=counted.append)
    hashed = hasher.hash(folder, b"f")
    assert isinstance(hashed, Hashed)
    assert hashed.digests.as_dict() == {
        name: hashlib.new(name, content).hexdigest() for name in ALGORITHMS
    }
    assert hashed.bytes_read == sum(counted) == size


def test_only_the_algorithms_that_are_needed(tmp_path, folder):
    (tmp_path / "f").write_bytes(b"x")
    hashed = Hasher(frozenset({"md5"})).hash(folder, b"f")
    assert hashed.digests.sha1 is None
    assert hashed.digests.md5 == hashlib.md5(b"x").digest()


def test_a_file_that_changes_once_is_read_again(tmp_path, folder):
    path = tmp_path / "f"
    path.write_bytes(b"a" * 100)
    times = []

    def change(_count):
        times.append(1)
        if len(times) == 1:
            path.write_bytes(b"b" * 100)

    hashed = Hasher(frozenset({"sha1"}), on_bytes=change).hash(folder, b"f")
    assert hashed.digests.sha1 == hashlib.sha1(b"b" * 100).digest()
    assert len(times) == 2


def test_a_file_that_never_rests_is_a_problem(tmp_path, folder, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    path = tmp_path / "f"
    path.write_bytes(b"a")

    def change(_count):
        with open(path, "ab") as file:
            file.write(b"more")

    result = Hasher(frozenset({"sha1"}), on_bytes=change).hash(folder, b"f")
    assert result.reason is Problem.CHANGED
    assert "3 times" in result.message
    assert len(pauses) == 2
    assert 0 < pauses[0] < pauses[1] < 0.1


def test_a_file_that_grows_without_end_is_bounded(tmp_path, folder):
    path = tmp_path / "f"
    path.write_bytes(b"a" * (4 << 20))
    grow = "import sys, time\nwith open(sys.argv[1], 'ab', buffering=0) as f:\n"
    grow += "    while f.tell() < 1 << 33: f.write(b'g' * 4096); time.sleep(0.001)"
    grower = subprocess.Popen([sys.executable, "-c", grow, str(path)])
    try:
        while path.stat().st_size < 5 << 20:
            time.sleep(0.01)

        def until_it_grew(_count):
            size = path.stat().st_size
            while path.stat().st_size == size:
                time.sleep(0.001)

        result = Hasher(frozenset({"sha1"}), on_bytes=until_it_grew).hash(folder, b"f")
    finally:
        grower.kill()
        grower.wait()
    assert isinstance(result, NotHashed)
    assert result.reason is Problem.CHANGED


def test_a_long_read_gives_up_early_when_the_file_changes(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(hashing, "_LOOK_AGAIN", 1 << 20)
    path = tmp_path / "f"
    with open(path, "wb") as file:
        file.write(os.urandom(8 << 20))
    read = []

    def change(count):
        read.append(count)
        os.utime(path)

    assert Hasher(frozenset({"sha1"}), on_bytes=change).hash(folder, b"f").reason is Problem.CHANGED
    assert sum(read) <= 3 * (2 << 20)


def test_what_is_no_file(tmp_path, folder):
    os.mkfifo(tmp_path / "fifo")
    os.symlink("/etc/passwd", tmp_path / "link")
    os.mkdir(tmp_path / "dir")
    hasher = Hasher(frozenset({"sha1"}))
    assert hasher.hash(folder, b"fifo") == NotHashed(Skipped.FIFO)
    assert hasher.hash(folder, b"link") == NotHashed(Skipped.SYMLINK)
    assert hasher.hash(folder, b"missing") == NotHashed(Skipped.VANISHED)
    assert hasher.hash(folder, b"dir").reason is Problem.CHANGED


@pytest.mark.parametrize(
    ("number", "reason", "words"),
    [
        (errno.EIO, Problem.IO_ERROR, os.strerror(errno.EIO)),
        (errno.ESTALE, Problem.STALE, os.strerror(errno.ESTALE)),
        (errno.EACCES, Problem.DENIED, os.strerror(errno.EACCES)),
        (errno.EBADMSG, Problem.IO_ERROR, "see the kernel's log"),
        (errno.EINVAL, Problem.OTHER, os.strerror(errno.EINVAL)),
        (errno.ENOMEM, Problem.OTHER, "out of memory"),
    ],
)
def test_an_error_of_the_disk_is_never_clean(tmp_path, folder, number, reason, words):
    class Broken(CacheNeutralReader):
        def read(self, fd, offset, device):
            raise OSError(number, os.strerror(number))

    (tmp_path / "f").write_bytes(b"x")
    result = Hasher(frozenset({"sha1"}), reader=Broken()).hash(folder, b"f")
    assert result.reason is reason
    assert words in result.message


def test_an_unreadable_file_says_what_to_do(tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "f").chmod(0)
    os.chmod(tmp_path, 0o755)
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    fd = os.open(tmp_path, os.O_RDONLY)
    code = (
        "from hashscan.scan.hashing import Hasher\n"
        "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"r = Hasher(frozenset({{'sha1'}})).hash({fd}, b'f')\n"
        "print(r.reason, r.message)"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, pass_fds=[fd], check=False
        )
    finally:
        os.close(fd)
    assert done.stdout.startswith("denied Permission denied; run hashscan as root"), done.stderr


def test_errors_of_directories_have_an_outcome():
    assert outcome_of_error(FileNotFoundError(errno.ENOENT, "x")) == NotHashed(Skipped.VANISHED)
    assert outcome_of_error(OSError(errno.EMFILE, "Too many open files")).reason is Problem.OTHER
    assert outcome_of_error(OSError("no number")) == NotHashed(Problem.OTHER, "no number")
    assert "ulimit -n" in outcome_of_error(OSError(errno.EMFILE, "Too many open files")).message


def test_files_up_to_the_largest_size_are_hashed(tmp_path, folder):
    (tmp_path / "f").write_bytes(b"12345")
    for most, expected in ((5, Hashed), (4, NotHashed)):
        found = Hasher(frozenset({"sha1"}), max_file_size=most).hash(folder, b"f")
        assert isinstance(found, expected)
    assert found == NotHashed(Skipped.TOO_LARGE)


def test_a_socket_is_no_file(tmp_path, folder):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "socket"))
        assert Hasher(frozenset({"sha1"})).hash(folder, b"socket") == NotHashed(Skipped.SOCKET)


def test_an_inode_with_other_names_is_left_to_whoever_asks_for_single_ones(tmp_path, folder):
    (tmp_path / "f").write_bytes(b"x")
    hasher = Hasher(frozenset({"sha1"}))
    assert isinstance(hasher.hash_single(folder, b"f"), Hashed)
    os.link(tmp_path / "f", tmp_path / "g")
    found = hasher.hash_single(folder, b"f")
    assert isinstance(found, Linked)
    assert found.status.st_nlink == 2
    assert isinstance(hasher.hash(folder, b"f"), Hashed)


def test_a_file_below_a_root_is_hashed_or_its_reason_given(tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x")
    hasher, root = Hasher(frozenset({"sha1"})), os.fsencode(tmp_path)
    assert hash_below(hasher, root, b"d/f").digests.sha1 == hashlib.sha1(b"x").digest()
    assert hash_below(hasher, root, b"absent/f") == NotHashed(Skipped.VANISHED)
    assert hash_below(hasher, root + b"/absent", b"f") == NotHashed(Skipped.VANISHED)
    found = hash_below(hasher, root, b"../f")
    assert found.reason is Problem.OTHER
    assert found.message
