"""hashscan.scan.worker: what a directory that cannot be opened or listed comes to."""

import errno
import os
from types import SimpleNamespace

import pytest
from faulty import open_descriptors, raising

from hashscan.errors import StateError
from hashscan.fs.beneath import CrossesMountError, LoopError
from hashscan.fs.volume import Volume
from hashscan.scan import worker as module
from hashscan.scan.lost_directories import Fate
from hashscan.scan.messages import Alive, Findings, Job, Task
from hashscan.scan.outbox import FindingsOutbox
from hashscan.scan.volume_root import VanishedError, VolumeRoot
from hashscan.scan.worker import Worker


def thrown(error):
    def throw(*_a, **_k):
        raise error

    return throw


@pytest.fixture
def worker(tmp_path):
    """A worker without its filters: only what opening directories needs."""
    (tmp_path / "v").mkdir()
    one = object.__new__(Worker)
    one._roots = [VolumeRoot(Volume(os.fsencode(tmp_path / "v")), 7)]
    one._opened, one._all_roots = [], SimpleNamespace(inside=lambda _root: [])
    yield one
    one.rest()


def test_a_volume_is_opened_once_until_there_is_nothing_to_do(worker):
    before = open_descriptors()
    worker._open_root(worker._roots[0])
    fd = worker._roots[0].fd
    worker._open_root(worker._roots[0])
    assert (worker._roots[0].fd, len(worker._opened)) == (fd, 1)
    worker.rest()
    assert (worker._roots[0].fd, worker._opened, open_descriptors()) == (-1, [], before)


@pytest.mark.parametrize(("volume", "sent"), [(0, 0), (1, 1)])
def test_findings_of_other_volumes_are_sent_before_a_volume_may_hang(worker, volume, sent):
    sendings = []
    worker._outbox = FindingsOutbox(sendings.append, bytearray(1))
    worker._volume = 0
    found = Findings(1)
    worker._outbox.put(found)
    before = []
    root = SimpleNamespace(why_vanished=lambda: before.append(list(sendings)) or "gone")
    worker._roots = [root, root]
    worker.do(Task(7, volume, 1, b"", fresh=True, job=Job.CHECK))
    assert before == [[[found]] * sent]
    assert worker._volume == volume
    worker.flush()
    assert sendings[-1][-1] == Findings(7, vanished="gone", done=True)


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (FileNotFoundError(errno.ENOENT, ""), 1),
        (CrossesMountError(errno.EXDEV, ""), 1),
        (LoopError(errno.ELOOP, ""), 1),
        (NotADirectoryError(errno.ENOTDIR, ""), 3),
        (OSError(errno.ELOOP, ""), 3),
        (OSError(errno.EIO, ""), 1),
        (PermissionError(errno.EACCES, ""), 1),
    ],
)
def test_what_somebody_swaps_is_tried_again_and_errors_are_not(worker, monkeypatch, error, tries):
    made = []

    def opens(*_a, **_k):
        made.append(1)
        raise error

    monkeypatch.setattr(module, "open_directory", opens)
    with pytest.raises(type(error)):
        worker._open(worker._roots[0], b"d")
    assert len(made) == tries
    monkeypatch.setattr(
        module, "open_directory", raising(errno.ENOTDIR, lambda *_a, **_k: 77, calls=2)
    )
    assert worker._open(worker._roots[0], b"d") == 77


@pytest.mark.parametrize("names", [None, ((b"a", 1), (b"b", 2))])
@pytest.mark.parametrize("look", [False, True])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CrossesMountError(errno.EXDEV, ""), "other-filesystem"),
        (LoopError(errno.ELOOP, ""), "loop"),
        (FileNotFoundError(errno.ENOENT, ""), "vanished"),
        (NotADirectoryError(errno.ENOTDIR, ""), "changed"),
        (OSError(errno.EIO, "Input/output error"), "io-error"),
        (PermissionError(errno.EACCES, "Permission denied"), "denied"),
    ],
)
def test_a_directory_that_cannot_be_opened_is_one_entry(worker, error, reason, look, names):
    task = Task(4, 0, 9, b"d", False, names=names, look=look)
    found = worker._unopened(task, error)
    assert (found.group, found.done) == (4, True)
    entries = len(names or [b""])
    if reason == "vanished" and not look:
        assert found.unopened == tuple(name for name, _ in names or ((b"", 0),))
        assert found.tally.files == 0
        return
    assert found.unopened == ()
    if look and reason == "changed":
        reason = "vanished"  # what it was renamed to is reported by itself
    counted = {**found.tally.skipped}
    for problem in found.problems:
        counted[problem.reason] = counted.get(problem.reason, 0) + 1
    assert counted == {reason: entries}


def search(worker, **given):
    task = Task(4, 0, 9, given.pop("path", b""), False, **given)
    return worker._search(task)


def test_the_fates_of_lost_directories(worker, tmp_path):
    names = ("here", "moved", "gone")
    inodes = []
    for name in names:
        (tmp_path / "v" / name).mkdir()
        inodes.append((tmp_path / "v" / name).stat().st_ino)
    (tmp_path / "v" / "moved").rename(tmp_path / "v" / "away")
    (tmp_path / "v" / "gone").rename(tmp_path / "gone")
    asked = tuple((name.encode(), inode) for name, inode in zip(names, inodes, strict=True))
    found = search(worker, names=asked)
    assert found.fates == (Fate.HERE, Fate.ELSEWHERE, Fate.GONE)
    inode = (tmp_path / "v").stat().st_ino
    assert search(worker, names=asked, inode=inode).fates == found.fates
    assert search(worker, names=asked, inode=inode + 1).fates is None, "another directory"


@pytest.mark.parametrize(
    ("error", "why", "unread"),
    [
        (FileNotFoundError(errno.ENOENT, ""), "", False),
        (NotADirectoryError(errno.ENOTDIR, ""), "", False),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied", False),
        (OSError(errno.EIO, "Input/output error"), "Input/output error", True),
        (OSError(errno.ESTALE, "Stale file handle"), "Stale file handle", True),
    ],
)
def test_a_search_that_fails_says_why(worker, monkeypatch, error, why, unread):
    monkeypatch.setattr(module, "open_directory", thrown(error))
    found = search(worker, names=((b"a", 1),), path=b"d")
    assert (found.fates, found.why_unknown or "", found.unread) == (None, why, unread)
    assert not found.vanished


def test_a_search_in_a_volume_that_has_vanished(worker, monkeypatch):
    monkeypatch.setattr(worker, "_open_root", thrown(VanishedError("it is another directory")))
    found = search(worker, names=((b"a", 1),))
    assert (found.vanished, found.fates) == ("it is another directory", None)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EOFError(), None),
        (BrokenPipeError(), None),
        (ConnectionResetError(), None),
        (StateError("the catalog is damaged"), "StateError"),
        (OSError(errno.EMFILE, "Too many open files"), "MachineError"),
        (MemoryError(), "MachineError"),
        (OSError(errno.EIO, "Input/output error"), "MachineError"),
        (OSError("strange"), "StateError"),
    ],
)
def test_the_engine_is_told_why_a_process_ends(monkeypatch, error, kind):
    sent = []
    monkeypatch.setattr(module, "ignore_lease_breaks", lambda: None)
    monkeypatch.setattr(module, "Worker", thrown(error))
    module.run(SimpleNamespace(send=sent.append), None, None, None, None)
    if kind is None:
        assert sent == []
    else:
        (failed,) = sent
        assert failed[0] == kind
        assert failed[1]


@pytest.mark.parametrize("end", [EOFError(), BrokenPipeError(), ConnectionResetError()])
def test_a_worker_does_its_tasks_until_the_engine_is_gone(monkeypatch, end):
    done = []

    class Doing:
        def __init__(self, *_given):
            done.append("made")

        def do(self, task):
            done.append(task)

        def rest(self):
            done.append("rest")

        def flush(self):
            done.append("flush")

    batches = iter([["a", "b"], ["c"]])

    def recv():
        for tasks in batches:
            return tasks
        raise end

    monkeypatch.setattr(module, "ignore_lease_breaks", lambda: done.append("leases"))
    monkeypatch.setattr(module, "Worker", Doing)
    connection = SimpleNamespace(send=done.append, recv=recv)
    module.run(connection, None, None, None, None)
    assert done == [
        "leases", "made", Alive(0), "a", "b", "rest", "flush", "c", "rest", "flush",
    ]  # fmt: skip
