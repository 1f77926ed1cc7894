"""A kill at any statement of the outbox loses no event, and repeats none without saying so."""

import json
import os
import sqlite3

import pytest
from audit_lines import AuditLines
from notifications import Clock

from hashscan.config.notify import ReceiverSettings
from hashscan.notify.dispatch import Dispatcher
from hashscan.notify.outbox import FORMAT, Outbox

SETTINGS = ReceiverSettings(
    name="page", kind="command", command=["/bin/true"], collect="1s", at_most="1s"
)


class ToFile:
    """Appends each message to a file, before it returns."""

    def __init__(self, path):
        self._path = path

    def send(self, message):
        with open(self._path, "a") as file:
            file.write(json.dumps(message.as_dict()) + "\n")

    def stop(self):
        pass


def work(directory, clock, audit, path, die_at):
    """Open the outbox and send everything, as a daemon; die at a statement."""
    left = [die_at]

    def count(_statement):
        left[0] -= 1
        if left[0] == 0:
            os._exit(9)

    with pytest.MonkeyPatch.context() as patch:
        connect = FORMAT.connect

        def traced(path):
            connection = connect(path)
            connection.set_trace_callback(count)
            return connection

        patch.setattr(type(FORMAT), "connect", lambda _format, path: traced(path))
        with Outbox(directory) as outbox:
            outbox.begin_at(0)
            desk = Dispatcher(
                [SETTINGS], outbox, audit, "web1", clock=clock, notifiers=lambda _: ToFile(path)
            )
            desk.finish(10)
            audit.match(quarantine_id="late")
            clock.now += 5
            desk.finish(10)
    return left[0]


def run(directory, path, die_at):
    clock = Clock()
    audit = AuditLines(clock)
    for number in range(3):
        audit.match(quarantine_id=f"q{number}")
    clock.now += 5
    child = os.fork()
    if child == 0:
        try:
            work(directory, clock, audit, path, die_at)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    clock.now += 10
    audit.match(quarantine_id="late")
    clock.now += 5
    with Outbox(directory) as outbox:
        outbox.begin_at(0)
        desk = Dispatcher(
            [SETTINGS], outbox, audit, "web1", clock=clock, notifiers=lambda _: ToFile(path)
        )
        for _ in range(3):
            desk.finish(10)
            clock.now += 5
    with open(path) as file:
        return os.waitstatus_to_exitcode(status) == 9, [json.loads(line) for line in file]


def test_a_kill_at_each_statement(tmp_path):
    died, number = True, 0
    repeated = 0
    while died:
        number += 1
        directory = tmp_path / str(number)
        directory.mkdir()
        died, messages = run(str(directory), str(directory / "got"), number)
        by_id = {}
        for one in messages:
            by_id.setdefault(one["id"], []).append(one)
        for same in by_id.values():
            assert [one["may_have_been_sent_before"] for one in same][1:] == [True] * (
                len(same) - 1
            )
            repeated += len(same) - 1
            assert all(one["events"] == same[0]["events"] for one in same)
        ids = [event["quarantine_id"] for same in by_id.values() for event in same[0]["events"]]
        assert sorted(ids) == ["late", "q0", "q1", "q2"], number
    assert number > 30
    assert repeated > 0
    assert sqlite3.connect(tmp_path / "1" / "notifications.sqlite3").execute(
        "SELECT count(*) FROM message"
    ).fetchone() == (0,)
