"""Sites by hand, from tables and from a command."""

import os
import time

import pytest
from site_trees import plant

from hashscan.config.settings import Settings
from hashscan.notices.sites.location import LocationKind
from hashscan.notices.sites.plain import Command
from hashscan.notices.sites.sites import Sites


def sites(*given):
    return Sites(Settings.of(sites=given).sites)


def answer(found, url):
    location = found.locate(url)
    return location.kind.value, os.fsdecode(location.path)


@pytest.fixture
def www(tmp_path):
    plant(tmp_path / "a.example" / "htdocs", "a.jpg", "dir/index.htm", "bare/b.jpg", "run.php")
    plant(tmp_path / "blog.example" / "htdocs", "index.php", "c.jpg")
    plant(tmp_path / "shop", "s.jpg")
    return tmp_path


def test_hosts_fit_a_pattern(www):
    found = sites(
        {"host": "a.example", "path": "/shop", "root": str(www / "shop")},
        {"host": "*.example", "root": f"{www}/{{host}}/htdocs"},
    )
    for url, expected in (
        ("http://a.example/a.jpg", ("file", "a.jpg")),
        ("https://A.EXAMPLE:8443/%61.jpg?q#f", ("file", "a.jpg")),
        ("http://a.example/dir", ("file", "dir/index.htm")),
        ("http://a.example/bare", ("directory", "bare")),
        ("http://a.example/", ("directory", "")),
        ("http://a.example/run.php/x", ("script", "run.php")),
        ("http://a.example/a.jpg/", ("no-file", "")),
        ("http://a.example/none.jpg", ("no-file", "")),
        ("http://a.example/..%2f..%2fshop/s.jpg", ("no-file", "")),
        ("http://a.example/%00", ("no-file", "")),
        ("http://a.example/shop/s.jpg", ("file", "s.jpg")),
        ("http://a.example/shopping/s.jpg", ("no-file", "")),
        ("http://a.example/shop", ("directory", "")),
        ("http://blog.example/", ("script", "index.php")),
        ("http://blog.example/2026/post", ("script", "index.php")),
        ("http://blog.example/2026/none.jpg", ("no-file", "")),
        ("http://b.example/a.jpg", ("no-site", "")),
        ("http://other.test/a.jpg", ("no-site", "")),
        ("ftp://a.example/a.jpg", ("undecided", "")),
    ):
        assert answer(found, url) == expected, url
    location = found.locate("http://a.example/shop/s.jpg")
    assert location.root == os.fsencode(www / "shop")
    assert location.full == os.fsencode(www / "shop" / "s.jpg")
    assert "sites[0] (host a.example) fits" in location.why[0]


def test_unicode_hosts(www):
    found = sites({"host": "*.bücher.example", "root": str(www / "shop")})
    assert answer(found, "http://a.BÜCHER.example/s.jpg") == ("file", "s.jpg")
    assert answer(found, "http://a.xn--bcher-kva.example/s.jpg") == ("file", "s.jpg")


@pytest.mark.root
def test_a_customers_link_is_no_root(www):
    (www / "evil").symlink_to(www / "shop")
    os.lchown(www / "evil", 4242, 4242)
    found = sites({"host": "*", "root": str(www / "evil")})
    location = found.locate("http://a.example/s.jpg")
    assert location.kind is LocationKind.UNDECIDED
    assert "does not follow it" in location.reason


def test_links_are_named(www):
    (www / "shop" / "in.jpg").symlink_to("s.jpg")
    (www / "shop" / "out.jpg").symlink_to("/etc/passwd")
    found = sites({"host": "*", "root": str(www / "shop")})
    location = found.locate("http://a.example/in.jpg")
    assert (location.kind, location.path) == (LocationKind.FILE, b"s.jpg")
    assert "in.jpg is a symbolic link" in " ".join(location.why)
    location = found.locate("http://a.example/out.jpg")
    assert location.kind is LocationKind.UNDECIDED
    assert "/etc/passwd" in location.reason


def test_the_table_of_cpanel(www):
    table = www / "userdatadomains"
    table.write_text(
        f"shop.example: bob==root==main==shop.example=={www}/shop==192.0.2.1:80==192.0.2.1:443====0\n"
        f"*.wild.example: bob==root==sub==shop.example=={www}/shop==192.0.2.1:80\n"
        "broken\nnone.example: bob==root\n"
    )
    found = sites({"userdatadomains": str(table)})
    for host in ("shop.example", "www.shop.example", "x.wild.example"):
        assert answer(found, f"http://{host}/s.jpg") == ("file", "s.jpg")
    for host in ("none.example", "broken", "x.shop.example"):
        assert answer(found, f"http://{host}/s.jpg") == ("no-site", "")


def test_a_table_has_a_root_for_each_host(www):
    table = www / "table"
    table.write_text(
        f"# hosts\nSHOP.example\t{www}/shop\na.example {www}/a.example/htdocs\nx.example x\n"
    )
    found = sites({"table": str(table)})
    assert answer(found, "http://shop.example/s.jpg") == ("file", "s.jpg")
    assert answer(found, "http://a.example/a.jpg") == ("file", "a.jpg")
    assert answer(found, "http://x.example/a.jpg") == ("no-site", "")
    table.unlink()
    assert answer(sites({"table": str(table)}), "http://shop.example/s.jpg")[0] == "undecided"


def program(www, text):
    path = www / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path), "word"]


def test_a_command_gets_the_host_as_its_last_argument(www):
    words = program(www, f'[ "$1 $2" = "word shop.example" ] && echo {www}/shop; exit 0')
    found = sites({"command": words})
    assert answer(found, "http://Shop.Example./s.jpg") == ("file", "s.jpg")
    assert answer(found, "http://a.example/s.jpg") == ("no-site", "")
    assert answer(found, "http://-v.example/s.jpg") == ("no-site", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exit 3", "ended with code 3"),
        ("echo shop", "prints no full path: shop"),
        ("echo /a; echo /b", "prints no full path"),
        ("while :; do echo 0123456789012345678901234567890123456789; done", "more than 64 KiB"),
        ("kill -9 $$", "ended with code -9"),
    ],
)
def test_a_command_that_fails(www, text, words):
    location = sites({"command": program(www, text)}).locate("http://a.example/")
    assert location.kind is LocationKind.UNDECIDED
    assert words in location.reason


def test_a_command_that_does_not_end_is_ended_with_its_children(www):
    words = program(www, f"sleep 1000 & echo $! > {www}/child; exec sleep 1000")
    settings = Settings.of(sites=[{"command": words}]).sites[0]
    found = sites()
    found._sources = [Command("the command", settings, seconds=0.3)]
    location = found.locate("http://a.example/")
    assert "did not end within" in location.reason
    child = int((www / "child").read_text())
    for _ in range(200):  # init takes it in its own time
        try:
            with open(f"/proc/{child}/stat") as stat:
                if stat.read().split()[2] == "Z":
                    break
        except FileNotFoundError:
            break
        time.sleep(0.01)
    else:
        raise AssertionError("the child lives")


def test_a_redirect_of_the_environment_is_no_way_in(www, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "/tmp/evil.so")
    words = program(www, 'env | grep -q LD_PRELOAD && exit 9; echo ""')
    assert answer(sites({"command": words}), "http://a.example/")[0] == "no-site"
