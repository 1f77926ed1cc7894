"""Thousands of volumes: no work for each pair, and no open descriptor for each."""

import os
import sys

import pytest
from scanning import Scanner

from hashscan.fs.volume import Roots, Volume
from hashscan.scan.worker import Worker


@pytest.mark.parametrize(
    ("root", "inside"),
    [
        (b"/", [b"srv", b"srv/a", b"srv/a/b", b"srv/a.b", b"srv/ab"]),
        (b"/srv", [b"a", b"a.b", b"a/b", b"ab"]),
        (b"/srv/a", [b"b"]),
        (b"/srv/a/b", []),
        (b"/sr", []),
    ],
)
def test_volumes_inside_of_others(root, inside):
    roots = Roots([b"/srv/a/b", b"/srv/ab", b"/srv", b"/srv/a", b"/srv/a.b", b"/srv/a"])
    assert sorted(roots.inside(root)) == sorted(inside)


@pytest.mark.parametrize(
    ("path", "root"),
    [
        (b"/srv/a/b/c", b"/srv/a"),
        (b"/srv/a", b"/srv/a"),
        (b"/srv/ab", b"/srv"),
        (b"/srvx", None),
        (b"/", None),
    ],
)
def test_which_volume_holds_a_path(path, root):
    assert Roots([b"/srv", b"/srv/a"]).holding(path) == root


def test_the_root_of_all_holds_everything():
    assert Roots([b"/"]).holding(b"/a/b") == b"/"
    assert Roots([b"/", b"/a"]).inside(b"/") == [b"a"]


def calls_of_a_scan(tmp_path, monkeypatch, count):
    """How many functions are called to scan so many volumes; most descriptors of a worker."""
    roots = [tmp_path / f"v{count}" / str(number) for number in range(count)]
    for root in roots:
        root.mkdir(parents=True)
        (root / "f").write_bytes(b"content")
    log = tmp_path / f"log{count}"
    calls = [0]

    def called(_frame, event, _arg):
        calls[0] += event in {"call", "c_call"}

    rested = Worker.rest

    def rest(self):
        descriptors = len(os.listdir("/proc/self/fd"))
        rested(self)
        with log.open("a") as file:
            file.write(f"{calls[0]} {descriptors} {len(os.listdir('/proc/self/fd'))}\n")

    others = tuple(Volume(os.fsencode(root)) for root in roots)
    scanner = Scanner(tmp_path / f"s{count}")
    scanner.jobs = 1
    with monkeypatch.context() as patch:
        patch.setattr(Worker, "rest", rest)
        sys.setprofile(called)
        try:
            summary = scanner.scan(*roots, others=others)
        finally:
            sys.setprofile(None)
    assert summary.hashed == count
    noted = [[int(word) for word in line.split()] for line in log.read_text().splitlines()]
    return calls[0] + noted[-1][0], max(one[1] for one in noted), max(one[2] for one in noted)


def test_work_and_descriptors_do_not_grow_with_pairs_of_volumes(tmp_path, monkeypatch):
    few, _, _ = calls_of_a_scan(tmp_path, monkeypatch, 50)
    many, at_work, at_rest = calls_of_a_scan(tmp_path, monkeypatch, 400)
    assert many < 9 * few, "for eight times as many volumes"
    assert at_work <= at_rest + 64 + 2, "those of one batch of tasks"
    assert at_rest < 40
