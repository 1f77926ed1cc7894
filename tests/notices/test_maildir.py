"""A Maildir of somebody else: nothing is lost, nothing is counted twice, nothing hurts."""

import fcntl
import os
import signal
import socket
import stat
import time

import pytest
from dying import Dying

from hashscan.notices import maildir as module
from hashscan.notices.accept import accept
from hashscan.notices.maildir import MOST_TRIES, take_mails, why_unusable
from hashscan.notices.notice import Channel
from hashscan.notices.senders import Senders
from hashscan.notices.store import NoticeStore

NO_NOTICE = b"Subject: lunch\n\nAt noon?\n"


@pytest.fixture
def store(tmp_path):
    with NoticeStore(str(tmp_path / "notices.sqlite3")) as one:
        yield one


class Box:
    """A Maildir, and what is in it."""

    def __init__(self, path):
        self.path = path
        for name in ("", "new", "cur", "tmp"):
            (path / name).mkdir()

    def put(self, name, content=None, directory="new"):
        if content is None:
            content = f"https://site.example/{name}\n".encode()
        place = self.path / directory / name
        place.write_bytes(content)
        return place

    def names(self, directory):
        return sorted(os.listdir(self.path / directory))


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path / "Maildir")


def take(box, store, **more):
    return take_mails(str(box.path), store, **more)


def notices(store):
    return sorted(store.notices(), key=lambda one: one.id)


def test_a_notice_is_stored_and_marked_as_read(box, store):
    arrived = time.time() - 3600
    os.utime(box.put("1700000000.M1P2.host"), (arrived, arrived))
    done = take(box, store)
    (one,) = notices(store)
    assert (done.stored, done.repeated, done.waiting, done.trouble) == ([one.id], 0, 0, "")
    assert (one.channel, one.received) == (Channel.MAILDIR, pytest.approx(arrived, abs=0.001))
    assert (box.names("new"), box.names("cur")) == ([], ["1700000000.M1P2.host:2,S"])
    again = take(box, store)
    assert (again.stored, again.repeated, len(notices(store))) == ([], 0, 1)


def test_a_mail_from_the_future_arrived_now(box, store):
    ahead = time.time() + 86400
    os.utime(box.put("1.a"), (ahead, ahead))
    take(box, store)
    assert notices(store)[0].received <= time.time()


def test_mails_that_other_programs_moved_are_taken_whatever_their_flags(box, store):
    for name in ("1.a:2,", "2.b:2,RS", "3.c", "4.d:2,F"):
        box.put(name, directory="cur")
    assert len(take(box, store).stored) == 4
    assert box.names("cur") == ["1.a:2,S", "2.b:2,RS", "3.c:2,S", "4.d:2,FS"]
    os.rename(box.path / "cur/1.a:2,S", box.path / "cur/1.a:2,")
    done = take(box, store)
    assert (done.stored, done.repeated) == ([], 0)
    assert "1.a:2," in box.names("cur"), "a person marked it as unread"


def test_the_same_bytes_are_one_notice(box, store):
    for name in ("1.a", "2.b"):
        box.put(name, b"https://site.example/same")
    done = take(box, store)
    assert (len(done.stored), done.repeated) == (1, 1)
    assert box.names("cur") == ["1.a:2,S", "2.b:2,S"]


def test_mails_whose_names_are_not_unique_are_all_taken(box, store):
    box.put("1.a", b"https://site.example/1")
    box.put("1.a:2,S", b"https://site.example/2", directory="cur")
    done = take(box, store)
    assert len(done.stored) == 2
    assert (
        "new/1.a is stored as a notice, but cannot be marked as read: File exists" in done.trouble
    )
    assert len(box.names("new")) == len(box.names("cur")) == 1


def test_a_mail_server_that_moves_mails_meanwhile(box, store, monkeypatch):
    """As an IMAP server does when somebody opens the mailbox: at any moment of a round."""
    names = [f"{number:02}.a" for number in range(12)]
    for name in names:
        box.put(name)
    waiting = iter(names)
    real = {name: getattr(module, name) for name in ("open_file", "accept", "put")}

    def moving(name):
        def call(*given, **more):
            if (moved := next(waiting, None)) is not None and (box.path / "new" / moved).exists():
                os.rename(box.path / "new" / moved, box.path / "cur" / f"{moved}:2,R")
            return real[name](*given, **more)

        return call

    for name in real:
        monkeypatch.setattr(module, name, moving(name))
    for _ in range(3):
        assert take(box, store).trouble == ""
    assert sorted(store.items(one.id)[0].parsed.value for one in notices(store)) == [
        f"https://site.example/{name}" for name in names
    ]
    assert box.names("new") == []
    assert {name.partition(":")[0] for name in box.names("cur")} == set(names)
    assert take(box, store).repeated == 0


def test_what_is_not_understood_stays_for_a_person(box, store):
    box.put("1.evil\x1b", NO_NOTICE)
    box.put("2.b")
    done = take(box, store)
    assert len(done.stored) == 1
    assert (box.names("new"), box.names("cur")) == (["1.evil\x1b"], ["2.b:2,S"])
    ((path, why),) = done.refused
    assert path == f"{box.path}/new/1.evil\\x1b"
    assert why == (
        "the notice is in no known format; 'hashscan notice add FILE' says what each format lacks"
    )
    done = take(box, store)
    assert (done.refused, done.waiting, done.examples) == ([], 1, [(path, why)]), "said once"
    os.rename(box.path / "new/1.evil\x1b", box.path / "cur/1.evil\x1b:2,")
    assert take(box, store).waiting == 1, "a mail reader has only listed it"
    os.rename(box.path / "cur/1.evil\x1b:2,", box.path / "cur/1.evil\x1b:2,S")
    assert take(box, store).waiting == 0, "a person has read it"
    assert box.names("cur") == ["1.evil\x1b:2,S", "2.b:2,S"]


def test_a_refused_mail_that_a_person_adds_is_marked_as_read(box, store):
    place = box.put("1.a", b"By the way, see https://site.example/1 and remove it.\n")
    assert take(box, store).waiting == 1
    one = accept(store, place.read_bytes(), channel=Channel.COMMAND, format="list").id
    done = take(box, store)
    assert (done.stored, done.waiting) == ([], 0)
    assert box.names("cur") == ["1.a:2,S"]
    assert [notice.id for notice in notices(store)] == [one]


def test_a_newer_hashscan_reads_refused_mails_again(box, store, monkeypatch):
    place = box.put("1.a", NO_NOTICE)
    assert len(take(box, store).refused) == 1
    assert take(box, store).refused == []
    monkeypatch.setattr(module, "__version__", "99")
    assert len(take(box, store).refused) == 1
    assert take(box, store).refused == []
    assert place.exists()


def test_no_mail_is_read_twice_and_rows_of_removed_mails_go(box, store, monkeypatch):
    for name in ("1.a", "2.b"):
        box.put(name, NO_NOTICE if name == "1.a" else None)
    take(box, store)
    assert set(store.mails()) == {b"1.a", b"2.b"}
    monkeypatch.setattr(module, "open_file", None)
    assert take(box, store).waiting == 1
    (box.path / "cur/2.b:2,S").unlink()
    take(box, store)
    assert set(store.mails()) == {b"1.a"}
    box.put("1.b", NO_NOTICE)
    (box.path / "new/1.a").unlink()
    os.rename(box.path / "new/1.b", box.path / "new/1.a")
    monkeypatch.undo()
    assert len(take(box, store).refused) == 1, "another file of the same name"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes a device")
def test_hostile_entries_are_refused_and_hurt_nobody(box, store, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("https://site.example/secret")
    new = box.path / "new"
    (new / "1.link").symlink_to(secret)
    (new / "2.dangling").symlink_to("/nonexistent")
    os.mkfifo(new / "3.fifo")
    (new / "4.directory").mkdir()
    os.mknod(new / "5.device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(new / "6.socket"))
    os.truncate(box.put("7.giant"), module.MOST_BYTES + 1)
    box.put(".hidden")
    box.put("8.good")
    (box.path / "cur" / "9.loop").symlink_to("9.loop")
    done = take(box, store)
    assert len(done.stored) == 1
    assert secret.exists()
    whys = {os.path.basename(path)[0]: why for path, why in done.refused}
    assert whys["3"] == whys["4"] == whys["5"] == "it is not a regular file"
    assert "has more than" in whys["7"]
    assert all("it cannot be opened: " in whys[one] for one in "1269")
    assert done.waiting == 8
    assert len(done.examples) == 5
    assert take(box, store).refused == []


def test_directories_that_are_links_are_not_followed(box, store, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.a").write_text("https://site.example/")
    for name in ("new", "cur"):
        (box.path / name).rmdir()
        (box.path / name).symlink_to(tmp_path / "elsewhere")
        done = take(box, store)
        assert "cannot be used as a Maildir: " in done.trouble
        assert "check notices.maildir" in done.trouble
        (box.path / name).unlink()
        (box.path / name).mkdir()
    assert notices(store) == []
    assert "No such file" in take_mails(str(tmp_path / "none"), store).trouble


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes files of another user")
def test_a_link_of_the_mail_user_is_not_followed(box, store, tmp_path):
    box.put("1.a")
    (tmp_path / "home").mkdir()
    os.symlink(box.path, tmp_path / "home" / "Maildir")
    for path in (tmp_path / "home", tmp_path / "home" / "Maildir"):
        os.chown(path, 4321, 4321, follow_symlinks=False)
    done = take_mails(str(tmp_path / "home" / "Maildir"), store)
    assert "hashscan does not follow it" in done.trouble
    assert box.names("new") == ["1.a"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes files of another user")
def test_the_maildir_of_another_user(box, store):
    box.put("1.a")
    for place in (box.path, *box.path.iterdir(), box.path / "new" / "1.a"):
        os.chown(place, 4321, 4321)
        place.chmod(0o700)
    assert len(take(box, store).stored) == 1
    status = (box.path / "cur" / "1.a:2,S").stat()
    assert (status.st_uid, status.st_nlink) == (4321, 1)


def test_why_a_maildir_is_unusable(box, tmp_path, monkeypatch):
    assert why_unusable(str(box.path)) is None
    assert "No such file" in why_unusable(str(tmp_path / "none"))
    assert "check notices.maildir: a Maildir has" in why_unusable(str(box.path / "new"))
    monkeypatch.setattr(
        os,
        "access",
        lambda path, *_, dir_fd, **__: "new" not in os.readlink(f"/proc/self/fd/{dir_fd}"),
    )
    assert f"{box.path}/new cannot be read and changed by this user" in why_unusable(str(box.path))


def test_a_mail_that_grows_is_tried_again(box, store, monkeypatch):
    place = box.put("1.a")
    real = module._read_whole

    def grows(fd):
        with place.open("ab") as file:
            file.write(b"x")
        return real(fd)

    monkeypatch.setattr(module, "_read_whole", grows)
    for _ in range(MOST_TRIES + 2):
        done = take(box, store)
        assert (done.stored, done.refused, done.waiting) == ([], [], 1)
        assert "changes while it is read" in done.examples[0].why
    monkeypatch.undo()
    assert len(take(box, store).stored) == 1


def test_a_mail_under_a_lease_is_tried_again(box, store):
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        with box.put("1.a").open("r+b") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            for _ in range(MOST_TRIES + 1):
                done = take(box, store)
                assert (done.stored, done.refused, done.waiting) == ([], [], 1)
                assert "it cannot be opened: Resource temporarily" in done.examples[0].why
    finally:
        signal.signal(signal.SIGIO, before)
    assert len(take(box, store).stored) == 1


def test_rounds_are_bounded_and_the_next_one_goes_on(box, store, monkeypatch):
    monkeypatch.setattr(module, "MOST_MAILS", 3)
    for number in range(7):
        box.put(f"{number}.a")
    assert [(len(one.stored), one.left) for one in (take(box, store) for _ in range(4))] == [
        (3, 4), (3, 1), (1, 0), (0, 0)
    ]  # fmt: skip
    for number in range(3):
        box.put(f"1{number}.b")
    times = iter([0.0, 1.0, 59.0, 60.0])
    done = take(box, store, clock=lambda: next(times))
    assert (len(done.stored), done.left) == (2, 1)


def test_too_many_names_are_reported(box, store, monkeypatch):
    monkeypatch.setattr(module, "MOST_NAMES", 3)
    for number in range(5):
        box.put(f"{number}.a", directory="cur")
    box.put("9.b")
    done = take(box, store)
    assert len(done.stored) == 4
    assert f"{box.path}/cur has more than 3 mails" in done.trouble


def test_a_fault_in_one_mail_does_not_stop_the_others(box, store, monkeypatch):
    real = module.accept

    def faulty(one, content, **more):
        if b"bad" in content:
            raise RecursionError("too deep")
        return real(one, content, **more)

    monkeypatch.setattr(module, "accept", faulty)
    box.put("1.bad")
    box.put("2.good")
    done = take(box, store)
    assert len(done.stored) == 1
    assert done.refused[0].why == "internal error: RecursionError: too deep; please report it"


def test_a_mail_that_needs_too_much_memory_is_given_up(box, store, monkeypatch):
    box.put("1.bad")

    def exhausted(*_given, **_more):
        raise MemoryError

    monkeypatch.setattr(module, "accept", exhausted)
    for _ in range(MOST_TRIES):
        done = take(box, store)
        assert (done.refused, done.waiting) == ([], 1)
        assert done.examples[0].why == "there is too little memory to read it"
    assert f"failed {MOST_TRIES} times" in take(box, store).refused[0].why


def test_a_mail_that_kills_its_reader_is_given_up(box, store):
    box.put("1.bad")
    box.put("2.good")

    class Killed(BaseException):
        pass

    def killed():
        raise Killed

    for _ in range(MOST_TRIES):
        with pytest.raises(Killed):
            take(box, store, before_each=killed)
    done = take(box, store)
    assert len(done.stored) == 1
    assert f"hashscan failed {MOST_TRIES} times" in done.refused[0].why
    assert "1.bad" in box.names("new")


def test_a_mailbox_that_cannot_be_changed(box, store, monkeypatch):
    box.put("1.a")

    def refuses(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module, "put", refuses)
    done = take(box, store)
    assert len(done.stored) == 1
    assert "is stored as a notice, but cannot be marked as read: Operation" in done.trouble
    assert take(box, store).trouble == done.trouble, "tried again, and not read again"
    monkeypatch.undo()
    assert take(box, store).trouble == ""
    assert box.names("cur") == ["1.a:2,S"]
    assert len(notices(store)) == 1


SCRIPT = """
import os, sys
from hashscan.notices import maildir
from hashscan.notices.store import NoticeStore
def around(owner, name):
    real = getattr(owner, name)
    def call(*given, **options):
        os.getppid()
        result = real(*given, **options)
        os.getppid()
        return result
    setattr(owner, name, call)
around(maildir, "put")
for one in ("add", "put_mail", "forget_mails"):
    around(NoticeStore, one)
with NoticeStore(sys.argv[2]) as store:
    done = maildir.take_mails(sys.argv[1], store)
assert not done.trouble, done.trouble
"""


def test_killed_at_any_instant(tmp_path):
    """None lost, none counted twice: killed before and after each step, again and again."""
    with Dying(SCRIPT, "getppid") as dying:
        for step in range(200):
            here = tmp_path / str(step)
            here.mkdir()
            box, path = Box(here / "Maildir"), str(here / "notices.sqlite3")
            box.put("1.a")
            box.put("3.c:2,R", NO_NOTICE, directory="cur")
            killed = dying.run(step, box.path, path).returncode
            kept = [*box.names("new"), *box.names("cur")]
            assert sorted(one.partition(":")[0] for one in kept) == ["1.a", "3.c"]
            with NoticeStore(path) as store:
                take(box, store)
                assert [store.items(one.id)[0].parsed.value for one in notices(store)] == [
                    "https://site.example/1.a"
                ]
                assert box.names("new") == []
                assert box.names("cur") == ["1.a:2,S", "3.c:2,R"]
                assert take(box, store).waiting == 1
            if killed == 0:
                break
        else:
            pytest.fail("it never ended by itself")
        assert step > 10


def test_a_stranger_s_mail_moves_nothing_by_itself(box, store):
    """Anybody can mail a rival's URL; only a verified hotline's mail may move the file."""
    head = b"Authentication-Results: mx.host.example; dmarc=pass header.from=hotline.example\n"
    text = b"From: ntd@hotline.example\nSubject: x\n\nhttps://site.example/"
    box.put("1.a", head + text + b"1\n")
    box.put("2.b", text + b"2\n")
    take(box, store, senders=Senders(("hotline.example",), "mx.host.example"))
    box.put("3.c", head + text + b"3\n")
    take(box, store)
    found = {store.items(one.id)[0].parsed.value[-1]: one.unproven for one in notices(store)}
    assert found["1"] == ""
    assert "says neither dmarc=pass nor dkim=pass for hotline.example" in found["2"]
    assert "notices.senders has no sender" in found["3"]
