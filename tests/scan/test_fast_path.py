"""The quick loop takes what is ordinary, and what it takes is what the careful way would say."""

import hashlib
import os
import socket
import sqlite3
from types import SimpleNamespace

import pytest
from faulty import break_os
from scanning import Scanner, settle, sha1

from hashscan.catalog.rows import signed
from hashscan.fs.beneath import closing, open_root
from hashscan.fs.reading import BUFFER_SIZE
from hashscan.scan import fast_path as fast_path_module
from hashscan.scan.fast_path import FastPath
from hashscan.scan.hashing import Hasher


def quick_hasher(hasher=None, **options):
    one = FastPath(hasher or Hasher(frozenset({"md5", "sha1"})), judged=3, scan=7, **options)
    one.rows, one.owners = [], []
    return one


@pytest.fixture
def quick():
    return quick_hasher()


def run(quick, directory, names, *, most=1 << 30):
    with closing(open_root(os.fsencode(directory))) as fd:
        device = os.fstat(fd).st_dev
        pairs = [(os.fsencode(name), 0) for name in names]
        return quick.run(
            fd, pairs, 0, root=(device, -5), most_bytes=most, rows=quick.rows, owners=quick.owners
        )


def rows_of(catalog):
    with sqlite3.connect(catalog) as connection:
        return connection.execute(
            "SELECT dir.name, file.name, device, file.inode, size, mtime_ns, ctime_ns, md5, sha1,"
            " sha256, linked, hit, racy FROM file JOIN dir ON dir.id = file.dir ORDER BY 1, 2"
        ).fetchall()


@pytest.mark.parametrize("algorithms", [("sha1",), ("md5", "sha1"), ("sha256",)])
def test_a_tree_of_everything_is_the_same_by_both_ways(volume, tmp_path, monkeypatch, algorithms):
    for directory in (volume, volume / "d"):
        directory.mkdir(exist_ok=True)
        for number, size in enumerate(
            [0, 1, 4095, 4096, 70_000, BUFFER_SIZE - 1, BUFFER_SIZE, BUFFER_SIZE + 1]
        ):
            (directory / f"f{number}").write_bytes(os.urandom(size))
        os.link(directory / "f2", directory / "linked")
        os.symlink("f1", directory / "symlink")
        os.mkfifo(directory / "fifo")
        with open(directory / "sparse", "wb") as file:
            file.truncate(8 << 20)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(volume / "socket"))
        settle(volume)
        digest = getattr(hashlib, algorithms[-1])
        known = {digest((volume / "f3").read_bytes()).hexdigest()}
        first = Scanner(tmp_path / "quick", known, algorithms)
        quick = first.scan(volume)
        second = Scanner(tmp_path / "careful", known, algorithms)
        monkeypatch.setattr(FastPath, "run", lambda _s, _f, _n, start, **_o: (start, 0))
        careful = second.scan(volume)
    quick.seconds = careful.seconds = 0
    assert quick == careful
    assert quick.matches == 1
    assert rows_of(first.catalog) == rows_of(second.catalog)
    assert len(rows_of(first.catalog)) == 18


def test_it_stops_at_whatever_is_out_of_the_ordinary(quick, tmp_path):
    for name in ("a", "b", "z"):
        (tmp_path / name).write_bytes(name.encode())
    os.link(tmp_path / "a", tmp_path / "linked")
    os.symlink("b", tmp_path / "symlink")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").touch()
    for name in ("linked", "symlink", "fifo", "empty", "gone", "."):
        assert run(quick, tmp_path, ["b", name, "z"]) == (1, 1)
    rows, owners = quick.rows, quick.owners
    assert {row[0] for row in rows} == {b"b"}
    assert len(rows) == len(owners)
    assert set(owners) == {os.getuid()}
    assert rows[0][1] == -5
    assert rows[0][6:9] == (hashlib.md5(b"b").digest(), hashlib.sha1(b"b").digest(), None)


def test_a_file_that_changes_while_it_is_read_is_left_to_the_careful_way(quick, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"one")
    read = quick._hasher.reader.read

    def changes(fd, offset, device):
        count = read(fd, offset, device)
        path.write_bytes(b"two")
        return count

    quick._hasher.reader.read = changes
    assert run(quick, tmp_path, ["f"]) == (0, 0)

    def grows(fd, offset, device):
        with open(path, "ab") as file:
            file.write(b"more")
        return read(fd, offset, device)

    quick._hasher.reader.read = grows
    assert run(quick, tmp_path, ["f"]) == (0, 0)
    assert (quick.rows, quick.owners) == ([], [])


def test_an_error_of_the_disk_is_left_to_the_careful_way_and_leaves_no_descriptor(quick, tmp_path):
    (tmp_path / "f").write_bytes(b"x")

    def fails(*_):
        raise OSError(5, "Input/output error")

    quick._hasher.reader.read = fails
    before = len(os.listdir("/proc/self/fd"))
    assert run(quick, tmp_path, ["f"]) == (0, 0)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("each", "told"), [(16, 7), (1, 100)])
def test_rows_that_are_taken_in_the_middle_are_neither_lost_nor_told_twice(tmp_path, each, told):
    names = [f"f{number:03}" for number in range(100)]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    taken, counts = [], []

    def on_bytes(count):
        counts.append(count)
        taken.extend(quick.rows)
        quick.rows.clear()

    quick = quick_hasher(on_bytes=on_bytes, each=each)
    assert run(quick, tmp_path, names) == (100, 400)
    assert [row[0].decode() for row in taken] == names
    assert (sum(counts), len(counts)) == (400, told)


def test_it_stops_after_so_many_bytes(tmp_path):
    quick = quick_hasher(each=1)
    names = [f"f{number}" for number in range(10)]
    for name in names:
        (tmp_path / name).write_bytes(os.urandom(1000))
    assert run(quick, tmp_path, names, most=2500) == (3, 3000)
    assert len(quick.rows) == 3


def test_one_that_is_larger_than_the_bound_is_left_to_the_careful_way(tmp_path):
    quick = quick_hasher(Hasher(frozenset({"sha1"}), max_file_size=10))
    (tmp_path / "ten").write_bytes(b"x" * 10)
    (tmp_path / "eleven").write_bytes(b"x" * 11)
    assert run(quick, tmp_path, ["ten", "eleven"]) == (1, 10)


def test_a_fresh_file_is_racy(quick, tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    run(quick, tmp_path, ["f"])
    assert quick.rows[0][11] is True


LATE = 13_600_000_000  # the year 2400: more nanoseconds than 64 bits hold


def test_times_that_no_64_bits_hold_harm_nothing_and_cost_one_read(volume, state):
    """An owner may set any: a single file must not end a scan, nor be read by every one."""
    for name, size in (("small", 10), ("large", BUFFER_SIZE + 1), ("early", 20)):
        (volume / name).write_bytes(os.urandom(size))
    known = (volume / "early").read_bytes()
    for name in ("small", "large"):
        os.utime(volume / name, (LATE, LATE))
    if (volume / "small").stat().st_mtime < LATE:
        pytest.skip("this file system keeps no such times")
    os.link(volume / "small", volume / "linked")
    settle(volume)
    scanner = Scanner(state, {sha1(known)})
    summary = scanner.scan(volume)
    assert (summary.hashed, summary.matches, summary.problems) == (4, 1, 0)
    scanner.scan(volume)
    summary = scanner.scan(volume)
    assert (summary.hashed, summary.unchanged) == (0, 4)
    # also where the directory is compared while it is listed: without a candidate in it
    (volume / "early").unlink()
    scanner.scan(volume)
    assert scanner.scan(volume).unchanged == 3


@pytest.mark.parametrize("inode", [5, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_row_has_the_inode_as_the_catalog_keeps_it(quick, volume, monkeypatch, inode):
    (volume / "f").write_bytes(b"content")

    def fstat(fd):
        status = os.fstat(fd)
        names = [name for name in dir(status) if name.startswith("st_")]
        fields = {name: getattr(status, name) for name in names}
        return SimpleNamespace(**{**fields, "st_ino": inode})

    break_os(monkeypatch, fast_path_module, fstat=fstat)
    assert run(quick, volume, ["f"]) == (1, 7)
    assert quick.rows[0][2] == signed(inode)
