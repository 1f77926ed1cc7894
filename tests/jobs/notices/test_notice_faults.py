"""Rounds over notices under kills, races, missing mounts and full disks: nothing lost or claimed."""

import errno
import hashlib
import os
import shutil
import signal

import isolating
import notice_machine
import pytest
from isolating import in_mount_namespace, mount, needs_root

import hashscan.quarantine.act
from hashscan.errors import QuarantineError
from hashscan.jobs.notices.act import NoticeActs
from hashscan.notices.store import NoticeStore
from hashscan.quarantine.store import Store as QuarantineStore

URL = "https://x.example/a/1.jpg"
MS_BIND, MS_REMOUNT = 4096, 32
YEAR = 365 * 86400.0
#: ``make test-long`` kills at every point, the gate at some.
LONG = bool(os.environ.get("HASHSCAN_LONG"))


@pytest.fixture
def machine(tmp_path):
    one = notice_machine.Machine(tmp_path)
    yield one
    one.close()


# Kills

_POINTS = (
    (NoticeStore, "put_file"), (NoticeStore, "advance"), (hashscan.quarantine.act, "take"),
    (QuarantineStore, "create"), (QuarantineStore, "save"), (NoticeActs, "moved"),
)  # fmt: skip


def die_at(number):
    """SIGKILL this process before (even numbers) or after a call of one of the points."""
    left = number

    def dying(real):
        def call(*given, **more):
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            try:
                return real(*given, **more)
            finally:
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1

        return call

    for owner, name in _POINTS:
        setattr(owner, name, dying(getattr(owner, name)))


@pytest.mark.parametrize("by_list", [True, False])
def test_killed_at_any_instant(tmp_path, by_list):
    """The file is in one place with one record, and the next rounds come to the same end."""
    for number in range(0 if LONG else 3 * by_list, 90, 1 if LONG else 6):
        directory = tmp_path / str(number)
        directory.mkdir()
        machine = notice_machine.Machine(directory)
        content = machine.file("a/1.jpg")
        if by_list:
            machine.know(content)
        identifier = machine.notice(URL)
        machine.known()
        machine.close()

        def run(machine=machine, number=number):
            machine.store = NoticeStore(machine.state.notices)
            die_at(number)
            machine.rounds()

        kind, value = isolating.fork(run)
        machine.store = NoticeStore(machine.state.notices)
        machine.rounds()
        assert machine.states(identifier) == ["removed"], number
        assert machine.store.notice(identifier).closed is not None
        assert not (machine.site / "a/1.jpg").exists()
        (kept,) = (one for one in machine.in_quarantine() if one.state != "undone")
        assert (kept.state, kept.digests.sha1) == ("quarantined", hashlib.sha1(content).digest())
        _, files = machine.one(identifier)
        assert files["a/1.jpg"].quarantine_id == kept.id
        assert files["a/1.jpg"].away is not None
        steps = [one.detail.get("to") for one in machine.store.history(identifier)]
        assert steps.count("removed") == 1
        machine.close()
        shutil.rmtree(directory)
        if kind != "killed":
            assert kind == "returned", value
            break
    assert 14 < number < 80, number


# Wrong clocks


def test_a_clock_that_is_set_back_delays_no_retry(machine, monkeypatch):
    def full(*_given, **_more):
        raise QuarantineError("no space left", reason="no-space")

    machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    monkeypatch.setattr(NoticeActs, "_opened", full)
    machine.round()
    monkeypatch.undo()
    assert machine.states(identifier) == ["located"]
    machine.round(later=-10 * YEAR)
    assert machine.states(identifier) == ["removed"]


@pytest.mark.parametrize(
    ("later", "state"), [(0, "received"), (3599, "received"), (3600, "removed"),
                         (-1, "removed"), (-10 * YEAR, "removed")],
)  # fmt: skip
def test_an_item_is_left_out_for_an_hour_whatever_the_clock(machine, later, state):
    machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    machine.memory.left_out[machine.items(identifier)[0].number] = machine.now + 3600
    machine.round(later=later)
    assert machine.states(identifier) == [state]


# Races: what the customer does between the look at a file and its move


@pytest.fixture
def meanwhile(monkeypatch):
    """Have a function run before the next action."""

    def arrange(job):
        real = NoticeActs.act
        jobs = [job]

        def act(self, *given, **more):
            if jobs:
                jobs.pop()()
            return real(self, *given, **more)

        monkeypatch.setattr(NoticeActs, "act", act)

    return arrange


def test_the_customer_removes_the_file_first(machine, meanwhile):
    machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    meanwhile((machine.site / "a/1.jpg").unlink)
    machine.rounds()
    found, _ = machine.one(identifier)
    assert (found.state, found.reason) == ("removed", "1 file removed by somebody else")


def test_an_administrator_closes_the_notice_meanwhile(machine, monkeypatch):
    machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    real = NoticeActs.verdict

    def verdict(self, candidate):
        machine.store.close_notice(identifier, "a mistake")
        return real(self, candidate)

    monkeypatch.setattr(NoticeActs, "verdict", verdict)
    machine.rounds()
    assert machine.states(identifier) == ["refused"]
    assert (machine.site / "a/1.jpg").exists()


def test_the_customer_renames_the_file(machine, meanwhile):
    machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    meanwhile(lambda: (machine.site / "a/1.jpg").rename(machine.site / "a/2.jpg"))
    machine.rounds()
    assert machine.states(identifier) == ["removed"]
    assert list((machine.site / "a").iterdir()) == []


def test_the_customer_puts_a_link_in_its_place(machine, meanwhile, tmp_path):
    """Nothing outside the volume moves, and the item is not called removed."""
    content = machine.file("a/1.jpg")
    secret = tmp_path / "secret"
    secret.write_bytes(content)
    path = machine.site / "a/1.jpg"
    identifier = machine.notice(URL)
    meanwhile(lambda: (path.unlink(), path.symlink_to(secret)))
    machine.rounds()
    found, _ = machine.one(identifier)
    assert secret.read_bytes() == content
    assert path.is_symlink()
    assert (found.state, "link out of the document root" in found.reason) == ("located", True)
    path.unlink()
    machine.round(later=61)
    assert machine.states(identifier) == ["removed"]


def test_the_customer_links_to_a_copy_below_the_root(machine, meanwhile):
    content = machine.file("a/1.jpg")
    machine.file("b/copy.jpg", content)
    path = machine.site / "a/1.jpg"
    identifier = machine.notice(URL)
    meanwhile(lambda: (path.unlink(), path.symlink_to("../b/copy.jpg")))
    machine.rounds()
    assert machine.states(identifier) == ["removed"]
    assert not (machine.site / "b/copy.jpg").exists()


def test_the_customer_puts_another_file_in_its_place(machine, meanwhile):
    machine.file("a/1.jpg")
    other = machine.site / "other"
    other.write_bytes(b"innocent")
    identifier = machine.notice(
        notice_machine.with_digest(URL, (machine.site / "a/1.jpg").read_bytes())
    )
    meanwhile(lambda: other.replace(machine.site / "a/1.jpg"))
    machine.rounds()
    assert machine.states(identifier) == ["located"]
    machine.round(later=61)
    found, files = machine.one(identifier)
    assert (machine.site / "a/1.jpg").read_bytes() == b"innocent"
    assert found.state == "located"
    assert "not that of the notice" in files["a/1.jpg"].message


def test_a_directory_above_is_swapped_for_a_link(machine, meanwhile, tmp_path):
    content = machine.file("a/1.jpg")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1.jpg").write_bytes(content)
    directory = machine.site / "a"
    identifier = machine.notice(URL)
    meanwhile(lambda: (directory.rename(machine.site / "b"), directory.symlink_to(outside)))
    machine.rounds()
    assert (outside / "1.jpg").read_bytes() == content
    assert machine.states(identifier) == ["located"]


def test_special_files_are_not_opened(machine):
    os.mkfifo(machine.site / "fifo.jpg")
    with open(machine.site / "giant.jpg", "wb") as file:
        file.truncate(1 << 40)
    identifier = machine.notice(
        f"{machine.site}/fifo.jpg", f"{machine.site}/giant.jpg", "https://x.example/giant.jpg"
    )
    machine.round()
    fifo, giant, by_url = machine.items(identifier)
    assert fifo.state == "not-here"
    assert (giant.state, by_url.state) == ("received", "received")
    assert giant.reason == f"{machine.site}/giant.jpg: not hashed: sparse"


@needs_root
@pytest.mark.root
def test_a_document_root_that_is_a_customers_link(machine, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1.jpg").write_bytes(b"x")
    link = machine.volume / "evil.example"
    link.symlink_to(outside)
    os.lchown(link, 1234, 1234)
    identifier = machine.notice("https://evil.example/1.jpg")
    machine.round()
    found, _ = machine.one(identifier)
    assert (found.state, "hashscan does not follow it" in found.reason) == ("received", True)
    assert (outside / "1.jpg").exists()


# Mounts and disks


def on_mount(tmp_path, job, **more):
    """Run ``job`` with a machine whose volume is a mounted file system."""

    def run():
        machine = notice_machine.Machine(tmp_path, **more)
        disk = tmp_path / "disk"
        disk.mkdir()
        mount("tmpfs", disk, "tmpfs")
        (disk / "x.example").mkdir()
        mount(disk, machine.volume, None, MS_BIND)
        job(machine, disk)

    in_mount_namespace(run)


def unmount(path):
    assert isolating.libc.umount2(os.fsencode(path), 2) == 0


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("scanned", [False, True])
def test_a_volume_that_is_not_mounted_is_no_removal(tmp_path, scanned):
    def job(machine, disk):
        machine.file("a/1.jpg")
        if scanned:
            machine.scan()
        identifier = machine.notice(URL, f"{machine.site}/a/1.jpg")
        machine.round()
        assert machine.states(identifier) == ["located", "located"]
        unmount(machine.volume)
        machine.rounds()
        assert machine.states(identifier) == ["located", "located"]
        assert "mounted" in machine.items(identifier)[0].reason
        if scanned:  # else nobody knows that something is to be mounted there
            later = machine.notice("https://x.example/b.jpg", f"{machine.site}/b.jpg")
            machine.rounds()
            assert machine.states(later) == ["received", "received"]
            assert "its file system is not mounted" in machine.items(later)[0].reason
            machine.store.close_notice(later, "a test")
        mount(disk, machine.volume, None, MS_BIND)
        machine.round()
        assert machine.states(identifier) == ["located", "located"]
        assert [one.reason for one in machine.items(identifier)] == ["", ""]
        (machine.site / "a/1.jpg").unlink()
        machine.round()
        assert machine.states(identifier) == ["removed", "removed"]

    on_mount(tmp_path, job, action="report")


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("over", ["", "x.example", "x.example/a"])
def test_a_mount_over_the_file_is_no_removal(tmp_path, over):
    def job(machine, _disk):
        machine.file("a/1.jpg")
        identifier = machine.notice(URL)
        machine.round()
        target = os.path.join(machine.volume, over)
        mount("tmpfs", target, "tmpfs")
        machine.rounds()
        found, _ = machine.one(identifier)
        assert (found.state, "file system than before" in found.reason) == ("located", True)
        unmount(target)
        machine.round()
        assert (machine.site / "a/1.jpg").exists()
        assert machine.states(identifier) == ["located"]

    on_mount(tmp_path, job, action="report")


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("where", ["over", "below"])
def test_a_bind_mount_of_the_same_file_system_is_no_removal(tmp_path, where):
    def job(machine, disk):
        (disk / "elsewhere").mkdir()
        (machine.site / "a/b").mkdir(parents=True)
        if where == "below":
            mount(disk / "elsewhere", machine.site / "a", None, MS_BIND)
        machine.file("a/1.jpg")
        identifier = machine.notice(URL, f"{machine.site}/a/1.jpg")
        machine.round()
        assert machine.states(identifier) == ["located", "located"]
        if where == "below":
            unmount(machine.site / "a")
        else:
            mount(disk / "elsewhere", machine.site / "a", None, MS_BIND)
        assert not (machine.site / "a/1.jpg").exists()
        machine.rounds()
        assert machine.states(identifier) == ["located", "located"]
        assert "file system than before" in machine.items(identifier)[0].reason
        if where == "below":
            mount(disk / "elsewhere", machine.site / "a", None, MS_BIND)
        else:
            unmount(machine.site / "a")
        machine.round()
        assert [one.reason for one in machine.items(identifier)] == ["", ""]
        (machine.site / "a/1.jpg").unlink()
        machine.round()
        assert machine.states(identifier) == ["removed", "removed"]

    on_mount(tmp_path, job, action="report")


@needs_root
@pytest.mark.root
def test_a_directory_that_is_removed_and_made_again_is_a_removal(tmp_path):
    def job(machine, _disk):
        machine.file("a/b/1.jpg")
        identifier = machine.notice("https://x.example/a/b/1.jpg")
        machine.round()
        shutil.rmtree(machine.site / "a")
        (machine.site / "a/b").mkdir(parents=True)
        machine.round()
        assert machine.states(identifier) == ["removed"]

    on_mount(tmp_path, job, action="report")


@needs_root
@pytest.mark.root
def test_a_file_on_another_file_system_below_the_volume(machine):
    def run():
        (machine.site / "a").mkdir()
        mount("tmpfs", machine.site / "a", "tmpfs")
        machine.file("a/1.jpg")
        machine.store = NoticeStore(machine.state.notices)
        identifier = machine.notice(URL)
        machine.round()
        assert machine.states(identifier) == ["removed"]

    in_mount_namespace(run)


@needs_root
@pytest.mark.root
def test_a_full_quarantine_is_tried_again(tmp_path):
    def run():
        small = tmp_path / "small"
        small.mkdir()
        mount("tmpfs", small, "tmpfs", 0, "size=128k")
        machine = notice_machine.Machine(
            tmp_path, by_list=f"quarantine, directory: {small}/quarantine"
        )
        content = machine.file("a/1.jpg", os.urandom(300_000))
        identifier = machine.notice(URL)
        machine.round()
        found, files = machine.one(identifier)
        assert found.state == "located"
        assert "space" in files["a/1.jpg"].message, files
        assert (machine.site / "a/1.jpg").read_bytes() == content
        machine.round(later=30)
        assert machine.result.events == []
        mount("tmpfs", small, "tmpfs", MS_REMOUNT, "size=10m")
        machine.round(later=10)
        assert machine.states(identifier) == ["located"]
        machine.round(later=60)
        assert machine.states(identifier) == ["removed"]

    in_mount_namespace(run)


def test_notices_that_cannot_be_written_leave_the_file(machine, monkeypatch):
    machine.file("a/1.jpg")
    identifier = machine.notice(URL)

    def full(*_given, **_more):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(NoticeStore, "put_file", full)
    machine.round()
    assert (machine.site / "a/1.jpg").exists()
    found, _ = machine.one(identifier)
    assert (found.state, found.reason) == ("received", "No space left on device")
    monkeypatch.undo()
    machine.round()
    assert machine.states(identifier) == ["removed"]
