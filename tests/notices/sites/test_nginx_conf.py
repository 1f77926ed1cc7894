"""nginx's files become servers with their sockets and names."""

import socket

import pytest
from located_sites import by_nginx
from nginx_parts import configuration, directives

from hashscan.config.sites import SiteSettings
from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.nginx_conf import Listen, ListenGroup, own, setting
from hashscan.notices.sites.sites import Sites


def test_the_innermost_level_decides_a_setting(tmp_path):
    text = "http { root /a; index x; index y; server { root /b; root /c; location / { } } }"
    (server,) = configuration(tmp_path, text).servers
    assert [one.args for one in setting(server.levels, "root")] == [("/b",), ("/c",)]
    assert [one.args for one in setting(server.levels, "index")] == [("x",), ("y",)]
    assert setting(server.levels, "alias") == []
    assert own(server.levels[-1], "root").args == ("/c",)
    assert own(server.levels[-1], "index") is None
    assert {one.name for one in server.levels[0]} == {"root", "index"}
    assert server.where == f"{tmp_path}/nginx.conf:1"


def test_words_in_quotes_and_escapes(tmp_path):
    text = 'set $a "b c" \'d\' e\\"f;\nset $b "\\t\\n\\r\\\\" \\.php;'
    first, second = directives(tmp_path, text)
    assert first.args == ("$a", "b c", "d", 'e"f')
    assert second.args == ("$b", "\t\n\r\\", "\\.php")
    assert second.where == f"{tmp_path}/nginx.conf:3"


@pytest.mark.parametrize(
    ("text", "listens"),
    [
        ("", [Listen("*", 80, default=False)]),
        ("listen 8080;", [Listen("*", 8080, default=False)]),
        ("listen *:81 default_server;", [Listen("*", 81, default=True)]),
        ("listen 0.0.0.0:81 ssl default;", [Listen("*", 81, default=True)]),
        ("listen [::]:443 ssl;", [Listen("*", 443, default=False)]),
        ("listen 192.0.2.1;", [Listen("192.0.2.1", 80, default=False)]),
        ("listen 192.0.2.1:81;", [Listen("192.0.2.1", 81, default=False)]),
        ("listen [2001:DB8::1]:81;", [Listen("2001:db8::1", 81, default=False)]),
        ("listen [2001:db8::1];", [Listen("2001:db8::1", 80, default=False)]),
        ("listen A.example:81;", [Listen("a.example", 81, default=False)]),
        ("listen unix:/run/a.sock;", []),
        ("listen 80; listen 443 ssl;", [Listen("*", 80, default=False), Listen("*", 443, default=False)]),
    ],
)  # fmt: skip
def test_sockets(tmp_path, text, listens):
    (server,) = configuration(tmp_path, f"http {{ server {{ {text} }} }}").servers
    assert server.listens == listens


def group(top, *names):
    text = "".join(f"server {{ server_name {one}; }}\n" for one in names)
    return ListenGroup(configuration(top, f"http {{ server {{ }}\n{text} }}").servers)


@pytest.mark.parametrize(
    ("names", "host", "line"),
    [
        (["a.example", "A.EXAMPLE"], "a.example", 2),
        (["~^a", "a.*", "*.example", "a.example"], "a.example", 5),
        (["~^a", "a.*", "*.example"], "a.example", 4),
        (["~^a", "a.*"], "a.example", 3),
        (["~^a"], "a.example", 2),
        (["~^A"], "a.example", 2),
        (["~example$", "~^a"], "a.example", 2),
        (["*.example", "*.b.example"], "a.b.example", 3),
        (["*.b.example"], "b.example", None),
        (["*.example"], ".example", None),
        ([".b.example"], "b.example", 2),
        ([".b.example"], "a.b.example", 2),
        (["a.*", "a.b.*"], "a.b.example", 3),
        (["a.*"], "a.", None),
        (["bücher.example"], "xn--bcher-kva.example", 2),
        (["*.bücher.example"], "a.xn--bcher-kva.example", 2),
        (["bücher.*"], "xn--bcher-kva.example", 2),
        (['""'], "", None),
        (["b.example c.example"], "c.example", 2),
        (["$hostname"], socket.gethostname().lower(), 2),
        (["a.example"], "b.example", None),
    ],
)
def test_which_server_has_a_name(tmp_path, names, host, line):
    found = group(tmp_path, *names).find(host)
    assert (found and found[0].where) == (line and f"{tmp_path}/nginx.conf:{line}")


def test_captures_of_a_name(tmp_path):
    found = group(tmp_path, "~^(?<name>[a-z]+)[.](.*)$").find("a.example")
    assert found[1] == {"0": b"a.example", "1": b"a", "2": b"example", "name": b"a"}
    assert group(tmp_path, "a.example").find("a.example")[1] == {}


def test_the_first_server_of_a_socket_is_the_default(tmp_path):
    assert group(tmp_path, "a.example").default.where == f"{tmp_path}/nginx.conf:1"


def test_upstreams_have_their_first_server(tmp_path):
    text = "http { upstream a { zone x; server b:81 weight=2; server c; } upstream none { } }"
    assert configuration(tmp_path, text).upstreams == {"a": "b:81"}


def test_included_files_are_read_in_the_order_of_their_names(tmp_path):
    (tmp_path / "sites").mkdir()
    for name in ("b", "a", "c"):
        (tmp_path / "sites" / f"{name}.conf").write_text(f"server {{ server_name {name}; }}")
    text = f"http {{ include sites/[ab].conf; include {tmp_path}/sites/c.conf; include none/*; }}"
    servers = configuration(tmp_path, text).servers
    assert [(*one.exact, one.where) for one in servers] == [
        (name, f"{tmp_path}/sites/{name}.conf:1") for name in "abc"
    ]


def test_a_configuration_has_two_million_directives_at_most(tmp_path, monkeypatch):
    monkeypatch.setattr("hashscan.notices.sites.nginx_conf._MOST_DIRECTIVES", 4)
    assert configuration(tmp_path, "http { root /a; index b; index c; }").servers == []
    with pytest.raises(UndecidedError, match="more than 2,000,000 directives"):
        configuration(tmp_path, "http { root /a; index b; index c; index d; }")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http { server { root /a;", "unexpected end of file"),
        ("http { } }", 'unexpected "}"'),
        ("include none.conf;", "No such file"),
        ("include nginx.conf;", "includes itself"),
        ("http {\ninclude; }", "nginx.conf:2: include names no file"),
        ("http { server { server_name ~(; } }", "is not understood"),
        ("http { " + "location / { " * 41 + "}" * 42, "blocks are too deep"),
    ],
)
def test_a_configuration_that_cannot_be_read(tmp_path, text, words):
    location = by_nginx(tmp_path, text, "http://a.example/a")
    assert location.kind.value == "undecided"
    assert words in location.reason


def test_a_configuration_that_is_missing_is_named(tmp_path):
    settings = [SiteSettings(nginx=f"{tmp_path}/none.conf")]
    location = Sites(settings).locate("http://a.example/")
    assert location.reason.endswith(
        f"cannot be read: {tmp_path}/none.conf: No such file or directory"
    )
