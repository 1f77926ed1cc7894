"""A volume of real files with known ones at nasty places: all found, nothing else."""

import ctypes
import os
import secrets
import struct
import subprocess
import sysconfig
import threading
from contextlib import contextmanager, suppress

import pytest
from commandline import (
    MATCH_KEYS,
    SUMMARY_KEYS,
    Agent,
    entries,
    exists,
    parent_of,
    settle,
    snapshot,
    write,
)

FILES = 20_000 if os.environ.get("HASHSCAN_LONG") else 5_000
PLANTED = 50
_DEEP = b"/".join([b"d" * 200] * 30)  # 6,029 bytes
_PLACES = [
    b".known",
    b".hidden/known",
    b".hidden/.known",
    b"[x]/known",
    b"[x]/[a-z]*?",
    b"[!x]/known",
    b"**/known",
    b"new\nline",
    b"new\nline dir\n/\nknown\n",
    b"tab\tand\rreturn",
    b"/".join([b"\xff\xfe", b"caf\xe9.jpg"]),
    b"\xff",
    b"\xed\xa0\x80",  # a surrogate, which is no UTF-8
    b"\xc3",
    b"-rf",
    b"--known",
    b" ",
    b" leading and trailing ",
    b"...",
    b"..known",
    b"~",
    b"$(id)`id`;id|id&",
    b"'\"\\",
    b"\x1b[2J\x1b[1;31mred",
    b"\x7f\x01\x02",
    b"n" * 255,
    b"\xf0\x9f\x92\xa9.png",
    b"a\nhashscan: error: nothing found",
    b'{"event":"summary","matches":0}',
    b"%s%n%d",
    b"C:\\known",
    b"known.jpg.part",
    _DEEP + b"/known",
    _DEEP + b"/.known",
    _DEEP + b"/\n\xff",
    b".hashscan/known",  # a customer's, not the agent's
]


def copy_real_files(root):
    """At least ``FILES`` files of this machine, of Python where it has few."""
    sources = [
        source
        for source in ("/usr/share", "/usr/lib", sysconfig.get_path("stdlib"))
        if os.path.isdir(source)
    ]
    packed = root.parent / "real.tar"
    subprocess.run(
        "find " + " ".join(f"'{source}'" for source in sources) + " -xdev"
        r" \( -type f -size -33k -readable -o -type l \) -print0 2>/dev/null"
        f" | head -zn {FILES + 500}"
        f" | tar -c --null --no-recursion -PT - -f '{packed}' 2>/dev/null",
        shell=True,
        check=False,
    )
    copies = 0
    while len(entries(root)) < FILES:
        copy = root / f"copy{copies}"
        copy.mkdir()
        subprocess.run(["tar", "-xf", packed, "-C", copy], check=True, capture_output=True)
        copies += 1
        assert copies < 100, "this machine has hardly any files"
    packed.unlink()


def a_free_byte(root):
    """A byte that is not the whole content of any file yet."""
    used = subprocess.run(
        ["find", root, "-type", "f", "-size", "1c", "-exec", "cat", "{}", "+"],
        capture_output=True,
        check=True,
    ).stdout
    return next(bytes([one]) for one in range(255, -1, -1) if one not in used)


_ACL = struct.pack("<I", 2) + b"".join(  # linux/posix_acl_xattr.h: version, then tag, perm, id
    struct.pack("<HHI", tag, permission, number)
    for tag, permission, number in (
        (0x01, 6, 0xFFFFFFFF),  # owner
        (0x02, 4, 12345),  # one more user
        (0x04, 4, 0xFFFFFFFF),  # group
        (0x10, 4, 0xFFFFFFFF),  # mask
        (0x20, 0, 0xFFFFFFFF),  # others
    )
)


def plant(root):
    """Known files at nasty places; returns paths and distinct contents."""
    root = os.fsencode(root)
    content = {path: secrets.token_bytes(secrets.randbelow(60000) + 20) for path in _PLACES}
    content[b"one byte"] = a_free_byte(root)
    for number, path in enumerate([b"one mebibyte", b"block", b"block and one"]):
        content[path] = secrets.token_bytes((1 << 20, 4096, 4097)[number])
    for path in (b"read-only", b"no rights", b"others", b"set-user-ID", b"old", b"future",
                 b"attributes"):  # fmt: skip
        content[path] = secrets.token_bytes(1000)
    for path, data in content.items():
        write(root, path, data)
    full = {path: root + b"/" + path for path in content}
    os.chmod(full[b"read-only"], 0o444)
    os.chmod(full[b"no rights"], 0)
    if os.geteuid() == 0:
        os.chown(full[b"others"], 54321, 12345)
        os.chown(full[b"set-user-ID"], 54321, 12345)
    os.chmod(full[b"set-user-ID"], 0o6755)
    os.utime(full[b"old"], ns=(-1_000_000_001, -86_400_000_000_007))
    os.utime(full[b"future"], ns=(4_000_000_000_123_456_789, 4_000_000_000_987_654_321))
    os.utime(full[b".known"], ns=(1_234_567_891, 1_000_000_000_000_000_001))
    for name, value in (("user.note", b"\0\xffbinary"), ("system.posix_acl_access", _ACL)):
        with suppress(OSError):  # not every file system has them
            os.setxattr(full[b"attributes"], name, value)
    # A file of three names, one of them below a directory that others cannot enter, ...
    (os.path.isdir(root + b"/locked")) or os.mkdir(root + b"/locked")
    os.link(full[b"old"], root + b"/old too")
    os.link(full[b"old"], root + b"/locked/old")
    os.chmod(root + b"/locked", 0o000)
    # ... and one whose second name is deep.
    with parent_of(root, _DEEP + b"/link") as (parent, name):
        os.link(full[b"block"], name, dst_dir_fd=parent)
    paths = {*content, b"old too", b"locked/old", _DEEP + b"/link"}
    return paths, set(content.values())


@contextmanager
def opened_files(root):
    """Yields a set that fills with names of files (not directories) that any process opens."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC)
    assert fd >= 0
    listed = subprocess.run(
        ["find", os.fsencode(root), "-type", "d", "-print0"], capture_output=True, check=True
    )
    for directory in listed.stdout.split(b"\0")[:-1]:
        if len(directory) < 4096:
            assert libc.inotify_add_watch(fd, directory, 0x20) >= 0, os.strerror(ctypes.get_errno())
    os.makedirs(os.path.join(root, "end"), exist_ok=True)
    assert libc.inotify_add_watch(fd, os.fsencode(root) + b"/end", 0x100) >= 0
    found = set()

    def read():
        while True:
            data = os.read(fd, 1 << 20)
            while data:
                _, mask, _, length = struct.unpack_from("iIII", data)
                name = data[16 : 16 + length].rstrip(b"\0")
                data = data[16 + length :]
                assert not mask & 0x4000, "the queue overflowed: nothing is proven"
                if name == b"the end of it":
                    return
                if not mask & 0x40000000:  # IN_ISDIR
                    found.add(name)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield found
    finally:
        end = os.path.join(root, "end", "the end of it")
        os.mkfifo(end)
        reader.join(60)
        os.unlink(end)
        os.rmdir(os.path.join(root, "end"))
        os.close(fd)
    assert not reader.is_alive()


def others(root, planted):
    """Everything that is not planted, as it is now."""
    lines = entries(root, "%P\\t%s %i %T@ %C@ %m %U %G\\0")
    return [line for line in lines if line.rpartition(b"\t")[0] not in planted]


@pytest.mark.xdist_group("heavy")
def test_real_volume(volume, tmp_path):
    copy_real_files(volume)
    planted, known = plant(volume)
    if os.geteuid() != 0:
        os.chmod(volume / "locked", 0o700)
        os.chmod(volume / "no rights", 0o600)
    assert len(planted) == PLANTED
    full = sorted(os.fsencode(volume) + b"/" + path for path in planted)
    before = {path: snapshot(volume, path) for path in planted}
    rest = others(volume, planted)
    count = len(entries(volume))
    assert count == len(rest) + PLANTED >= FILES
    symlinks = subprocess.run(
        ["find", volume, "-type", "l", "-printf", "."], capture_output=True, check=True
    )
    settle(volume)
    agent = Agent(tmp_path / "state", volume, known)

    # all found, nothing else, and everything is accounted for
    first = agent.scan()
    assert first.paths == full
    assert first.code == 1
    summary = first.summary
    assert summary["files"] == count
    assert summary["skipped"] == {"symlink": len(symlinks.stdout)}
    assert summary["problems"] == summary["pending"] == 0
    # The files are others on each machine, and the filter passes one in a million of them.
    assert summary["false_positives"] <= 3
    assert summary["candidates"] == PLANTED + summary["false_positives"]
    assert list(summary)[: len(SUMMARY_KEYS)] == SUMMARY_KEYS
    for match in first.matches:
        assert list(match)[: len(MATCH_KEYS)] == MATCH_KEYS
        assert (match["action"], match["quarantine_id"]) == ("reported", None)
        path = os.fsencode(match["path"])[len(os.fsencode(volume)) + 1 :]
        assert match["size"] == len(before[path][-1])
        assert match["uid"] == before[path][1][0]

    # a second scan reads nothing that did not change
    with opened_files(volume) as opened:
        second = agent.scan()
    assert opened == set()
    assert (second.summary["hashed"], second.summary["bytes_hashed"]) == (0, 0)
    assert second.paths == full
    assert second.summary["unchanged"] == summary["hashed"]

    # all moved, the rest left exactly as it was
    third = agent.scan(quarantine=True)
    assert third.paths == full
    assert {match["action"] for match in third.matches} == {"quarantined"}
    assert {match["problem"] for match in third.matches} == {None}
    assert third.summary["bytes_hashed"] == 0
    assert not any(exists(volume, path) for path in planted)
    assert others(volume, planted) == rest
    assert len(entries(volume)) == count - PLANTED
    assert agent.quarantine("verify").code == 0
    clean = agent.scan()
    assert (clean.code, clean.summary["matches"]) == (0, 0)
    assert clean.summary["files"] == count - PLANTED

    # and back, bit for bit
    agent.restore([match["quarantine_id"] for match in third.matches])
    assert {path: snapshot(volume, path) for path in planted} == before
    assert others(volume, planted) == rest
    inodes = {os.lstat(volume / path).st_ino for path in ("old", "old too")}
    assert len(inodes) == 1

    # what the administrator restored is told, and stays
    settle(volume)
    fourth = agent.scan(quarantine=True)
    assert fourth.paths == full
    assert fourth.summary["held"] == PLANTED
    assert fourth.summary["hashed"] == PLANTED, "only what was restored is read"
    assert {path: snapshot(volume, path) for path in planted} == before
