"""hashscan.jobs.notices.locate_files, notice_files and notice_returns: each reason why there is no file."""

import errno
import os
from types import SimpleNamespace

import pytest
from isolating import in_mount_namespace, mount, needs_root

from hashscan.config.settings import Settings
from hashscan.errors import StateError
from hashscan.jobs.notices import hash_files as files_module
from hashscan.jobs.notices import locate_files as module
from hashscan.jobs.notices import returned_files as returns_module
from hashscan.jobs.notices.hash_files import (
    MOST_LISTED,
    NamedFilePresence,
    NamedSpot,
    NoticeFiles,
    Peeked,
)
from hashscan.jobs.notices.locate_files import LocatedFiles, WantedFile
from hashscan.jobs.notices.returned_files import Returns
from hashscan.jobs.volume_presence import Seen
from hashscan.model import Digest, FileDigests, Problem
from hashscan.notices.notice import ItemKind, Role
from hashscan.notices.sites.location import Location, LocationKind
from hashscan.scan.hashing import NotHashed

MD5, SHA1 = Digest("md5", "ab" * 16), Digest("sha1", "cd" * 20)
IN = NamedSpot(b"/v", b"www/a")


def item(kind, value, digests=()):
    parsed = SimpleNamespace(kind=kind, value=value, digests=digests)
    return SimpleNamespace(number=5, notice="N1", parsed=parsed, removed=None)


class Files:
    """Files below ``/v``; ``there``: regular files, ``directories``: with their content."""

    def __init__(self):
        self.there, self.directories, self.silent, self.volumes = set(), {}, "", (b"/v", b"/w")

    def spot(self, full, root=None):
        volume = b"/v" if full.startswith(b"/v/") else root
        if volume is None or not full.startswith(volume + b"/"):
            return None
        return NamedSpot(volume, full[len(volume) + 1 :])

    def unreachable(self, _volume):
        return self.silent

    def peek(self, spot, _anchor="", *, directory=False):
        if self.silent:
            return Peeked(NamedFilePresence.UNKNOWN, why=self.silent)
        is_there = spot in self.there or (directory and spot in self.directories)
        return Peeked(NamedFilePresence.THERE if is_there else NamedFilePresence.AWAY)

    def files_in(self, spot):
        return self.directories[spot]


@pytest.fixture
def files():
    return Files()


@pytest.fixture
def places(files):
    one = object.__new__(LocatedFiles)
    one._files, one._finder, one._known, one._scans = files, None, None, {}
    one.location = None
    one._sites = SimpleNamespace(locate=lambda _url: one.location)
    return one


def url(places, kind, path=b"", root=b"/v/www"):
    places.location = Location(kind, root, path, why=("a step", "because"))
    return places.find(item(ItemKind.URL, "https://x.example/a"))


# URLs


def test_a_url_whose_site_cannot_be_decided_waits(places):
    found = url(places, LocationKind.UNDECIDED)
    assert found == WantedFile(why="because", waits=True)


def test_a_file_of_a_site(places):
    assert url(places, LocationKind.FILE, b"a") == WantedFile((IN,))
    found = url(places, LocationKind.FILE, b"a", root=b"/home")
    assert found.spots == (NamedSpot(b"/home", b"a"),), "below no volume"


def test_a_directory_of_a_site(places, files):
    files.directories[IN] = [NamedSpot(b"/v", b"www/a/1"), NamedSpot(b"/v", b"www/a/2")]
    found = url(places, LocationKind.DIRECTORY, b"a")
    assert (found.spots, found.directory, found.waits) == ((IN,), IN, False)
    assert found.parts == tuple(files.directories[IN])
    assert found.why.startswith("/v/www/a is a directory with 2 files; ")
    files.directories[IN] *= MOST_LISTED // 2
    found = url(places, LocationKind.DIRECTORY, b"a")
    assert f"a directory with at least {MOST_LISTED:,} files; " in found.why
    found = url(places, LocationKind.DIRECTORY, root=b"/srv")
    assert (found.waits, found.whole_site, found.spots) == (True, True, ())
    assert found.why == "/srv: the notice names the whole site; decide what to remove"


def test_a_url_without_a_file_names_the_place_where_it_would_be(places, files):
    found = url(places, LocationKind.NO_FILE)
    assert (found.kind, found.why, found.waits) == ("no-file", "because", False)
    assert found.maybe == (IN,)
    found = url(places, LocationKind.SCRIPT)
    assert found.why == "because; find what it shows, and remove that by hand"
    files.silent = "/v: it does not answer"
    found = url(places, LocationKind.NO_FILE)
    assert found == WantedFile(why="/v: it does not answer", waits=True)
    assert url(places, LocationKind.NO_SITE, root=b"").maybe == (), "nobody knows the site"


# Paths


def test_a_path(places, files):
    def find(path):
        return places.find(item(ItemKind.PATH, path))

    found = find("/home/a")
    assert (found.kind, found.why) == ("no-volume", "no configured volume holds /home/a")
    found = find("/v/x/../www/a")
    assert (found.kind, found.maybe, found.waits) == ("no-file", (IN,), False)
    assert found.why == "there is no file /v/www/a"
    files.directories[IN] = []
    assert find("/v/www/a").directory == IN
    files.there.add(IN)
    assert find("/v/www/a") == WantedFile((IN,))
    files.silent = "/v: it does not answer"
    assert find("/v/www/a") == WantedFile(why="/v: it does not answer", waits=True)


# Digests


def scans(**volumes):
    return {f"/{name}".encode(): SimpleNamespace(ended=ended) for name, ended in volumes.items()}


def known(*algorithms, tiers=()):
    tiers = SimpleNamespace(names=tiers)
    return SimpleNamespace(algorithms=algorithms, filters=[SimpleNamespace(tiers=tiers)])


@pytest.fixture
def by_digest(places, monkeypatch):
    def find(by_volume):
        places._scans = by_volume
        return places.find(item(ItemKind.DIGEST, "x", (MD5, SHA1)))

    monkeypatch.setattr(module, "local_time", lambda when: f"at {when}")
    return find


def test_a_digest_waits_for_a_whole_scan_of_each_volume(by_digest):
    found = by_digest(scans(v=5.0))
    assert (found.waits, found.kind) == (True, "")
    assert found.why.startswith("/w was never wholly scanned")


def test_a_digest_of_an_algorithm_that_scans_do_not_compute(places, by_digest):
    places._known = known("sha256")
    found = by_digest(scans(v=5.0, w=6.0))
    assert (found.kind, found.waits) == ("not-computed", False)
    assert found.why.startswith("scans compute only sha256, so no file can be found")
    places._known = known()
    assert "scans compute only no digest" in by_digest(scans(v=5.0, w=6.0)).why
    places._known, places._finder = None, SimpleNamespace(algorithms=lambda: ("sha256",))
    assert by_digest(scans(v=5.0, w=6.0)).kind == "not-computed"
    places._finder = None
    assert by_digest(scans(v=5.0, w=6.0)).kind == "no-file", "nobody knows what is computed"


def test_a_digest_that_no_file_has(places, by_digest):
    places._known = known("sha1")
    found = by_digest(scans(v=5.0, w=3.0))
    assert (found.kind, found.waits) == ("no-file", False)
    assert found.why == "no file in the catalog has the digest; the last whole scan ended at 3.0"
    found = by_digest(scans(v=None, w=None))
    assert found.why == "no file in the catalog has the digest; nothing is scanned"
    places._known = known("sha1", tiers=("size",))
    assert by_digest(scans(v=5.0, w=3.0)).why.endswith("ruled out by size or first block")


# Files


@pytest.fixture
def real(tmp_path):
    (tmp_path / "v").mkdir()
    root = os.fsencode(tmp_path / "v")
    settings = Settings.of(state=str(tmp_path / "s"), volumes=[{"path": str(tmp_path / "v")}])
    answers = {root: Seen(root, None)}
    one = NoticeFiles(settings, probe=lambda paths: [answers[os.fsencode(path)] for path in paths])
    one.root, one.answers = root, answers
    return one


@pytest.mark.parametrize("path", [b"", b"/", b"/../x", b"/./x", b"/a/../../x"])
def test_a_path_that_is_none_of_a_file(real, path):
    assert real.spot(real.root + path) is None


def test_a_file_whose_place_cannot_be_checked_is_not_called_removed(real, monkeypatch):
    spot = NamedSpot(real.root, b"a")
    assert real.peek(spot).presence is NamedFilePresence.AWAY

    def fails(number):
        def stat(*_given, **_named):
            raise OSError(number, os.strerror(number))

        return stat

    with monkeypatch.context() as patch:
        patch.setattr(files_module.os, "stat", fails(errno.EIO))
        found = real.peek(spot)
        assert found.presence is NamedFilePresence.UNKNOWN
        assert found.why == f"{os.fsdecode(spot.full)}: Input/output error"
        patch.setattr(files_module.os, "stat", fails(errno.ENOTDIR))
        assert real.peek(spot).presence is NamedFilePresence.AWAY
    assert real.peek(spot, "elsewhere").presence is NamedFilePresence.UNKNOWN


def test_only_the_first_files_of_a_directory_are_listed(real, tmp_path, monkeypatch):
    for number in range(5):
        (tmp_path / "v" / f"{number}").touch()
    (tmp_path / "v" / "below").mkdir()
    (tmp_path / "v" / "below" / "x").touch()
    monkeypatch.setattr(files_module, "MOST_LISTED", 6)
    (tmp_path / "v" / "sub").mkdir()
    for number in range(7):
        (tmp_path / "v" / "sub" / f"{number}").touch()
    assert real.files_in(NamedSpot(real.root, b"below")) == [NamedSpot(real.root, b"below/x")]
    assert len(real.files_in(NamedSpot(real.root, b"sub"))) == 6


@pytest.mark.root
@needs_root
def test_a_mount_below_the_root_of_a_volume_is_like_a_directory(real, tmp_path):
    below = tmp_path / "v" / "below"
    below.mkdir()

    def run():
        mount("tmpfs", below, "tmpfs")
        (below / "sub").mkdir()
        (below / "sub" / "x").touch()
        assert real.files_in(NamedSpot(real.root, b"below")) == []
        assert real.files_in(NamedSpot(real.root, b"below/sub")) == [
            NamedSpot(real.root, b"below/sub/x")
        ]
        (below / ".hashscan").mkdir(0o700)
        (below / ".hashscan" / "y").touch()
        assert (
            "belongs to hashscan itself"
            in real.hash(NamedSpot(real.root, b"below/.hashscan/y")).message
        )

    in_mount_namespace(run)


# Files that are back


@pytest.fixture
def returns(files):
    one = object.__new__(Returns)
    one._files, one._clock = files, lambda: 9.0
    one._round = SimpleNamespace(lines=[], more=False)
    one.stored, one.content, one.reasons = [], {}, []
    one._store = SimpleNamespace(
        files=lambda _number: one.stored,
        item=lambda number: SimpleNamespace(**{**vars(DIGEST), "number": number}),
        came_back=lambda _number, reason, now: one.reasons.append((reason, now)) or True,
    )
    one._places = SimpleNamespace(
        find=lambda _item, parts: WantedFile() if parts is False else None
    )
    files.spot_of = lambda file: file.spot
    files.hash = lambda spot: one.content.get(spot, NotHashed(Problem.DENIED))
    return one


DIGEST = item(ItemKind.DIGEST, "cd" * 20)
CONTENT = SimpleNamespace(digests=FileDigests(sha1=bytes.fromhex(SHA1.hex)))


def stored(spot, role=Role.NAMED, away=1.0):
    return SimpleNamespace(spot=spot, role=role, digests=(SHA1,), away=away)


def test_a_named_file_is_back_if_its_content_is(returns, files):
    returns.stored = [stored(IN)]
    assert returns.by_place([DIGEST], lambda _number: None) is None
    assert returns.reasons == [], "no file is there"
    files.there.add(IN)
    returns.by_place([DIGEST], lambda _number: None)
    assert returns.reasons == [], "nobody can say what it is"
    returns.content[IN] = SimpleNamespace(digests=FileDigests(sha1=b"x" * 20))
    returns.by_place([DIGEST], lambda _number: None)
    assert returns.reasons == [], "it is another file"
    returns.content[IN] = CONTENT
    returns.by_place([DIGEST], lambda _number: None)
    ((reason, now),) = returns.reasons
    assert (reason.endswith("a file is back at /v/www/a"), now) == (True, 9.0)
    assert returns._round.more
    assert [level for level, _ in returns._round.lines] == ["warning"]


def test_an_item_that_cannot_be_checked_hinders_no_other(returns, files, monkeypatch):
    def find(_item, parts):
        raise StateError("damaged")

    returns._places.find = find
    returns.stored, returns.content[IN] = [stored(IN)], CONTENT
    files.there.add(IN)
    begun = []
    broken = SimpleNamespace(**{**vars(item(ItemKind.URL, "http://x.example/")), "number": 3})
    assert returns.by_place([broken, DIGEST], begun.append) is None
    assert begun == [3, 5]
    assert returns._round.lines[0] == ("warning", "notice N1: http://x.example/: damaged")
    assert len(returns.reasons) == 1


def test_a_search_that_takes_too_long_goes_on_with_the_next_round(returns, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(returns_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    items = [SimpleNamespace(**{**vars(DIGEST), "number": number}) for number in (4, 6, 8)]
    begun = []

    def begins(number):
        begun.append(number)
        clock.now += returns_module._SECONDS / 2 + 0.1

    assert returns.by_place(items, begins) == 6
    assert begun == [4, 6]


def test_content_that_is_elsewhere(returns, files):
    row = SimpleNamespace(volume=b"/v", path=b"www/a")
    for found, spot_of_copy, away, count in (
        (CONTENT, IN, None, 0),  # it was there all the time
        (NotHashed(Problem.DENIED), IN, 1.0, 0),
        (SimpleNamespace(digests=FileDigests(sha1=b"x" * 20)), IN, 1.0, 0),
        (CONTENT, IN, 1.0, 1),
    ):
        returns.stored = [stored(spot_of_copy, Role.COPY, away)]
        files.there, returns.content = {IN}, {IN: found}
        returns.by_content(5, {SHA1}, [row, row])
        assert len(returns.reasons) == count
    assert returns.reasons[0][0].endswith("its content is at /v/www/a")
    files.there = set()
    returns.by_content(5, {SHA1}, [row])
    assert len(returns.reasons) == 1, "the row is that of the removed file"
