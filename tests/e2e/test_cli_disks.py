"""Disks that are full, read-only, damaged or not ours: said with what to do, and nothing lost."""

import hashlib
import os
import secrets
import shutil
import sqlite3
import subprocess

import pytest
from commandline import (
    PYTHON,
    Ran,
    contents,
    environment,
    hashscan,
    needs_root,
    settle,
    snapshot,
    write,
)
from isolating import in_mount_namespace, mount

MS_RDONLY, MS_REMOUNT = 1, 32


def fill(volume, names=30, known=5):
    """Random files, some known; returns the known contents."""
    found = []
    for number in range(names):
        content = secrets.token_bytes(500)
        write(os.fsencode(volume), b"d%d/f%d" % (number % 3, number), content)
        if number < known:
            found.append(content)
    return found


# The state's disk


@needs_root
def test_no_space_for_the_catalog(agent):
    """ENOSPC in the middle; with space again, the next scan finds everything."""
    for number in range(2000):
        write(os.fsencode(agent.volume), b"d%d/f%d" % (number % 40, number), b"%d" % number)
    agent.know([b"%d" % number for number in range(0, 2000, 50)])
    before = contents(agent.volume)
    agent.state.mkdir(mode=0o700)

    def job():
        mount("none", agent.state, "tmpfs", 0, "size=256k,mode=700")
        full = agent.scan(quarantine=True)
        mount("none", agent.state, "tmpfs", MS_REMOUNT, "size=64m")
        return (
            full,
            agent.scan(quarantine=True),
            agent.records(),
            agent.restore([one["id"] for one in agent.records() if one["state"] == "quarantined"]),
        )

    full, again, records, _ = in_mount_namespace(job)
    assert full.code not in {0, 1, 3}
    assert "space" in full.err
    assert full.is_clean(), full.err
    assert len(records) == 40
    assert again.code == 1
    assert again.summary["problems"] == 0
    assert contents(agent.volume) == before


@needs_root
def test_no_space_for_the_store(agent):
    known = secrets.token_bytes(3 << 20)
    agent.know([known])
    write(os.fsencode(agent.volume), b"large", known)
    agent.state.mkdir(mode=0o700)
    before = snapshot(agent.volume, b"large")

    def job():
        mount("none", agent.state, "tmpfs", 0, "size=2m,mode=700")
        full = agent.scan(quarantine=True)
        mid = snapshot(agent.volume, b"large")
        listed = os.listdir(agent.volume)
        mount("none", agent.state, "tmpfs", MS_REMOUNT, "size=64m")
        again = agent.scan(quarantine=True)
        agent.restore([again.matches[0]["quarantine_id"]])
        return full, mid, listed, again

    full, mid, listed, again = in_mount_namespace(job)
    assert full.code == 1
    (match,) = full.matches
    assert (match["action"], match["problem"]) == ("reported", "no-space")
    assert "space" in match["message"]
    assert listed == ["large"]
    assert mid == before
    assert again.matches[0]["action"] == "quarantined"
    assert snapshot(agent.volume, b"large") == before


@needs_root
def test_read_only_state(agent):
    agent.know(fill(agent.volume))
    agent.state.mkdir(mode=0o700)

    def job():
        mount("none", agent.state, "tmpfs", 0, "size=64m,mode=700")
        mount("none", agent.state, "tmpfs", MS_REMOUNT | MS_RDONLY, None)
        fresh = agent.scan()
        mount("none", agent.state, "tmpfs", MS_REMOUNT, "size=64m")
        fine = agent.scan(quarantine=True)
        mount("none", agent.state, "tmpfs", MS_REMOUNT | MS_RDONLY, None)
        listed = agent.quarantine("list", "--json")
        return (
            fresh,
            fine,
            agent.scan(),
            listed,
            agent.quarantine("restore", fine.matches[0]["quarantine_id"]),
        )

    fresh, fine, later, listed, restored = in_mount_namespace(job)
    assert fine.code == 1
    for ran in (fresh, later, restored):
        assert ran.code not in {0, 1}
        assert "ead-only" in ran.err
        assert ran.is_clean(), ran.err
    assert len(listed.of("record")) == 5, "what is there can be seen"


CATALOGS = {
    "empty": lambda raw: b"",
    "garbage": lambda raw: secrets.token_bytes(len(raw)),
    "truncated": lambda raw: raw[: len(raw) // 2],
    "header only": lambda raw: raw[:100],
    "zeros inside": lambda raw: raw[:8192] + bytes(len(raw) - 8192),
    "garbage inside": lambda raw: raw[:4096] + secrets.token_bytes(len(raw) - 4096),
    "text": lambda raw: b"this is no catalog\n",
}


@pytest.mark.parametrize("how", CATALOGS)
def test_damaged_catalog(agent, how):
    """Refused with a word on what to do, or not needed; never a silent half."""
    known = fill(agent.volume)
    agent.know(known)
    settle(agent.volume)
    assert agent.scan().code == 1
    catalog = agent.state / "catalog.sqlite3"
    catalog.write_bytes(CATALOGS[how](catalog.read_bytes()))
    ran = agent.scan()
    assert ran.is_clean(), ran.err
    if ran.code == 1:
        assert len(ran.matches) == len(known)
        assert ran.summary["files"] == 30
    else:
        assert ran.code not in {0, 3, 6, 130}
        assert "catalog.sqlite3" in ran.err
        catalog.unlink()
        for rest in agent.state.glob("catalog.sqlite3-*"):
            rest.unlink()
        assert len(agent.scan().matches) == len(known)


def _foreign(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE browser_history (url)")


def _newer(path):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA application_id = 1752392558")
        database.execute("PRAGMA user_version = 99")
        database.execute("CREATE TABLE scan (id)")


@pytest.mark.parametrize("make", [_foreign, _newer, os.mkdir, lambda path: os.symlink("/x", path)])
def test_other_catalog(agent, make):
    """Another program's, a newer version's, or no file: left exactly as it is."""
    agent.know(fill(agent.volume))
    agent.state.mkdir(mode=0o700)
    (agent.state / "lock").touch()
    path = agent.state / "catalog.sqlite3"
    make(path)
    before = path.read_bytes() if path.is_file() else os.lstat(path).st_ino
    ran = agent.scan()
    assert ran.code not in {0, 1, 3}
    assert "catalog.sqlite3" in ran.err
    assert ran.is_clean(), ran.err
    assert before == (path.read_bytes() if path.is_file() else os.lstat(path).st_ino)


# The volume


@needs_root
def test_read_only_volume(agent):
    known = secrets.token_bytes(500)
    agent.know([known])

    def job():
        mount("none", agent.volume, "tmpfs", 0, "size=1m")
        write(os.fsencode(agent.volume), b"d/known", known)
        mount("none", agent.volume, "tmpfs", MS_REMOUNT | MS_RDONLY, None)
        first = agent.scan(quarantine=True)
        there = (agent.volume / "d" / "known").read_bytes()
        mount("none", agent.volume, "tmpfs", MS_REMOUNT, None)
        second = agent.scan(quarantine=True)
        identifier = second.matches[0]["quarantine_id"]
        mount("none", agent.volume, "tmpfs", MS_REMOUNT | MS_RDONLY, None)
        refused = agent.quarantine("restore", identifier)
        mount("none", agent.volume, "tmpfs", MS_REMOUNT, None)
        agent.restore([identifier])
        return first, there, second, refused, (agent.volume / "d" / "known").read_bytes()

    first, there, second, refused, back = in_mount_namespace(job)
    (match,) = first.matches
    assert (first.code, match["action"], match["problem"]) == (1, "reported", "read-only")
    assert "remount" in match["message"]
    assert there == back == known
    assert second.matches[0]["action"] == "quarantined"
    assert refused.code == 3
    assert refused.is_clean()
    assert "ead-only" in refused.err


@needs_root
@pytest.mark.parametrize(("letter", "reason"), [("i", "immutable"), ("a", "append-only")])
@pytest.mark.parametrize("whose", ["file", "directory"])
def test_immutable(agent, letter, reason, whose):
    known = secrets.token_bytes(500)
    agent.know([known])
    write(os.fsencode(agent.volume), b"d/known", known)
    write(os.fsencode(agent.volume), b"e/known", known)
    if not shutil.which("chattr"):
        pytest.skip("this machine has no chattr")
    victim = agent.volume / "d" / ("known" if whose == "file" else "")
    if subprocess.run(
        ["chattr", f"+{letter}", victim], capture_output=True, check=False
    ).returncode:
        pytest.skip("this file system has no such flags")
    try:
        ran = agent.scan(quarantine=True)
    finally:
        subprocess.run(["chattr", f"-{letter}", victim], check=True)
    by_path = {match["path"]: match for match in ran.matches}
    stays = by_path[os.fspath(agent.volume / "d" / "known")]
    assert (stays["action"], stays["problem"]) == ("reported", reason)
    assert f"chattr -{letter}" in stays["message"]
    assert by_path[os.fspath(agent.volume / "e" / "known")]["action"] == "quarantined"
    assert (agent.volume / "d" / "known").read_bytes() == known
    assert agent.scan(quarantine=True).matches[0]["action"] == "quarantined"


@needs_root
def test_without_the_rights(agent, tmp_path):
    """Without root's rights: what cannot be read is a problem, exit 3; what is another's stays."""
    without = ["setpriv", "--bounding-set=-chown,-dac_override,-dac_read_search,-fowner"]
    if not shutil.which("setpriv"):
        pytest.skip("this machine has no setpriv")

    def scan():
        arguments = agent.arguments("--json", quarantine=True)
        done = subprocess.run(
            [*without, *PYTHON, *map(os.fspath, arguments)],
            capture_output=True,
            check=False,
            env=environment(),
            timeout=60,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    known = secrets.token_bytes(700)
    agent.know([known])
    volume = agent.volume
    for path in ("readable", "secret", "closed/known", "no-entry/known"):
        write(os.fsencode(volume), path.encode(), known)
    (volume / "secret").chmod(0o600)
    (volume / "closed").chmod(0o700)
    (volume / "no-entry").chmod(0o744)  # names can be read, and nothing else
    subprocess.run(["chown", "-R", "1234:1234", volume], check=True)
    ran = scan()
    assert ran.code == 1
    (match,) = ran.matches
    assert match["path"] == os.fspath(volume / "readable")
    assert (match["action"], match["problem"]) == ("reported", "denied")
    prefix = len(os.fspath(volume)) + 1
    problems = {(one["path"][prefix:], one["reason"]) for one in ran.of("problem")}
    assert problems == {
        ("secret", "denied"),
        ("closed", "denied"),
        ("no-entry/known", "denied"),
    }
    assert ran.summary["files"] == 4
    (volume / "readable").unlink()
    assert scan().code == 3
    assert agent.scan().summary["matches"] == 3, "with the rights all of it is found"


@needs_root
def test_state_of_another_user(agent):
    agent.state.mkdir(mode=0o700)
    os.chown(agent.state, 1234, 1234)
    ran = agent.scan()
    assert ran.code == 2
    assert "user 1234" in ran.err
    assert ran.is_clean()


@needs_root
def test_a_volume_whose_file_system_is_not_mounted_is_not_taken_for_an_empty_one(tmp_path):
    known = b"known of the disk"
    (tmp_path / "known").write_text(hashlib.sha1(known).hexdigest() + "\n")
    volume, other = tmp_path / "disk", tmp_path / "other"
    volume.mkdir()
    other.mkdir()
    config = tmp_path / "config.yaml"
    config.write_text(
        f"state: {tmp_path}/state\nvolumes: [{{path: {volume}}}, {{path: {other}}}]\n"
        f"service: {{kind: local, known: [{tmp_path}/known]}}\n"
    )

    def scan(*arguments):
        return hashscan("--config", config, "scan", *arguments)

    subprocess.run(["mount", "-t", "tmpfs", "none", volume], check=True)
    try:
        (volume / "x").write_bytes(known)
        assert scan().code == 1
    finally:
        subprocess.run(["umount", volume], check=True)
    (other / "x").write_bytes(known)
    ran = scan()
    assert ran.code == 1, "the other volume is scanned"
    assert f"{volume}: not scanned: its file system is not mounted" in ran.err
    (other / "x").unlink()
    assert scan().code == 3
    assert scan(volume).code == 0, "who names it means it"
    assert scan().code == 0
