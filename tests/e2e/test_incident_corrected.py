"""A wrong list from its first move to its last restored file: daemon, scan, message, correction."""

import hashlib
import json
import os
import time

import pytest
import ready
from commandline import needs_root
from incident import LONG, MOST, all_of, held_events, make_sites
from receivers import HookPlace
from running_daemon import Daemon
from service_of_lists import LateService

from hashscan.audit.reader import read

OWNERS = 2000 if LONG else 40
PATIENCE = 400.0 if LONG else 40.0
STOCK = os.urandom(20_000)
RIGHT = [os.urandom(2000) for _ in range(3)]

pytestmark = [pytest.mark.root, needs_root]


@pytest.fixture
def service(tmp_path):
    one = LateService(tmp_path, [*RIGHT, STOCK])
    one.start()
    yield one
    one.close()


@pytest.fixture
def place(tmp_path):
    with HookPlace(tmp_path) as found:
        yield found


@pytest.fixture
def daemon(tmp_path, service, place):
    rule = "events: [hold, withdrawn], collect: 50ms, at_most: 50ms"
    notify = f"notify: [{{name: hook, kind: webhook, url: '{place.settings.url}', {rule}}}]"
    with Daemon(tmp_path, service=service.section, extra=notify, watch="inotify") as one:
        text = one.config.read_text()
        one.config.write_text(
            text.replace("action: quarantine}", "action: quarantine, ask_again: 1s}")
        )
        one.values = {"hashscan.quarantine.withdrawn_digests.APART": 1.0}
        yield one


def command(daemon, *words):
    """A command with the daemon's configuration."""
    ran = ready.hashscan("--config", str(daemon.config), *words, timeout=PATIENCE)
    return ready.in_words(ran)


def messages(place, kind):
    """The events of a kind in all messages that arrived."""
    found = [event for one in place.received for event in json.loads(one.raw)["events"]]
    return [event for event in found if event["kind"] == kind]


@pytest.mark.timeout(900 if LONG else 90)
def test_a_wrong_digest_moves_few_files_is_reported_once_and_undone_by_one_command(
    daemon, service, place, capsys
):
    make_sites(daemon.volume, OWNERS, STOCK)
    before = all_of(daemon.volume)
    for number, content in enumerate(RIGHT):
        (daemon.volume / f"right{number}").write_bytes(content)
    began = time.monotonic()
    daemon.start(until="")
    daemon.wait(lambda: len(daemon.matches) == OWNERS + len(RIGHT), PATIENCE)
    scanned = time.monotonic() - began
    assert len(daemon.quarantined()) == MOST + len(RIGHT)
    # A scan beside the daemon counts with it, and reports nothing new.
    ran = command(daemon, "scan", "--json")
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert (summary["quarantined"], summary["held"]) == (0, OWNERS - MOST)
    assert len(held_events(daemon.state)) == 1
    daemon.wait(lambda: messages(place, "hold"), PATIENCE)
    assert [one["hold"] for one in messages(place, "hold")] == ["H1"]
    assert len(all_of(daemon.volume)) == len(before) - MOST
    # The publisher corrects the list; the daemon asks twice, and marks the files.
    service.load(RIGHT)
    daemon.wait(
        lambda: daemon.logged("withdrawn: the service does not know them any more"), PATIENCE
    )
    (line,) = [one for one in read(str(daemon.state)) if one.event == "withdrawn"]
    assert line.facts["files"] == MOST
    assert line.facts["digest"] == {"sha1": hashlib.sha1(STOCK).hexdigest()}
    began = time.monotonic()
    ran = command(daemon, "quarantine", "restore", "--withdrawn")
    undone = time.monotonic() - began
    assert ran.returncode == 0, ran.stderr
    assert f"{MOST} files restored, 0 failed" in ran.stdout
    assert all_of(daemon.volume) == before
    # The watch sees the restored files, and a scan all others: nothing moves, nothing is held.
    ran = command(daemon, "scan", "--json")
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert (ran.returncode, summary["matches"], summary["held"]) == (0, 0, 0)
    daemon.wait(lambda: messages(place, "withdrawn"), PATIENCE)
    assert daemon.end() == 0
    assert all_of(daemon.volume) == before
    assert len(held_events(daemon.state)) == len(messages(place, "hold")) == 1
    if LONG:
        with capsys.disabled():
            print(
                f"\n{OWNERS:,} owners: scan {scanned:.1f} s, {MOST} moved, undone in {undone:.1f} s"
            )
