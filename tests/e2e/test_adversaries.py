"""A customer with a shell against scan, quarantine and restore: nothing outside is touched."""

import os
import secrets
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from commandline import (
    Agent,
    contents,
    entries,
    needs_root,
    settle,
    sha1,
    started,
    unprintable,
    until,
    write,
)
from isolating import adversary, exchange, watched

KNOWN = 12
OTHERS = 60
LONG = bool(os.environ.get("HASHSCAN_LONG"))
WIDE = 15_000 if LONG else 3_000


@pytest.fixture
def outside(tmp_path):
    """A place beside the volume, with known content under the very names of the volume's."""
    directory = tmp_path / "outside"
    (directory / "below").mkdir(parents=True)
    return directory


def everything(directory):
    """All that tells whether somebody touched it, access times included."""
    found = {}
    for path in [directory, *sorted(directory.rglob("*"))]:
        status = path.lstat()
        content = None
        if stat.S_ISREG(status.st_mode):
            fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
            content = os.read(fd, 1 << 20)
            os.close(fd)
        found[path] = (
            status.st_ino,
            status.st_mode,
            status.st_nlink,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_atime_ns if content is not None else 0,
            content,
        )
    return found


def cycle(agent, seconds, check):
    """Scan, quarantine, restore, lift the hold, again and again; returns how often."""
    turns = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end or not turns:
        turns += 1
        ran = agent.scan(quarantine=True)
        assert ran.code in {0, 1, 3}, ran.err
        assert ran.is_clean(), ran.err
        _ = ran.summary
        check(ran)
        ids = [one["id"] for one in agent.records() if one["state"] in {"quarantined", "displaced"}]
        if ids:
            restored = agent.quarantine("restore", *ids)
            assert restored.code in {0, 3}, restored.err
            assert restored.is_clean(), restored.err
            lifted = [one["id"] for one in agent.records() if one["state"] == "restored"]
            if lifted:
                purged = agent.quarantine("purge", "--yes", *lifted)
                assert purged.code == 0, purged.err
    return turns


@pytest.mark.xdist_group("heavy")
@pytest.mark.parametrize("where", ["same file system", "other file system"])
def test_directory_that_flips_to_a_link_outside(volume, outside, tmp_path, memory, where, capsys):
    known = [secrets.token_bytes(3000) for _ in range(KNOWN)]
    forbidden = [secrets.token_bytes(3000) for _ in range(KNOWN)]
    # The middle of the path flips, and what stands there has all the same names.
    for number in range(KNOWN):
        write(os.fsencode(volume), b"site/flip/below/f%d" % number, known[number])
        write(os.fsencode(volume), b"site/flip/f%d" % number, known[number] + b".")
        write(os.fsencode(outside), b"below/f%d" % number, forbidden[number])
        write(os.fsencode(outside), b"f%d" % number, forbidden[number] + b".")
        write(os.fsencode(outside), b"only-outside%d" % number, known[number] + b"..")
    for number in range(OTHERS):
        write(os.fsencode(volume), b"site/flip/below/g%d" % number, secrets.token_bytes(3000))
    link, real = volume / "site" / "link", volume / "site" / "flip"
    link.symlink_to(outside)
    agent = Agent(
        (tmp_path if where == "same file system" else memory) / "state",
        volume,
        [*known, *(one + b"." for one in known), *(one + b".." for one in known),
         *forbidden, *(one + b"." for one in forbidden)],
    )  # fmt: skip
    secret = {sha1(one) for one in forbidden} | {sha1(one + b".") for one in forbidden}
    secret |= {sha1(one + b"..") for one in known}
    mine = contents(volume)
    before = everything(outside)
    reported = 0

    def check(ran):
        nonlocal reported
        reported += len(ran.matches)
        for match in ran.matches:
            assert match["path"].startswith(os.fspath(volume) + "/site/")
            assert match["digests"]["sha1"] not in secret
        for digest in secret:
            assert digest not in ran.out

    with (
        watched(outside) as touched,
        watched(outside / "below") as touched_below,
        adversary(lambda: exchange(link, real)) as flips,
    ):
        turns = cycle(agent, 4 if LONG else 2, check)
        while (not reported or flips() <= 1000) and turns < 20:  # this machine is busy
            turns += cycle(agent, 0, check)
        count = flips()
        assert (touched(), touched_below()) == (b"", b"")
    assert everything(outside) == before
    assert count > 1000, f"only {count} flips"
    assert reported > 0, "the adversary stopped the agent from finding anything"
    with capsys.disabled():
        print(f" [{count} flips, {turns} turns, {reported} matches] ", end="")

    # All of the customer's own files are where they were, or can be restored.
    # Each goes back to where its directory stood when it was moved.
    for _ in range(2):
        left = [
            one["id"] for one in agent.records() if one["state"] in {"quarantined", "displaced"}
        ]
        if left:
            agent.quarantine("restore", *left)
        exchange(link, real)
    assert contents(volume) == mine
    assert everything(outside) == before


@pytest.mark.xdist_group("heavy")
def test_file_that_becomes_something_else(volume, outside, agent):
    """The name of a known file changes hands: pipe, socket, directory, link, device, other file."""
    known = secrets.token_bytes(2000)
    write(os.fsencode(outside), b"secret", secrets.token_bytes(2000))
    secret = (outside / "secret").read_bytes()
    agent.know([known, secret])
    busy = volume / "busy"
    busy.mkdir()
    stand_ins = []
    for number in range(6):
        (busy / f"known{number}").write_bytes(known)
    os.mkfifo(busy / "pipe")
    (busy / "dir").mkdir()
    (busy / "dir" / "inner").write_bytes(b"inner")
    (busy / "link").symlink_to(outside / "secret")
    (busy / "dirlink").symlink_to(outside)
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(busy, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        stand_ins += ["pipe", "dir", "link", "dirlink", "socket"]
        if os.geteuid() == 0:
            with suppress(OSError):  # containers may not
                os.mknod(busy / "tty", stat.S_IFCHR | 0o666, os.makedev(5, 0))
                stand_ins.append("tty")
        (busy / "other").write_bytes(secrets.token_bytes(2000))
        stand_ins.append("other")
        before = everything(outside)
        names = len(entries(volume))
        state = {"turn": 0}

        def step():
            state["turn"] += 1
            turn = state["turn"]
            exchange(busy / f"known{turn % 6}", busy / stand_ins[turn % len(stand_ins)])

        with watched(outside) as touched, adversary(step) as swaps:
            turns = cycle(agent, 3 if LONG else 2, lambda ran: None)
            while swaps() <= 1000 and turns < 20:  # this machine is busy
                turns += cycle(agent, 0, lambda ran: None)
            count = swaps()
            assert touched() == b""
    assert count > 1000
    assert everything(outside) == before
    left = [one["id"] for one in agent.records() if one["state"] in {"quarantined", "displaced"}]
    if left:
        ran = agent.quarantine("restore", *left)
        if ran.code:  # its directory is a stand-in's now
            inside = volume / "restored"
            inside.mkdir()
            for one in left:
                agent.quarantine("restore", "--to", inside, one)
    assert len(entries(volume)) == names, "something was lost, or is there twice"
    assert contents(volume)[sha1(known)] == 6


@pytest.mark.xdist_group("heavy")
def test_ancestors_that_are_renamed(volume, agent):
    known = secrets.token_bytes(2000)
    agent.know([known])
    for number in range(40):
        write(
            os.fsencode(volume),
            b"a/b/c/d/f%d" % number,
            known if number % 10 == 0 else b"%d" % number,
        )
    write(os.fsencode(volume), b"x/b/c/d/f0", b"innocent")

    def step():
        for one, other in (("a", "x"), ("a/b", "a/b2"), ("x/b", "a/b3"), ("a/b3", "x/b")):
            with suppress(OSError):
                os.rename(volume / one, volume / f"{other}.tmp")
            with suppress(OSError):
                os.rename(volume / f"{other}.tmp", volume / one)

    mine = contents(volume)
    with adversary(step) as renames:
        turns = cycle(agent, 2, lambda ran: None)
        while renames() <= 500 and turns < 20:  # this machine is busy
            turns += cycle(agent, 0, lambda ran: None)
        assert renames() > 500
    left = [one["id"] for one in agent.records() if one["state"] in {"quarantined", "displaced"}]
    if left:
        (volume / "restored").mkdir()
        for one in left:
            assert agent.quarantine("restore", "--to", volume / "restored", one).code == 0
    assert contents(volume) == mine


@pytest.mark.xdist_group("heavy")
def test_wide_directory_that_is_made_while_it_is_scanned(volume, agent, tmp_path):
    """Entries of all kinds; the sums hold meanwhile, and nothing is missed afterwards."""
    known = secrets.token_bytes(50)
    agent.know([known])
    wide = volume / "wide"
    wide.mkdir()
    maker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                f"import os, sys, time; WIDE = {WIDE}\n"
                "os.chdir(sys.argv[1])\n"
                "known = bytes.fromhex(sys.argv[2])\n"
                "n = 0\n"
                "while n < 60_000 and not os.path.exists(sys.argv[3]):\n"
                "    n += 1\n"
                "    kind = n % 100\n"
                "    if kind == 0 and n > WIDE: time.sleep(0.1)\n"
                "    if kind == 1: os.symlink('nowhere', f'n{n}')\n"
                "    elif kind == 2: os.mkdir(f'n{n}')\n"
                "    elif kind == 3: os.mkfifo(f'n{n}')\n"
                "    elif kind == 4 and n > 1000:\n"
                "        os.rename(f'n{n - 99}', f'n{n}')\n"
                "    else:\n"
                "        with open(f'n{n}', 'wb') as file: file.write(known if kind == 5 else b'%d' % n)\n"
            ),
            wide,
            known.hex(),
            tmp_path / "enough",
        ]
    )
    try:
        until(lambda: len(os.listdir(wide)) > WIDE * 0.9, 60, "it is wide")
        seen = []
        while len(seen) < (3 if LONG else 1):
            ran = agent.scan()
            assert ran.code in {0, 1, 3}
            assert ran.is_clean()
            seen.append(ran.summary["files"])
        assert maker.poll() is None
        (tmp_path / "enough").touch()
        maker.wait(timeout=60)
    finally:
        maker.kill()
        maker.wait()
    assert maker.returncode == 0
    settle(volume)
    last = agent.scan()
    assert last.summary["files"] == len(entries(volume))
    assert last.summary["matches"] == contents(wide)[sha1(known)]
    assert last.summary["problems"] == 0
    assert 0 < seen[0] < last.summary["files"], "entries were made after this scan's beginning"


@pytest.mark.xdist_group("heavy")
def test_deep_chain(volume, agent):
    """Directories below each other, deeper than Python recurses; known files on the way.

    The path of the last has more than PATH_MAX bytes, and in the long form as many levels.
    """
    known = secrets.token_bytes(50)
    agent.know([known])
    here = os.open(volume, os.O_RDONLY)
    levels, name = (2_500, b"d") if LONG else (1_100, b"dir")
    here_too = {0, 1000, 2047, 2048, 2499} if LONG else {0, 900, 1023, 1024, 1099}
    for level in range(levels):
        if level in here_too:
            with open(os.open(b"k", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=here), "wb") as file:
                file.write(known)
        os.mkdir(name, dir_fd=here)
        following = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = following
    os.close(here)
    begin = time.monotonic()
    ran = agent.scan(quarantine=True)
    assert time.monotonic() - begin < 60
    assert (ran.code, ran.summary["matches"], ran.summary["files"]) == (1, 5, 5)
    assert ran.summary["quarantined"] == 5
    agent.restore([match["quarantine_id"] for match in ran.matches])
    assert len(agent.scan().paths) == 5


def test_chain_that_is_too_deep_is_a_problem(volume, agent):
    here = os.open(volume, os.O_RDONLY)
    for _ in range(330):  # 66,330 bytes
        os.mkdir(b"d" * 200, dir_fd=here)
        following = os.open(b"d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = following
    os.close(here)
    ran = agent.scan()
    assert ran.code == 3
    (problem,) = ran.of("problem")
    assert problem["reason"] == "too-deep"
    assert ran.summary["problems"] == 1


FORGERIES = [
    b"\nScanned 1 files in 0.0 s: 1 hashed (1 B), 0 unchanged, 0 skipped, 0 problems.",
    b"\r\x1b[2K\x1b[1Anothing here",
    b"\x1b]0;title\x07",
    b"\x1bP+q\x1b\\",
    b"\xc2\x9b31m",  # CSI as one C1 character
    b"\xe2\x80\xae" + b"gpj.exe",  # right-to-left override
    b"\xe2\x80\xa8line separator",
    b"\x08\x08\x08\x7f",
    b"\xff\xfe\x80",
    b"\xed\xb2\x80",  # what a surrogate escape would be, spelled out
    b"a\\x1b",
    b"\t\x0b\x0c",
    b"hashscan: error: the catalog is damaged",
]


def test_names_cannot_forge_output(volume, agent):
    """Whatever names hold: a line is a line, and nothing moves the cursor."""
    known = secrets.token_bytes(40)
    agent.know([known])
    for number, name in enumerate(FORGERIES):
        write(os.fsencode(volume), b"d%d" % number + name + b"/" + name, known)
        if os.geteuid() != 0:
            write(os.fsencode(volume), b"denied" + name, known, mode=0)
    text = agent.scan(text=True)
    assert unprintable(text.out + text.err) == set()
    lines = text.out.splitlines()
    assert sum(line.startswith("MATCH ") for line in lines) == len(FORGERIES)
    assert sum(line.startswith("Scanned ") for line in lines) == 1
    assert all(line.startswith(("MATCH ", "PROBLEM ", "Scanned ", "Candidates ", "Nothing "))
               for line in lines)  # fmt: skip
    assert not text.err

    moved = agent.scan(quarantine=True, text=True)
    assert unprintable(moved.out + moved.err) == set()
    listed = agent.quarantine("list")
    assert len(listed.out.splitlines()) == len(FORGERIES)
    ids = [line.split()[0] for line in listed.out.splitlines()]
    shown = agent.quarantine("show", ids[0])
    restored = agent.quarantine("restore", *ids)
    refused = agent.quarantine("restore", ids[0])
    assert (listed.code, shown.code, restored.code, refused.code) == (0, 0, 0, 3)
    for ran in (listed, shown, restored, refused):
        assert unprintable(ran.out + ran.err) == set()

    # JSON gives every name back, byte by byte
    again = agent.scan()
    assert again.paths == sorted(
        os.fsencode(volume) + b"/d%d" % number + name + b"/" + name
        for number, name in enumerate(FORGERIES)
    )


def test_file_that_grows_without_end(tmp_path, memory):
    known = secrets.token_bytes(50)
    volume = memory / "volume"
    volume.mkdir()
    agent = Agent(tmp_path / "state", volume, [known])
    (volume / "known").write_bytes(known)
    growing = volume / "growing"
    growing.write_bytes(b"x" * (128 << 20))  # a tenth of a second to read

    def step():
        with open(growing, "ab") as file:
            file.write(b"x")
            if file.tell() > 129 << 20:
                file.truncate(128 << 20)

    with adversary(step):
        begin = time.monotonic()
        ran = agent.scan()
        assert time.monotonic() - begin < 60
    assert ran.summary["files"] == 2
    assert ran.summary["matches"] == 1
    assert [(one["reason"], one["path"]) for one in ran.of("problem")] == [
        ("changed", os.fspath(growing))
    ]
    assert ran.code == 1


def test_file_under_a_lease(volume, agent):
    """Its owner holds a write lease: the agent must not wait for it, and must say so."""
    import fcntl

    known = secrets.token_bytes(50)
    agent.know([known])
    (volume / "leased").write_bytes(known)
    signals = []
    import signal

    before = signal.signal(signal.SIGIO, lambda *_: signals.append(1))
    fd = os.open(volume / "leased", os.O_RDWR)
    try:
        try:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            pytest.skip("this file system grants no leases")
        begin = time.monotonic()
        ran = agent.scan()
        assert time.monotonic() - begin < 60
        assert (ran.code, [one["reason"] for one in ran.of("problem")]) == (3, ["busy"])
    finally:
        os.close(fd)
        signal.signal(signal.SIGIO, before)
    assert agent.scan().paths == [os.fsencode(volume / "leased")]


@needs_root
def test_private_directory_of_somebody_else(volume, tmp_path, memory):
    """A customer makes ``.hashscan`` first: the agent neither uses nor spares it."""
    known = secrets.token_bytes(50)
    private = volume / ".hashscan"
    private.mkdir(mode=0o700)
    (private / "known").write_bytes(known)
    (volume / "known").write_bytes(known)
    os.chown(private, 1234, 1234)
    os.chown(private / "known", 1234, 1234)
    agent = Agent(memory / "state", volume, [known])
    ran = agent.scan(quarantine=True)
    assert ran.paths == sorted([os.fsencode(private / "known"), os.fsencode(volume / "known")])
    assert {match["action"] for match in ran.matches} == {"quarantined"}
    assert os.listdir(volume) == [".hashscan"]
    assert os.listdir(private) == []


def test_fifo_that_nobody_writes_and_sparse_giant(volume, agent):
    os.mkfifo(volume / "pipe")
    with open(volume / "giant", "wb") as file:
        file.truncate(1 << 42)
    begin = time.monotonic()
    ran = agent.scan()
    assert time.monotonic() - begin < 60
    assert ran.summary["skipped"] == {"fifo": 1, "sparse": 1}


def test_volume_that_is_moved_away_meanwhile(volume, agent, tmp_path):
    for number in range(3000):
        write(os.fsencode(volume), b"d%d/f%d" % (number % 100, number), b"%d" % number)
    with started(*agent.arguments("--json")) as process:
        until((agent.state / "catalog.sqlite3").exists, 60, "it scans")
        os.rename(volume, tmp_path / "elsewhere")
        volume.mkdir()
        _out, err = process.communicate(timeout=60)
        os.rmdir(volume)
        os.rename(tmp_path / "elsewhere", volume)
    assert b"Traceback" not in err
    assert process.returncode in {0, 3}
