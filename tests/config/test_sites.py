"""``sites:`` in the configuration: values as people write them, and what is refused."""

import pytest
from pydantic import ValidationError

from hashscan.config.explain import summary
from hashscan.config.loader import validate
from hashscan.config.settings import Settings
from hashscan.config.yaml_lines import Document
from hashscan.errors import ConfigError


def only(given):
    return Settings.of(sites=[given]).sites[0]


def test_a_host_with_its_root():
    site = only({"host": "*.Example.", "path": "//shop/", "root": "/srv//{host}/htdocs/"})
    assert (site.host, site.path, site.root) == ("*.example", "/shop", "/srv/{host}/htdocs")
    assert site.index == ("index.html", "index.htm", "index.php")
    assert site.source == "host"
    assert only({"host": "[2001:DB8::1]", "root": "/srv"}).host == "2001:db8::1"


def test_other_sources():
    for name in ("nginx", "apache", "userdatadomains", "table"):
        assert only({name: "/etc//x"}).source == name
        assert getattr(only({name: "/etc//x"}), name) == "/etc/x"
    assert only({"command": ["/bin/true", "-x"]}).command == ("/bin/true", "-x")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "none of host, nginx"),
        ({"nginx": "/a", "apache": "/b"}, "more than one of"),
        ({"host": "a.example"}, "has a host and no root"),
        ({"nginx": "/a", "root": "/b"}, "has root, which is for host"),
        ({"host": "http://a.example", "root": "/b"}, "without http://"),
        ({"host": "a.example:80", "root": "/b"}, "without a port"),
        ({"host": "a.example", "root": "srv"}, "not a full path"),
        ({"host": "a.example", "root": "/srv/{domain}"}, "only {host}"),
        ({"host": "a.example", "root": "/srv", "path": "shop"}, "from / on"),
        ({"host": "a.example", "root": "/srv", "path": "/a/../b"}, "from / on"),
        ({"host": "a.example", "root": "/srv", "index": ["a/b"]}, "names of files"),
        ({"command": "/bin/true x"}, "no shell splits it"),
        ({"command": []}, "must name a program"),
        ({"command": ["true"]}, "not a full path"),
        ({"table": "none"}, "none of host, nginx"),
    ],
)
def test_wrong_values_are_refused(given, words):
    with pytest.raises(ValidationError, match=words):
        Settings.of(sites=[given])


def test_files_that_are_named_must_be_there(tmp_path):
    program = tmp_path / "docroot"
    program.touch(mode=0o644)
    sites = [{"nginx": str(tmp_path / "none")}, {"command": [str(program)]}]
    with pytest.raises(ConfigError) as raised:
        validate(Document(data={"sites": sites}))
    message = str(raised.value)
    assert "sites[0].nginx" in message
    assert "no such file" in message
    assert "sites[1].command" in message
    assert "not executable" in message


def test_what_config_check_says():
    sites = [{"host": "*.a", "root": "/srv"}, {"nginx": "/etc/n"}, {"command": ["/bin/x", "y"]}]
    assert (
        dict(summary(Settings.of(sites=sites)))["sites"] == "host *.a, nginx /etc/n, command /bin/x"
    )
    assert dict(summary(Settings.of()))["sites"] == "none: URLs lead to no file"
