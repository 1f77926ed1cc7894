"""The scan as a whole: every file has one outcome, every known file is found, nothing else."""

import errno
import os
import sqlite3
import subprocess
import sys
from functools import partial

import namespaces
import pytest
import scanning
from scanning import (
    Knows,
    Scanner,
    count_entries,
    fill,
    nothing_is_hashed,
    one_by_one,
    settle,
    sha1,
)

from hashscan.errors import ServiceUnavailableError
from hashscan.fs import racy
from hashscan.scan import directory_task as directory_module
from hashscan.scan.file_hasher import FileHasher
from hashscan.scan.worker import Worker


def test_finds_what_is_known_and_nothing_else(volume, state):
    contents = fill(volume)
    chosen = sorted(contents)[::7]
    scanner = Scanner(state, {sha1(contents[path]) for path in chosen})
    summary = scanner.scan(volume)
    assert scanner.told.paths == sorted(os.fsencode(path.relative_to(volume)) for path in chosen)
    assert summary.files == summary.hashed == len(contents)
    assert summary.matches == summary.candidates == len(chosen)
    assert summary.bytes_hashed == sum(map(len, contents.values()))
    assert (summary.problems, summary.pending, summary.false_positives) == (0, 0, 0)


def nasty_places(root):
    """Known content in the places where scanners lose files; returns how many names."""
    root = os.fsencode(root)
    made = 0
    fd = os.open(root, os.O_RDONLY)
    deep = os.dup(fd)
    for _ in range(30):  # 6,030 bytes
        os.mkdir(b"d" * 200, dir_fd=deep)
        following = os.open(b"d" * 200, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = following
    os.mkdir(b".hidden", dir_fd=fd)
    os.mkdir(b"[x]", dir_fd=fd)
    os.mkdir(b"new\nline\ndir", dir_fd=fd)
    os.mkdir(b"\xff\xfe", dir_fd=fd)
    os.mkdir(b".hashscan", dir_fd=fd, mode=0o755)  # not ours: it would be 0700
    os.chmod(b".hashscan", 0o755, dir_fd=fd)
    places = [
        b".dotfile", b".hidden/f", b"[x]/f", b"[x]/[y]*?", b"new\nline\ndir/f", b"a\nMATCH etc: quarantined",
        b"\xff\xfe/caf\xe9", b"\xff", b"-rf", b" ", b"...", b"\x1b[2J", b"n" * 255, b"$(id)`id`;id",
        b".hashscan/f",
    ]  # fmt: skip
    for place in places:
        file = os.open(place, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=fd)
        os.write(file, b"nasty" + place)
        os.close(file)
        made += 1
    file = os.open(b"deep", os.O_WRONLY | os.O_CREAT, 0o400, dir_fd=deep)
    os.write(file, b"nasty deep")
    os.close(file)
    os.link(b".dotfile", b"hard", src_dir_fd=fd, dst_dir_fd=fd)
    os.link(b".dotfile", b"[x]/hard", src_dir_fd=fd, dst_dir_fd=fd)
    one = os.open(b"one-byte", os.O_WRONLY | os.O_CREAT, 0o400, dir_fd=fd)
    os.write(one, b"\x07")
    os.close(one)
    for handle in (fd, deep):
        os.close(handle)
    known = {sha1(b"nasty" + place) for place in places} | {sha1(b"nasty deep"), sha1(b"\x07")}
    return made + 4, known


def test_nasty_places(volume, state):
    contents = fill(volume)
    names, known = nasty_places(volume)
    scanner = Scanner(state, known)
    summary = scanner.scan(volume)
    assert summary.matches == names
    assert summary.files == summary.hashed == len(contents) + names
    # .dotfile has two further names, and was read once
    assert summary.bytes_hashed == sum(map(len, contents.values())) + sum(
        os.lstat(event.match.candidate.full_path).st_size
        for event in scanner.told.matches
        if event.match.candidate.path not in {b"hard", b"[x]/hard"}
        and b"deep" not in event.match.candidate.path
    ) + len(b"nasty deep")


def test_special_files_are_skipped_with_their_reason(volume, state, tmp_path):
    fill(volume, 5)
    os.mkfifo(volume / "fifo")
    os.symlink("/etc/passwd", volume / "link")
    os.symlink("/etc", volume / "dirlink")
    with open(volume / "sparse", "wb") as file:
        file.truncate(1 << 43)
    scanner = Scanner(state)
    summary = scanner.scan(volume, exclude=["d1/*", "*/e2/f2"], max_file_size=1 << 50)
    assert summary.skipped == {"fifo": 1, "symlink": 2, "sparse": 1, "excluded": 2}
    assert summary.files == 3 + 6
    assert summary.hashed == 3


def test_large_files_are_skipped_when_asked(volume, state):
    (volume / "large").write_bytes(b"x" * 1001)
    (volume / "small").write_bytes(b"x" * 1000)
    assert Scanner(state).scan(volume, max_file_size=1000).skipped == {"too-large": 1}


def test_second_scan_reads_nothing(volume, state, monkeypatch):
    contents = fill(volume)
    known = {sha1(next(iter(contents.values())))}
    scanner = Scanner(state, known)
    settle(volume)
    scanner.scan(volume)
    nothing_is_hashed(monkeypatch)  # a call would fail the scan
    summary = scanner.scan(volume)
    assert summary.unchanged == summary.files == len(contents)
    assert summary.bytes_hashed == 0
    assert summary.matches == 1, "a match that is still there is reported again"


def test_a_change_behind_a_restored_mtime_is_seen(volume, state):
    contents = fill(volume)
    path = sorted(contents)[3]
    planted = b"k" * len(contents[path])
    scanner = Scanner(state, {sha1(planted)})
    settle(volume)
    assert scanner.scan(volume).matches == 0
    status = path.stat()
    path.write_bytes(planted)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    summary = scanner.scan(volume)
    assert (summary.hashed, summary.matches) == (1, 1)


def test_a_racy_stamp_is_not_believed(volume, state, monkeypatch):
    # A file hashed in the very moment of its last change is hashed again the next time.
    monkeypatch.setattr(racy, "_FINE", 3_600_000_000_000)
    contents = fill(volume)
    scanner = Scanner(state)
    scanner.scan(volume)
    assert scanner.scan(volume).hashed == len(contents)


def test_a_mapped_file_is_not_believed(volume, state):
    import mmap

    path = volume / "mapped"
    path.write_bytes(b"innocent" * 1000)
    scanner = Scanner(state, {sha1(b"criminal" * 1000)})
    with open(path, "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 8000)
    mapped[:] = mapped[:]
    settle(volume)
    scanner.scan(volume)
    before = path.stat()
    mapped[:] = b"criminal" * 1000
    after = path.stat()
    if before.st_ctime_ns != after.st_ctime_ns:
        pytest.skip("the page was written back meanwhile, so the stamp tells")
    assert scanner.scan(volume).matches == 1
    mapped.close()


def test_full_hashes_again(volume, state):
    contents = fill(volume)
    settle(volume)
    scanner = Scanner(state)
    scanner.scan(volume)
    assert scanner.scan(volume, full=True).hashed == len(contents)


def test_a_new_filter_judges_kept_digests_without_reading(volume, state, monkeypatch):
    contents = fill(volume)
    settle(volume)
    Scanner(state).scan(volume)
    nothing_is_hashed(monkeypatch)
    scanner = Scanner(state, {sha1(content) for content in list(contents.values())[:3]})
    summary = scanner.scan(volume)
    assert (summary.unchanged, summary.matches) == (len(contents), 3)
    assert scanner.scan(volume).matches == 3


def test_another_algorithm_makes_the_file_be_read(volume, state):
    contents = fill(volume)
    settle(volume)
    Scanner(state).scan(volume)
    scanner = Scanner(state, algorithms=("md5", "sha256"))
    assert scanner.scan(volume).hashed == len(contents)
    assert Scanner(state, algorithms=("sha256",)).scan(volume).unchanged == len(contents)


def test_gone_files_and_directories_are_forgotten(volume, state):
    contents = fill(volume)
    scanner = Scanner(state)
    settle(volume)
    scanner.scan(volume)
    subprocess.run(["rm", "-r", str(volume / "d1")], check=True)
    min(contents).unlink()
    scanner.scan(volume)
    with sqlite3.connect(scanner.catalog) as catalog:
        (files,) = catalog.execute("SELECT count(*) FROM file").fetchone()
        (dirs,) = catalog.execute("SELECT count(*) FROM dir").fetchone()
    assert files == sum(path.exists() for path in contents)
    assert dirs == 1 + sum(entry.is_dir() for entry in volume.rglob("*"))


def test_a_file_that_is_renamed_between_listing_and_opening_is_followed(volume, state, monkeypatch):
    (volume / "upload.tmp").write_bytes(b"known")
    hash_one = FileHasher.hash

    def renames_first(self, directory, name):
        if name == b"upload.tmp":
            (volume / "upload.tmp").rename(volume / "picture.jpg")
        return hash_one(self, directory, name)

    one_by_one(monkeypatch, renames_first)
    scanner = Scanner(state, {sha1(b"known")})
    summary = scanner.scan(volume)
    assert scanner.told.paths == [b"picture.jpg"]
    assert (summary.files, summary.hashed) == (1, 1)


def test_a_file_that_is_renamed_to_an_excluded_name_is_not_read(volume, state, monkeypatch):
    (volume / "upload.tmp").write_bytes(b"known")
    hash_one = FileHasher.hash

    def renames_first(self, directory, name):
        (volume / "upload.tmp").rename(volume / "left.out")
        return hash_one(self, directory, name)

    one_by_one(monkeypatch, renames_first)
    summary = Scanner(state, {sha1(b"known")}).scan(volume, exclude=["*.out"])
    assert (summary.skipped, summary.matches) == ({"excluded": 1}, 0)


def test_a_removed_file_or_directory_is_no_problem(volume, state, monkeypatch):
    (volume / "a" / "b").mkdir(parents=True)
    (volume / "f").write_bytes(b"x")
    hash_one = FileHasher.hash

    def removes(self, directory, name):
        (volume / "f").unlink()
        (volume / "a" / "b").rmdir()
        (volume / "a").rmdir()
        return hash_one(self, directory, name)

    one_by_one(monkeypatch, removes)
    scanner = Scanner(state)
    scanner.jobs = 1
    summary = scanner.scan(volume)
    assert summary.skipped == {"vanished": 2}
    assert (summary.files, summary.problems) == (2, 0)


@pytest.mark.parametrize("renamed", ["a", "a/b"])
def test_a_renamed_directory_is_a_problem(volume, state, monkeypatch, renamed):
    (volume / "a" / "b").mkdir(parents=True)
    (volume / "a" / "b" / "known").write_bytes(b"known")
    opened = Worker._open

    def renames(self, root, path):
        if path == renamed.encode() and (volume / renamed).exists():
            (volume / renamed).rename(volume / (renamed + ".new"))
        return opened(self, root, path)

    monkeypatch.setattr(Worker, "_open", renames)
    scanner = Scanner(state)
    summary = scanner.scan(volume)
    assert summary.problems == 1
    assert "renamed" in scanner.told.problems[0].message


def test_a_stale_directory_is_a_problem_and_ends_nothing(volume, state, monkeypatch):
    contents = fill(volume, 30)

    def stale(self, status):
        if self._task.path == b"d1":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return False

    monkeypatch.setattr(directory_module.DirectoryTask, "_is_not_entered", stale)
    scanner = Scanner(state)
    summary = scanner.scan(volume)
    (event,) = scanner.told.problems
    assert (event.reason, event.path) == ("stale", os.fsencode(volume / "d1"))
    assert summary.hashed == sum("/d1/" not in str(path) for path in contents)


def test_a_directory_that_cannot_be_listed_once_keeps_its_rows(volume, state, monkeypatch):
    contents = fill(volume, 30)
    settle(volume)
    scanner = Scanner(state)
    scanner.scan(volume)
    entered = directory_module.DirectoryTask._is_not_entered

    def broken(self, status):
        if self._task.path == b"d1":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return entered(self, status)

    monkeypatch.setattr(directory_module.DirectoryTask, "_is_not_entered", broken)
    assert scanner.scan(volume).problems == 1
    monkeypatch.setattr(directory_module.DirectoryTask, "_is_not_entered", entered)
    assert scanner.scan(volume).unchanged == len(contents)


def test_times_beyond_64_bits(state):
    import tempfile

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for name, seconds in (("late", 1 << 60), ("early", -(1 << 60))):
            path = os.path.join(folder, name)
            with open(path, "wb") as file:
                file.write(b"x")
            os.utime(path, ns=(0, seconds * 10**9))
            os.link(path, path + "2")
        scanner = Scanner(state, {sha1(b"x")})
        assert scanner.scan(folder).matches == 4
        settle(folder)
        scanner.scan(folder)
        assert scanner.scan(folder).unchanged == 4


def test_what_lies_too_deep_is_a_problem(volume, state, monkeypatch):
    monkeypatch.setattr(directory_module, "MAX_LEVELS", 3)
    (volume / "a" / "b" / "c" / "d").mkdir(parents=True)
    (volume / "a" / "b" / "c" / "f").write_bytes(b"x")
    (volume / "a" / "b" / "c" / "d" / "f").write_bytes(b"x")
    scanner = Scanner(state)
    summary = scanner.scan(volume)
    assert (summary.hashed, summary.problems) == (1, 1)
    (event,) = scanner.told.problems
    assert (event.reason, event.path) == ("too-deep", os.fsencode(volume / "a" / "b" / "c" / "d"))


def test_a_volume_below_another_is_scanned_once(volume, state):
    contents = fill(volume, 30)
    summary = Scanner(state).scan(volume, volume / "d1")
    assert summary.hashed == len(contents)
    assert summary.skipped == {"other-volume": 1}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_row_of_one_volume_says_nothing_of_another(tmp_path):
    """Two file systems have the same inode numbers, and an owner can make equal stamps."""
    script = f"""
import os, sys
sys.path.insert(0, {os.path.dirname(scanning.__file__)!r})
from scanning import Scanner, sha1
base = {str(tmp_path)!r}
for _ in range(50):
    for one, content in (("a", b"clean"), ("b", b"known")):
        path = f"{{base}}/{{one}}/f"
        if os.path.exists(path): os.unlink(path); os.unlink(path + "2")
        open(path, "wb").write(content)
        os.link(path, path + "2")
    for one in "ab": os.utime(f"{{base}}/{{one}}/f", (1, 1))
    left, right = (os.stat(f"{{base}}/{{one}}/f") for one in "ab")
    if (left.st_ino, left.st_ctime_ns) == (right.st_ino, right.st_ctime_ns): break
else:
    print("no equal stamps"); raise SystemExit
import time; time.sleep(0.2)
scanner = Scanner(base + "/state", {{sha1(b"known")}})
assert scanner.scan(base + "/a").matches == 0
assert scanner.scan(base + "/b").matches == 2
assert scanner.scan(base + "/a").unchanged == 2
print("ok")
"""
    (tmp_path / "script").write_text(script)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    shell = "".join(f"mount -t tmpfs none {tmp_path}/{name} && " for name in ("a", "b"))
    done = namespaces.in_shell(f"{shell}exec {sys.executable} {tmp_path}/script")
    if done.stdout == "no equal stamps\n":
        pytest.skip("this kernel's stamps are too fine to be made equal")
    assert done.stdout == "ok\n", done.stderr


def test_counts_agree_with_the_tree(volume, state):
    fill(volume, 50)
    nasty_places(volume)
    os.symlink("x", volume / "d1" / "link")
    summary = Scanner(state).scan(volume)
    assert summary.files == count_entries(volume)


def test_a_scan_of_unchanged_files_steps_aside_too(volume, state, tmp_path, monkeypatch):
    """It lists and stats every one of them, and disks that others wait for do that as well."""
    from hashscan.scan import throttle

    for number in range(300):
        (volume / f"f{number}").write_bytes(b"%d" % number)
    settle(volume)
    scanner = Scanner(state)
    assert scanner.scan(volume).hashed == 300
    asked = tmp_path / "asked"

    def others(_self):
        with open(asked, "ab") as file:
            file.write(b".")
        return 0.0

    monkeypatch.setattr(throttle, "_CHECK_EVERY", 0.0)
    monkeypatch.setattr(throttle.Pressure, "others", others)
    summary = scanner.scan(volume, pause_above_io_pressure=0.2)
    assert (summary.hashed, summary.unchanged) == (0, 300)
    assert len(asked.read_bytes()) >= 4


def test_a_volume_inside_of_another_is_left_alone_though_it_is_not_scanned_now(volume, state):
    """It has excludes of its own, which the outer one's scan does not know."""
    from hashscan.fs.volume import Volume

    (volume / "in" / "private").mkdir(parents=True)
    (volume / "in" / "private" / "k").write_bytes(b"bad")
    (volume / "f").write_bytes(b"bad")
    scanner = Scanner(state, {sha1(b"bad")})
    inner = Volume(os.fsencode(volume / "in"), ("private/*",))
    summary = scanner.scan(volume, others=(inner,))
    assert (summary.files, summary.matches) == (2, 1)
    assert summary.skipped == {"other-volume": 1}


def test_a_service_that_is_back_at_the_end_is_asked_again(volume, state):
    (volume / "f").write_bytes(b"known")
    scanner = Scanner(state, {sha1(b"known")})

    class Back(Knows):
        asked = 0

        def confirm(self, digest):
            self.asked += 1
            if self.asked == 1:
                raise ServiceUnavailableError("away")
            return super().confirm(digest)

    scanner.confirmer = lambda: Back(scanner.known)
    summary = scanner.scan(volume)
    assert (summary.matches, summary.pending) == (1, 0)
    assert scanner.told.paths == [b"f"]


def test_volumes_that_are_missing_are_problems_of_the_scan(volume, state, monkeypatch):
    (volume / "f").write_bytes(b"x")
    monkeypatch.setattr(scanning, "Engine", partial(scanning.Engine, missing=2))
    summary = Scanner(state).scan(volume)
    assert (summary.hashed, summary.problems) == (1, 2)
    assert summary.seconds > 0
