"""A bit of the catalog that flips on the disk: the known file is found, or damage is reported."""

import os
import random
import shutil
import sqlite3

import pytest
from scanning import Scanner, make_filter, settle, sha1

from hashscan.catalog.checksums import are_whole, checksum
from hashscan.errors import StateError

KNOWN = b"known content"
#: Flips of each test; with more of them it may run for hours.
FLIPS = int(os.environ.get("HASHSCAN_FLIPS", "10"))


@pytest.fixture
def volume(tmp_path):
    top = tmp_path / "volume"
    for number in range(4):
        (top / f"directory {number}").mkdir(parents=True)
        for name in ("one", "two"):
            (top / f"directory {number}" / name).write_bytes(f"{number} {name}".encode())
    (top / "directory 2" / "known").write_bytes(KNOWN)
    settle(top)
    return top


def scanned(tmp_path, volume, *, before, remote=False):
    """A scanner that knows the file, after scans that knew it if ``before``; and the catalog."""
    one = Scanner(tmp_path / "state", known={sha1(KNOWN)} if before else set())
    one.jobs, one.remote = 1, remote
    for _ in range(2):
        assert len(set(one.scan(volume) and one.told.paths)) == before
    one.known = {sha1(KNOWN)}
    one.filter = make_filter(tmp_path / "state" / "filter", one.known)
    kept = str(tmp_path / "kept")
    shutil.copyfile(one.catalog, kept)
    return one, kept


@pytest.mark.timeout(0 if FLIPS > 100 else 120)
@pytest.mark.parametrize(
    ("before", "remote"), [(False, False), (True, False), (True, True)], ids=["new", "old", "asked"]
)
def test_never_clean_in_silence(tmp_path, volume, before, remote):
    one, kept = scanned(tmp_path, volume, before=before, remote=remote)
    size = os.path.getsize(kept)
    rng = random.Random(f"{before} {remote}")
    # Most bytes of so small a catalog are empty: only other bytes are flipped.
    with open(kept, "rb") as file:
        content = file.read()
    places = [place for place in range(size) if any(content[max(0, place - 4) : place + 5])]
    silent = []
    for _ in range(FLIPS):
        place, bit = rng.choice(places), rng.randrange(8)
        for leftover in ("-wal", "-shm"):
            if os.path.exists(one.catalog + leftover):
                os.unlink(one.catalog + leftover)
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        with open(one.catalog, "wb") as file:
            file.write(flipped)
        try:
            one.scan(volume)
        except StateError:
            continue
        if one.told.paths != [b"directory 2/known"]:
            silent.append((place, bit))
    assert not silent


VALUES = {
    "sha1": b"\1" * 20,
    "hit": 0,
    "judged": 99,
    "head": b"",
    "size": 1,
    "racy": 0,
    "linked": 1,
    "ctime_ns": 1 << 61,
}


@pytest.mark.parametrize("column", VALUES)
def test_a_row_that_contradicts_itself_is_hashed_again(tmp_path, volume, column):
    one, _ = scanned(tmp_path, volume, before=column == "hit")
    with sqlite3.connect(one.catalog) as catalog:
        catalog.execute(
            f"UPDATE file SET {column} = ? WHERE name = x'6b6e6f776e'", (VALUES[column],)
        )
    summary = one.scan(volume)
    assert one.told.paths == [b"directory 2/known"]
    if column != "racy" or not summary.unchanged:
        assert (summary.hashed, summary.unchanged) == (1, 8)
        assert "1 damaged rows" in one.told.notices[-1]
        assert "directory 2: the catalog is damaged" in one.told.notices[0]
    # It is mended.
    assert one.scan(volume).unchanged == 9
    assert one.told.notices == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE filterset SET judged_until = 1000000",
        "UPDATE dir SET scan = scan + 1",  # as if this scan had listed it
        "UPDATE dir SET scan = scan + 1 WHERE parent <> 0",
        "UPDATE scan SET id = 0 WHERE id = (SELECT max(id) FROM scan)",
        "UPDATE scan SET id = 99 WHERE id = 1",
        "UPDATE scan SET interrupted = 0, complete = 1",
        "UPDATE candidate SET state = 'x'",
        "UPDATE candidate SET state = 'done'",
        "UPDATE candidate SET state = CAST(x'ff' AS TEXT)",
        "UPDATE candidate SET state = 'match', known = NULL",
        "UPDATE candidate SET state = 'waiting'",
        "UPDATE candidate SET sha1 = x'00'",
        "UPDATE candidate SET hits = '[]'",
        "UPDATE candidate SET hits = CAST(x'ff' AS TEXT)",
        "UPDATE candidate SET known = 0, state = 'match'",
        "UPDATE candidate SET known = '[1', state = 'match'",
        "UPDATE candidate SET known = '[\"a\", 7]', state = 'match'",
        "UPDATE candidate SET known = CAST(x'5bff' AS TEXT), state = 'match'",
        "UPDATE verdict SET known = 0",
        "UPDATE verdict SET category = CAST(x'ff' AS TEXT)",
        "UPDATE scan SET summary = CAST(x'ff' AS TEXT)",
        "UPDATE scan SET kind = CAST(x'ff' AS TEXT)",
    ],
)
def test_other_damage_hides_no_match(tmp_path, volume, damage):
    one, _ = scanned(
        tmp_path, volume, before="candidate" in damage or "verdict" in damage, remote=True
    )
    with sqlite3.connect(one.catalog) as catalog:
        catalog.execute(damage)
    one.scan(volume)
    assert one.told.paths == [b"directory 2/known"]
    one.scan(volume)
    assert one.told.paths == [b"directory 2/known"]


@pytest.mark.parametrize("change", ["name = x'00'", "parent = parent + 1", "parent = id"])
def test_a_directory_at_anothers_place(tmp_path, volume, change):
    one, _ = scanned(tmp_path, volume, before=True)
    with sqlite3.connect(one.catalog) as catalog:
        catalog.execute(f"UPDATE dir SET {change} WHERE name = CAST('directory 2' AS BLOB)")
    one.scan(volume)
    assert one.told.paths == [b"directory 2/known"]


def test_what_checksums_are():
    """They are kept on the disk, so neither ``marshal`` nor CRC-32 may change."""
    row = (b"name", -(1 << 63), 1 << 62, 5, None, b"", 0.5)
    assert checksum(*row) == WRITTEN
    assert are_whole([(*row, WRITTEN)] * 3)
    assert are_whole([])
    for place in range(len(row)):
        other = list(row)
        other[place] = b"x"
        assert not are_whole([(*row, WRITTEN), (*other, WRITTEN)])
    assert not are_whole([(*row, WRITTEN ^ 1)])


WRITTEN = 1688548014
