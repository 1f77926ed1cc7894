"""Copies of a content pay for MD5 once or twice, and no content ever gets another one's digests."""

import hashlib
import os
import sqlite3
import subprocess
import sys

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scanning import Scanner, settle, sha1

from hashscan.fs.beneath import closing, open_root
from hashscan.fs.reading import BUFFER_SIZE
from hashscan.scan import copies
from hashscan.scan.copies import CopyTable, copy_table
from hashscan.scan.fast_path import FastPath, _recognising, digester
from hashscan.scan.hashing import Hasher

blake3 = pytest.importorskip("blake3", reason="no package of BLAKE3 for this machine").blake3
BOTH = frozenset({"md5", "sha1"})


@pytest.fixture
def table():
    one = copy_table(BOTH)
    yield one
    one.close()


def digests_of(content):
    return hashlib.md5(content).digest(), hashlib.sha1(content).digest(), None


def key_of(content):
    return blake3(content).digest()


def test_only_where_md5_is_asked_for():
    assert copy_table(frozenset({"sha1"})) is None
    assert copy_table(frozenset({"sha256", "sha1"})) is None
    for algorithms in ({"md5"}, {"md5", "sha256"}):
        copy_table(frozenset(algorithms)).close()


def test_without_the_library_all_is_hashed(monkeypatch):
    monkeypatch.setitem(sys.modules, "blake3", None)
    assert copy_table(BOTH) is None


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=30))
def test_what_is_found_is_true(contents):
    table = copy_table(frozenset({"md5", "sha1", "sha256"}))
    for content in contents:
        found = table.get(key_of(content))
        truth = (*digests_of(content)[:2], hashlib.sha256(content).digest())
        assert found in {None, truth}
        table.put(key_of(content), truth)
        # Where another one that was found again has the place, this one waits for its turn.
        assert table.get(key_of(content)) in {None, truth}
    table.close()


def test_the_algorithms_that_were_not_asked_for_are_not_there():
    table = copy_table(frozenset({"md5"}))
    table.put(key_of(b"a"), (hashlib.md5(b"a").digest(), None, None))
    assert table.get(key_of(b"a")) == (hashlib.md5(b"a").digest(), None, None)
    table.close()


def test_no_bit_of_an_entry_can_change_unnoticed(table):
    key = key_of(b"a")
    table.put(key, digests_of(b"a"))
    start = int.from_bytes(key[:4], "little") % copies.PLACES * copies._ENTRY
    for place in range(start, start + copies._ENTRY):
        table._entries[place] ^= 1
        assert table.get(key) is None
        table._entries[place] ^= 1
    assert table.get(key) == digests_of(b"a")


def test_an_entry_of_two_writers_at_once_is_none(table, monkeypatch):
    """The start of one and the end of the other: at every place where a write may have stopped."""
    monkeypatch.setattr(copies, "PLACES", 1)
    images = []
    for content in (b"a", b"b"):
        table.put(key_of(content), digests_of(content))
        images.append(table._entries[: copies._ENTRY])
        table._used[0] = 0
    for cut in range(1, copies._ENTRY):
        table._entries[: copies._ENTRY] = images[0][:cut] + images[1][cut:]
        assert table.get(key_of(b"a")) is None
        assert table.get(key_of(b"b")) is None


def test_processes_that_write_the_same_places_never_mix_contents(monkeypatch):
    monkeypatch.setattr(copies, "PLACES", 3)
    table = copy_table(BOTH)
    contents = [b"%d" % number * (number + 1) for number in range(40)]
    truths = [(key_of(content), digests_of(content)) for content in contents]
    children = []
    for child in range(4):
        pid = os.fork()
        if not pid:
            wrong = 0
            for turn in range(4000):
                key, truth = truths[(turn * 7 + child * 11) % 40]
                found = table.get(key)
                wrong += found is not None and found != truth
                table.put(key, truth)
            os._exit(1 if wrong else 0)
        children.append(pid)
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
    table.close()


def test_what_is_found_again_and_again_is_not_pushed_out_by_what_comes_once(table, monkeypatch):
    monkeypatch.setattr(copies, "PLACES", 1)
    popular = b"of a thousand sites"
    table.put(key_of(popular), digests_of(popular))
    for number in range(50):
        assert table.get(key_of(popular)) is not None
        table.put(key_of(b"%d" % number), digests_of(b"%d" % number))
    table.put(key_of(b"a"), digests_of(b"a"))
    table.put(key_of(b"b"), digests_of(b"b"))
    assert table.get(key_of(popular)) is None, "what is met no more makes room"


# In the loop


def counting(table):
    """The loop with a table, and the lengths of the contents that it computes."""
    quick, computed = FastPath(Hasher(BOTH), judged=1, scan=1), []
    compute = digester(BOTH)

    def count(content):
        computed.append(len(content))
        return compute(content)

    quick._digests_of = _recognising(count, table)
    return quick, computed


def hash_in(directory, names, quick):
    """Have the loop hash files of a directory; their digests by name."""
    with closing(open_root(os.fsencode(directory))) as fd:
        device = os.fstat(fd).st_dev
        pairs = [(os.fsencode(name), 0) for name in names]
        rows = []
        stopped, _ = quick.run(
            fd, pairs, 0, root=(device, -1), most_bytes=1 << 40, rows=rows, owners=[]
        )
        assert stopped == len(names)
    return {row[0].decode(): row[6:9] for row in rows}


def hash_all(directory, names, table):
    quick, computed = counting(table)
    return hash_in(directory, names, quick), computed


def test_copies_are_computed_twice_at_the_most(tmp_path, table):
    contents = [os.urandom(size) for size in (1, 5000, 5000, BUFFER_SIZE - 1)]
    names = []
    for copy in range(10):
        for number, content in enumerate(contents):
            names.append(f"{copy}-{number}")
            (tmp_path / names[-1]).write_bytes(content)
    found, computed = hash_all(tmp_path, names, table)
    assert len(computed) <= 2 * len(contents)
    for copy in range(10):
        for number, content in enumerate(contents):
            assert found[f"{copy}-{number}"] == digests_of(content)


def test_a_volume_without_copies_pays_nothing(tmp_path, table, monkeypatch):
    for number in range(1, 60):
        (tmp_path / str(number)).write_bytes(b"x" * number)

    def never(_content):
        raise AssertionError("BLAKE3 of a size that was never met")

    table.key_of = never
    found, computed = hash_all(tmp_path, [str(number) for number in range(1, 60)], table)
    assert (len(found), len(computed)) == (59, 59)


def test_files_of_one_size_are_told_apart_by_their_content_alone(tmp_path, table):
    """Same size, same times, same name elsewhere: only the content speaks."""
    for number in range(50):
        path = tmp_path / str(number)
        path.write_bytes(b"%04d" % number * 100)
        os.utime(path, (1, 1))
    for _ in range(2):
        found, _ = hash_all(tmp_path, [str(number) for number in range(50)], table)
        for number in range(50):
            assert found[str(number)] == digests_of(b"%04d" % number * 100)


def test_files_that_share_no_more_than_their_size_soon_cost_no_blake3(tmp_path, table):
    """Also over small directories, one after the other."""
    asked = []

    def key_of(content):
        asked.append(1)
        return blake3(content)

    table.key_of = key_of
    quick, computed = counting(table)
    for directory in range(100):
        names = [f"{directory:03}-{number:02}" for number in range(20)]
        place = tmp_path / str(directory)
        place.mkdir()
        for name in names:
            (place / name).write_bytes(name.encode() * 5)
        found = hash_in(place, names, quick)
        assert all(found[name] == digests_of(name.encode() * 5) for name in names)
    assert len(computed) == 2000
    assert len(asked) < 2000 / 4


def test_copies_that_come_late_are_recognised_all_the_same(tmp_path, table):
    names = []
    for number in range(1000):
        names.append(f"a{number:04}")
        (tmp_path / names[-1]).write_bytes(b"%04d" % number * 5)
    for copy in range(40):
        for number in range(50):
            names.append(f"b{copy:02}-{number:02}")
            (tmp_path / names[-1]).write_bytes(b"copy %02d" % number * 9)
    _, computed = hash_all(tmp_path, names, table)
    assert len(computed) < 1000 + 2000 / 2


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_whole_scan_says_the_same_with_copies_and_without(volume, tmp_path, monkeypatch, jobs):
    contents = [os.urandom(number * 300 + 1) for number in range(25)]
    for copy in range(20):
        (volume / f"site{copy}").mkdir()
        for number, content in enumerate(contents):
            (volume / f"site{copy}" / f"f{number}").write_bytes(content)
    settle(volume)
    known = {hashlib.md5(contents[3]).hexdigest(), sha1(contents[9])}

    def scanned(name):
        scanner = Scanner(tmp_path / name, known, ("md5", "sha1"))
        scanner.jobs = jobs
        summary = scanner.scan(volume)
        assert (summary.hashed, summary.matches) == (500, 40)
        with sqlite3.connect(scanner.catalog) as connection:
            return connection.execute(
                "SELECT dir.name, file.name, md5, sha1, hit FROM file"
                " JOIN dir ON dir.id = file.dir ORDER BY 1, 2"
            ).fetchall()

    with_table = scanned("with")
    monkeypatch.setattr("hashscan.scan.pool.copy_table", lambda _algorithms: None)
    assert with_table == scanned("without")


def test_memory_is_used_as_it_fills():
    code = (
        "from hashscan.scan.copies import copy_table\n"
        "def rss():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "copy_table(frozenset({'md5'})).close()\n"
        "before = rss(); table = copy_table(frozenset({'md5'}))\n"
        "print(rss() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1 << 20


def test_memory_is_bounded():
    table = CopyTable(BOTH, blake3)
    assert sum(map(len, (table.seen, table._entries, table._used))) <= 15 << 20
    table.close()


def test_a_closed_table_is_closed_once():
    table = CopyTable(BOTH, blake3)
    table.close()
    with pytest.raises(ValueError, match="closed"):
        table.get(key_of(b"a"))
