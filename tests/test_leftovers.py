"""hashscan.leftovers: what a killed hashscan left is removed by the next one, and nothing else."""

import os
import signal
import tempfile

import pytest
from isolating import fork, needs_root

from hashscan import durable, leftovers
from hashscan.durable import new_file, replace_file
from hashscan.files import is_temporary_of
from hashscan.fs.beneath import closing
from hashscan.known.filters.build import build
from hashscan.publisher import versions

MARK = "0123456789ab"


def killed_in(job):
    """Run ``job`` in a process that is killed when it calls ``os.replace``, or at its end."""

    def run():
        def dies(*_arguments, **_options):
            os.kill(os.getpid(), signal.SIGKILL)

        os.replace = dies
        job()
        dies()

    assert fork(run) == ("killed", signal.SIGKILL)


def inside(place):
    """A job that writes into the directory that the context ``place`` makes, and dies in it."""

    def job():
        with place() as directory:
            with open(os.path.join(directory, "big"), "wb") as file:
                file.write(b"x")
            os.kill(os.getpid(), signal.SIGKILL)

    return job


def test_a_killed_replacement_is_removed_by_the_next(tmp_path):
    path = str(tmp_path / "published.json")
    killed_in(lambda: replace_file(path, b"one"))
    assert len(os.listdir(tmp_path)) == 1
    replace_file(path, b"two")
    assert os.listdir(tmp_path) == ["published.json"]


def test_a_killed_new_file_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "_UNNAMED", os.O_RDONLY | os.O_CLOEXEC | os.O_CREAT)  # EISDIR
    path = str(tmp_path / "new")

    def job():
        with new_file(path) as file:
            file.write(b"one")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    killed_in(job)
    assert len(os.listdir(tmp_path)) == 1
    with new_file(path) as file:
        file.write(b"two")
    assert os.listdir(tmp_path) == ["new"]


def test_a_killed_filter_build_is_removed_by_the_next(tmp_path):
    (tmp_path / "list").write_text(f"{'ab' * 20}\n")
    output = str(tmp_path / "f")
    killed_in(lambda: build([str(tmp_path / "list")], output, jobs=1))
    assert [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    build([str(tmp_path / "list")], output, jobs=1)
    assert sorted(os.listdir(tmp_path)) == ["f", "f.json", "list"]


def test_the_directory_of_a_killed_publisher_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed_in(inside(versions._workplace))
    assert len(os.listdir(tmp_path)) == 1
    with versions._workplace() as work, versions._workplace():
        assert len(os.listdir(tmp_path)) == 2, "each has its own, and the first is in use"
        assert os.path.isdir(work)
    assert os.listdir(tmp_path) == []


def remove(directory, name="f"):
    with closing(os.open(directory, os.O_RDONLY)) as fd:
        leftovers.remove_leftovers(fd, lambda one: is_temporary_of(one, name))


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_its_maker_holds_stays(tmp_path, kind):
    path = tmp_path / f".f.{MARK}.tmp"
    if kind == "file":
        path.write_text("half")
    else:
        path.mkdir()
        (path / "half").touch()
    fd = os.open(path, os.O_RDONLY)
    leftovers.hold(fd)
    remove(tmp_path)
    assert path.exists()
    os.close(fd)
    remove(tmp_path)
    assert not path.exists()


def test_what_may_be_somebody_elses_stays(tmp_path):
    names = [".f.tmp", ".f.0123.tmp", f".other.{MARK}.tmp", f"f.{MARK}.tmp", f".f.{MARK}.tmp.x"]
    for name in names:
        (tmp_path / name).write_text("content")
    (tmp_path / "target").write_text("content")
    (tmp_path / f".f.{MARK}.tmp").symlink_to("target")
    os.mkfifo(tmp_path / ".f.00000000000f.tmp")
    (tmp_path / ".f.00000000000e.tmp").touch()  # empty and new: its maker may not hold it yet
    before = sorted(os.listdir(tmp_path))
    remove(tmp_path)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.root
@needs_root
def test_what_another_user_made_stays(tmp_path):
    path = tmp_path / f".f.{MARK}.tmp"
    path.write_text("content")
    os.chown(path, 4711, 4711)
    remove(tmp_path)
    assert path.exists()


def test_an_empty_file_is_removed_after_a_minute(tmp_path, monkeypatch):
    path = tmp_path / f".f.{MARK}.tmp"
    path.touch()
    now = path.stat().st_ctime
    monkeypatch.setattr(leftovers.time, "time", lambda: now + 59)
    remove(tmp_path)
    assert path.exists()
    monkeypatch.setattr(leftovers.time, "time", lambda: now + 61)
    remove(tmp_path)
    assert not path.exists()
