"""hashscan.jobs: verdicts, volumes and matches, as rounds over notices and status see them."""

import errno
import os
from types import SimpleNamespace

import pytest
from faulty import raising

from hashscan.config.settings import Settings
from hashscan.errors import CredentialsError, ExitCode, ServiceError
from hashscan.jobs import status_complaints, volume_presence
from hashscan.jobs.notices.act import NoticeActs, Verdict
from hashscan.jobs.notices.hash_files import NamedFilePresence, NamedSpot, NoticeFiles
from hashscan.jobs.notices.locate_files import LocatedFiles
from hashscan.jobs.volume_presence import Seen
from hashscan.model import Answer, Digest, FileDigests, FilterHit, Identity
from hashscan.notices.notice import ItemState

MD5, SHA1 = Digest("md5", "ab" * 16), Digest("sha1", "cd" * 20)
HITS = (FilterHit(MD5, "first", "1"), FilterHit(SHA1, "second", "1"))
FILE = SimpleNamespace(digests=FileDigests(md5=b"m" * 16, sha1=b"s" * 20))


class Service:
    """Gives the answers, or raises the errors, of ``says`` by the digest."""

    def __init__(self):
        self.says, self.asked, self.made, self.closed = {}, [], 0, 0

    def make(self):
        self.made += 1
        return self

    def confirm(self, digest):
        self.asked.append(digest)
        answer = self.says[digest]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        self.closed += 1


@pytest.fixture
def service():
    return Service()


@pytest.fixture(params=[True, False])
def acts(request, service, monkeypatch):
    monkeypatch.setattr("hashscan.jobs.notices.act.hits", lambda _filters, _digests: HITS)
    known = SimpleNamespace(filters=(), make_confirmer=service.make, remote=request.param)
    with NoticeActs(Settings.of(state="/state"), None, known, print, recorder=None) as one:
        yield one
    assert service.closed == (service.made if request.param else 0), "a local one is the daemon's"


def test_the_first_hit_that_is_confirmed_is_the_verdict(acts, service):
    service.says = {MD5: Answer(known=False), SHA1: Answer(known=True, category="theirs")}
    for _ in range(2):
        assert acts.verdict(FILE) == Verdict(HITS[1], "theirs")
    assert service.asked == [MD5, SHA1], "answers are remembered"
    assert service.made == 1
    service.says[SHA1] = Answer(known=True)
    acts._answers.clear()
    assert acts.verdict(FILE) == Verdict(HITS[1], "second")


def test_a_service_that_does_not_answer_is_asked_for_the_next_digest(acts, service):
    service.says = {MD5: ServiceError("no route"), SHA1: ServiceError("another")}
    assert acts.verdict(FILE) == Verdict(pending="no route")
    assert service.asked == [MD5, SHA1]
    service.says[SHA1] = Answer(known=True)
    assert acts.verdict(FILE) == Verdict(HITS[1], "second")


def test_a_refused_password_is_asked_for_once_in_a_round(acts, service):
    service.says = {MD5: CredentialsError("401"), SHA1: Answer(known=True)}
    for _ in range(2):
        assert acts.verdict(FILE).pending == str(service.says[MD5])
    assert service.asked == [MD5]


def test_without_a_list_no_verdict():
    with NoticeActs(
        Settings.of(state="/state"), None, None, print, why_unknown="why", recorder=None
    ) as acts:
        assert acts.verdict(FILE).pending == "no list can be asked: why"


# Volumes


def test_each_volume_is_checked_once_in_a_round():
    probed = []

    def probe(paths):
        probed.append(paths)
        answers = {
            "/a": Seen(b"/a", None, mounted=True), "/b": Seen(b"/really/b", "gone"),
            "/c": Seen(b"/c", None),
        }  # fmt: skip
        return [answers[path] for path in paths]

    settings = Settings.of(state="/state", volumes=[{"path": "/a"}, {"path": "/b"}])
    files = NoticeFiles(settings, was_mounted=lambda root: root in {b"/a", b"/c"}, probe=probe)
    assert files.volumes == (b"/a", b"/really/b")
    for _ in range(2):
        assert files.unreachable(b"/a") == ""
        assert files.unreachable(b"/really/b") == "/really/b: gone"
        assert files.unreachable(b"/c") == "/c: its file system is not mounted"
    assert probed == [["/a", "/b"], ["/c"]]
    assert files.spot(b"/b/x") == (b"/really/b", b"x")
    assert files.spot(b"/a/x/") == (b"/a", b"x")
    assert files.spot(b"/other/x") is None
    assert files.spot(b"/other/x", b"/other/") == (b"/other/", b"x")


def test_what_a_check_of_a_volume_finds(tmp_path, monkeypatch):
    root = os.fsencode(tmp_path)
    table = SimpleNamespace(is_mounted=lambda path: path == root)
    status = os.stat(tmp_path)
    seen = volume_presence.look_at(root, table)
    assert seen == Seen(root, None, Identity(status.st_dev, status.st_ino), True, True)
    (tmp_path / "x").touch()
    assert volume_presence.look_at(root, table).empty is False
    gone = volume_presence.look_at(root + b"/none", table)
    assert gone == Seen(
        root + b"/none", "it cannot be opened: No such file or directory", number=errno.ENOENT
    )
    monkeypatch.setattr(volume_presence, "open_root", raising(errno.EMFILE))
    limited = volume_presence.look_at(root, table)
    assert limited.error.startswith("it cannot be opened: too many open files: this process may")
    assert limited.number == errno.EMFILE


def test_without_proc_the_kernel_says_what_is_mounted(tmp_path, monkeypatch):
    monkeypatch.setattr(volume_presence, "mounts_now", raising(errno.ENOENT))
    assert volume_presence._is_mounted(b"/proc", None) is True
    assert volume_presence._is_mounted(os.fsencode(tmp_path), None) is False
    monkeypatch.setattr(volume_presence, "mounts_now", raising(errno.EIO))
    with pytest.raises(OSError):
        volume_presence._is_mounted(b"/", None)


def test_which_mounts_below_a_volume_were_unmounted(monkeypatch):
    class Table:
        """Mounts by their place: number and kind."""

        def __init__(self, **mounts):
            self.mounts = {b"/" + os.fsencode(name): one for name, one in mounts.items()}

        def below(self, _root):
            return [
                SimpleNamespace(where=where, number=number)
                for where, (number, _) in self.mounts.items()
            ]

        def kind(self, where):
            return self.mounts.get(where, (0, None))[1]

    before = Table(v=(1, b"ext4"), a=(2, b"ext4"), b=(3, b"nfs"), c=(4, b"nfs"))
    monkeypatch.setattr(volume_presence, "mounts_now", lambda: before)
    unmounted = volume_presence.follow_mounts(b"/v")
    assert unmounted() == []
    after = Table(a=(2, b"ext4"), b=(9, b"autofs"), c=(8, b"nfs"))
    monkeypatch.setattr(volume_presence, "mounts_now", lambda: after)
    assert unmounted() == [b"/c"], "the root itself is checked elsewhere"


# Complaints


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("no room", "2 matches could not be moved, e.g. /v/a: no room"),
        ("/v/a: no room", "2 matches could not be moved, e.g. /v/a: no room"),
    ],
)
def test_a_match_that_could_not_be_moved_is_named_once(why, words):
    found = SimpleNamespace(unmoved=(2, b"/v/a", why), reported=0, holds=())
    (one,) = status_complaints._matches(found)
    assert (one.message, one.code) == (words, ExitCode.MATCHES)
    found = SimpleNamespace(unmoved=None, reported=1, holds=(), reports_only="service.test is true")
    (one,) = status_complaints._matches(found)
    assert one.message == "1 match not moved, because service.test is true"
    assert (
        list(status_complaints._matches(SimpleNamespace(unmoved=None, reported=0, holds=()))) == []
    )


# Places


@pytest.mark.parametrize(
    ("named", "record", "found", "state", "words"),
    [
        ([], None, None, ItemState.NOT_HERE, "no-file: why"),
        ([1], None, None, ItemState.GONE, "it was at /v/named before"),
        ([1], None, 1, ItemState.GONE, "the last scan found a file at /v/maybe, which is not"),
        ([1], 1, 1, ItemState.GONE, "quarantined before, then as id7"),
    ],
)
def test_an_item_without_a_file_is_gone_if_a_file_was_here(named, record, found, state, words):
    maybe, other = NamedSpot(b"/v", b"maybe"), NamedSpot(b"/v", b"named")
    places = object.__new__(LocatedFiles)
    places._store = SimpleNamespace(removed_before=lambda _item: None, files=lambda _item: named)
    peeked = SimpleNamespace(presence=NamedFilePresence.UNKNOWN)
    places._files = SimpleNamespace(spot_of=lambda _file: other, peek=lambda _spot: peeked)
    moved = SimpleNamespace(acted="then", id="id7") if record else None
    places._acts = SimpleNamespace(
        moved=lambda full, _notice: (full == b"/v/named" and moved) or None
    )
    places._finder = SimpleNamespace(at=lambda _root, path: found if path == b"maybe" else None)
    item = SimpleNamespace(number=1, notice="n", parsed=SimpleNamespace(digests=()))
    wanted = SimpleNamespace(maybe=[maybe], kind="", why="why")
    gone, why = places._gone(item, wanted)
    assert gone is state
    assert why.startswith(words)
    peeked.presence = NamedFilePresence.THERE
    gone, _ = places._gone(item, wanted)
    assert gone is (ItemState.GONE if named else ItemState.NOT_HERE)
