"""SIGKILL of the agent at random moments: nothing lost, nothing twice, no process left behind."""

import os
import random
import secrets
import signal
import sqlite3
import time

import pytest
from commandline import Agent, contents, entries, members, sha1, started, until, write

KNOWN = 80
OTHERS = 120
LONG = bool(os.environ.get("HASHSCAN_LONG"))
KILLS = 5 if LONG else 3


def fill(volume):
    """Known and other files in a few directories; returns their contents."""
    root = os.fsencode(volume)
    known = [secrets.token_bytes(random.randrange(20, 9000)) for _ in range(KNOWN)]
    others = [secrets.token_bytes(random.randrange(20, 9000)) for _ in range(OTHERS)]
    for number, content in enumerate(known):
        write(root, b"d%d/e%d/known%d" % (number % 7, number % 3, number), content)
    for number, content in enumerate(others):
        write(root, b"d%d/e%d/other%d" % (number % 7, number % 3, number), content)
    # One of them has three names.
    os.link(volume / "d0/e0/known0", volume / "d1/link")
    os.link(volume / "d0/e0/known0", volume / "d2/link")
    return known, others


def check_catalog(state):
    with sqlite3.connect(state / "catalog.sqlite3") as catalog:
        assert catalog.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("where", ["same file system", "other file system"])
@pytest.mark.parametrize("victim", ["process group", "engine alone"])
def test_killed_again_and_again(volume, tmp_path, memory, where, victim):
    state = (tmp_path if where == "same file system" else memory) / "state"
    known, others = fill(volume)
    names = len(known) + 2
    agent = Agent(state, volume, known)
    expected = {sha1(content): 1 for content in known + others}
    expected[sha1(known[0])] = 3
    kills = 0
    for round_ in range(KILLS):
        with started(*agent.arguments("--json", quarantine=True)) as process:
            # Once before the first file moves, then between two moves or in the middle of one.
            if round_ == 0:
                time.sleep(random.uniform(0.05, 0.25))
            else:
                for _ in range(random.randrange(1, 12)):
                    process.stdout.readline()
                time.sleep(random.uniform(0, 0.01))
            if process.poll() is not None:
                break
            if victim == "process group":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            until(lambda group=process.pid: not members(group), 60, "its processes end with it")
        found = contents(volume, state / "quarantine") if agent.store.exists() else expected
        for digest in expected:
            assert found.get(digest, 0) >= 1, "lost"
        if random.random() < 0.5:  # else the next scan is the next start
            records = agent.records()
            states = {record["state"] for record in records}
            assert states <= {"quarantined"}, states
            found = contents(volume, state / "quarantine")
            names_of_first = found.pop(sha1(known[0]))
            assert names_of_first == 3 or where == "other file system"
            assert set(found.values()) == {1}, "a file is in two places"
            assert len(entries(volume)) == names + len(others) - len(records)
        check_catalog(state) if (state / "catalog.sqlite3").exists() else None
    assert kills >= 1  # on a busy machine a scan may end before its kill

    # A run that is left alone finishes the job.
    last = agent.scan(quarantine=True)
    assert last.code in {0, 1}
    assert last.summary["problems"] == last.summary["pending"] == 0
    clean = agent.scan()
    assert (clean.code, clean.summary["candidates"], clean.summary["matches"]) == (0, 0, 0)
    assert contents(volume) == {sha1(content): 1 for content in others}
    records = agent.records()
    assert {record["state"] for record in records} == {"quarantined"}
    assert sorted(record["digests"]["sha1"] for record in records) == sorted(
        [*map(sha1, known), sha1(known[0]), sha1(known[0])]
    )
    assert agent.quarantine("verify").code == 0
    assert not (volume / ".hashscan").exists()
    agent.restore([record["id"] for record in records])
    assert contents(volume) == expected


def test_killed_during_restore(volume, memory):
    known, others = fill(volume)
    agent = Agent(memory / "state", volume, known)
    before = contents(volume)
    assert agent.scan(quarantine=True).code == 1
    ids = [record["id"] for record in agent.records()]
    for _ in range(4):
        left = [record["id"] for record in agent.records() if record["state"] == "quarantined"]
        arguments = ["quarantine", "restore", "--state", agent.state, *left]
        with started(*arguments) as process:
            for _ in range(random.randrange(1, 12)):
                process.stdout.readline()
            process.kill()
            process.wait()
        records = agent.records()
        assert {record["state"] for record in records} <= {"quarantined", "restored"}
        restored = sum(record["state"] == "restored" for record in records)
        assert len(entries(volume)) == len(others) + restored
    left = [record["id"] for record in agent.records() if record["state"] == "quarantined"]
    agent.restore(left)
    assert contents(volume) == before
    assert len(ids) == KNOWN + 2


def test_workers_of_a_killed_engine_end_in_the_middle_of_a_file(volume, tmp_path):
    config = tmp_path / "config.yaml"
    known = tmp_path / "state.list"
    known.write_text("ab" * 20 + "\n")
    config.write_text(f"service: {{kind: local, known: ['{known}']}}\nscan: {{max_rate: 1MiB}}\n")
    with open(volume / "large", "wb") as file:
        file.write(secrets.token_bytes(8 << 20))
    agent = Agent(tmp_path / "state", volume, config=config)
    with started(*agent.arguments("--json")) as process:
        catalog = tmp_path / "state" / "catalog.sqlite3"
        until(lambda: catalog.exists() and len(members(process.pid)) > 2, 60, "workers are there")
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda: not members(process.pid), 60, "the workers end")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("whom", ["engine", "group"])
def test_interrupted(volume, tmp_path, how, whom):
    """Exit 130 with what was done kept; the next scan goes on from there."""
    contents_of = {b"f%d" % number: secrets.token_bytes(300_000) for number in range(40)}
    for name, content in contents_of.items():
        write(os.fsencode(volume), name, content)
    config = tmp_path / "config.yaml"
    known = tmp_path / "state.list"
    config.write_text(f"service: {{kind: local, known: ['{known}']}}\nscan: {{max_rate: 6MiB}}\n")
    agent = Agent(tmp_path / "state", volume, contents_of.values(), config=config)
    time.sleep(0.2)
    with started(*agent.arguments("--json")) as process:
        until(lambda: len(members(process.pid)) > 3, 60, "workers are there")
        time.sleep(0.9)
        (os.kill if whom == "engine" else os.killpg)(process.pid, how)
        out, err = process.communicate(timeout=60)
        assert not members(process.pid)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    last = out.splitlines()[-1]
    assert b'"interrupted":true' in last
    config.write_text(f"service: {{kind: local, known: ['{known}']}}\n")
    second = agent.scan()
    assert second.summary["matches"] == second.summary["files"] == len(contents_of)
    assert second.code == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_between_two_moves(volume, tmp_path, how):
    known, others = fill(volume)
    agent = Agent(tmp_path / "state", volume, known)
    with started(*agent.arguments("--json", quarantine=True)) as process:
        assert process.stdout.readline().startswith(b'{"event":"match"')
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    records = agent.records()
    assert {record["state"] for record in records} == {"quarantined"}
    assert len(entries(volume)) == KNOWN + 2 + len(others) - len(records)
    second = agent.scan(quarantine=True)
    assert second.code in {0, 1}
    assert contents(volume) == {sha1(content): 1 for content in others}
