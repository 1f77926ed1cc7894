"""Volumes looked at from outside of the daemon; the servers that do not answer are real."""

import contextlib
import multiprocessing
import os
import time

import pytest
from silent_fs import silent

from hashscan.daemon import probing
from hashscan.daemon.probing import NO_ANSWER, Probes

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts")


def nothing():
    pass


def taken(probes):
    found = []

    end = time.monotonic() + 20
    while not found:
        assert time.monotonic() < end
        found += probes.take([one for one in probes.connections if one.poll(0.05)])
    return found


@pytest.fixture
def without_server(monkeypatch):
    """The fork that looks is not to keep the server of the test's file system alive itself."""
    real = probing._look_at

    def look_at(path):
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/self/fd/{name}") == "/dev/fuse":
                    os.close(int(name))
        return real(path)

    monkeypatch.setattr(probing, "_look_at", look_at)


@needs_root
@pytest.mark.usefixtures("without_server")
def test_a_volume_that_hangs_costs_one_process_however_often_it_is_looked_at(tmp_path):
    probes = Probes([str(tmp_path)], within=0.3)
    with silent(tmp_path):
        probes.ask(0)
        assert taken(probes) == [0]
        assert probes.latest(0).error == NO_ANSWER
        children = len(multiprocessing.active_children())
        for _ in range(5):
            probes.ask(0)
        assert len(multiprocessing.active_children()) == children
        # A scan that wants an answer of now has one, and waits for nothing.
        assert probes.answer(0, time.monotonic()).error == NO_ANSWER
        assert probes.is_silent(0, nothing)
    # The server is gone: the look that hung ends, and tells.
    assert taken(probes) == [0]
    assert probes.latest(0).error != NO_ANSWER
    probes._within = 20.0  # this one has to answer, however busy the machine is
    probes.ask(0)
    assert taken(probes) == [0]
    assert probes.latest(0).error is None
    probes.close()


@needs_root
def test_what_is_mounted_over_one_that_hangs_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "_ASK_ANEW", 0.0)
    monkeypatch.setattr(probing, "_MOST_LEFT", 1)
    place = tmp_path / "place"
    place.mkdir()
    probes = Probes([str(place)], within=0.3)
    with silent(place):
        probes.ask(0)
        assert taken(probes) == [0]
        probes.ask(0)  # a second one, and that is all
        first = probes.connections
        probes.ask(0)
        probes.ask(0)
        assert probes.connections == first
    probes.close()


def test_what_was_waited_for_in_a_turn_is_told_in_the_next(tmp_path):
    probes = Probes([str(tmp_path), os.devnull])
    ticks = []
    assert not probes.is_silent(0, lambda: ticks.append(1))
    assert ticks
    assert probes.take([]) == [0]
    assert probes.take([]) == []
    probes.close()
