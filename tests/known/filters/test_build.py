"""Filters from lists: duplicates, categories, options, and what a failed build leaves."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faulty import raising

from hashscan.errors import DigestListError, StateError, UsageError
from hashscan.known.filters import build as module
from hashscan.known.filters.build import build
from hashscan.known.filters.filter_file import load
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


def test_of_two_builds_at_once_one_wins_whole(written, tmp_path):
    """The second build begins before the first has its name, and ends before it."""
    rows = [f"{digest},{number + 1}" for number, digest in enumerate(some(3))]
    first = written("l", ["sha1,size", *rows])
    out = tmp_path / "out"
    for second in (["sha1,size", *(f"{digest},9" for digest in some(4))], some(4)):
        path = written("m", second)
        begun = []

        def other(stage, path=path, begun=begun):
            if stage.stage == "adding" and not begun:
                begun.append(stage)
                build([path], str(out))

        with pytest.raises(UsageError, match=r"out: exists: another process made it meanwhile"):
            build([first], str(out), on_progress=other)
        assert load(str(out)).metadata.digests == 4
        assert "sizes" in load(str(out)).tiers.names or second[0] != "sha1,size"
        for made in tmp_path.iterdir():
            if made.name not in ("l", "m"):
                made.unlink()


def test_what_another_build_made_of_the_tiers_alone_stays(written, tmp_path):
    path = written("l", ["sha1,size", f"{some(1)[0]},5"])
    stray = tmp_path / "out.sizes.json"
    with pytest.raises(UsageError, match=r"out\.sizes\.json: exists: another"):
        build([path], str(tmp_path / "out"), on_progress=lambda _: stray.write_text("x"))
    assert sorted(os.listdir(tmp_path)) == ["l", "out.sizes.json"]
    assert stray.read_text() == "x"


def test_two_builds_with_force_in_between_each_other(written, tmp_path, monkeypatch):
    first, second = written("l", some(3)), written("m", some(4))
    out = str(tmp_path / "out")
    real, calls = module.rename, []

    def rename(old, new):
        real(old, new)
        calls.append(new)
        if len(calls) == 1:  # the filter has its name, its metadata has not
            build([second], out, force=True)

    monkeypatch.setattr(module, "rename", rename)
    with pytest.raises(StateError, match="out: another process wrote the filter at the same time"):
        build([first], out, force=True)
    build([first], out, force=True)
    assert load(out).metadata.digests == 3


@pytest.mark.parametrize(
    ("theirs", "link"),
    [("full", False), ("full", True), ("open", False), ("owned", False), ("empty", True)],
)
def test_a_swap_of_the_scratch_directory(written, tmp_path, monkeypatch, link, theirs):
    """A customer who may write beside the filter swaps the new directory for another one."""
    if theirs == "owned" and os.geteuid() != 0:
        pytest.skip("only root can give a directory to another user")
    path = written("l", some(3))
    place, other = tmp_path / "place", tmp_path / "other"
    place.mkdir()
    other.mkdir(0o777 if theirs == "open" else 0o700)
    if theirs == "full":
        (other / "letter").write_text("kept")
    if theirs == "owned":
        os.chown(other, 4321, 4321)
    real = os.mkdir

    def mkdir(name, *args, **options):
        real(name, *args, **options)
        (place / name).rename(tmp_path / "away")
        if not link:
            other.rename(place / name)
            place.joinpath("name").write_text(name)
        else:
            (place / name).symlink_to(other)

    monkeypatch.setattr(module.os, "mkdir", mkdir)
    with pytest.raises(StateError, match="out: the filter cannot be written"):
        build([path], str(place / "out"))
    monkeypatch.undo()
    if not link:
        other = place / (place / "name").read_text()
    if theirs == "full":
        assert (other / "letter").read_text() == "kept"
    assert os.listdir(tmp_path / "away") == []
    assert not (place / "out").exists()


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
        timeout=60,
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


def test_what_is_there_already_is_recognised_by_its_inode(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    status = os.lstat(tmp_path / "a")
    assert module._is_there(str(tmp_path / "a"), status) is True
    assert module._is_there(str(tmp_path / "b"), status) is False
    assert module._is_there(str(tmp_path / "none"), status) is False


@pytest.mark.parametrize("number", [None, errno.EEXIST, errno.ENOSPC])
def test_files_that_cannot_all_get_their_names_get_none(tmp_path, monkeypatch, number):
    pairs, made = [], {}
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.new").write_text(name)
        pairs.append((str(tmp_path / f"{name}.new"), str(tmp_path / name)))
        made[pairs[-1][1]] = os.lstat(pairs[-1][0])
    if number is not None:
        fails = raising(number, module.rename_new, on=lambda _old, new: new.endswith("three"))
        monkeypatch.setattr(module, "rename_new", fails)
        with pytest.raises(UsageError if number == errno.EEXIST else OSError):
            module._take_new_place(pairs, made)
        assert sorted(os.listdir(tmp_path)) == ["three.new"]
        return
    module._take_new_place(pairs, made)
    assert sorted(os.listdir(tmp_path)) == ["one", "three", "two"]


def test_an_output_that_cannot_be_asked_for(tmp_path):
    with pytest.raises(UsageError, match="cannot be written: File name too long"):
        module.check_output(str(tmp_path / ("x" * 300)), force=False)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), None])
def test_the_message_names_the_output_and_not_the_place_beside_it(tmp_path, error):
    output = str(tmp_path / "f.filter")
    with pytest.raises(StateError) as caught, module._beside(output) as path:
        assert os.path.dirname(path) != str(tmp_path)
        raise error or StateError(f"{path}: no room")
    assert output in str(caught.value)
    assert path not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_two_builds_of_one_output_do_not_remove_each_others_work(tmp_path):
    output = str(tmp_path / "f.filter")
    with module._beside(output) as one:
        Path(one).touch()
        with module._beside(output) as two:
            assert os.path.dirname(one) != os.path.dirname(two)
            assert os.path.exists(one)
    assert os.listdir(tmp_path) == []
