"""A whole scan leaves the page cache of what it reads as it was, to the page."""

import hashlib
import os
import random
from pathlib import Path

import pytest
from commandline import Agent, settle
from page_cache import PAGE, cached, disk_directory, write_cold

MIB = 1 << 20
#: Below, at and above a page; what the buffer holds at once, and what takes several reads.
SIZES = [1, PAGE, 3 * PAGE + 7, 40 * PAGE, MIB - 1, MIB, 3 * MIB + 12345]
WARM = {
    "cold": lambda _pages: range(0),
    "half": lambda pages: range(-(-pages // 2)),
    "some": lambda pages: range(0, pages, 7),
    "all": range,
}
#: So many of each of those.
EACH = 3


@pytest.fixture
def disk():
    # Where the tests' own file is there is a disk, even if temporary files are kept in memory.
    with disk_directory(None, Path(__file__).parent) as folder:
        yield Path(folder)


def fill(volume):
    """Files of each size and warmth, in directories of each warmth; one content is returned."""
    chance = random.Random(3)
    for warmth, pages in WARM.items():
        (volume / warmth).mkdir(parents=True)
        for size in SIZES:
            for number in range(EACH):
                content = chance.randbytes(size)
                write_cold(volume / warmth / f"{size}-{number}", content, pages(-(-size // PAGE)))
    return content


def resident(volume):
    """Which pages the kernel keeps, of each file."""
    return {
        str(path.relative_to(volume)): cached(path)
        for path in sorted(volume.rglob("*"))
        if path.is_file()
    }


def differences(before, after):
    """How many pages more and less are there, of each file that differs."""
    return {
        name: (
            sum(now and not was for was, now in zip(before[name], after[name], strict=True)),
            sum(was and not now for was, now in zip(before[name], after[name], strict=True)),
        )
        for name in before
        if before[name] != after[name]
    }


def read_again(volume, before, lost):
    """Have the kernel keep again what it kept before."""
    for name in lost:
        with open(volume / name, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for page, was in enumerate(before[name]):
                if was:
                    os.pread(file.fileno(), 1, page * PAGE)


def test_a_scan_leaves_the_page_cache_as_it_was(disk):
    """The first scan, one of everything anew, and one where nothing changed."""
    volume = disk / "volume"
    known = fill(volume)
    settle(volume)
    agent = Agent(disk / "state", volume, [known])
    wanted = {
        f"{warmth}/{size}-{number}": [
            page in chosen(-(-size // PAGE)) for page in range(-(-size // PAGE))
        ]
        for warmth, chosen in WARM.items()
        for size in SIZES
        for number in range(EACH)
    }
    for _ in range(4):  # the kernel may have taken a page for something else
        before = resident(volume)
        if before == wanted:
            break
        read_again(volume, wanted, differences(wanted, before))
    assert differences(wanted, before) == {}, "the test's files are as it says they are"
    files = len(wanted)

    for options, outcome in (([], "hashed"), (["--full"], "hashed"), ([], "unchanged")):
        lost = {}
        for _ in range(4):
            ran = agent.scan(*(options if outcome == "unchanged" or not lost else ["--full"]))
            assert ran.summary[outcome] == files, ran.out
            assert [match["digests"]["sha1"] for match in ran.matches] == [
                hashlib.sha1(known).hexdigest()
            ]
            lost = differences(before, resident(volume))
            # Not a page more, ever. The kernel may take a page that is there for something else
            # meanwhile; a scan that drops pages drops them each time.
            assert all(more == 0 for more, _ in lost.values()), (options, outcome, lost)
            if not lost:
                break
            read_again(volume, before, lost)
        assert lost == {}, (options, outcome)
