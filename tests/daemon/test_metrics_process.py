"""The process that exports metrics, as the daemon keeps it: all replaced."""

import errno

import pytest
from outside_of_daemon import Connection, told

from hashscan.config.settings import Settings
from hashscan.daemon import metrics_process
from hashscan.daemon.log import Log
from hashscan.daemon.metrics_process import Exporting
from hashscan.errors import UsageError


def exporting_of(state, machine, **metrics):
    settings = Settings.of(state=state.directory, metrics=metrics)
    return Exporting(settings, Log(machine.log, machine.log)), settings


TEXTFILE = {"textfile": "/var/lib/node_exporter/hashscan.prom"}


@pytest.mark.parametrize(
    ("metrics", "starts"), [({}, 0), (TEXTFILE, 1), ({"listen": "127.0.0.1:9"}, 1)]
)
def test_metrics_are_exported_if_somebody_wants_them(state, machine, metrics, starts):
    one, settings = exporting_of(state, machine, **metrics)
    one.step()
    one.step()
    assert len(machine.started) == starts
    assert len(one.connections) == starts
    if starts:
        assert machine.started[0].arguments == (settings,)


def test_a_message_of_the_exporter_is_logged_and_its_end_starts_it_again(state, machine):
    one, _ = exporting_of(state, machine, **TEXTFILE)
    one.step()
    ours = machine.started[0].connection
    ours.waiting = ["metrics: no such directory"]
    one.take([])
    assert machine.lines() == ""
    told(one)
    assert "no such directory" in machine.lines()
    assert one.connections == [ours]
    machine.now += 100.0
    told(one)
    assert "their process has ended; it is started again in 30 s" in machine.lines()
    assert (one.connections, ours.closed) == ([], True)
    assert machine.ended == machine.started
    for seconds, starts in ((29.0, 1), (1.0, 2)):
        machine.now += seconds
        one.step()
        assert len(machine.started) == starts


@pytest.mark.parametrize(
    ("fault", "words"),
    [(OSError(errno.EAGAIN, "x"), "limit"), (OSError(errno.EPERM, "forbidden"), "forbidden")],
)
def test_an_exporter_that_cannot_start_is_tried_again(state, machine, fault, words):
    one, _ = exporting_of(state, machine, **TEXTFILE)
    machine.fault = fault
    one.step()
    assert words in machine.lines()
    assert "tried again in 30 s" in machine.lines()
    machine.fault = None
    machine.now += 30.0
    one.step()
    assert len(machine.started) == 1


def test_a_reload_ends_the_exporter_and_starts_another(state, machine):
    one, settings = exporting_of(state, machine, **TEXTFILE)
    one.step()
    one.use(settings)
    assert machine.ended == machine.started
    one.step()
    assert len(machine.started) == 2
    one.use(Settings.of(state=state.directory))
    one.step()
    assert len(machine.started) == 2


@pytest.mark.parametrize("fault", [None, UsageError("the address is in use"), BrokenPipeError()])
def test_the_exporter_reports_why_it_ends(state, monkeypatch, fault):
    calls, pipe = [], Connection()

    def export(settings, say):
        calls.append(settings)
        if fault is not None:
            raise fault
        say("a message")

    monkeypatch.setattr("hashscan.metrics.exporter.export", export)
    metrics_process._main(pipe, "settings")
    assert calls == ["settings"]
    assert pipe.sent == {None: ["a message"], "UsageError": ["the address is in use"]}.get(
        fault and type(fault).__name__, []
    )
