"""The JSON lines of docs/design.md, as a program would read them."""

import os
import random
import secrets
import subprocess

import pytest
from commandline import (
    MATCH_KEYS,
    SUMMARY_KEYS,
    Agent,
    entries,
    hashscan,
    needs_root,
    sha1,
    write,
)


def random_names(count, seed):
    """Names of 1 to 255 arbitrary bytes."""
    rng = random.Random(seed)
    allowed = bytes(set(range(1, 256)) - {ord("/")})
    found = set()
    while len(found) < count:
        length = rng.choice([1, 2, 3, 5, 20, 100, 255])
        name = bytes(rng.choices(allowed, k=length))
        if rng.random() < 0.3:  # UTF-8 of all planes
            name = "".join(chr(rng.choice([rng.randrange(1, 0xD800), rng.randrange(0xE000, 0x110000)]))
                           for _ in range(20)).replace("/", "").encode()  # fmt: skip
        if name not in {b"", b".", b".."}:
            found.add(name)
    return found


@pytest.mark.parametrize("locale", ["C.UTF-8", "C", ""])
def test_every_name_comes_back(agent, locale):
    """``os.fsencode`` of what a JSON parser gives is the name, whatever the locale (cron has none)."""
    known = secrets.token_bytes(100)
    agent.know([known])
    names = random_names(150, locale)
    for name in names:
        write(os.fsencode(agent.volume), name, known)
    variable = "LC_ALL" if locale == "C" else "LANG"
    env = {"PATH": os.environ["PATH"], **({variable: locale} if locale else {})}
    ran = agent.scan(env=env)
    assert ran.paths == sorted(os.fsencode(agent.volume) + b"/" + name for name in names)
    text = agent.scan(env=env, text=True)
    assert text.code == 1
    assert text.out.count("MATCH ") == len(names)


def test_known_names_of_events(agent, tmp_path):
    """All kinds of events at once: their keys and types, and sums that agree with ``find``."""
    known = secrets.token_bytes(100)
    agent.know([known])
    root = os.fsencode(agent.volume)
    write(root, b"d/known", known)
    write(root, b"d/other", b"other")
    write(root, b"d/empty", b"")
    os.symlink("nowhere", root + b"/link")
    os.mkfifo(root + b"/pipe")
    here = os.open(root, os.O_RDONLY)
    for _ in range(330):
        os.mkdir(b"d" * 200, dir_fd=here)
        following = os.open(b"d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = following
    os.close(here)
    ran = agent.scan(quarantine=True)
    match, problem, summary = ran.events
    assert list(match)[: len(MATCH_KEYS)] == MATCH_KEYS
    assert match["digests"] == {"sha1": sha1(known)}
    assert (match["size"], match["uid"], match["category"]) == (100, os.geteuid(), "baseline")
    assert match["time"].endswith("Z")
    assert match["action"] == "quarantined"
    assert match["quarantine_id"] == agent.records()[0]["id"]
    assert list(problem)[:4] == ["event", "path", "reason", "message"]
    assert list(summary)[: len(SUMMARY_KEYS)] == SUMMARY_KEYS
    assert summary["skipped"] == {"fifo": 1, "symlink": 1}
    assert (summary["hashed"], summary["problems"], summary["files"]) == (3, 1, 6)
    assert summary["bytes_hashed"] == 105
    assert isinstance(summary["seconds"], float)
    assert ran.code == 1


def test_matches_go_before_problems_and_problems_alone_are_3(agent):
    here = os.open(agent.volume, os.O_RDONLY)
    for _ in range(330):
        os.mkdir(b"d" * 200, dir_fd=here)
        following = os.open(b"d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = following
    os.close(here)
    assert agent.scan().code == 3


def test_check(agent, tmp_path):
    known = secrets.token_bytes(100)
    agent.know([known])
    write(os.fsencode(agent.volume), b"known\xff", known)
    write(os.fsencode(agent.volume), b"other", b"other")
    os.mkfifo(agent.volume / "pipe")
    arguments = ["check", "--known", agent.list, "--state", agent.state, "--json"]
    path = os.fsencode(agent.volume) + b"/known\xff"
    ran = hashscan(*arguments, path, agent.volume / "other", sha1(known).upper(), "cd" * 20)
    assert ran.code == 1
    found = ran.of("check")
    assert [one["verdict"] for one in found] == ["known", "unknown", "known", "unknown"]
    assert os.fsencode(found[0]["subject"]) == path
    assert sorted(os.listdir(os.fsencode(agent.volume))) == [b"known\xff", b"other", b"pipe"]
    assert hashscan(*arguments, agent.volume / "other").code == 0
    special = hashscan(*arguments, agent.volume / "pipe")
    assert special.code in {2, 3}
    assert special.is_clean()


@needs_root
def test_quarantine_events(volume, tmp_path):
    """list, show, restore, purge, export and verify speak JSON too, or keep quiet."""
    known = [secrets.token_bytes(100) for _ in range(3)]
    agent = Agent(tmp_path / "state", volume, known)
    for number, content in enumerate(known):
        write(os.fsencode(volume), b"d\n/f\xff%d" % number, content)
    os.chown(os.fsencode(volume) + b"/d\n/f\xff0", 1234, 1234)
    ran = agent.scan(quarantine=True)
    ids = [match["quarantine_id"] for match in ran.matches]
    listed = agent.quarantine("list", "--json").of("record")
    assert sorted(one["id"] for one in listed) == sorted(ids)
    assert sorted(os.fsencode(one["path"]) for one in listed) == ran.paths
    (record,) = agent.quarantine("show", "--json", ids[0]).of("record")
    assert record["state"] == "quarantined"
    assert record["metadata"]["uid"] in {0, 1234}
    restored = agent.quarantine("restore", "--json", ids[0]).of("restored")
    assert [os.fsencode(one["path"]) for one in restored] == [
        os.fsencode(next(m["path"] for m in ran.matches if m["quarantine_id"] == ids[0]))
    ]
    purged = agent.quarantine("purge", "--json", "--yes", ids[1]).of("purged")
    assert [one["id"] for one in purged] == [ids[1]]
    out = tmp_path / "export.tar"
    assert agent.quarantine("export", ids[2], "-o", out).code == 0
    assert out.stat().st_mode & 0o777 == 0o600
    members = subprocess.run(["tar", "-tf", out], capture_output=True, check=True).stdout.decode()
    assert members.split() == [f"{ids[2]}/record.json", f"{ids[2]}/content"]
    verified = agent.quarantine("verify", "--json")
    assert (verified.code, verified.events[-1]["problems"]) == (0, 0)
    assert len(entries(volume)) == 1
    with open(agent.store / ids[2] / "content", "ab") as file:
        file.write(b"x")
    verified = agent.quarantine("verify", "--json")
    assert verified.code == 3
    assert [one["id"] for one in verified.of("problem")] == [ids[2]]
