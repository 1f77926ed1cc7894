"""The process that acts: a dead file server, a lock, and files that are in use."""

import os
import time

import pytest
from namespaces import why_no_root
from silent_fs import silent

from hashscan.daemon import quarantine_process as acting_module
from hashscan.daemon.quarantine_process import ActingProcess
from hashscan.model import Acted

needs_root = pytest.mark.skipif(bool(why_no_root()), reason=why_no_root())


class Match:
    """As much of a match as an actor of these tests wants."""

    class Candidate:
        def __init__(self, volume, name):
            self.volume = volume
            self.full_path = os.path.join(volume, name)

    def __init__(self, volume, name=b"x"):
        self.candidate = self.Candidate(volume, name)


class Looks:
    """Touches the file, as whoever moves it does."""

    def act(self, match):
        if not os.path.lexists(match.candidate.full_path):
            return Acted("reported", problem="vanished")
        return Acted("quarantined")


@pytest.fixture
def acting():
    made = []

    def make(actor, **options):
        usual = {"tick": lambda _goes_on: None, "before_fork": lambda: None}
        usual["is_silent"] = lambda _volume: False
        options = {**usual, **options}
        made.append(ActingProcess(actor, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@needs_root
def test_a_match_at_a_dead_file_server_is_given_up_and_the_others_are_moved(acting, tmp_path):
    dead, alive = tmp_path / "dead", tmp_path / "alive"
    for one in (dead, alive):
        one.mkdir()
        (one / "x").write_bytes(b"x")
    asked = []

    def is_silent(volume):
        asked.append(volume)
        return volume == os.fsencode(dead)

    one = acting(Looks(), is_silent=is_silent, still=0.5)
    with silent(dead):
        began = time.monotonic()
        acted = one.act(Match(os.fsencode(dead)))
        assert time.monotonic() - began < 60
        assert (acted.action, acted.problem) == ("reported", "no-answer")
        assert acted.message == (
            f"{dead}/x: could not be moved to quarantine: its volume does not answer"
        )
        assert one.act(Match(os.fsencode(alive))).action == "quarantined"
    assert asked == [os.fsencode(dead)]


def test_one_whose_volume_answers_is_waited_for(acting, tmp_path):
    class Slow:
        def act(self, match):
            time.sleep(1.5)  # a disk that takes its time
            return Acted("quarantined")

    asked = []
    one = acting(Slow(), is_silent=lambda volume: bool(asked.append(volume)), still=0.4)
    assert one.act(Match(os.fsencode(tmp_path))).action == "quarantined"
    assert asked


def test_a_file_in_use_holds_up_no_other_and_a_lock_is_told_by_each_ones_name(acting, tmp_path):
    class Refuses:
        def act(self, match):
            path = os.fsdecode(match.candidate.full_path)
            if path.endswith("mount"):
                return Acted("reported", message=f"{path}: is in use", problem="busy")
            return Acted("reported", message=f"{path}: not moved: locked", problem="locked")

    one = acting(Refuses())
    volume = os.fsencode(tmp_path)
    assert one.act(Match(volume, b"mount")).problem == "busy"
    for name in (b"a", b"b"):
        acted = one.act(Match(volume, name))
        assert acted.problem == "locked"
        assert acted.message == f"{tmp_path}/{name.decode()}: not moved: locked"


class Locked:
    """Another process has the quarantine until the file ``free`` exists; notes each attempt."""

    def __init__(self, directory):
        self.tries, self.free = directory / "tries", directory / "free"
        self.tries.touch()

    def act(self, match):
        with open(self.tries, "a") as file:
            file.write("x")
        if self.free.exists():
            return Acted("quarantined")
        path = os.fsdecode(match.candidate.full_path)
        return Acted("reported", message=f"{path}: not moved: locked", problem="locked")

    @property
    def count(self):
        return len(self.tries.read_text())


def test_a_lock_is_remembered_for_a_while_and_then_tried_again(acting, tmp_path, monkeypatch):
    actor = Locked(tmp_path)
    one = acting(actor)
    volume = os.fsencode(tmp_path)
    assert one.act(Match(volume, b"a")).problem == "locked"
    for name in (b"b", b"c"):
        acted = one.act(Match(volume, name))
        assert acted.message == f"{tmp_path}/{name.decode()}: not moved: locked"
    assert actor.count == 1, "the others wait for nothing"
    actor.free.touch()
    assert one.act(Match(volume, b"d")).problem == "locked", "the answer holds for a while"
    later = time.monotonic() + acting_module._BUSY + 1
    monkeypatch.setattr(acting_module.time, "monotonic", lambda: later)
    assert one.act(Match(volume, b"e")).action == "quarantined"
    assert one.act(Match(volume, b"f")).action == "quarantined", "the lock is forgotten"
    assert actor.count == 3


def test_another_fault_than_a_lock_is_not_remembered(acting, tmp_path):
    class Busy:
        def act(self, match):
            is_first = match.candidate.full_path.endswith(b"a")
            return Acted("reported", problem="busy") if is_first else Acted("quarantined")

    one = acting(Busy())
    volume = os.fsencode(tmp_path)
    assert one.act(Match(volume, b"a")).problem == "busy"
    assert one.act(Match(volume, b"b")).action == "quarantined"


def test_a_process_that_dies_over_a_match_is_reported_and_replaced(acting, tmp_path):
    class Dies:
        def act(self, match):
            if match.candidate.full_path.endswith(b"a"):
                os._exit(1)
            return Acted("quarantined")

    one = acting(Dies())
    volume = os.fsencode(tmp_path)
    acted = one.act(Match(volume, b"a"))
    assert (acted.action, acted.problem) == ("reported", "died")
    assert "the process that moves files died" in acted.message
    assert one.act(Match(volume, b"b")).action == "quarantined"
