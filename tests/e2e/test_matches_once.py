"""A match is counted and told once, however its candidate came into the queue."""

import os
import secrets

import pytest
from commandline import Agent, entries, hashscan, sha1, started, write
from fault_server import KnownServer, answer


@pytest.fixture
def asking(agent, tmp_path):
    """120 known files, and a service that knows them; yields both and a way to choose a volume."""
    known = [secrets.token_bytes(100) for _ in range(120)]
    for number, content in enumerate(known):
        write(os.fsencode(agent.volume), b"d/known%d" % number, content)
    agent.know(known)
    filter_file = tmp_path / "f.filter"
    assert hashscan("filter", "build", agent.list, "-o", filter_file).code == 0
    password = tmp_path / "password"
    password.write_text("correct horse")
    password.chmod(0o600)
    with KnownServer([sha1(content) for content in known]) as server:
        agent.config = tmp_path / "config.yaml"
        agent.config.write_text(
            "service:\n  kind: hashcheckservice\n"
            f"  url: {server.url}\n  username: hashscan\n  password_file: {password}\n"
            f"  timeout: 1s\nfilter:\n  source: {filter_file}\n"
        )
        yield agent, server


def once(ran, count):
    assert len(set(ran.paths)) == count
    assert [(one["action"], one["problem"]) for one in ran.matches] == [
        ("quarantined", None)
    ] * count
    assert ran.summary["matches"] == ran.summary["quarantined"] == count
    assert ran.summary["matches"] <= ran.summary["candidates"]


def test_pending_candidates_that_are_met_again(asking):
    """The queue's are acted on while the walk meets the same files."""
    agent, server = asking
    server.always(answer(500))
    assert agent.scan(quarantine=True).summary["pending"] == 120
    server.always(None)
    once(agent.scan(quarantine=True), 120)


def test_pending_candidates_under_another_root(asking):
    """The service was down for /srv; then /srv/www alone is scanned."""
    agent, server = asking
    server.always(answer(500))
    assert agent.scan(quarantine=True).summary["pending"] == 120
    server.always(None)
    inner = Agent(agent.state, agent.volume / "d", config=agent.config)
    once(inner.scan(quarantine=True), 120)


def test_candidates_that_a_broken_pipe_left(agent):
    """A scan that ended between two moves: the next one tells each of the others once."""
    known = [secrets.token_bytes(100) for _ in range(120)]
    for number, content in enumerate(known):
        write(os.fsencode(agent.volume), b"d/known%d" % number, content)
    agent.know(known)
    with started(*agent.arguments("--json", quarantine=True)) as process:
        assert process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        process.wait(timeout=60)
    left = len(entries(agent.volume))
    assert left
    once(agent.scan(quarantine=True), left)
