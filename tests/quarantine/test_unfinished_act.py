"""A process ends after any change on the disk: each announced act gets one result in the log.

A child that is killed costs a fork each time. Here every change fails from some call on, so nothing
changes on the disk after it, as after a kill.
"""

import os
import shutil

import pytest
from isolating import CALLS, changes, confirmed

from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog
from hashscan.audit.reader import read
from hashscan.audit.recorder import Recorder
from hashscan.fs import rename
from hashscan.quarantine import act
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.manage import purge
from hashscan.quarantine.recover import recover
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store
from hashscan.quarantine.unfinished_act import Begun

CONTENT = b"known" * 100
RESULTS = {"moved", "not-moved", "restored", "not-restored", "purged", "not-purged", "recovered"}


class Dead(BaseException):
    """The process is dead."""


def die_after(patch, number):
    """Let no call change anything on the disk after the ``number``-th that does."""
    count = 0

    def wrapped(call, name):
        def calling(*args, **kwargs):
            nonlocal count
            if not changes(name, args):
                return call(*args, **kwargs)
            count += 1
            if count > number:
                raise Dead
            return call(*args, **kwargs)

        return calling

    for name in CALLS:
        patch.setattr(os, name, wrapped(getattr(os, name), name))
    patch.setattr(rename, "_renameat2", wrapped(rename._renameat2, "renameat2"))


class Place:
    """A volume with a file, a state, and a quarantine with an audit log."""

    def __init__(self, base, number):
        for old in (number - 1, number):
            shutil.rmtree(base / f"p{old}", ignore_errors=True)
        self.base = base / f"p{number}"
        self.volume = self.base / "volume"
        self.state = str(self.base / "state")
        os.makedirs(self.volume)
        os.mkdir(self.state, 0o700)
        (self.volume / "f").write_bytes(CONTENT)
        self.match = confirmed(self.volume, "f")
        self.id = ""
        self.store().close()

    def store(self):
        recorder = Recorder(AuditLog(self.state), Who.current("command"))
        return Store.open(os.fsencode(self.state) + b"/quarantine", recorder=recorder)

    def quarantined(self):
        self.move()
        with self.store() as store:
            (self.id,) = store.ids()
        return self

    def move(self):
        with self.store() as store:
            assert Quarantine(store).act(self.match).action == "quarantined"

    def move_another_file(self):
        (self.volume / "f").write_bytes(b"other" * 100)
        with self.store() as store:
            assert Quarantine(store).act(self.match).problem == "changed"

    def move_what_is_gone(self):
        os.unlink(self.volume / "f")
        with self.store() as store:
            assert Quarantine(store).act(self.match).problem == "vanished"

    def restore(self):
        with self.store() as store, store.lock():
            restore(store, self.id)

    def purge(self):
        with self.store() as store, store.lock():
            purge(store, self.id)

    def check(self):
        """Each act has its line before, and exactly one result; the next start adds nothing."""
        for _ in range(2):
            with self.store() as store, store.lock():
                recover(store)
        acts = {}
        for one in read(self.state):
            key = one.facts.get("quarantine_id")
            if one.event in RESULTS:
                assert acts.pop(key) in {"moving", "restoring", "purging"}
            elif one.event in {"moving", "restoring", "purging"}:
                assert key not in acts
                acts[key] = one.event
        assert acts == {}
        with self.store() as store:
            assert store.begun_act() is None
            assert store.unknown_names() == []


JOBS = {
    "move": Place.move,
    "move-another-file": Place.move_another_file,
    "move-what-is-gone": Place.move_what_is_gone,
    "restore": Place.restore,
    "purge": Place.purge,
}


@pytest.mark.parametrize("name", JOBS)
def test_an_act_that_is_killed_has_one_result(memory, monkeypatch, name):
    for sync in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, sync, lambda fd: None)
    if name not in {"move", "restore", "purge"}:
        monkeypatch.setattr(act, "_precheck", lambda *_, **__: None)  # the race comes after it
    for number in range(200):
        place = Place(memory, number)
        if name in {"restore", "purge"}:
            place.quarantined()
        died = False
        with monkeypatch.context() as patch:
            die_after(patch, number)
            try:
                JOBS[name](place)
            except Dead:
                died = True
        try:
            place.check()
        except BaseException as error:
            error.add_note(f"dead after call {number}")
            raise
        if not died:
            break
    assert number > 10


@pytest.mark.parametrize("raw", [b"", b"[", b"7", b"{}", b"[1]", b'["moving", "id", 5, "s", 1, 1]'])
def test_a_file_that_a_kill_cut_short_names_no_act(raw):
    assert Begun.parse(raw) is None


def test_an_act_is_read_as_it_was_written():
    act = Begun("moving", "id", b"/srv/\xff", "/state", 7, has_line=False)
    assert Begun.parse(act.to_json()) == act
