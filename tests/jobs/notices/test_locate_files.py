"""hashscan.jobs.notices.locate_files: each reason why there is no file."""

from types import SimpleNamespace

import pytest
from notice_files import IN, Files, item

from hashscan.jobs.notices import locate_files as module
from hashscan.jobs.notices.hash_files import (
    MOST_LISTED,
    NamedSpot,
)
from hashscan.jobs.notices.locate_files import LocatedFiles, NamedFiles
from hashscan.model import Digest
from hashscan.notices.notice import ItemKind
from hashscan.notices.sites.location import Location, LocationKind

MD5, SHA1 = Digest("md5", "ab" * 16), Digest("sha1", "cd" * 20)


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
    assert found == NamedFiles(why="because", waits=True)


def test_a_file_of_a_site(places):
    assert url(places, LocationKind.FILE, b"a") == NamedFiles((IN,))
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
    assert found.why == "because; find the file that the script shows, and remove it by hand"
    files.silent = "/v: it does not answer"
    found = url(places, LocationKind.NO_FILE)
    assert found == NamedFiles(why="/v: it does not answer", waits=True)
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
    assert find("/v/www/a") == NamedFiles((IN,))
    files.silent = "/v: it does not answer"
    assert find("/v/www/a") == NamedFiles(why="/v: it does not answer", waits=True)


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
