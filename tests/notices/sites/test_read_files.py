"""Configurations are read again after a change of any file or name that they were read from."""

import itertools
import os

import pytest

from hashscan.config.settings import Settings
from hashscan.notices.sites import apache, nginx, plain
from hashscan.notices.sites.sites import Sites

NGINX = "events {}\nhttp { include sites/*.conf; include one; }\n"
APACHE = "ServerRoot %s\nIncludeOptional sites/*.conf\nInclude one\n<IfFile extra>\nInclude extra\n</IfFile>\n"
KINDS = {
    "nginx": (NGINX, "server { server_name %s; root /srv/%s; }\n"),
    "apache": (
        APACHE,
        "<VirtualHost *:80>\nServerName %s\nDocumentRoot /srv/%s\n</VirtualHost>\n",
    ),
    "table": ("", "%s /srv/%s\n"),
}


class Place:
    """A configuration whose files seem to be old, so that a change shows in their stamps."""

    def __init__(self, directory, kind):
        self.directory = directory
        self.text, self.host = KINDS[kind]
        (directory / "sites").mkdir()
        self.write("sites/a.conf", self.host % ("a.example", "a"))
        self.write("one", self.host % ("one.example", "one"))
        self.write("main", self.text % directory if "%s" in self.text else self.text)
        if kind == "table":
            self.write("main", self.host % ("a.example", "a"))
        self.sites = Sites(Settings.of(sites=[{kind: str(directory / "main")}]).sites)

    def write(self, name, text):
        (self.directory / name).write_text(text)


@pytest.fixture
def reads(monkeypatch):
    """How often a configuration was read; files that were changed now count as old."""
    monkeypatch.setattr("hashscan.notices.sites.read_files._RACY", -(10**18))
    found = []
    for owner, name in (
        (nginx, "Configuration"), (apache.ApacheReader, "main"), (plain.HostTable, "_read"),
    ):  # fmt: skip
        real = getattr(owner, name)

        def counted(*given, real=real):
            found.append(1)
            return real(*given)

        monkeypatch.setattr(owner, name, counted)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_read_again_until_something_changes(tmp_path, reads, kind):
    place = Place(tmp_path, kind)
    for _ in range(3):
        place.sites.renew()
        place.sites.locate("http://a.example/")
    assert len(reads) == 1
    os.utime(tmp_path / "main")
    place.sites.renew()
    place.sites.locate("http://a.example/")
    assert len(reads) == 2


CHANGES = ("new", "removed", "included", "same size and time", "another file", "missing")


@pytest.mark.parametrize(
    ("kind", "change"),
    [*itertools.product(("nginx", "apache"), CHANGES), ("apache", "IfFile")],
)
def test_each_change_is_seen(tmp_path, reads, kind, change):
    place = Place(tmp_path, kind)
    place.sites.locate("http://a.example/")
    other = place.host % ("b.example", "b")
    first = tmp_path / "sites/a.conf"
    if change == "new":
        place.write("sites/b.conf", other)
    elif change == "removed":
        first.unlink()
    elif change == "included":
        place.write("one", other)
    elif change == "same size and time":
        status = first.stat()
        first.write_text(other)
        os.utime(first, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == "another file":
        place.write("other", other)
        first.unlink()
        first.symlink_to(tmp_path / "other")
    elif change == "missing":
        (tmp_path / "one").unlink()
    else:
        place.write("extra", other)
    place.sites.renew()
    found = place.sites.locate("http://b.example/")
    assert len(reads) == 2
    if change not in {"removed", "missing"}:
        assert b"/srv/b" in found.root
    place.sites.renew()
    place.sites.locate("http://b.example/")
    assert len(reads) == (3 if change == "missing" else 2), "what cannot be read is tried again"


def test_a_file_that_changed_a_moment_ago_is_read_once_more(tmp_path):
    place = Place(tmp_path, "table")
    before = place.sites._sources[0]
    place.sites.locate("http://a.example/")
    place.sites.renew()
    assert place.sites._sources[0] is not before, "it may change again under the same stamp"


def test_a_broken_configuration_is_read_once_for_many_questions(tmp_path, reads):
    place = Place(tmp_path, "nginx")
    place.write("one", "server {")
    for _ in range(3):
        assert place.sites.locate("http://a.example/").kind == "undecided"
    assert len(reads) == 1
    place.write("one", "")
    place.sites.renew()
    assert place.sites.locate("http://a.example/").kind != "undecided"
