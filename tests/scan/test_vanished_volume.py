"""A volume that vanishes during a scan is a problem, is not whole, and loses nothing known."""

import errno
import os
import re
import subprocess
import time

import pytest
from scanning import Scanner, settle

from hashscan.catalog.rows import QueuedDirectory
from hashscan.catalog.status_overview import overview
from hashscan.catalog.store import Catalog
from hashscan.fs.volume import Volume
from hashscan.jobs.volume_presence import follow_mounts
from hashscan.model import Identity
from hashscan.scan import directory_queue as frontier_module
from hashscan.scan import engine
from hashscan.scan.directory_queue import Frontier, WaitingDirectories
from hashscan.scan.lost_directories import LostDirectories
from hashscan.scan.volume_root import VolumeRoot
from hashscan.scan.worker import Worker

DIRECTORIES = 40


def fill(root):
    """Put each file two levels down, so that an unlisted directory could be taken for gone."""
    for number in range(DIRECTORIES):
        below = root / f"d{number}" / "e"
        below.mkdir(parents=True)
        (below / "f").write_bytes(b"%d" % number)


def unmount(root):
    subprocess.run(["umount", "-l", root], check=True)


class Volumes:
    def __init__(self, folder, scanner):
        self.scanner = scanner
        self.lost, self.other = folder / "lost", folder / "other"
        for one in (self.lost, self.other):
            one.mkdir()
        self.held = None

    def scan(self, **options):
        return self.scanner.scan(self.lost, self.other, **options)

    def files_known(self):
        catalog = Catalog(self.scanner.catalog)
        try:
            return catalog._connection.execute("SELECT count(*) FROM file").fetchone()[0]
        finally:
            catalog.close()

    def last_whole(self):
        """When the last whole scan of each volume began."""
        found = overview(self.scanner.catalog).by_volume
        return [found[os.fsencode(one)].started for one in (self.lost, self.other)]


class Renamed(Volumes):
    def make(self):
        fill(self.lost)

    def vanish(self):
        self.lost.rename(f"{self.lost}.away")

    def come_back(self):
        os.rename(f"{self.lost}.away", self.lost)


class Replaced(Renamed):
    def vanish(self):
        super().vanish()
        self.lost.mkdir()

    def come_back(self):
        self.lost.rmdir()
        super().come_back()


class Unmounted(Volumes):
    """A tmpfs, which a second mount keeps while it is away."""

    def make(self):
        self.kept = self.other.with_name("kept")
        self.kept.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.kept], check=True)
        fill(self.kept)
        self.come_back()

    def vanish(self):
        unmount(self.lost)

    def come_back(self):
        subprocess.run(["mount", "--bind", self.kept, self.lost], check=True)


class Covered(Renamed):
    """Another file system is mounted over it."""

    def vanish(self):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.lost], check=True)

    def come_back(self):
        unmount(self.lost)


@pytest.fixture(
    params=[
        Renamed,
        Replaced,
        pytest.param(Unmounted, marks=pytest.mark.root),
        pytest.param(Covered, marks=pytest.mark.root),
    ]
)
def volumes(request, tmp_path):
    scanner = Scanner(tmp_path / "state")
    scanner.jobs = 1
    made = request.param(tmp_path, scanner)
    made.make()
    fill(made.other)
    settle(tmp_path)
    assert made.scan().hashed == 2 * DIRECTORIES
    yield made
    for one in (made.lost, tmp_path / "kept"):
        while os.path.ismount(one):
            unmount(one)


@pytest.fixture
def meanwhile(monkeypatch):
    """Run a function once, when a process opens a directory of the volume ``lost``."""
    opened = Worker._open

    def arrange(act, path_like):
        done = []

        def interferes(self, root, path):
            fits = root._volume.root.endswith(b"/lost") and re.fullmatch(path_like, path)
            if fits and not done:
                done.append(True)
                act()
            return opened(self, root, path)

        monkeypatch.setattr(Worker, "_open", interferes)

    yield arrange
    monkeypatch.setattr(Worker, "_open", opened)


def problem_of(volumes):
    (problem,) = volumes.scanner.told.problems
    return problem


@pytest.mark.parametrize("options", [{}, {"full": True}], ids=["scan", "full"])
def test_in_the_middle(volumes, meanwhile, monkeypatch, options):
    before = volumes.last_whole()
    meanwhile(volumes.vanish, rb"d\d+")
    summary = volumes.scan(**options)
    assert (summary.problems, summary.interrupted) == (1, False)
    assert summary.files < 2 * DIRECTORIES, "the volume was there to the end: nothing is tested"
    assert summary.files > DIRECTORIES, "the other volume is scanned as a whole"
    problem = problem_of(volumes)
    assert (problem.path, problem.reason) == (os.fsencode(volumes.lost), "not-there")
    assert "vanished during the scan" in problem.message
    assert "scan it again" in problem.message
    assert volumes.files_known() == 2 * DIRECTORIES
    lost, other = volumes.last_whole()
    assert lost == before[0]
    assert other > before[1]
    last = overview(volumes.scanner.catalog).scan
    assert (last.is_whole, last.interrupted, last.summary["problems"]) == (False, False, 1)
    assert set(last.volumes) == {os.fsencode(volumes.lost), os.fsencode(volumes.other)}

    monkeypatch.undo()
    volumes.come_back()
    summary = volumes.scan(**options)
    assert (summary.problems, summary.skipped) == (0, {})
    done = summary.hashed if options else summary.unchanged
    assert done == 2 * DIRECTORIES, "a full scan after one that came to its end begins at the begin"
    assert min(volumes.last_whole()) > other


class Silent:
    """Says of one volume that it does not answer."""

    connections = ()

    def __init__(self, number):
        self.number = number
        self.asked = []

    def ask(self, number):
        self.asked.append(number)

    def take(self, ready):
        del ready
        return list(dict.fromkeys(self.asked))

    def hangs(self, number):
        return number == self.number


@pytest.mark.timeout(60)
@pytest.mark.parametrize("where", [rb"d3", rb""], ids=["a directory", "the last check"])
def test_its_file_server_dies(tmp_path, monkeypatch, where):
    """The scan does not wait for a process that hangs there, nor try its other directories."""
    scanner = Scanner(tmp_path / "state")
    scanner.jobs = 1
    volumes = Renamed(tmp_path, scanner)
    volumes.make()
    fill(volumes.other)
    settle(tmp_path)
    assert volumes.scan().hashed == 2 * DIRECTORIES
    before = volumes.last_whole()
    opened, why_vanished = Worker._open, VolumeRoot.why_vanished

    def hangs(self, root, path):
        if root._volume.root.endswith(b"/lost") and re.match(rb"d", path) and where:
            time.sleep(1000)
        return opened(self, root, path)

    def hangs_at_the_end(self):
        if self._volume.root.endswith(b"/lost"):
            time.sleep(1000)
        return why_vanished(self)

    monkeypatch.setattr(Worker, "_open", hangs)
    monkeypatch.setattr(VolumeRoot, "why_vanished", hangs_at_the_end)
    monkeypatch.setattr(engine, "_SILENT", 0.2)
    monkeypatch.setattr(engine, "_LOOK_AFTER", 0.1)
    presence = Silent(0)
    summary = volumes.scan(presence=presence)
    assert summary.problems == 1
    assert set(presence.asked) == {0, 1}, "others of its server are asked, too"
    problem = problem_of(volumes)
    assert (problem.path, problem.reason) == (os.fsencode(volumes.lost), "not-there")
    assert "does not answer" in problem.message
    assert volumes.files_known() == 2 * DIRECTORIES
    lost, other = volumes.last_whole()
    assert lost == before[0]
    assert other > before[1]


class AllSilent(Silent):
    """Says of every volume that it does not answer."""

    def take(self, ready):
        del ready
        found = self.asked[self.told :]
        self.told = len(self.asked)
        return found

    told = 0

    def hangs(self, number):
        del number
        return True


def test_many_volumes_of_a_dead_file_server_are_asked_once_each(tmp_path, monkeypatch):
    """A round of questions for each volume would cost the square of their number."""
    roots = [tmp_path / "all" / str(number) for number in range(100)]
    for root in roots:
        root.mkdir(parents=True)
    scanner = Scanner(tmp_path / "state")
    scanner.jobs = 1
    monkeypatch.setattr(Worker, "_open", lambda *_: time.sleep(1000))
    monkeypatch.setattr(engine, "_SILENT", 0.2)
    monkeypatch.setattr(engine, "_LOOK_AFTER", 0.1)
    presence = AllSilent(0)
    summary = scanner.scan(*roots, presence=presence)
    assert summary.problems == len(roots)
    assert set(presence.asked) == set(range(len(roots)))
    assert len(presence.asked) < 3 * len(roots)


def test_at_the_very_end(tmp_path, meanwhile):
    """Open directories of a volume that is gone can be read: only the last check finds it."""
    scanner = Scanner(tmp_path / "state")
    volumes = Replaced(tmp_path, scanner)
    (volumes.lost / "f").write_bytes(b"1")
    (volumes.other / "f").write_bytes(b"1")
    meanwhile(volumes.vanish, rb"")
    summary = volumes.scan()
    assert (summary.hashed, summary.problems) == (2, 1)
    assert problem_of(volumes).path == os.fsencode(volumes.lost)
    assert os.fsencode(volumes.lost) not in overview(scanner.catalog).by_volume


def test_a_volume_that_vanishes_costs_no_pass_over_all_that_waits(tmp_path, monkeypatch):
    """A pass for each volume would cost the square of their number."""
    folder = tmp_path / "all"
    roots = [folder / str(number) for number in range(200)]
    for root in roots:
        root.mkdir(parents=True)
    scanner = Scanner(tmp_path / "state")
    scanner.jobs = 1
    opened = Worker._open

    def interferes(self, root, path):
        if folder.exists():
            folder.rename(tmp_path / "away")
        return opened(self, root, path)

    def refuse(*_arguments):
        raise AssertionError("a pass over all that waits")

    monkeypatch.setattr(Worker, "_open", interferes)
    monkeypatch.setattr(Frontier, "forget_volume", refuse)
    monkeypatch.setattr(LostDirectories, "forget_volume", refuse)
    assert scanner.scan(*roots).problems == len(roots)


def test_before_its_root_is_listed(tmp_path):
    """An empty directory in its place must not make the scan forget the root's files."""
    scanner = Scanner(tmp_path / "state")
    volumes = Replaced(tmp_path, scanner)
    (volumes.lost / "f").write_bytes(b"1")
    volumes.scan()
    status = os.stat(volumes.lost)
    found = {os.fsencode(volumes.lost): Identity(status.st_dev, status.st_ino)}
    volumes.vanish()
    summary = volumes.scan(identities=found)
    assert (summary.files, summary.problems) == (1, 1)
    assert volumes.files_known() == 1


@pytest.mark.root
def test_a_file_system_below_a_volume_that_crosses_mounts(tmp_path, monkeypatch):
    scanner = Scanner(tmp_path / "state")
    volumes = Unmounted(tmp_path, scanner)
    volumes.lost = tmp_path / "other" / "lost"
    volumes.lost.mkdir()
    volumes.make()
    options = {"one_file_system": False, "follow_mounts": follow_mounts}
    try:
        settle(tmp_path)
        assert scanner.scan(volumes.other, **options).hashed == DIRECTORIES
        opened = Worker._open

        def interferes(self, root, path):
            if path == b"lost/d3":
                subprocess.run(["umount", "-l", volumes.lost], check=False, capture_output=True)
            return opened(self, root, path)

        with monkeypatch.context() as patch:
            patch.setattr(Worker, "_open", interferes)
            assert scanner.scan(volumes.other, **options).problems == 1
        problem = problem_of(volumes)
        assert (problem.path, problem.reason) == (os.fsencode(volumes.lost), "not-there")
        assert "unmounted" in problem.message
        assert not overview(scanner.catalog).scan.is_whole
        assert volumes.files_known() == DIRECTORIES
        volumes.come_back()
        assert scanner.scan(volumes.other, **options).files == DIRECTORIES
        assert overview(scanner.catalog).scan.is_whole
    finally:
        for one in (volumes.lost, volumes.kept):
            subprocess.run(["umount", "-l", one], check=False, capture_output=True)


@pytest.mark.parametrize(
    "number",
    [
        errno.EIO,
        errno.ESTALE,
        errno.ENODEV,
        errno.ENOTCONN,
        errno.EUCLEAN,
        errno.ETIMEDOUT,
        errno.EMFILE,
        errno.ENOMEM,
    ],
)
def test_a_directory_on_failing_storage(tmp_path, monkeypatch, number):
    scanner = Scanner(tmp_path / "state")
    volumes = Renamed(tmp_path, scanner)
    volumes.make()
    settle(tmp_path)
    assert volumes.scan().hashed == DIRECTORIES
    opened, before = Worker._open, volumes.last_whole()

    def fails(self, root, path):
        if path == b"d7":
            raise OSError(number, os.strerror(number))
        return opened(self, root, path)

    monkeypatch.setattr(Worker, "_open", fails)
    summary = volumes.scan()
    assert (summary.unchanged, summary.problems) == (DIRECTORIES - 1, 1)
    assert problem_of(volumes).path == os.fsencode(volumes.lost / "d7")
    (notice,) = scanner.told.notices
    assert notice.startswith(f"{volumes.lost}: ")
    assert "not all of its files were scanned" in notice
    assert volumes.last_whole()[0] == before[0]
    assert volumes.files_known() == DIRECTORIES
    monkeypatch.undo()
    assert (volumes.scan().unchanged, scanner.told.problems) == (DIRECTORIES, [])


def test_work_of_a_lost_volume_that_waits_on_disk_is_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(frontier_module, "_MOST", 4)
    catalog = Catalog(str(tmp_path / "catalog"))
    frontier = Frontier(catalog)
    for number in range(20):
        frontier.push(WaitingDirectories(number % 2, QueuedDirectory(number, b"d", False), 0.0))
    frontier.forget_volume(0)
    assert len(frontier) == 10
    monkeypatch.setattr(catalog, "directory_path", lambda _number: b"d")
    assert {frontier.pop().volume for _ in range(10)} == {1}
    assert not frontier
    catalog.close()


def test_what_waits_on_disk_comes_back_when_all_else_was_of_a_lost_volume(tmp_path, monkeypatch):
    monkeypatch.setattr(frontier_module, "_MOST", 4)
    catalog = Catalog(str(tmp_path / "catalog"))
    frontier = Frontier(catalog)
    for number, volume in enumerate([1, 1, 0, 0, 0]):
        frontier.push(WaitingDirectories(volume, QueuedDirectory(number, b"d", False), 0.0))
    frontier.forget_volume(0)
    monkeypatch.setattr(catalog, "directory_path", lambda _number: b"d")
    assert {frontier.pop().directory.number for _ in range(2)} == {0, 1}
    assert not frontier
    catalog.close()


def test_a_root_that_opens_and_cannot_be_listed_is_not_there(tmp_path, monkeypatch):
    root = VolumeRoot(Volume(os.fsencode(tmp_path)), 1)
    assert root.why_vanished() == ""

    def fails(_fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "scandir", fails)
    assert root.why_vanished() == "it cannot be listed any more: Input/output error"


def test_another_directory_at_the_path_of_a_root_keeps_no_descriptor(tmp_path):
    root = VolumeRoot(Volume(os.fsencode(tmp_path)), 1, Identity(1, 2))
    before = os.listdir("/proc/self/fd")
    assert root.why_vanished() == "its path leads to another directory now"
    assert os.listdir("/proc/self/fd") == before
