"""Entries that are removed or renamed after they were listed: one listing finds all of them."""

import errno
import fcntl
import os
import re
import shutil
import subprocess

import pytest
from faulty import break_os, raising
from one_task import Place
from scanning import Scanner, one_by_one, sha1

from hashscan.catalog.status_overview import overview
from hashscan.scan import directory_queue as frontier_module
from hashscan.scan import directory_task as directory_module
from hashscan.scan import dispatch as dispatch_module
from hashscan.scan import lost_directories as lost_module
from hashscan.scan import lost_files as lost_files_module
from hashscan.scan import worker as worker_module
from hashscan.scan.file_hasher import FileHasher
from hashscan.scan.lost_directories import RENAMED, REPLACED
from hashscan.scan.lost_files import RENAMED as FILE_RENAMED
from hashscan.scan.messages import Job
from hashscan.scan.worker import Worker

MANY = 600


@pytest.fixture
def listings(tmp_path, monkeypatch):
    """How often the scan listed a directory to find what it had lost there."""
    log = tmp_path / "listings"
    log.touch()
    names_of = worker_module.names_of

    def counted(*given, **options):
        with log.open("ab", buffering=0) as file:
            file.write(b".")
        return names_of(*given, **options)

    for module in (worker_module, lost_files_module):
        monkeypatch.setattr(module, "names_of", counted)
    return lambda: log.stat().st_size


@pytest.fixture
def meanwhile(monkeypatch):
    """Run a function once, before the first directory with a fitting path is opened."""

    def arrange(act, path_like=rb"d.*"):
        opened = Worker._open
        done = []

        def interferes(self, root, path):
            if re.fullmatch(path_like, path) and not done:
                done.append(True)
                act()
            return opened(self, root, path)

        monkeypatch.setattr(Worker, "_open", interferes)

    return arrange


def scanner_of(state, known=(), jobs=1):
    scanner = Scanner(state, known)
    scanner.jobs = jobs  # one process lists all of a directory before it opens the first below it
    return scanner


def make_many(folder):
    folder.mkdir(exist_ok=True)
    for number in range(MANY):
        (folder / f"d{number}").mkdir()


def test_many_removed_directories_cost_one_listing(volume, state, meanwhile, listings):
    make_many(volume)
    meanwhile(lambda: [one.rmdir() for one in volume.iterdir()])
    summary = scanner_of(state).scan(volume)
    assert summary.skipped == {"vanished": MANY}
    assert (summary.files, summary.problems) == (MANY, 0)
    assert listings() == 1


def test_many_renamed_directories_cost_one_listing_and_none_is_passed_over(
    volume, state, meanwhile, listings
):
    make_many(volume)
    meanwhile(lambda: [one.rename(volume / f"x{one.name}") for one in volume.glob("d*")])
    scanner = scanner_of(state)
    summary = scanner.scan(volume)
    assert (summary.files, summary.problems, summary.skipped) == (MANY, MANY, {})
    assert {(event.reason, event.message) for event in scanner.told.problems} == {
        ("changed", RENAMED)
    }
    assert {event.path for event in scanner.told.problems} == {
        os.fsencode(volume / f"d{number}") for number in range(MANY)
    }
    assert listings() == 1


@pytest.mark.parametrize("spilled", [False, True], ids=["in memory", "on disk"])
def test_a_directory_that_loses_its_name_to_another_is_not_passed_over(
    volume, state, meanwhile, listings, monkeypatch, spilled
):
    """As a site is renewed: the old one gets another name, and the new one gets its name."""
    for name in ("a", "b", "c", "new"):
        (volume / name).mkdir()
        (volume / name / "f").write_bytes(name.encode())
    if spilled:
        monkeypatch.setattr(frontier_module, "_MOST", 1)

    def renew():
        for name in ("a", "b"):
            (volume / name).rename(volume / f"old-{name}")
        (volume / "new").rename(volume / "a")
        (volume / "b").mkdir()
        shutil.rmtree(volume / "c")
        (volume / "c").mkdir()

    meanwhile(renew, rb"a|b|c|new")
    scanner = scanner_of(state, [sha1(b"a")])
    summary = scanner.scan(volume)
    problems = {event.path: event.message for event in scanner.told.problems}
    root = os.fsencode(volume)
    expected = {b"a": REPLACED, b"b": REPLACED, b"new": RENAMED}
    assert problems == {root + b"/" + name: why for name, why in expected.items()}, (
        "what was removed is no problem"
    )
    assert listings() == 1
    assert summary.files == sum(summary.skipped.values()) + summary.hashed + summary.problems
    monkeypatch.undo()
    scanner = scanner_of(state, [sha1(b"a")])
    assert scanner.scan(volume).problems == 0
    assert scanner.told.paths == [b"old-a/f"]


@pytest.mark.root
def test_a_directory_below_a_mount_is_not_taken_for_another(volume, state, listings):
    """A listing has the inode of the directory that a mount hides."""
    for name in ("a", "b"):
        (volume / name).mkdir()
        (volume / name / "f").write_bytes(name.encode())
    subprocess.run(["mount", "--bind", volume / "b", volume / "a"], check=True)
    try:
        summary = scanner_of(state).scan(volume, one_file_system=False)
    finally:
        subprocess.run(["umount", volume / "a"], check=True)
    assert (summary.files, summary.problems) == (2, 0)
    assert listings() <= 1


def test_directories_that_are_lost_with_what_held_them_are_looked_for_level_by_level(
    volume, state, meanwhile, listings
):
    for number in range(200):
        (volume / "top" / f"p{number}" / "below").mkdir(parents=True)

    def acts():
        for number in range(200):
            parent = volume / "top" / f"p{number}"
            if number % 2:
                shutil.rmtree(parent)
            else:
                parent.rename(volume / "top" / f"q{number}")

    # Some of the parents are listed by then and some are not.
    meanwhile(acts, rb"top/p\d+/below")
    scanner = scanner_of(state)
    summary = scanner.scan(volume)
    assert (summary.files, summary.problems, summary.skipped) == (200, 100, {"vanished": 100})
    assert {event.message for event in scanner.told.problems} == {RENAMED}
    assert any(event.path.endswith(b"/below") for event in scanner.told.problems)
    assert listings() <= 3


@pytest.mark.parametrize("fate", ["removed", "renamed"])
def test_many_lost_files_cost_one_listing_however_many_processes_share_them(
    volume, state, tmp_path, listings, monkeypatch, fate
):
    contents = {f"f{number}": b"%d" % number for number in range(MANY)}
    for name, content in contents.items():
        (volume / name).write_bytes(content)
    hash_one = FileHasher.hash
    lock = tmp_path / "lock"
    lock.touch()

    def loses(self, directory, name):
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            for one in contents if (volume / "f0").exists() else ():
                if fate == "removed":
                    (volume / one).unlink()
                else:
                    (volume / one).rename(volume / f"x{one}")
        return hash_one(self, directory, name)

    one_by_one(monkeypatch, loses)
    # The directory is listed to its end first, and then the files are handed over in small parts.
    monkeypatch.setattr(directory_module, "PART_FILES", 10 * MANY)
    monkeypatch.setattr(directory_module, "PART_BYTES", 100)
    scanner = scanner_of(state, {sha1(content) for content in contents.values()}, jobs=2)
    summary = scanner.scan(volume)
    if fate == "removed":
        assert summary.skipped == {"vanished": MANY}
    else:
        assert scanner.told.paths == sorted(os.fsencode(f"x{name}") for name in contents)
    assert (summary.files, summary.problems) == (MANY, 0)
    assert listings() == 1


def test_a_file_that_is_renamed_at_every_opening_is_a_problem_after_a_few_listings(
    volume, state, listings, monkeypatch
):
    (volume / "a0").write_bytes(b"known")
    hash_one = FileHasher.hash

    def renames(self, directory, name):
        (one,) = volume.iterdir()
        one.rename(volume / f"a{int(one.name[1:]) + 1}")
        return hash_one(self, directory, name)

    one_by_one(monkeypatch, renames)
    scanner = scanner_of(state)
    summary = scanner.scan(volume)
    (event,) = scanner.told.problems
    assert (event.reason, event.message) == ("changed", FILE_RENAMED)
    assert (summary.files, summary.problems) == (1, 1)
    assert listings() == lost_files_module._FOLLOWED


def test_what_is_too_much_is_looked_for_in_several_listings(
    volume, state, meanwhile, listings, monkeypatch
):
    monkeypatch.setattr(lost_module, "_AT_ONCE", 100)
    monkeypatch.setattr(dispatch_module, "MOST", 150)
    make_many(volume)
    meanwhile(lambda: [one.rmdir() for one in list(volume.glob("d*"))[1::2]])
    summary = scanner_of(state).scan(volume)
    assert summary.skipped == {"vanished": MANY // 2}
    assert summary.problems == 0
    assert MANY // 2 // 100 <= listings() <= MANY // 2 // 100 + 10


def test_another_directory_in_the_place_of_the_one_that_held_it_is_not_taken_for_it(
    volume, state, meanwhile
):
    (volume / "top" / "below").mkdir(parents=True)

    def swaps():
        if not (volume / "away").exists():
            (volume / "top").rename(volume / "away")
            (volume / "top").mkdir()

    meanwhile(swaps, rb"top/below")
    scanner = scanner_of(state)
    summary = scanner.scan(volume)
    (event,) = scanner.told.problems
    assert (event.path, event.message) == (os.fsencode(volume / "top" / "below"), RENAMED)
    assert summary.files == 1


def test_a_directory_that_is_back_in_its_place_is_a_problem(volume, state, monkeypatch):
    (volume / "d0").mkdir()
    opened = Worker._open

    def hides(self, root, path):
        if path != b"d0":
            return opened(self, root, path)
        (volume / "d0").rename(volume / "x")
        try:
            return opened(self, root, path)
        finally:
            (volume / "x").rename(volume / "d0")

    monkeypatch.setattr(Worker, "_open", hides)
    scanner = scanner_of(state)
    scanner.scan(volume)
    (event,) = scanner.told.problems
    assert event.message == RENAMED


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_a_holder_that_cannot_be_listed_leaves_a_problem(
    volume, state, meanwhile, monkeypatch, number
):
    make_many(volume / "top")
    meanwhile(lambda: [one.rmdir() for one in (volume / "top").iterdir()], rb"top/d.*")

    def fails(*_given, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(worker_module, "names_of", fails)
    scanner = scanner_of(state)
    summary = scanner.scan(volume)
    assert (summary.files, summary.problems, summary.skipped) == (MANY, MANY, {})
    assert os.strerror(number) in scanner.told.problems[0].message
    # An error of the disk hides files that may be there; a mode hides what it hid before.
    assert overview(scanner.catalog).scan.is_whole == (number == errno.EACCES)


def test_a_lost_file_whose_directory_cannot_be_listed_is_a_problem(volume, state, monkeypatch):
    (volume / "f").write_bytes(b"known")
    hash_one = FileHasher.hash

    def removes(self, directory, name):
        (volume / "f").unlink()
        return hash_one(self, directory, name)

    def fails(*_given, **_options):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    one_by_one(monkeypatch, removes)
    monkeypatch.setattr(lost_files_module, "names_of", fails)
    scanner = scanner_of(state)
    summary = scanner.scan(volume)
    (event,) = scanner.told.problems
    assert (event.path, event.reason) == (os.fsencode(volume / "f"), "io-error")
    assert (summary.files, summary.problems) == (1, 1)


def test_a_process_that_dies_over_a_search_leaves_a_problem(volume, state, meanwhile, monkeypatch):
    make_many(volume)
    meanwhile(lambda: [one.rmdir() for one in volume.iterdir()])
    monkeypatch.setattr(worker_module, "names_of", lambda *_given, **_options: os._exit(9))
    scanner = scanner_of(state)
    summary = scanner.scan(volume)
    assert (summary.files, summary.problems) == (MANY, MANY)
    assert "died" in scanner.told.problems[0].message


def test_a_file_with_the_number_of_a_removed_directory_is_not_taken_for_it(
    volume, state, meanwhile, monkeypatch
):
    (volume / "d0").mkdir()
    names_of = worker_module.names_of

    def reused(directory, inodes, **options):
        # As ext4 does it: the next entry that is made gets the number.
        number = (volume / "new").stat().st_ino
        found = names_of(directory, {number}, **options)
        return dict.fromkeys(inodes, found[number]) if found else {}

    def acts():
        (volume / "d0").rmdir()
        (volume / "new").touch()

    meanwhile(acts)
    monkeypatch.setattr(worker_module, "names_of", reused)
    summary = scanner_of(state).scan(volume)
    assert (summary.skipped, summary.problems) == ({"vanished": 1}, 0)


@pytest.mark.root
@pytest.mark.parametrize("fate", ["removed", "renamed"])
def test_below_a_mount(volume, state, meanwhile, fate):
    mounted = volume / "top"
    mounted.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "none", str(mounted)], check=False)
    if made.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        (mounted / "d").mkdir()

        def acts():
            if (mounted / "d").exists():
                (mounted / "d").rmdir() if fate == "removed" else (mounted / "d").rename(
                    mounted / "x"
                )

        meanwhile(acts, rb"top/d")
        summary = scanner_of(state).scan(volume, one_file_system=False)
        expected = (0, {"vanished": 1}) if fate == "removed" else (1, {})
        assert (summary.problems, summary.skipped) == expected
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


# One task


@pytest.fixture
def place(tmp_path, state):
    one = Place(tmp_path / "volume", state, settles=False)
    yield one
    one.catalog.close()


@pytest.fixture
def follow(place):
    """A function that follows the files that have these names now, each lost as ``was-NAME``."""

    def follow(*names, **options):
        for name in names:
            (place.path / name).write_bytes(name.encode())
        lost = [(f"was-{name}".encode(), (place.path / name).stat().st_ino) for name in names]
        return place.do(names=tuple(lost), job=Job.FOLLOW, **options)

    return follow


def outcomes(parts):
    """Hashed names, problems by name, and skipped files by reason."""
    skipped = {}
    for part in parts:
        for reason, count in part.tally.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    return (
        [row[0] for part in parts for row in part.rows],
        {one.name: one.reason for part in parts for one in part.problems},
        skipped,
    )


def test_a_renamed_file_is_hashed_under_its_new_name(follow):
    assert outcomes(follow("a", "b")) == ([b"a", b"b"], {}, {})


def test_a_file_without_a_name_is_skipped_and_the_next_is_followed(place, follow):
    (place.path / "x").touch()
    (removed,) = place.do(names=((b"x", 1),), job=Job.FOLLOW)
    assert removed.tally.skipped == {"vanished": 1}
    assert outcomes(follow("a.log", "b", exclude=("*.log",))) == ([b"b"], {}, {"excluded": 1})


def test_followed_files_are_sent_in_parts(follow, monkeypatch):
    monkeypatch.setattr(lost_files_module, "PART_FILES", 2)
    parts = follow("a", "b", "c", "d", "e")
    assert [len(part.rows) for part in parts] == [2, 2, 1]
    assert outcomes(parts) == ([b"a", b"b", b"c", b"d", b"e"], {}, {})


def test_a_file_whose_status_is_refused_is_a_problem_and_the_next_is_followed(follow, monkeypatch):
    denied = raising(errno.EACCES, os.lstat, on=lambda name: name == b"a")
    break_os(monkeypatch, lost_files_module, lstat=denied)
    assert outcomes(follow("a", "b")) == ([b"b"], {b"was-a": "denied"}, {})


@pytest.mark.parametrize("renames", [1, 4, 5])
def test_a_file_is_followed_through_five_listings(follow, monkeypatch, listings, renames):
    gone = raising(errno.ENOENT, os.lstat, calls=renames, on=lambda name: name == b"a")
    break_os(monkeypatch, lost_files_module, lstat=gone)
    parts = follow("a", "b")
    hashed, problems, skipped = outcomes(parts)
    assert (hashed, problems, skipped) == (
        ([b"b", b"a"], {}, {}) if renames < 5 else ([b"b"], {b"was-a": "changed"}, {})
    )
    assert listings() == min(5, renames + 1)


def test_files_of_a_directory_that_cannot_be_listed_are_problems(follow, monkeypatch):
    monkeypatch.setattr(lost_files_module, "names_of", raising(errno.EIO))
    assert outcomes(follow("a", "b")) == ([], {b"was-a": "io-error", b"was-b": "io-error"}, {})
