"""A wrong list at a hosting server: many owners have the same stock image, and it is on the list."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from commandline import Agent, hashscan, needs_root
from incident import LONG, MOST, OWNERS, STOCK, all_of, held_events, make_sites
from running_daemon import Daemon

from hashscan.audit.reader import read
from hashscan.quarantine.holds import Holds

pytestmark = [pytest.mark.root, needs_root]


def decision(state, event, why):
    """The one line of a decision about H1."""
    (line,) = [one for one in read(str(state)) if one.event == event]
    assert (line.facts["hold"], line.facts["because"], line.who.by) == ("H1", why, "command")
    return line


@pytest.fixture
def agent(tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    return Agent(tmp_path / "state", volume, [STOCK])


def hold(agent, command, *more, **options):
    return hashscan("hold", command, *more, "--state", agent.state, **options)


def test_a_scan_moves_few_files_holds_the_rest_and_says_so_once(agent):
    logos = make_sites(agent.volume)
    before = all_of(agent.volume)
    ran = agent.scan(quarantine=True)
    assert (ran.code, ran.summary["quarantined"], ran.summary["held"]) == (1, MOST, OWNERS - MOST)
    assert {one["hold"] for one in ran.matches} == {None, "H1"}
    assert sum(not one.exists() for one in logos) == MOST
    (told,) = held_events(agent.state)
    assert (told.facts["hold"], told.who.by) == ("H1", "scan")
    assert told.facts["digest"]["sha1"] == hashlib.sha1(STOCK).hexdigest()
    # The next scan finds them again, moves none, and says nothing new.
    again = agent.scan(quarantine=True)
    assert (again.code, again.summary["quarantined"]) == (1, 0)
    assert again.summary["held"] == OWNERS - MOST
    assert len(held_events(agent.state)) == 1
    (listed,) = hold(agent, "list", "--json").of("hold")
    sha256 = hashlib.sha256(STOCK).hexdigest()
    assert listed["digest"]["sha256"] == sha256
    assert (listed["files"], listed["owners"]) == (OWNERS - MOST, OWNERS - MOST)
    assert listed["state"] == "held"
    (shown,) = hold(agent, "show", "H1", "--json").of("hold")
    assert len(shown["paths"]) == OWNERS - MOST
    status = hashscan("status", "--json", "--state", agent.state)
    assert (status.code, json.loads(status.out)["held"]) == (1, OWNERS - MOST)
    nagios = hashscan("status", "--nagios", "--state", agent.state)
    assert nagios.code == 2
    assert f"held={OWNERS - MOST};" in nagios.out
    # The list was wrong: everything stays, and what moved comes back.
    ran = hold(agent, "dismiss", "--digest", sha256, "--reason", "stock image")
    assert ran.code == 0, ran.err
    assert (
        f"sha256:{sha256}" in decision(agent.state, "hold-dismissed", "stock image").facts["digest"]
    )
    ran = agent.quarantine("restore", "--digest", sha256)
    assert ran.code == 0, ran.err
    assert all_of(agent.volume) == before
    last = agent.scan(quarantine=True)
    assert (last.code, last.summary["allowed"], last.summary["held"]) == (0, OWNERS, 0)
    assert "stock image" in last.matches[0]["message"]
    shown = hashscan("allow", "show", sha256, "--state", agent.state)
    assert shown.code == 0, shown.err
    assert shown.out.startswith(f"{sha256}: {agent.state}/allow/dismissed.jsonl: H1, ")
    assert shown.out.endswith(": stock image\n")
    (entry,) = hashscan("allow", "list", "--json", "--state", agent.state).of("dismissed")
    assert (entry["hold"], entry["why"], entry["digest"]["sha256"]) == ("H1", "stock image", sha256)
    listed = hashscan("allow", "list", "--state", agent.state)
    assert sha256 in listed.out
    assert "stock image" in listed.out
    assert hashscan("status", "--json", "--state", agent.state).out.count('"held":0') == 1


def test_a_release_moves_all_files_of_a_hold_and_what_follows(agent):
    logos = make_sites(agent.volume, 12)
    assert agent.scan(quarantine=True).summary["quarantined"] == MOST
    ran = hold(agent, "release", "H1", "--reason", "known material", "--json")
    assert ran.code == 0, ran.err
    assert (ran.of("hold")[0]["state"], ran.of("hold")[0]["moved"]) == ("released", 7)
    line = decision(agent.state, "hold-released", "known material")
    assert (line.facts["kind"], line.facts["files"]) == ("digest", 7)
    after = [one.event for one in read(str(agent.state), line.seq)]
    assert after.count("moved") == 7, "the line of the decision comes first"
    assert not any(one.exists() for one in logos)
    assert len(agent.records()) == 12
    for number in range(7):
        new = Path(agent.volume, f"new{number}")
        new.write_bytes(STOCK)
        os.chown(new, 50_000 + number, 0)
    assert agent.scan(quarantine=True).summary["quarantined"] == 7
    assert hold(agent, "list").out.startswith("no hold waits for a decision")


def test_a_dismissal_is_undone_by_a_release(agent):
    make_sites(agent.volume, 8)
    agent.scan(quarantine=True)
    assert hold(agent, "dismiss", "H1", "--reason", "a mistake").code == 0
    assert agent.scan(quarantine=True).summary["allowed"] == 3
    ran = hold(agent, "release", "H1")
    assert ran.code == 0, ran.err
    assert "3 files moved" in ran.out
    assert Path(agent.state, "allow", "dismissed.jsonl").read_bytes() == b""


def test_the_daemon_holds_too_and_takes_decisions_while_it_runs(tmp_path):
    with Daemon(tmp_path, known=[STOCK], watch="inotify") as daemon:
        logos = make_sites(daemon.volume, 12)
        daemon.start()
        daemon.wait(lambda: len(daemon.matches) == 12)
        assert sum(not one.exists() for one in logos) == MOST
        (told,) = held_events(daemon.state)
        assert told.who.by == "daemon"
        assert sum("held by H1" in one.get("message", "") for one in daemon.logs) <= 1
        # A scan beside the daemon counts with it.
        list_of = ["--known", daemon.list, "--action", "quarantine"]
        ran = hashscan("scan", daemon.volume, *list_of, "--state", daemon.state, "--json")
        assert (ran.summary["quarantined"], ran.summary["held"]) == (0, 7)
        config = ["--config", str(daemon.config)]
        ran = hashscan(*config, "hold", "dismiss", "H1", "--reason", "stock image")
        assert ran.code == 0, ran.err
        new = daemon.volume / "new.png"
        new.write_bytes(STOCK)
        daemon.wait(lambda: any(one["action"] == "allowed" for one in daemon.matches))
        ran = hashscan(*config, "hold", "release", "H1")
        assert (ran.code, ran.err) == (0, "")
        assert not any(one.exists() for one in logos)
        newer = daemon.volume / "newer.png"
        newer.write_bytes(STOCK)
        daemon.wait(lambda: not newer.exists())
    assert len(held_events(daemon.state)) == 1


def test_a_customers_copies_protect_nobody_elses_files(agent):
    own = Path(agent.volume, "customer")
    own.mkdir()
    for number in range(130):
        (own / f"{number}.jpg").write_bytes(STOCK)
        os.chown(own / f"{number}.jpg", 4711, 4711)
    others = []
    for number in range(3):
        other = Path(agent.volume, f"zz{number}.jpg")
        other.write_bytes(STOCK)
        os.chown(other, 5000 + number, 0)
        others.append(other)
    ran = agent.scan(quarantine=True)
    # Up to three of his are held instead of those of others that moved before.
    assert 100 <= ran.summary["quarantined"] == 133 - ran.summary["held"] <= 103
    assert not any(one.exists() for one in others)
    with Holds(str(agent.state / "holds.sqlite3")) as holds:
        assert [one.uid for one in holds.holds()] == [4711]


@pytest.mark.skipif(not LONG, reason="the long form: make test-long")
@pytest.mark.timeout(900)
def test_two_thousand_owners(agent, capsys):
    make_sites(agent.volume, 2000)
    before = all_of(agent.volume)
    began = time.monotonic()
    ran = agent.scan(quarantine=True, timeout=600)
    scanned = time.monotonic() - began
    assert (ran.summary["quarantined"], ran.summary["held"]) == (MOST, 2000 - MOST)
    assert len(held_events(agent.state)) == 1
    agent.know([])
    began = time.monotonic()
    ran = agent.quarantine("restore", "--digest", hashlib.sha256(STOCK).hexdigest())
    undone = time.monotonic() - began
    assert ran.code == 0, ran.err
    assert all_of(agent.volume) == before
    assert agent.scan(quarantine=True, timeout=600).code == 0
    # Without the brake, all 2,000 would have had to come back: the same command does that.
    agent.know([STOCK])
    assert hold(agent, "release", "H1", timeout=600).code == 0
    assert sum(one["state"] == "quarantined" for one in agent.records()) == 2000 - MOST
    began = time.monotonic()
    ran = agent.quarantine("restore", "--digest", hashlib.sha256(STOCK).hexdigest(), timeout=600)
    all_undone = time.monotonic() - began
    assert ran.code == 0, ran.err
    assert all_of(agent.volume) == before
    with capsys.disabled():
        print(
            f"\n2,000 owners: scan {scanned:.1f} s, {MOST} moved, undone in {undone:.1f} s;"
            f" {2000 - MOST} files restored in {all_undone:.1f} s"
        )


def test_a_new_list_with_many_new_candidates_is_held_as_a_whole(agent):
    contents = [os.urandom(50) for _ in range(120)]
    for number, content in enumerate(contents):
        Path(agent.volume, f"{number}").write_bytes(content)
    assert agent.scan(quarantine=True).code == 0
    agent.know(contents)
    ran = agent.scan(quarantine=True)
    assert (ran.summary["quarantined"], ran.summary["held"]) == (0, 120)
    (listed,) = hold(agent, "list", "--json").of("hold")
    assert (listed["kind"], listed["files"], listed["digest"]) == ("list", 120, {})
    assert "120 files as new candidates" in listed["reason"]
    # One digest of it, then the rest.
    sha1 = hashlib.sha1(contents[7]).hexdigest()
    (one,) = hold(agent, "release", "--digest", sha1, "--json").of("hold")
    assert (one["id"], one["moved"]) == ("H2", 1)
    assert not Path(agent.volume, "7").exists()
    assert hold(agent, "release", "H1").code == 0
    assert os.listdir(agent.volume) == []


def test_few_new_candidates_of_a_new_list_move(agent):
    contents = [os.urandom(50) for _ in range(3)]
    for number, content in enumerate(contents):
        Path(agent.volume, f"{number}").write_bytes(content)
    assert agent.scan(quarantine=True).code == 0
    agent.know(contents)
    assert agent.scan(quarantine=True).summary["quarantined"] == 3


def test_the_daemon_judges_a_new_list_before_it_moves_anything(tmp_path):
    contents = [os.urandom(50) for _ in range(120)]
    with Daemon(tmp_path, known=[STOCK], watch="inotify") as daemon:
        for number, content in enumerate(contents):
            (daemon.volume / f"{number}").write_bytes(content)
        filter_file = tmp_path / "filter.bloom"
        assert daemon.hashscan("filter", "build", daemon.list, "-o", filter_file).returncode == 0
        daemon.extra = f"filter: {{source: {filter_file}, refresh: 1s}}"
        daemon.write_config()
        daemon.start()
        digests = (f"{hashlib.sha1(one).hexdigest()}\n" for one in contents)
        daemon.list.write_text("".join(digests))
        made = daemon.hashscan("filter", "build", daemon.list, "-o", filter_file, "--force")
        assert made.returncode == 0, made
        daemon.wait(lambda: len(daemon.matches) == 120)
        assert {one["hold"] for one in daemon.matches} == {"H1"}
        assert len(os.listdir(daemon.volume)) == 120
    (told,) = held_events(daemon.state)
    assert (told.facts["kind"], told.who.by) == ("list", "daemon")
