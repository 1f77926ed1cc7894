"""Filters from lists: duplicates, categories, options, and what a failed build leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hashscan.errors import DigestListError, StateError, UsageError
from hashscan.known.filters.bloom import load
from hashscan.known.filters.build import build
from hashscan.model import EMPTY_DIGESTS


def some(count: int, size: int = 20) -> list[str]:
    return [os.urandom(size).hex() for _ in range(count)]


@pytest.fixture
def written(tmp_path):
    def write(name: str, lines: list[str]) -> str:
        (tmp_path / name).write_text("\n".join(lines))
        return str(tmp_path / name)

    return write


def test_mixed_lists_with_duplicates(written, tmp_path):
    sha1, md5, sha256 = some(300), some(200, 16), some(100, 32)
    first = written("first", [*sha1, *md5, *(value.upper() for value in sha1[:50])])
    rows = [f"{md5[0]},{sha256[0]},a", *(f",{value},b" for value in sha256), f"{md5[1]},,a"]
    second = written("second", ["md5,sha256,category", *rows])
    stages = []
    out = str(tmp_path / "out")
    report = build(
        [first, second],
        out,
        only_categories=["a", "b"],
        on_progress=lambda one: stages.append(one.stage),
    )
    assert report.digests == {"md5": 200, "sha1": 300, "sha256": 100}
    assert report.duplicates == 50 + 1 + 1 + 1
    # Where a digest stands in several categories, the one that appears first holds.
    assert report.categories == {"a": 3, "b": 99}
    assert list(dict.fromkeys(stages)) == ["reading", "sorting", "adding"]
    one = load(out)
    assert one.algorithms == {"md5", "sha1", "sha256"}
    assert one.metadata.digests == 600
    assert all(digest in one for digest in [*sha1, *md5, *sha256])


def test_empty_content_never_gets_into_a_filter(written, tmp_path):
    empty = [digest.hex for digest in EMPTY_DIGESTS]
    report = build([written("l", [*empty, *some(1)])], str(tmp_path / "out"))
    assert report.lists[0].empty == 3
    one = load(str(tmp_path / "out"))
    assert not any(digest in one for digest in empty)


def test_one_invalid_line_and_nothing_is_written(written, tmp_path):
    path = written("l", [*some(10), "x", *some(10)])
    with pytest.raises(DigestListError, match=":11: no digest"):
        build([path], str(tmp_path / "out"))
    assert os.listdir(tmp_path) == ["l"]
    report = build([path], str(tmp_path / "out"), skip_invalid=True)
    assert (report.digests, report.lists[0].invalid) == ({"sha1": 20}, 1)


def test_a_column_that_is_no_category(written, tmp_path):
    path = written("l", ["sha1,category", *(f"{d},{n}" for n, d in enumerate(some(1001)))])
    with pytest.raises(DigestListError, match=":1002: more than 1000 distinct categories"):
        build([path], str(tmp_path / "out"))
    assert os.listdir(tmp_path) == ["l"]


def test_only_some_categories(written, tmp_path):
    wanted, other, plain, both = some(4)
    rows = [f"{wanted}, Cat A! ", f"{other},b", f"{plain},", f"{both},b", f"{both},CAT-a"]
    path = written("l", ["sha1,category", *rows])
    report = build([path], str(tmp_path / "out"), only_categories=["cat a", "c"])
    one = load(str(tmp_path / "out"))
    assert [digest in one for digest in (wanted, other, plain, both)] == [True, False, True, True]
    assert report.categories == {"cat-a": 2}
    assert (report.lists[0].unwanted, report.digests) == ({"b": 2}, {"sha1": 3})
    assert report.duplicates == 0


@pytest.mark.parametrize("names", [[""], ["a", "###"], ["x" * 65]])
def test_what_is_no_category(written, tmp_path, names):
    with pytest.raises(UsageError, match=r"--only-category .* is no category: give"):
        build([written("l", some(3))], str(tmp_path / "out"), only_categories=names)
    assert os.listdir(tmp_path) == ["l"]


def test_a_list_of_innocent_files_makes_no_filter(written, tmp_path):
    """As NSRL publishes them: whoever gives such a list by mistake loses no file."""
    innocent = some(5, 16)
    media = [{"MediaID": n, "MD5": one, "Category": 0} for n, one in enumerate(innocent)]
    path = written("l", [json.dumps({"value": media})])
    words = r"holds no digests to take \(by category: 5 vics-0\); if they are meant, name each"
    with pytest.raises(DigestListError, match=words):
        build([path], str(tmp_path / "out"))
    assert os.listdir(tmp_path) == ["l"]
    build([path], str(tmp_path / "out"), only_categories=["VICS-0"])
    assert all(digest in load(str(tmp_path / "out")) for digest in innocent)


def test_outputs_that_cannot_be(written, tmp_path):
    path = written("l", some(3))
    out = tmp_path / "out"
    build([path], str(out))
    before = out.read_bytes()
    with pytest.raises(UsageError, match="out: exists; replace it with --force"):
        build([path], str(out))
    out.unlink()
    with pytest.raises(UsageError, match=r"out\.json: exists; replace it with --force"):
        build([path], str(out))
    out.write_bytes(before)
    build([path], str(out), force=True)
    load(str(out))
    with pytest.raises(UsageError, match="is no regular file"):
        build([path], str(tmp_path), force=True)
    with pytest.raises(UsageError, match="no such directory"):
        build([path], str(tmp_path / "none" / "out"))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"category": "a b"}, "--category"),
        ({"category": ""}, "--category"),
        ({"error_rate": 0.5}, "--error-rate"),
        ({"error_rate": float("nan")}, "--error-rate"),
        ({"capacity": 18}, "give at least 19"),
    ],
)
def test_options_that_cannot_be(written, tmp_path, options, what):
    with pytest.raises(UsageError, match=what):
        build([written("l", some(3))], str(tmp_path / "out"), **options)
    assert os.listdir(tmp_path) == ["l"]


def test_capacity_and_error_rate(written, tmp_path):
    path = written("l", some(3))
    made = build([path], str(tmp_path / "out"), capacity=1000, error_rate=1e-3, category="Other")
    assert (made.metadata.capacity, made.metadata.error_rate) == (1000, 1e-3)
    assert load(str(tmp_path / "out")).category == "Other"


def test_no_room_for_the_sorting_is_told(written, tmp_path):
    """A file size limit stands for a full /var/tmp."""
    path = written("l", some(120_000, 32))
    script = (
        "import resource, signal, sys\n"
        "from hashscan.errors import StateError\n"
        "from hashscan.known.lists import staging\n"
        "from hashscan.known.filters.build import build\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "staging.CACHE_KIB = 64\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
        "try: build([sys.argv[1]], sys.argv[2])\n"
        "except StateError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "the filter cannot be made" in done.stdout, done
    assert "SQLITE_TMPDIR" in done.stdout
    assert os.listdir(tmp_path) == ["l"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk(written, tmp_path):
    path = written("l", some(50_000))
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], check=True, timeout=10
    )
    try:
        with pytest.raises(StateError, match="No space left on device; make room"):
            build([path], str(mount / "out"))
        assert os.listdir(mount) == []
    finally:
        subprocess.run(["umount", str(mount)], check=True, timeout=10)
