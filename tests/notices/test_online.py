"""Whether a URL's content is there: offline only if a noticed file is certainly gone."""

import os
import shutil
import time
from pathlib import Path

import pytest

from hashscan.config.settings import Settings
from hashscan.notices.notice import (
    Channel,
    ItemFile,
    ItemKind,
    ItemState,
    ParsedItem,
    ParsedNotice,
    Role,
)
from hashscan.notices.online import REASONS, check
from hashscan.notices.sites.location import Location, LocationKind
from hashscan.notices.sites.sites import Sites
from hashscan.notices.store import NoticeStore

URL = "http://a.example/img/1.jpg"


class Machine:
    """A site in a directory, and the notices."""

    def __init__(self, directory):
        self.root = directory / "www" / "a.example"
        self.file = self.root / "img" / "1.jpg"
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(b"x")
        (self.root / "other").write_bytes(b"y")
        os.chmod(directory, 0o755)
        sites = [{"host": "*.example", "root": f"{directory}/www/{{host}}"}]
        self.sites = Sites(Settings.of(sites=sites).sites)
        self.store = NoticeStore(str(directory / "notices.sqlite3"))

    def notice(self, url=URL, *states, files=True, away=1.0):
        """A notice of the URL whose item went through these states."""
        added = self.store.add(
            ParsedNotice("list", (ParsedItem(ItemKind.URL, url),)),
            channel=Channel.HTTP, key=os.urandom(8),
        )  # fmt: skip
        (item,) = self.store.items(added.id)
        if files:
            self.store.put_file(
                ItemFile(item.number, Role.NAMED, os.fsencode(self.root), b"img/1.jpg", away=away)
            )
        for state in states:
            self.store.advance(item.number, state)

    def check(self, url=URL, **options):
        found = check(url, self.store, self.sites, **options)
        assert found.reason in REASONS
        return found.presence.value, found.reason


@pytest.fixture
def machine(tmp_path):
    one = Machine(tmp_path)
    yield one
    one.store.close()


REMOVED = (ItemState.LOCATED, ItemState.REMOVED)


@pytest.mark.parametrize("states", [(), (ItemState.LOCATED,), REMOVED, (ItemState.REFUSED,)])
def test_a_file_in_its_place_is_online_whatever_the_notice_says(states, machine):
    assert machine.check() == ("online", "file")
    machine.notice(URL, *states)
    assert machine.check() == ("online", "file")


@pytest.mark.parametrize("states", [(), (ItemState.LOCATED,), REMOVED, (ItemState.GONE,)])
def test_a_noticed_file_that_is_away_is_offline(states, machine):
    machine.notice(URL, *states)
    machine.file.unlink()
    assert machine.check() == ("offline", "removed")
    assert machine.check("https://A.EXAMPLE:443/img/./1.jpg#x") == ("offline", "removed")
    machine.file.write_bytes(b"again")
    assert machine.check() == ("online", "file")


@pytest.mark.parametrize("states", [(), (ItemState.LOCATED,), REMOVED])
def test_a_file_whose_removal_the_daemon_has_not_seen_is_not_offline(states, machine):
    """The daemon knows the file system on which the file was; it may not be mounted now."""
    machine.notice(URL, *states, away=None)
    machine.notice(URL, *REMOVED)
    machine.file.unlink()
    for trust_sites in (False, True):
        assert machine.check(trust_sites=trust_sites) == ("unknown", "unconfirmed")


def test_the_answer_has_the_time_of_the_removal(machine):
    machine.notice(URL, *REMOVED)
    machine.file.unlink()
    found = check(URL, machine.store, machine.sites)
    assert time.time() - 120 < found.removed <= time.time()


def test_a_url_that_never_led_to_a_file_is_not_offline(machine):
    """The hotline saw something there, so the map of sites may be wrong."""
    url = "http://a.example/never.jpg"
    assert machine.check(url) == ("unknown", "never-here")
    machine.notice(url, ItemState.NOT_HERE, files=False)
    assert machine.check(url) == ("unknown", "never-here")
    assert machine.check(url, trust_sites=True) == ("offline", "absent")
    assert check(url, None, machine.sites).presence == "unknown"


def test_the_path_of_an_item_without_files_is_checked(machine):
    machine.notice(URL, files=False)
    (item,) = machine.store.open_items()
    (machine.file.parent / "2.jpg").touch()
    machine.file.unlink()
    machine.store.advance(item.number, ItemState.LOCATED, path=os.fsencode(machine.file))
    assert machine.check() == ("unknown", "unconfirmed")
    machine.store.advance(item.number, ItemState.GONE)
    assert machine.check() == ("offline", "removed")


@pytest.mark.parametrize("missing", ["root", "everything", "content"])
def test_a_directory_that_is_not_mounted_is_not_offline(missing, machine):
    machine.notice(URL, *REMOVED)
    shutil.rmtree(machine.root if missing != "everything" else machine.root.parent)
    if missing == "content":
        machine.root.mkdir()
    for trust_sites in (False, True):
        assert machine.check(trust_sites=trust_sites)[0] == "unknown"
    if missing == "content":
        assert machine.check()[1] == "not-there"


@pytest.mark.parametrize("root", [b"", b"missing", b"file"])
def test_a_site_without_its_directory_is_not_offline(root, machine):
    """As a site of nginx whose root is missing is answered."""

    class Sites:
        @staticmethod
        def locate(_):
            return Location(
                LocationKind.NO_FILE, root and os.fsencode(machine.root.parent) + b"/" + root
            )

    (machine.root.parent / "file").touch()
    machine.notice(URL, *REMOVED)
    machine.file.unlink()
    machine.sites = Sites
    assert machine.check(trust_sites=True) == ("unknown", "not-there")


@pytest.mark.parametrize("left", ["empty", "nothing"])
def test_a_file_whose_volume_is_not_mounted_is_not_offline(left, machine):
    """The site is elsewhere now, and is there."""
    machine.notice(URL, *REMOVED)
    other = machine.root.parent / "other"
    other.mkdir()
    (other / "index.html").touch()
    machine.sites = Sites(Settings.of(sites=[{"host": "a.example", "root": str(other)}]).sites)
    shutil.rmtree(machine.root)
    if left == "empty":
        machine.root.mkdir()
    assert machine.check() == ("unknown", "not-there")


@pytest.mark.parametrize("role", [Role.PART, Role.COPY])
def test_other_files_of_an_item_do_not_count(role, machine):
    machine.notice(URL, *REMOVED)
    (item,) = machine.store.items_of(ItemState.REMOVED)
    machine.store.put_file(ItemFile(item.number, role, os.fsencode(machine.root), b"other"))
    machine.file.unlink()
    assert machine.check() == ("offline", "removed")


def test_a_noticed_file_that_another_site_may_show_is_not_offline(machine):
    machine.notice(URL, ItemState.LOCATED)
    machine.sites = Sites(
        Settings.of(sites=[{"host": "a.example", "root": f"{machine.root}/new"}]).sites
    )
    Path(machine.root / "new").mkdir()
    Path(machine.root / "new" / "other").touch()
    assert machine.check() == ("unknown", "elsewhere")
    assert machine.check(trust_sites=True) == ("unknown", "elsewhere")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://elsewhere.test/1.jpg", "no-site"),
        ("http://a.example/img/", "directory"),
        ("http://a.example/script.php", "script"),
        ("http://a.example/out/1.jpg", "undecided"),
        ("ftp://a.example/img/1.jpg", "undecided"),
    ],
)
def test_what_hashscan_cannot_decide_is_not_offline(url, reason, machine):
    (machine.root / "script.php").write_bytes(b"<?php")
    os.symlink("/etc", machine.root / "out")
    machine.notice(url, *REMOVED, files=False)
    for trust_sites in (False, True):
        assert machine.check(url, trust_sites=trust_sites) == ("unknown", reason)


def test_a_link_that_a_customer_put_in_the_place_is_not_offline(machine):
    machine.notice(URL, *REMOVED)
    machine.file.unlink()
    os.symlink("/etc/passwd", machine.file)
    presence, _ = machine.check()
    assert presence == "unknown"
    machine.file.unlink()
    os.symlink("../other", machine.file)
    assert machine.check() == ("online", "file")
