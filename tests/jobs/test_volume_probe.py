"""Checks of volumes from outside of the daemon; the servers that do not answer are real."""

import errno
import multiprocessing
import os
import subprocess
import time

import pytest
from click.testing import CliRunner
from namespaces import why_no_root
from silent_fs import forks_hold_no_server, silent

from hashscan.cli.config import config_group
from hashscan.config import loader
from hashscan.jobs import volume_presence, volume_probe
from hashscan.jobs.doctor import examine
from hashscan.jobs.volume_probe import NO_ANSWER, Probes
from hashscan.watch.mounts import Reach

needs_root = pytest.mark.skipif(bool(why_no_root()), reason=why_no_root())


def nothing():
    pass


def taken(probes):
    found = []

    end = time.monotonic() + 60
    while not found:
        assert time.monotonic() < end
        found += probes.take([one for one in probes.connections if one.poll(0.05)])
    return found


@pytest.fixture
def without_server(monkeypatch):
    forks_hold_no_server(monkeypatch)


@needs_root
@pytest.mark.usefixtures("without_server")
def test_a_volume_that_hangs_costs_one_process_however_often_it_is_looked_at(tmp_path):
    probes = Probes([str(tmp_path)], within=2.0)
    with silent(tmp_path):
        probes.ask(0)
        assert taken(probes) == [0]
        assert probes.latest(0).error == NO_ANSWER
        children = len(multiprocessing.active_children())
        for _ in range(5):
            probes.ask(0)
        assert len(multiprocessing.active_children()) == children
        # A scan that wants a fresh answer gets one, and waits for nothing.
        assert probes.answer(0, time.monotonic()).error == NO_ANSWER
        assert probes.is_silent(0, nothing)
    # The server is gone: the check that hung ends with an answer.
    assert taken(probes) == [0]
    assert probes.latest(0).error != NO_ANSWER
    probes._within = 20.0  # this one has to answer, however busy the machine is
    probes.ask(0)
    assert taken(probes) == [0]
    assert probes.latest(0).error is None
    probes.close()


@needs_root
@pytest.mark.usefixtures("without_server")
def test_one_that_hangs_for_long_is_left_behind_within_the_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(volume_probe, "_ASK_ANEW", 0.0)
    place = tmp_path / "place"
    place.mkdir()
    probes = Probes([str(place)], within=2.0, most=2)
    with silent(place):
        probes.ask(0)
        assert taken(probes) == [0]
        for _ in range(5):
            probes.ask(0)
            assert probes.processes <= 2
    probes.close()


@needs_root
@pytest.mark.usefixtures("without_server")
def test_what_is_mounted_over_one_that_hangs_is_found(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    probes = Probes([str(place)], within=2.0)
    with silent(place):
        probes.ask(0)
        assert taken(probes) == [0]
        subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
        try:
            time.sleep(volume_probe._MOUNTS_FOR)
            probes._within = 20.0
            probes.ask(0)
            assert taken(probes) == [0]
            assert probes.latest(0).error is None
            assert probes.latest(0).mounted
        finally:
            subprocess.run(["umount", "-l", str(place)], check=True)
    probes.close()


def made(directory, count):
    paths = [directory / str(number) for number in range(count)]
    for one in paths:
        one.mkdir()
    return [str(one) for one in paths]


@needs_root
@pytest.mark.usefixtures("without_server")
def test_many_volumes_on_one_silent_server_cost_one_process(tmp_path):
    (tmp_path / "dead").mkdir()
    local = made(tmp_path, 300)
    dead = [str(tmp_path / "dead" / str(number)) for number in range(600)]
    probes = Probes([*dead, *local], within=6.0)
    most = 0

    def tick():
        nonlocal most
        most = max(most, len(multiprocessing.active_children()))

    with silent(tmp_path / "dead"):
        before = len(multiprocessing.active_children())
        found = probes.check_all(tick)
        assert most - before <= 2
        assert {one.error for one in found[:600]} == {NO_ANSWER}
        assert {one.error for one in found[600:]} == {None}
        # Checked again and again, as the daemon does: no more processes, and an immediate answer.
        for number in range(600):
            probes.ask(number)
            assert probes.answer(number, time.monotonic()).error == NO_ANSWER
        assert probes.processes <= 2
        probes.ask(600)
        assert taken(probes) == [600]
    found = set()
    end = time.monotonic() + 60
    while len(found) < 600:
        assert time.monotonic() < end
        found.update(probes.take([one for one in probes.connections if one.poll(0.05)]))
    assert NO_ANSWER not in {probes.latest(number).error for number in range(600)}
    assert probes.processes == 0, "idle processes end"
    probes.close()


@needs_root
@pytest.mark.usefixtures("without_server")
def test_a_mount_that_hangs_does_not_hold_up_others_of_its_server(tmp_path, monkeypatch):
    paths = made(tmp_path, 3)
    probes = Probes([f"{paths[0]}/x", f"{paths[0]}/y", *paths[1:]], within=2.0)
    monkeypatch.setattr(probes, "_reach", lambda number: Reach(b"server", max(0, number - 1)))
    with silent(paths[0]):
        found = probes.check_all(lambda: None)
        assert [one.error for one in found] == [NO_ANSWER, NO_ANSWER, None, None]
    probes.close()


@needs_root
@pytest.mark.usefixtures("without_server")
def test_the_processes_are_bounded_and_local_volumes_have_their_own(tmp_path, monkeypatch):
    paths = made(tmp_path, 3)
    probes = Probes([f"{paths[0]}/x", *paths[1:]], within=2.0, most=1)
    servers = [b"first", b"second", b""]
    monkeypatch.setattr(probes, "_reach", lambda number: Reach(servers[number], number))
    with silent(paths[0]):
        found = probes.check_all(lambda: None)
        assert found[0].error == NO_ANSWER
        assert "1 processes wait for other file servers" in found[1].error
        assert found[2].error is None
        assert probes.processes <= 2
    probes.close()


def test_a_limit_of_processes_is_told_and_tried_again(tmp_path, monkeypatch):
    def refuse():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    probes = Probes(made(tmp_path, 20), within=2.0)
    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", refuse)
        patch.setattr(volume_probe, "_TRY_AGAIN", 0.0)
        found = probes.check_all(lambda: None)
        assert len(os.listdir("/proc/self/fd")) <= before, "a fork that fails leaves nothing open"
    assert all("TasksMax=" in one.error for one in found)
    end = time.monotonic() + 60
    while {probes.latest(number).error for number in range(20)} != {None}:
        assert time.monotonic() < end
        taken(probes)
    probes.close()


def test_a_command_does_not_wait_for_a_limit_to_be_raised(tmp_path, monkeypatch):
    def refuse():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", refuse)
    ticks = []
    found = volume_probe.check_all(made(tmp_path, 20), lambda: ticks.append(1))
    assert all("TasksMax=" in one.error for one in found)
    assert len(ticks) <= 2, "a fifth of a second each"


def test_the_cost_of_a_volume_does_not_grow_with_their_number(tmp_path):
    paths = made(tmp_path, 4000)
    seconds = []
    for count in (1000, 4000):
        probes = Probes(paths[:count])
        began = time.process_time()
        assert {one.error for one in probes.check_all(lambda: None)} == {None}
        seconds.append(time.process_time() - began)
        probes.close()
    assert seconds[1] < 8 * seconds[0] + 0.5, seconds


def test_what_was_waited_for_in_a_turn_is_told_in_the_next(tmp_path):
    probes = Probes([str(tmp_path), os.devnull])
    ticks = []
    assert not probes.is_silent(0, lambda: ticks.append(1))
    assert ticks
    assert probes.take([]) == [0]
    assert probes.take([]) == []
    probes.close()


def test_without_proc_volumes_are_looked_at_all_the_same(tmp_path, monkeypatch):
    def no_proc():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/proc/self/mountinfo")

    monkeypatch.setattr(volume_probe, "mounts_now", no_proc)
    monkeypatch.setattr(volume_presence, "mounts_now", no_proc)
    (seen,) = volume_probe.check_all([str(tmp_path)])
    assert (seen.error, seen.empty) == (None, True)


def test_config_check_finds_two_paths_of_one_volume(tmp_path):
    (tmp_path / "volume").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "volume")
    config = tmp_path / "config.yaml"
    config.write_text(f"volumes: [{{path: {tmp_path}/volume}}, {{path: {tmp_path}/link}}]\n")
    ran = CliRunner().invoke(config_group, ["check", str(config)], catch_exceptions=False)
    assert "note: volumes[1].path: leads to the same directory as volumes[0].path" in ran.output


@needs_root
@pytest.mark.usefixtures("without_server")
def test_config_check_and_doctor_do_not_wait_for_a_dead_server(tmp_path, monkeypatch):
    monkeypatch.setattr(volume_probe, "ANSWER_WITHIN", 3.0)
    dead, there = made(tmp_path, 2)
    (tmp_path / "known").write_text("0" * 40 + "\n")
    config = tmp_path / "config.yaml"
    config.write_text(
        f"state: {tmp_path}/state\nvolumes: [{{path: {dead}}}, {{path: {there}}}]\n"
        f"service: {{kind: local, known: [{tmp_path}/known]}}\n"
    )
    with silent(dead):
        ran = CliRunner().invoke(config_group, ["check", str(config)], catch_exceptions=False)
        found = {one.name: one for one in examine(loader.load(str(config), check_files=False))}
    assert ran.exit_code == 0
    (note,) = (line for line in ran.output.splitlines() if "volumes[" in line)
    assert note.startswith(f"note: volumes[0].path: {dead}: {NO_ANSWER}; ")
    assert (found[f"volume {dead}"].result, found[f"volume {there}"].result) == ("fail", "ok")
    assert found[f"volume {dead}"].message == NO_ANSWER
    assert f"watch {there}" in found
    assert f"watch {dead}" not in found
