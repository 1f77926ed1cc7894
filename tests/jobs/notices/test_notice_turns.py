"""Rounds of a command beside a scan, a daemon, and other rounds: an urgent order waits for none."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import notice_machine
import pytest

from hashscan.files import DAEMON_STATUS
from hashscan.jobs.notices import one_round
from hashscan.jobs.notices.one_round import run_now
from hashscan.jobs.notices.round_result import Memory, Round
from hashscan.quarantine.file_place import opened, private_for
from hashscan.quarantine.records import RecordState as QuarantineState
from hashscan.quarantine.store import Store as Quarantine
from hashscan.state import Lock, State

URL = "https://x.example/a/1.jpg"


@pytest.fixture
def machine(tmp_path):
    one = notice_machine.Machine(tmp_path)
    yield one
    one.close()


@contextmanager
def held(path):
    """Another process that holds a lock; its id."""
    code = "import sys; from hashscan.state import Lock\nwith Lock(sys.argv[1]): print(); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.communicate(b"\n")


def test_an_order_waits_for_no_scan(machine):
    machine.know(machine.file("a/1.jpg"))
    machine.file("a/2.jpg")
    order = machine.notice(URL, "https://x.example/a/2.jpg", authority="ATKM")
    with held(machine.state.lock_file):  # as a scan does for hours
        assert run_now(machine.settings, State(machine.settings.state), lambda _text: None)
    assert machine.states(order) == ["removed", "removed"]


def test_a_daemon_does_the_rounds_itself(machine):
    machine.file("a/1.jpg")
    notice = machine.notice(URL)
    status = os.path.join(machine.state.directory, DAEMON_STATUS)
    with held(machine.state.lock_file) as pid:
        with open(status, "w") as file:
            json.dump({"pid": pid}, file)
        assert not run_now(machine.settings, machine.state, lambda _text: None)
        assert machine.states(notice) == ["received"]
        with open(status, "w") as file:
            json.dump({"pid": pid + 1}, file)  # of a daemon that was killed
        assert run_now(machine.settings, machine.state, lambda _text: None)
    assert machine.states(notice) == ["removed"]


def test_rounds_follow_each_other_but_one_that_hangs_stops_no_other(machine, monkeypatch):
    machine.file("a/1.jpg")
    notice = machine.notice(URL)
    waits = []
    monkeypatch.setattr(one_round.time, "sleep", waits.append)
    with held(machine.state.notices_lock):
        monkeypatch.setattr(one_round, "LOCK_WAIT", 0.05)
        machine.round()
    assert waits
    assert machine.states(notice) == ["removed"]
    waits.clear()
    machine.round()
    assert not waits
    with Lock(machine.state.notices_lock):
        pass  # the round gave it back


def test_the_first_round_ends_what_a_killed_process_began(machine):
    machine.file("a/1.jpg")
    machine.notice(URL)
    machine.round()
    (moved,) = machine.in_quarantine()
    directory = os.fsencode(machine.settings.quarantine_directory)
    with (
        Quarantine.open(directory) as store,
        store.lock(),
        opened(moved.origin) as there,
        private_for(there, moved) as (_spot, staging),
    ):
        began = moved.became(
            QuarantineState.RESTORING,
            resume=QuarantineState.QUARANTINED,
            staging=staging,
            target=moved.origin,
        )
        store.save(began)
    machine.notice("https://x.example/a/2.jpg")  # names no file, so that nothing else is moved
    machine.round()
    assert machine.in_quarantine()[0].state is QuarantineState.RESTORING
    machine.use()  # as a daemon that starts
    machine.round()
    assert machine.in_quarantine()[0].state is QuarantineState.QUARANTINED


def test_a_command_says_the_lines_of_its_rounds(machine, monkeypatch):
    done = Round(Memory())
    done.say("the disk is full")
    done.more = False
    monkeypatch.setattr(one_round, "run_round", lambda *_given, **_named: done)
    said = []
    assert run_now(machine.settings, State(machine.settings.state), said.append)
    assert said == ["the disk is full"]
