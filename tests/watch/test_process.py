"""The process that watches: what waits for the daemon, and which source takes which volume."""

import errno
import os
import threading
import time
from types import SimpleNamespace

import pytest

from hashscan.fs.volume import Volume
from hashscan.watch import process
from hashscan.watch.choose_source import Choice
from hashscan.watch.source import Changed, Coverage, Lost


class EndedError(Exception):
    """The process would wait or end here."""


class Waits(threading.Condition):
    """A condition for which nobody waits."""

    def wait(self, timeout=None):
        raise EndedError


class Pipe:
    """The pipe to the daemon."""

    def __init__(self):
        self.sent = []

    def send(self, batch):
        self.sent.append(batch)


@pytest.fixture
def outbox_to(monkeypatch):
    """Makes an outbox without a thread."""
    thread = SimpleNamespace(start=lambda: None)
    names = SimpleNamespace(Condition=Waits, Thread=lambda **_: thread)
    monkeypatch.setattr(process, "threading", names)
    return lambda pipe, volumes=(0,): process._Outbox(pipe, volumes)


def sent_by(outbox, pipe):
    """All that is sent until nothing waits."""
    with pytest.raises(EndedError):
        outbox._send()
    return pipe.sent


def changes(*numbers):
    return [Changed(0, b"d", b"%d" % number) for number in numbers]


def test_a_change_that_waits_already_waits_once(outbox_to, monkeypatch):
    monkeypatch.setattr(process, "_BATCH", 2)
    outbox = outbox_to(pipe := Pipe())
    outbox.put(changes(1, 2, 1))
    outbox.put(changes(2, 3))
    assert sent_by(outbox, pipe) == [changes(1, 2), changes(3)]
    outbox.put(changes(1))
    assert sent_by(outbox, pipe)[2:] == [changes(1)], "a change that was sent can come again"


def test_the_latest_coverage_comes_last(outbox_to):
    covered, again = Coverage(0, "inotify", 1), Coverage(0, "inotify", 2)
    outbox = outbox_to(Pipe())
    outbox.put([covered, *changes(1)])
    outbox.put([again, covered])
    assert list(outbox._waiting) == [*changes(1), again, covered]


@pytest.mark.parametrize(("most", "most_bytes"), [(6, 1 << 20), (100, 5)])
def test_too_many_changes_become_a_scan_of_each_volume(most, most_bytes, outbox_to, monkeypatch):
    monkeypatch.setattr(process, "_MOST", most)
    monkeypatch.setattr(process, "_MOST_BYTES", most_bytes)
    outbox = outbox_to(Pipe(), (4, 7))
    covered = Coverage(4, "inotify", 1)
    outbox.put([covered])
    outbox.put(changes(1, 2, 3))
    outbox.put([*changes(4, 5), Coverage(7, "off")])
    first, *lost, last = outbox._waiting
    assert (first, last) == (covered, Coverage(7, "off"))
    assert [one[:3] for one in lost] == [(4, b"", "overflow"), (7, b"", "overflow")]
    outbox.put(changes(6))
    assert list(outbox._waiting)[-1] == changes(6)[0], "the bytes are counted from the start"


def test_batches_are_bounded_by_their_bytes(outbox_to, monkeypatch):
    monkeypatch.setattr(process, "_BATCH_BYTES", 10)
    outbox = outbox_to(pipe := Pipe())
    long = [Changed(0, b"x" * 9, b"%d" % number) for number in range(3)]
    outbox.put(long)
    assert sent_by(outbox, pipe) == [long[:2], long[2:]]
    assert outbox._bytes == 0


def test_a_sign_of_life_is_an_empty_batch(outbox_to, monkeypatch):
    outbox = outbox_to(pipe := Pipe())
    outbox.alive()
    assert sent_by(outbox, pipe) == [], "one was just given"
    monkeypatch.setattr(process, "_ALIVE_AFTER", 0.0)
    outbox.alive()
    assert sent_by(outbox, pipe) == [[]]


def test_without_a_daemon_the_process_ends(outbox_to, monkeypatch):
    def broken(_batch):
        raise BrokenPipeError

    def end(code):
        ended.append(code)

    ended = []
    outbox = outbox_to(SimpleNamespace(send=broken))
    monkeypatch.setattr(process.os, "_exit", end)
    outbox.put(changes(1))
    outbox._send()
    assert ended == [0]


def test_reports_have_the_daemons_numbers():
    told = [Changed(0, b"d", b"n"), Lost(1, b"d", "limit", "why"), Coverage(1, "off", unwatched=3)]
    assert process._renumbered(told, [5, 2]) == [
        Changed(5, b"d", b"n"),
        Lost(2, b"d", "limit", "why"),
        Coverage(2, "off", unwatched=3),
    ]


class Source:
    """A source that reports one coverage for each volume, or cannot be made."""

    made = ()

    def __init__(self, volumes, *, fails=False, name="", **_):
        if fails:
            raise OSError(errno.EPERM, "Operation not permitted")
        self.volumes = volumes
        self.name = name

    def start(self):
        return [Coverage(number, self.name) for number in range(len(self.volumes))]

    def rewatch(self, number):
        return [Coverage(number, self.name, directories=1)]


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Starts the sources; some cannot be made."""

    def begin(choices, fails=()):
        for name, attribute in (("fanotify", "FanotifySource"), ("inotify", "InotifySource")):
            monkeypatch.setattr(
                process,
                attribute,
                lambda volumes, name=name, **_: Source(volumes, fails=name in fails, name=name),
            )
        volumes = [Volume(os.fsencode(tmp_path / str(number))) for number in range(5)]
        chosen = {number: Choice(*choice) for number, choice in choices.items()}
        return process._start(volumes, chosen, lambda: None)

    return begin


CHOICES = {0: ("fanotify", ""), 2: ("inotify", ""), 4: ("off", "it says so")}


def test_each_volume_has_the_source_that_was_chosen(start):
    backends, told = start(CHOICES)
    assert [(one.source.name, one.of) for one in backends] == [("fanotify", [0]), ("inotify", [2])]
    assert {(one.volume, one.backend, one.message) for one in told} == {
        (0, "fanotify", ""),
        (2, "inotify", ""),
        (4, "off", "it says so"),
    }


def test_without_fanotify_inotify_watches(start):
    (backend,), told = start(CHOICES, fails={"fanotify"})
    assert (backend.source.name, backend.of) == ("inotify", [2, 0])
    assert {one.volume: one.backend for one in told} == {0: "inotify", 2: "inotify", 4: "off"}


def test_a_volume_without_a_source_is_reported_as_unwatched(start):
    backends, told = start(CHOICES, fails={"fanotify", "inotify"})
    assert backends == []
    off = {one.volume: one for one in told}
    assert off.keys() == {0, 2, 4}
    assert [off[number].unwatched for number in (0, 2, 4)] == [1, 1, 0]
    assert off[0].message == "inotify cannot be used: Operation not permitted"


def test_a_volume_that_is_watched_again_is_lost_until_then(start):
    backends, _ = start(CHOICES)
    assert process._renewed([2], backends, "mounted") == [
        Coverage(2, "inotify", directories=1),
        Lost(2, b"", "mount", "mounted"),
    ]
    assert process._renewed([4], backends, "gone") == [Lost(4, b"", "mount", "gone")]


def test_a_volume_of_a_server_is_blind_for_other_hosts(start, monkeypatch):
    mounts = SimpleNamespace(kind=lambda root: b"nfs4" if root.endswith(b"2") else b"ext4")
    monkeypatch.setattr(process, "mounts_now", lambda: mounts)
    _, told = start(CHOICES)
    blind = {one.volume: one.blind for one in told}
    assert (blind[0], blind[4]) == ("", "")
    assert "nfs4" in blind[2]


def test_the_identity_of_a_root_is_that_of_the_name(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    link, root = (Volume(os.fsencode(one)) for one in (tmp_path / "link", tmp_path))
    assert process._identity(root)[:2] == (tmp_path.stat().st_dev, tmp_path.stat().st_ino)
    assert process._identity(link) != process._identity(root)
    assert process._identity(Volume(os.fsencode(tmp_path / "none"))) is None


def test_a_real_process_reports_its_coverage_and_then_changes(tmp_path):
    began = time.monotonic()
    watching = process.Watching(
        [Volume(b"/none"), Volume(os.fsencode(tmp_path))], ["off", "inotify"], [1]
    )
    told = []
    try:
        while not any(isinstance(one, Coverage) for one in told):
            assert watching.connection.poll(60)
            told += watching.take()
        (tmp_path / "x").touch()
        while not any(isinstance(one, Changed) for one in told):
            assert watching.connection.poll(60)
            told += watching.take()
        assert watching.heard > began
        os.kill(watching.pid, 9)
        while watching.take() is not None:
            pass
    finally:
        watching.close()
    assert told[0].volume == 1
    assert told[0].backend == "inotify"
    assert told[-1] == Changed(1, b"", b"x")
    assert not os.path.exists(f"/proc/{watching.pid}")
