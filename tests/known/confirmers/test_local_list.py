"""The known set of local lists: kept, checked, made again, and never wrong in silence."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time

import pytest
from dying import Dying
from faulty import Faulty, raising

from hashscan.errors import (
    DigestListError,
    FilterError,
    ServiceRefusedError,
    ServiceUnavailableError,
    StateError,
    UsageError,
)
from hashscan.known.confirmers import local_list
from hashscan.known.confirmers.local_list import LocalKnownSet, open_local
from hashscan.model import Answer, Confirmer, Digest

KNOWN = [os.urandom(20).hex() for _ in range(2000)]


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("\n".join(KNOWN))
    return path


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "state" / "filters"


@pytest.fixture
def opened(cache):
    made: list[LocalKnownSet] = []

    def opener(*lists, **options) -> LocalKnownSet:
        made.append(open_local([str(path) for path in lists], str(cache), **options))
        return made[-1]

    yield opener
    for one in made:
        one.confirmer.close()


def sets(cache) -> list[str]:
    return sorted(name for name in os.listdir(cache) if name != ".lock")


def test_verdicts_and_filter(opened, listed, cache):
    one = opened(listed)
    confirmer: Confirmer = one.confirmer
    assert (one.built, one.digests, one.remarks) == (True, 2000, [])
    assert (confirmer.name, confirmer.remote) == (f"local:{listed}", False)
    assert all(digest in one.loaded[0] for digest in KNOWN)
    assert all(confirmer.confirm(Digest("sha1", digest)).known for digest in KNOWN)
    for size, algorithm in ((16, "md5"), (20, "sha1"), (32, "sha256")):
        assert confirmer.confirm(Digest(algorithm, os.urandom(size).hex())) == Answer(known=False)
    # A digest of one algorithm that begins like another's is another digest.
    assert not confirmer.confirm(Digest("md5", KNOWN[0][:32])).known
    modes = {os.stat(path).st_mode & 0o777 for path in files(cache)}
    assert modes == {0o600}
    assert cache.stat().st_mode & 0o777 == 0o700


def files(cache) -> list[str]:
    found = [str(cache / ".lock")]
    for name in sets(cache):
        found += [str(cache / name / inner) for inner in os.listdir(cache / name)]
    return found


def test_each_digest_keeps_its_own_category(opened, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(f"sha1,category\n{KNOWN[0]},A\n{KNOWN[1]},B\n{KNOWN[2]},\n{KNOWN[0]},B\n")
    confirmer = opened(path, only_categories=["a", "b"]).confirmer
    answers = [confirmer.confirm(Digest("sha1", digest)) for digest in KNOWN[:3]]
    assert answers == [Answer(True, "a"), Answer(True, "b"), Answer(True, None)]


def test_kept_until_the_lists_change(opened, listed, tmp_path, cache):
    other = tmp_path / "other"
    other.write_text(os.urandom(16).hex())
    assert [opened(listed).built, opened(listed).built] == [True, False]
    assert [opened(listed, other).built, opened(listed, other).built] == [True, False]
    assert opened(listed).built is False
    assert len(sets(cache)) == 2
    for _ in range(4):
        with listed.open("a") as file:
            file.write("\n" + os.urandom(20).hex())
        assert opened(listed).built
    assert len(sets(cache)) == 1 + 2  # of each group of lists at most two
    assert not opened(listed, skip_invalid=False).built


def test_what_was_left_out_is_told_each_time(opened, tmp_path):
    path = tmp_path / "list"
    path.write_text(f"{KNOWN[0]}\nx\nd41d8cd98f00b204e9800998ecf8427e\n")
    with pytest.raises(DigestListError):
        opened(path)
    for built in (True, False):
        one = opened(path, skip_invalid=True)
        assert one.built is built
        assert one.remarks == [f"{path}: left out: 1 invalid lines, 1 digests of empty content"]
    with pytest.raises(DigestListError):  # a set that was made leniently is not used strictly
        opened(path)


def test_only_the_categories_that_count(opened, tmp_path):
    path = tmp_path / "list.json"
    numbers = [0, 1, 2, 3, 4, 5, None]
    media = [{"MediaID": 1, "SHA1": one, "Category": numbers[n]} for n, one in enumerate(KNOWN[:7])]
    path.write_text(json.dumps({"value": media}))

    def known(one: LocalKnownSet) -> list[int]:
        answers = [one.confirmer.confirm(Digest("sha1", digest)) for digest in KNOWN[:7]]
        in_filter = [digest in one.loaded[0] for digest in KNOWN[:7]]
        assert in_filter == [answer.known for answer in answers]
        return [n for n, answer in enumerate(answers) if answer.known]

    for built in (True, False):
        one = opened(path)
        assert (known(one), one.built) == ([1], built)
        (remark,) = one.remarks
        assert remark == (
            f"{path}: left out: by category: 1 vics-0, 1 vics-2, 1 vics-3, 1 vics-4, 1 vics-5, "
            "1 vics-none (name each category that counts as known with --only-category, or in "
            "service.only_categories)"
        )
    # Another choice is another set; order and letter case are none.
    chosen = opened(path, only_categories=["VICS-2", " vics-1 "])
    assert (known(chosen), chosen.built) == ([1, 2], True)
    assert not opened(path, only_categories=["vics-1", "vics-2", "vics-2"]).built
    assert not opened(path, only_categories=[]).built
    with pytest.raises(UsageError, match="is no category"):
        opened(path, only_categories=["-"])


def test_free_text_categories_that_are_taken_are_told(opened, tmp_path):
    path = tmp_path / "list.csv"
    names = ["CSAM", "Baseline", "baseline", "Non-Pertinent", "uncategorized", ""]
    rows = [f"{one},{name},0" for one, name in zip(KNOWN[:6], names, strict=True)]
    path.write_text("\n".join(["sha1,category,size", *rows]))
    one = opened(path)
    assert one.digests == 4
    assert one.remarks[0].startswith(
        f"{path}: left out: by category: 1 non-pertinent, 1 uncategorized (name "
    )
    assert one.remarks[1] == f"{path}: 4 digests are taken although their size is given as 0"
    assert one.remarks[2] == (
        f"{path}: 1 digests without a category are taken as known, besides the digests of "
        "categories that count"
    )
    assert one.remarks[3] == (
        f"{path}: all these categories count as known: 2 baseline, 1 csam; if that is not meant: "
        "name each category that counts as known with --only-category, or in service.only_categories"
    )
    assert len(one.remarks) == 4
    assert len(opened(path, only_categories=["baseline", "csam"]).remarks) == 3


def test_many_categories_are_summed_up(opened, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("sha1,category\n" + "".join(f"{d},c{n}\n" for n, d in enumerate(KNOWN[:900])))
    with path.open("a") as file:
        file.write(f"{KNOWN[900]},baseline\n")
    (remark,) = opened(path).remarks
    assert "left out: by category: 1 c0, 1 c1, 1 c10, " in remark
    assert "892 in 892 other categories" in remark
    with path.open("a") as file:
        file.writelines(f"{one},d{n}\n" for n, one in enumerate(KNOWN[:200]))
    # Also those that are left out are bounded, in memory and in words.
    with pytest.raises(DigestListError, match=r"csv:1002: more than 1000 distinct categories"):
        opened(path, only_categories=["c0"])


def test_of_the_sets_of_one_list_the_two_used_last_are_kept(tmp_path):
    now = time.time()
    for name, age in (("a-1", 50), ("a-2", 5), ("a-3", 20), ("a-4", 90), ("b-1", 70)):
        (tmp_path / f"local-{name}").mkdir()
        os.utime(tmp_path / f"local-{name}", (now - age, now - age))
    (tmp_path / "other").mkdir()
    local_list._prune(str(tmp_path), "local-a", str(tmp_path / "local-a-4"))
    assert sorted(os.listdir(tmp_path)) == ["local-a-2", "local-a-4", "local-b-1", "other"]


def test_what_a_killed_build_left_is_removed_whatever_it_is(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / f"{local_list._UNFINISHED}file").touch()
    (cache / f"{local_list._UNFINISHED}link").symlink_to(kept)
    (cache / f"{local_list._UNFINISHED}set").mkdir()
    (cache / f"{local_list._UNFINISHED}set" / "index").touch()
    (cache / "local-a-1").mkdir()
    local_list._clean(str(cache))
    assert os.listdir(cache) == ["local-a-1"]
    assert os.listdir(kept) == ["file"]


def test_sets_that_nobody_opened_for_long_are_removed(opened, listed, tmp_path, cache):
    def other(name: str):
        path = tmp_path / name
        path.write_text(os.urandom(20).hex())
        return path

    long_ago = time.time() - 91 * 86400
    opened(listed)
    opened(other("a"))
    for name in sets(cache):
        os.utime(cache / name, (long_ago, long_ago))
    (cache / "baseline").mkdir()
    os.utime(cache / "baseline", (long_ago, long_ago))
    assert not opened(listed).built
    opened(other("b"))
    assert len(sets(cache)) == 3  # not a's
    assert "baseline" in sets(cache)
    assert not opened(listed).built
    assert opened(tmp_path / "a").built


def test_unusable_lists(opened, listed, tmp_path, cache):
    with pytest.raises(UsageError, match="made from files"):
        opened()
    with pytest.raises(UsageError, match="made from files"):
        opened("-")
    with pytest.raises(DigestListError, match=r"(?s)none: cannot be opened.*is no regular file"):
        opened(listed, tmp_path / "none", tmp_path)
    assert not cache.exists()
    listed.write_text("x\n")
    with pytest.raises(DigestListError, match=":1: no digest"):
        opened(listed)
    assert sets(cache) == []


@pytest.mark.parametrize(
    "name",
    [
        "filter.bloom", "filter.bloom.json", "filter.bloom.sizes", "filter.bloom.sizes.json",
        "index.sqlite3", "index.json",
    ],
)  # fmt: skip
def test_a_damaged_set_is_made_again(opened, listed, cache, name):
    listed.write_text("sha1,size\n" + "".join(f"{digest},77\n" for digest in KNOWN[:200]))
    opened(listed)
    (made,) = sets(cache)
    path = cache / made / name
    whole = path.read_bytes()
    rand = random.Random(7)
    damages = [b"", whole[:-1], os.urandom(len(whole)), b"[" * 5000, None]
    for _ in range(4):
        flipped = bytearray(whole)
        flipped[rand.randrange(len(whole))] ^= 1 << rand.randrange(8)
        damages.append(bytes(flipped))
    for damage in damages:
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage)
        notices = []
        one = opened(listed, on_notice=notices.append)
        assert one.built
        assert len(notices) == 1
        assert "is damaged and made again" in notices[0]
        assert one.confirmer.confirm(Digest("sha1", KNOWN[5])).known
    assert len(sets(cache)) == 1


def test_a_damaged_tier_that_cannot_be_made_again_costs_only_the_tier(
    opened, listed, cache, monkeypatch
):
    """A full disk, e.g.: the filter and the index are whole, so scans go on."""
    listed.write_text("sha1,size\n" + "".join(f"{digest},77\n" for digest in KNOWN))
    opened(listed)
    (made,) = sets(cache)
    (cache / made / "filter.bloom.sizes").write_bytes(b"damaged")

    def no_room(*_arguments):
        raise StateError("no room")

    monkeypatch.setattr("hashscan.known.confirmers.local_list._make", no_room)
    one = opened(listed)
    assert one.loaded[0].tiers.sizes is None
    assert one.confirmer.confirm(Digest("sha1", KNOWN[5])).known
    (cache / made / "filter.bloom").write_bytes(b"damaged")
    with pytest.raises(StateError, match="no room"):
        opened(listed)


def test_the_index_of_another_set_is_not_used(opened, listed, tmp_path, cache):
    other = tmp_path / "other"
    other.write_text("\n".join(os.urandom(20).hex() for _ in KNOWN))
    opened(listed)
    (first,) = sets(cache)
    opened(other)
    (second,) = set(sets(cache)) - {first}
    for name in ("index.sqlite3", "index.json"):
        (cache / first / name).write_bytes((cache / second / name).read_bytes())
    notices = []
    assert opened(listed, on_notice=notices.append).built
    assert "the index of another known set" in notices[0]


def test_an_index_that_fails_is_never_unknown(opened, listed, cache):
    confirmer = opened(listed).confirmer
    (made,) = sets(cache)
    path = cache / made / "index.sqlite3"
    with path.open("r+b") as file:  # after the check: the disk goes bad
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    failed = 0
    for digest in KNOWN[:200]:
        try:
            assert confirmer.confirm(Digest("sha1", digest)).known
        except ServiceUnavailableError:
            failed += 1
    assert failed
    with pytest.raises(ServiceRefusedError):
        confirmer.confirm(Digest("sha1", "no digest"))
    confirmer.close()
    with pytest.raises(ServiceUnavailableError, match="candidates are kept"):
        confirmer.confirm(Digest("sha1", KNOWN[0]))
    with pytest.raises(StateError, match="cannot be read"):
        confirmer.meta()
    with pytest.raises(StateError, match="cannot be read"):
        confirmer.missing_in([])


def test_a_list_that_changes_while_it_is_read(opened, listed, cache):
    def change(_progress) -> None:
        with listed.open("a") as file:
            file.write("\n" + os.urandom(20).hex())

    with pytest.raises(UsageError, match="changed while it was read"):
        opened(listed, on_progress=change)
    assert sets(cache) == []


def test_a_list_that_changes_after_it_was_read(opened, listed, cache, monkeypatch):
    """The set would lack the new digest and count as the set of the new list."""
    write_index = local_list.write_index

    def change(*given):
        with listed.open("a") as file:
            file.write("\n" + os.urandom(20).hex())
        write_index(*given)

    monkeypatch.setattr(local_list, "write_index", change)
    with pytest.raises(UsageError, match="changed while it was read; run the command again"):
        opened(listed)
    assert sets(cache) == []


OPEN = (
    "import sys\n"
    "from hashscan.known.confirmers.local_list import open_local\n"
    "one = open_local([sys.argv[1]], sys.argv[2], on_notice=lambda m: print(m, file=sys.stderr))\n"
    "print(one.built, one.digests)\n"
)


def start(listed, cache, script=OPEN) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(listed), str(cache)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_that_start_at_once_make_one_set(listed, cache):
    running = [start(listed, cache) for _ in range(4)]
    printed = [one.communicate(timeout=60) for one in running]
    assert sorted(out for out, _ in printed) == ["False 2000\n"] * 3 + ["True 2000\n"], printed
    assert len(sets(cache)) == 1


def test_a_build_that_is_killed_leaves_nothing_that_is_used(opened, listed, cache):
    """Killed after ever more of its system calls that matter; the next start makes it whole."""
    script = (
        "import sys\n"
        "from hashscan.known.confirmers import digest_index, local_list\n"
        "from hashscan.known.filters import filter_file\n"
        "local_list.open_local([sys.argv[1]], sys.argv[2])\n"
    )
    with Dying(script, "replace,link,mkdir,unlink,rmdir") as dying:
        for instant in dying.instants():
            (listed.parent / "step").write_text(f"{os.urandom(20).hex()}\n{KNOWN[0]}\n")
            dying.run(instant, listed.parent / "step", cache)
            notices = []
            one = opened(listed.parent / "step", on_notice=notices.append)
            assert not notices, instant
            assert one.digests == 2
            assert one.confirmer.confirm(Digest("sha1", KNOWN[0])).known
            opened(listed).confirmer.close()
            assert not [name for name in os.listdir(cache) if name.startswith(".unfinished")] or (
                not one.built
            )


def test_a_full_disk_leaves_nothing(listed, cache):
    """A file size limit stands for it."""
    script = (
        "import resource, signal, sys\n"
        "from hashscan.errors import StateError\n"
        "from hashscan.known.confirmers.local_list import open_local\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "for limit in (0, 3_000, 6_000, 20_000, 60_000):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "    try: open_local([sys.argv[1]], sys.argv[2])\n"
        "    except StateError as error: print(error)\n"
    )
    printed, failed = start(listed, cache, script).communicate(timeout=30)
    lines = printed.splitlines()
    assert len(lines) == 5, (printed, failed)
    assert all("make room" in line for line in lines)
    assert sets(cache) == []


def test_a_cache_that_cannot_be_used(opened, listed, cache):
    cache.parent.mkdir()
    cache.write_text("a file")
    with pytest.raises(StateError, match="the known set cannot be kept"):
        opened(listed)


def test_opening_what_is_kept_is_quick(opened, listed, cache):
    listed.write_text("\n".join(os.urandom(20).hex() for _ in range(30_000)))
    seconds = []
    for built in (True, False):
        started = time.process_time()
        assert opened(listed).built == built
        seconds.append(time.process_time() - started)
    assert seconds[1] < seconds[0] / 2


def test_the_index_can_be_read_with_sqlite(opened, listed, cache):
    opened(listed)
    (made,) = sets(cache)
    with sqlite3.connect(cache / made / "index.sqlite3") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM known").fetchone() == (2000,)
    connection.close()


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), StateError("odd"), FilterError("odd")]
)
def test_a_set_that_cannot_be_read_back_is_not_used(opened, listed, monkeypatch, error):
    def fails(*_a, **_k):
        raise error

    monkeypatch.setattr(local_list, "_open", fails)
    with pytest.raises(StateError, match=r"what was just written cannot be read back: .*check the"):
        opened(listed)


def test_lists_that_cannot_be_read_are_all_named(opened, listed, tmp_path, monkeypatch):
    broken = Faulty(hashlib, file_digest=raising(errno.EIO))
    monkeypatch.setattr(local_list, "hashlib", broken)
    other = tmp_path / "none"
    with pytest.raises(DigestListError) as caught:
        opened(listed, other)
    found = {finding.where: finding.what for finding in caught.value.findings}
    assert found[str(listed)] == "cannot be read: Input/output error"
    assert str(other) in found
