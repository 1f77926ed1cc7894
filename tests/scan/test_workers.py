"""Worker processes, large directories, interrupts: counts do not depend on who did the work."""

import os
import signal
import sqlite3
import time

import pytest
from scanning import Scanner, fill, one_by_one, settle, sha1

from hashscan.errors import HashscanError
from hashscan.scan import directory_task as directory_module
from hashscan.scan import engine as engine_module
from hashscan.scan import outbox as outbox_module
from hashscan.scan.file_hasher import FileHasher


def test_a_worker_that_dies_once_costs_nothing(volume, state, tmp_path, monkeypatch):
    contents = fill(volume, 200)
    known = {sha1(content) for content in list(contents.values())[::10]}
    flag = tmp_path / "died"
    hash_one = FileHasher.hash

    def dies_once(self, directory, name):
        if name == b"f100" and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return hash_one(self, directory, name)

    one_by_one(monkeypatch, dies_once)
    scanner = Scanner(state, known)
    summary = scanner.scan(volume)
    assert flag.exists()
    assert summary.files == summary.hashed == len(contents)
    assert (summary.matches, summary.problems) == (20, 0)


def test_a_file_that_kills_every_worker_is_a_problem(volume, state, monkeypatch):
    contents = fill(volume, 60)
    hash_one = FileHasher.hash

    def dies(self, directory, name):
        if name == b"f33":
            os.kill(os.getpid(), signal.SIGKILL)
        return hash_one(self, directory, name)

    one_by_one(monkeypatch, dies)
    scanner = Scanner(state, {sha1(content) for content in contents.values()})
    summary = scanner.scan(volume)
    assert summary.files == len(contents)
    assert (summary.hashed, summary.problems) == (len(contents) - 1, 1)
    (event,) = scanner.told.problems
    assert (event.reason, os.path.basename(event.path)) == ("worker-died", b"f33")


def test_a_directory_that_kills_every_worker_is_a_problem(volume, state, monkeypatch):
    contents = fill(volume, 60)

    def dies(self, status):
        if self._task.path == b"d1/e1":
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    monkeypatch.setattr(directory_module.DirectoryTask, "_is_not_entered", dies)
    scanner = Scanner(state)
    summary = scanner.scan(volume)
    lost = len(os.listdir(volume / "d1" / "e1"))
    assert summary.hashed == len(contents) - lost
    assert summary.problems == 1
    assert scanner.told.problems[0].path.endswith(b"d1/e1")


def test_a_worker_that_hangs_is_replaced(volume, state, monkeypatch):
    contents = fill(volume, 20)
    hash_one = FileHasher.hash

    def hangs(self, directory, name):
        if name == b"f7":
            time.sleep(3600)
        return hash_one(self, directory, name)

    one_by_one(monkeypatch, hangs)
    scanner = Scanner(state)
    summary = scanner.scan(volume, stall_after=0.4)
    assert (summary.hashed, summary.problems) == (len(contents) - 1, 1)


def test_workers_that_cannot_start_end_the_scan(volume, state, monkeypatch):
    fill(volume, 5)
    scanner = Scanner(state)

    def dies(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr("hashscan.scan.pool.run", dies)
    with pytest.raises(HashscanError, match="died"):
        scanner.scan(volume)


def test_a_large_directory_is_shared_between_workers(volume, state):
    for number in range(3000):
        (volume / f"f{number}").write_bytes(b"%d" % number)
    scanner = Scanner(state, {sha1(b"%d" % number) for number in range(0, 3000, 100)})
    summary = scanner.scan(volume)
    assert summary.files == summary.hashed == 3000
    assert summary.matches == 30


def test_a_directory_larger_than_a_look_up(volume, state, monkeypatch):
    from hashscan.catalog import reader

    monkeypatch.setattr(reader, "WHOLE_DIRECTORY", 100)
    for number in range(700):
        (volume / f"f{number}").write_bytes(b"%d" % number)
    settle(volume)
    scanner = Scanner(state)
    scanner.scan(volume)
    for number in range(0, 700, 7):
        (volume / f"f{number}").unlink()
    summary = scanner.scan(volume)
    assert (summary.unchanged, summary.hashed) == (600, 0)
    with sqlite3.connect(scanner.catalog) as catalog:
        assert catalog.execute("SELECT count(*) FROM file").fetchone() == (600,)


def test_more_directories_than_the_frontier_holds(volume, state, monkeypatch):
    from hashscan.scan import directory_queue

    monkeypatch.setattr(directory_queue, "_MOST", 20)
    monkeypatch.setattr(directory_queue, "_BACK", 7)
    contents = {}
    for number in range(300):
        folder = volume / f"d{number}" / "sub"
        folder.mkdir(parents=True)
        (folder / "f").write_bytes(b"%d" % number)
    summary = Scanner(state).scan(volume)
    assert summary.files == summary.hashed == 300
    assert contents == {}


def test_the_frontier_is_bounded_in_bytes(volume, state, monkeypatch):
    from hashscan.scan import directory_queue

    monkeypatch.setattr(directory_queue, "_MOST_BYTES", 5000)
    held = []
    push = directory_queue.Frontier.push
    pop = directory_queue.Frontier.pop

    def watched_push(self, waiting):
        push(self, waiting)
        held.append(self._bytes)

    def watched_pop(self):
        waiting = pop(self)
        held.append(self._bytes)
        return waiting

    monkeypatch.setattr(directory_queue.Frontier, "push", watched_push)
    monkeypatch.setattr(directory_queue.Frontier, "pop", watched_pop)
    for number in range(300):
        (volume / ("d" * 100) / ("e" * 100) / f"{number}").mkdir(parents=True)
        (volume / ("d" * 100) / ("e" * 100) / f"{number}" / "f").write_bytes(b"x")
    assert Scanner(state).scan(volume).hashed == 300
    assert max(held) < 5000 + 50 * 210


def interrupt_once(monkeypatch, state):
    """Let the worker process that comes to f150 end the scan by SIGTERM, the first time."""
    hash_one = FileHasher.hash
    engine = os.getpid()
    flag = state / "interrupted"

    def interrupts(self, directory, name):
        if name == b"f150" and not flag.exists():
            flag.touch()
            os.kill(engine, signal.SIGTERM)
            time.sleep(1)
        return hash_one(self, directory, name)

    one_by_one(monkeypatch, interrupts)


def test_an_interrupted_scan_goes_on(volume, state, monkeypatch):
    contents = fill(volume, 200)
    settle(volume)
    interrupt_once(monkeypatch, state)
    scanner = Scanner(state, {sha1(content) for content in contents.values()})
    first = scanner.scan(volume)
    assert first.interrupted
    assert first.files < len(contents)
    second = scanner.scan(volume)
    assert not second.interrupted
    assert second.files == len(contents)
    assert second.unchanged >= first.hashed, "nothing is hashed twice"
    assert second.matches == len(contents)


def test_an_interrupted_full_scan_goes_on(volume, state, monkeypatch):
    contents = fill(volume, 200)
    settle(volume)
    scanner = Scanner(state)
    scanner.scan(volume)
    interrupt_once(monkeypatch, state)
    first = scanner.scan(volume, full=True)
    assert first.interrupted
    monkeypatch.setattr(engine_module, "_PROGRESS_AFTER", 0)
    second = scanner.scan(volume, full=True)
    last = scanner.told.progresses[-1]
    assert last.expected.files == len(contents)
    assert last.expected.hashed == second.hashed, "what is left of it"
    assert last.expected.bytes == second.bytes_hashed
    assert second.hashed + second.unchanged == len(contents)
    assert second.unchanged >= first.hashed
    assert "going on" in scanner.told.notices[0]
    assert scanner.scan(volume, full=True).hashed == len(contents), "that one came to its end"
    assert scanner.told.notices == []


def test_progress_reaches_its_end(volume, state):
    fill(volume, 300)
    scanner = Scanner(state)
    scanner.scan(volume, max_rate=8e6)
    fractions = [one.fraction for one in scanner.told.progresses]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert len(fractions) >= 2


def test_progress_counts_no_byte_twice(volume, state, monkeypatch):
    monkeypatch.setattr(outbox_module, "_ALIVE_AFTER", 0.02)
    monkeypatch.setattr(engine_module, "_PROGRESS_AFTER", 0)
    for number in range(8):
        (volume / f"d{number % 4}").mkdir(exist_ok=True)
        (volume / f"d{number % 4}" / f"f{number}").write_bytes(os.urandom(8 << 20))
    scanner = Scanner(state)
    summary = scanner.scan(volume, max_rate=32 << 20)
    read = [one.bytes_hashed for one in scanner.told.progresses]
    assert summary.bytes_hashed == 64 << 20
    assert max(read) <= summary.bytes_hashed
    assert len({count for count in read if count % (8 << 20)}) > 4, "also while a file is read"


def test_what_was_found_is_told_during_a_long_read(volume, state, monkeypatch):
    monkeypatch.setattr(outbox_module, "_ALIVE_AFTER", 0.1)
    for number in range(3):
        (volume / f"small{number}").write_bytes(b"%d" % number)
    (volume / "large").write_bytes(os.urandom(3 << 20))
    os.utime(volume, (1, 1))
    engine = os.getpid()
    hash_one = FileHasher.hash

    def interrupts(self, directory, name):
        if name == b"large":
            for _ in range(3):
                time.sleep(0.11)
                self._show_life(0)
            os.kill(engine, signal.SIGTERM)
            time.sleep(1)
        return hash_one(self, directory, name)

    one_by_one(monkeypatch, interrupts)
    monkeypatch.setattr(
        directory_module,
        "listing",
        lambda fd, _l=directory_module.listing, **more: sorted(_l(fd, **more), reverse=True),
    )
    scanner = Scanner(state, {sha1(b"1")})
    scanner.jobs = 1
    scanner.scan(volume)
    with sqlite3.connect(scanner.catalog) as catalog:
        assert catalog.execute("SELECT count(*) FROM file").fetchone() == (3,)
