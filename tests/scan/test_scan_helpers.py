"""Small parts of hashscan.scan: bounds, fallbacks, and what each gives back."""

import errno
import os
import threading
from types import SimpleNamespace

import pytest
from faulty import Faulty, break_os, open_descriptors, raising

from hashscan.errors import CredentialsError, HashscanError, ServiceUnavailableError
from hashscan.fs.beneath import closing
from hashscan.fs.listing import ListedFile
from hashscan.fs.volume import Roots, Volume
from hashscan.model import Answer, Digest, FileDigests, Identity, Stamp
from hashscan.scan import asker as asking
from hashscan.scan import changed_entries, hard_links, io_pressure, lost_directories, screening
from hashscan.scan import volume_root as root_module
from hashscan.scan.io_pressure import Pressure, mount_of_cgroup2, own_group
from hashscan.scan.lost_directories import (
    RENAMED,
    REPLACED,
    Fate,
    LostDirectories,
    LostEntry,
    Search,
    Settled,
)
from hashscan.scan.volume_root import VanishedError, VolumeRoot

# pressure


def test_the_mount_and_the_group_from_proc(tmp_path):
    file = tmp_path / "mountinfo"
    file.write_text("1 2 0:3 / /proc rw - proc proc rw\n4 5 0:6 / /sys/fs/x rw - cgroup2 c rw\n")
    assert mount_of_cgroup2(str(file)) == "/sys/fs/x"
    file.write_text("1 2 0:3 / /proc rw - proc proc rw\n")
    assert mount_of_cgroup2(str(file)) is None
    file.write_text("4 - cgroup2 c rw\n")
    assert mount_of_cgroup2(str(file)) is None
    assert mount_of_cgroup2(str(tmp_path / "none")) is None
    file.write_text("1:cpu:/x\n0::/system.slice/a.service\n")
    assert own_group(str(file)) == "/system.slice/a.service"
    file.write_text("1:cpu:/x\n")
    assert own_group(str(file)) == "/"
    assert own_group(str(tmp_path / "none")) == "/"


def test_without_cgroups_the_whole_machine_is_asked(tmp_path, monkeypatch):
    (tmp_path / "whole").write_text("some avg10=150.00 avg60=0.00 avg300=0.00 total=1\n")
    monkeypatch.setattr(io_pressure, "mount_of_cgroup2", lambda: None)
    alone = Pressure(whole=str(tmp_path / "whole"))
    assert alone.others() == 1.0, "never more than all of the time"
    assert alone.describe() == f"{tmp_path}/whole, which counts hashscan's own waiting too"


def test_a_group_that_cannot_be_listed_has_nobody_beside_it(tmp_path):
    (tmp_path / "whole").write_text("some avg10=7.00 avg60=0.00 avg300=0.00 total=1\n")
    found = Pressure(str(tmp_path / "none"), "/a/b", whole=str(tmp_path / "whole"))
    assert found.others() == 0.07


def test_groups_are_listed_again_after_a_while(tmp_path):
    now = [0.0]
    found = Pressure(str(tmp_path), "/own", whole=str(tmp_path / "none"), clock=lambda: now[0])
    assert found.others() == 0.0
    (tmp_path / "own").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "io.pressure").write_text("some avg10=9.00 avg60=0.00\n")
    now[0] = io_pressure._LIST_AFTER - 0.001
    assert found.others() == 0.0
    now[0] = io_pressure._LIST_AFTER
    assert found.others() == 0.09
    assert found.describe() == f"{tmp_path}/other/io.pressure"


# links


def test_a_place_that_is_held_for_long_is_given_up(monkeypatch):
    table = hard_links.LinkTable()
    waits = []
    now = [0.0]
    busy = raising(errno.EAGAIN, hard_links.fcntl.lockf, on=lambda _fd, how, *_: how != 8)
    monkeypatch.setattr(hard_links, "fcntl", Faulty(hard_links.fcntl, lockf=busy))
    clock = Faulty(hard_links.time, monotonic=lambda: now[0], sleep=lambda _s: None)
    monkeypatch.setattr(hard_links, "time", clock)

    def on_wait():
        waits.append(1)
        now[0] += hard_links.LONGEST_WAIT / 2

    with pytest.raises(TimeoutError), table.claim(Identity(1, 2), on_wait):
        pass
    assert len(waits) == 3, "it waits to the very end of its time"
    table.close()


def test_a_place_of_a_killed_process_says_nothing():
    table = hard_links.LinkTable()
    stamp = Stamp(3, 4, 5)
    with table.claim(Identity(1, 2), lambda: None) as place:
        assert place.get(stamp) is None
        place.put(stamp, FileDigests(sha1=b"s" * 20), racy=True)
        assert place.get(stamp) == (FileDigests(sha1=b"s" * 20), True)
        assert place.get(Stamp(3, 4, 6)) is None
        place.put(stamp, FileDigests(), racy=False)
        assert place.get(stamp) is None, "it was killed before it had said which digests"
    table.close()


# asking


DIGESTS = [Digest("sha1", f"{number:040x}") for number in range(3)]


def replies_of(asker, count):
    found = []
    while len(found) < count:
        if asker.connection.poll(10):
            found += asker.replies()
        else:
            pytest.fail("no reply")
    return {reply.digest: reply.answer for reply in found}


class Says:
    def __init__(self, answer):
        self.answer = answer

    def confirm(self, _digest):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_every_kind_of_failure_is_no_verdict():
    for error, message, is_last in (
        (ServiceUnavailableError("away"), "away", False),
        (CredentialsError("refused"), None, True),
        (ZeroDivisionError("odd"), "ZeroDivisionError: odd", False),
    ):
        asker = asking.Asker(lambda error=error: Says(error))
        asker.ask(DIGESTS[0])
        answer = replies_of(asker, 1)[DIGESTS[0]]
        asker.close()
        assert isinstance(answer, asking.NoAnswer)
        assert answer.message == message or message is None
        assert answer.is_last is is_last
        assert (answer.fault is None) is not isinstance(error, HashscanError) or is_last


def test_a_confirmer_that_cannot_be_made_is_tried_for_each_question(tmp_path):
    marker = tmp_path / "there"

    def make():
        if not marker.exists():
            raise CredentialsError("no password")
        return Says(Answer(known=True))

    asker = asking.Asker(make)
    asker.ask(DIGESTS[0])
    answer = replies_of(asker, 1)[DIGESTS[0]]
    assert isinstance(answer, asking.NoAnswer)
    assert answer.is_last is True
    marker.touch()
    asker.ask(DIGESTS[1])
    assert replies_of(asker, 1)[DIGESTS[1]] == Answer(known=True)
    asker.close()


def test_a_confirmer_that_is_broken_is_no_verdict():
    asker = asking.Asker(lambda: {}["odd"])
    asker.ask(DIGESTS[0])
    answer = replies_of(asker, 1)[DIGESTS[0]]
    asker.close()
    assert answer == asking.NoAnswer("'odd'")


def test_another_known_set_answers_nothing_that_was_asked_of_the_one_before():
    gate = threading.Event()

    class Waits:
        def confirm(self, _digest):
            gate.wait(60)

    asker = asking.Asker(Waits)
    for digest in DIGESTS[:2]:
        asker.ask(digest)
    replies = asker.restart(lambda: Says(Answer(known=False)))
    assert {one.digest for one in replies} == set(DIGESTS[:2])
    assert all("asked again" in one.answer.message for one in replies)
    assert asker.restart() == [], "each is replied to once"
    asker.ask(DIGESTS[2])
    assert replies_of(asker, 1) == {DIGESTS[2]: Answer(known=False)}, "by the new set still"
    asker.close()


# look


def test_a_file_is_at_rest_unless_it_is_new_or_somebody_writes(tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"x")
    status = os.lstat(tmp_path / "f")
    now = [status.st_ctime_ns + changed_entries.REST]
    monkeypatch.setattr(changed_entries, "time", SimpleNamespace(time_ns=lambda: now[0]))
    with closing(os.open(tmp_path, os.O_RDONLY)) as fd:
        entry = ListedFile(b"f", status)
        assert changed_entries.is_at_rest(fd, entry) is True
        with open(tmp_path / "f", "ab"):
            assert changed_entries.is_at_rest(fd, entry) is False
        now[0] -= 1
        assert changed_entries.is_at_rest(fd, entry) is False
        now[0] = status.st_ctime_ns
        assert changed_entries.is_at_rest(fd, entry) is False
        now[0] -= 1  # the clock was set back
        assert changed_entries.is_at_rest(fd, entry) is True
        now[0] += 10 * changed_entries.REST
        for number, rests in ((errno.EAGAIN, False), (errno.EACCES, True), (errno.ENOENT, True)):
            monkeypatch.setattr(changed_entries, "open_file", raising(number))
            assert changed_entries.is_at_rest(fd, entry) is rests


# root


def test_a_root_is_opened_once_and_closed_once(tmp_path):
    before = open_descriptors()
    root = VolumeRoot(Volume(os.fsencode(tmp_path)), 7)
    root.close()
    root.open()
    fd = root.fd
    root.open()
    assert root.fd == fd
    assert root.device == os.stat(tmp_path).st_dev
    assert root.row_device == (root.device, -7)
    assert root.device_of(os.stat(tmp_path)) == -7
    assert root.device_of(os.stat("/proc")) == os.stat("/proc").st_dev
    root.close()
    root.close()
    assert (root.fd, open_descriptors()) == (-1, before)


@pytest.mark.parametrize(
    ("number", "known", "kind"),
    [
        (errno.ENOENT, True, VanishedError),
        (errno.EACCES, True, VanishedError),
        (errno.ENOENT, False, FileNotFoundError),
        (errno.EMFILE, True, OSError),
    ],
)
def test_a_root_that_cannot_be_opened_any_more(tmp_path, monkeypatch, number, known, kind):
    identity = Identity(1, 2) if known else None
    root = VolumeRoot(Volume(os.fsencode(tmp_path)), 7, identity)
    monkeypatch.setattr(root_module, "open_root", raising(number))
    with pytest.raises((OSError, VanishedError)) as caught:
        root.open()
    assert isinstance(caught.value, kind)
    assert isinstance(caught.value, VanishedError) is (kind is VanishedError)


def test_volumes_inside_a_volume_that_cannot_be_reached_hide_no_other(tmp_path):
    (tmp_path / "v" / "there").mkdir(parents=True)
    (tmp_path / "v" / "file").touch()
    volume = os.fsencode(tmp_path / "v")
    root = VolumeRoot(Volume(volume), 7)
    root.open()
    inside = [volume + b"/" + name for name in (b"gone", b"file/x", b"there")]
    before = open_descriptors()
    root.find_others(Roots([volume, *inside]))
    status = os.stat(tmp_path / "v" / "there")
    assert root.others == {Identity(status.st_dev, status.st_ino)}
    assert open_descriptors() == before
    root.close()


def test_why_a_root_has_vanished(tmp_path, monkeypatch):
    root = VolumeRoot(Volume(os.fsencode(tmp_path)), 7)
    assert root.why_vanished() == ""
    break_os(monkeypatch, root_module, scandir=raising(errno.ESTALE))
    assert root.why_vanished() == "it cannot be listed any more: Stale file handle"
    monkeypatch.setattr(root_module, "open_root", raising(errno.ENOENT))
    assert root.why_vanished().startswith("it cannot be listed any more: No such file")
    other = VolumeRoot(Volume(os.fsencode(tmp_path)), 7, Identity(1, 2))
    assert other.why_vanished().startswith("it cannot be opened any more")


# lost


class Places:
    """A catalog of directories: number to parent, name and inode."""

    def __init__(self, **places):
        self.places = {int(key[1:]): value for key, value in places.items()}

    def place_of(self, number):
        parent, name, inode = self.places.get(number, (0, b"", 0))
        return SimpleNamespace(parent=parent, name=name, inode=inode)

    def directory_path(self, number):
        return b"path-%d" % number


@pytest.fixture
def waiting():
    """Directories 5 and 6 in 2, 2 in 1, which is the root of volume 0."""
    return LostDirectories(
        Places(d1=(0, b"/srv", 11), d2=(1, b"b", 12), d5=(2, b"e", 15), d6=(2, b"f", 16))
    )


def test_lost_directories_are_searched_together_in_the_one_that_held_them(waiting):
    assert (len(waiting), waiting.next()) == (0, None)
    one, two = LostEntry(5), LostEntry(6)
    assert waiting.add(0, [one]) == []
    assert waiting.add(0, [two, two]) == []
    assert len(waiting) == 3
    assert set(waiting.ids()) == {5, 6}
    search = waiting.next()
    assert (search.volume, search.directory, search.path, search.inode) == (0, 2, b"path-2", 12)
    assert search.names == ((b"e", 15), (b"e", 0), (b"f", 16), (b"f", 0))
    assert search.lost == {5: [one], 6: [two, two]}
    assert (len(waiting), waiting.next(), list(waiting.ids())) == (0, None, [])
    waiting.put_back(search)
    assert len(waiting) == 3
    assert waiting.next().lost == search.lost
    settled = waiting.found(search, (Fate.GONE, Fate.GONE, Fate.ELSEWHERE, Fate.GONE))
    assert settled == [Settled(0, one, ""), Settled(0, two, RENAMED), Settled(0, two, RENAMED)]


def test_what_nothing_holds_is_told_at_once(waiting):
    entry, other = LostEntry(1), LostEntry(1, instead=9)
    assert waiting.add(0, [entry, other]) == [Settled(0, entry, RENAMED)]
    assert len(waiting) == 0


def test_a_forgotten_volume_has_no_searches(waiting):
    waiting.add(0, [LostEntry(5)])
    waiting.add(1, [LostEntry(6), LostEntry(6)])
    assert len(waiting) == 3
    waiting.forget_volume(1)
    assert len(waiting) == 1
    waiting.forget_volume(0)
    assert (len(waiting), waiting.next()) == (0, None)


def test_a_search_whose_directory_is_lost_too_goes_on_above_it(waiting):
    entry = LostEntry(5)
    waiting.add(0, [entry])
    search = waiting.next()
    assert waiting.found(search, None) == []
    above = waiting.next()
    assert (above.directory, above.lost) == (1, {2: [entry]})
    assert waiting.found(above, (Fate.HERE, Fate.GONE)) == []
    again = waiting.next()
    assert (again.directory, again.inode) == (2, 0), "it is there, with whatever inode"
    assert waiting.found(again, None) == [Settled(0, entry, RENAMED)]


@pytest.mark.parametrize(
    ("fates", "problem"),
    [
        ((Fate.ELSEWHERE, Fate.HERE), REPLACED),
        ((Fate.GONE, Fate.HERE), None),
        ((Fate.ELSEWHERE, Fate.GONE), None),
    ],
)
def test_a_directory_with_another_in_its_place(waiting, fates, problem):
    entry = LostEntry(5, instead=77)
    search = Search(0, 2, b"b", 12, ((b"e", 15), (b"e", 77)), {5: [entry]})
    expected = [] if problem is None else [Settled(0, entry, problem)]
    assert waiting.found(search, fates) == expected
    assert waiting.found(search, None) == []


def test_a_search_that_failed_says_why_for_each(waiting):
    entries = [LostEntry(5), LostEntry(5)]
    search = Search(3, 2, b"b", 12, (), {5: entries})
    found = waiting.failed(search, "Input/output error")
    assert [one.entry for one in found] == entries
    assert all(one.volume == 3 for one in found)
    assert found[0].problem == (
        f"{lost_directories._UNKNOWN}: Input/output error; it is entered in the next scan if it is there"
    )


def test_the_remembered_sizes_are_bounded(monkeypatch):
    monkeypatch.setattr(screening, "_REMEMBERED", 2)
    screen, asked = screening.Screen([]), []
    screen.sizes = True
    monkeypatch.setattr(screen, "rules_out", lambda size, _head: asked.append(size) or size == 2)
    assert [screen.rules_out_size(size) for size in (1, 2, 1, 2, 3, 1)] == [
        False, True, False, True, False, False
    ]  # fmt: skip
    assert asked == [1, 2, 3, 1]
