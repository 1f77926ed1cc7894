"""The phases of a request to nginx that no comparison with a running server shows."""

import os

import pytest
from located_sites import by_nginx
from nginx_parts import configuration
from site_trees import plant

from hashscan.notices.sites.address import Address, parse
from hashscan.notices.sites.disk import Disk
from hashscan.notices.sites.nginx_request import NginxRequest


def test_the_usual_redirect_to_https(tmp_path):
    plant(tmp_path / "www", "a.jpg")
    text = f"""http {{
      server {{ server_name a.example; if ($host = a.example) {{ return 301 https://$host$request_uri; }}
        return 404; }}
      server {{ listen 443 ssl; server_name a.example; root {tmp_path}/www; }} }}"""
    location = by_nginx(tmp_path, text, "http://a.example/a.jpg?x=1")
    assert (location.kind.value, location.path) == ("file", b"a.jpg")
    assert "redirects to https://a.example/a.jpg?x=1" in " ".join(location.why)


def test_a_server_behind_it_answers_for_what_is_passed_on(tmp_path):
    plant(tmp_path / "back" / "a.example", "a.jpg")
    text = (
        "http { upstream back { server 127.0.0.1:81; } server { server_name a.example;"
        " location / { proxy_pass http://back; } } }"
    )
    behind = {"host": "*.example", "root": f"{tmp_path}/back/{{host}}"}
    location = by_nginx(tmp_path, text, "http://a.example/a.jpg", behind)
    assert (location.kind.value, location.path) == ("file", b"a.jpg")
    assert by_nginx(tmp_path, text, "http://a.example/a.jpg").kind.value == "script"


def test_the_root_is_known_even_if_there_is_no_file(tmp_path):
    plant(tmp_path / "www", "a.jpg")
    text = f"http {{ server {{ server_name a.example; root {tmp_path}/www; %s }} }}"
    for rest in ("", "location / { try_files $uri =404; }", "location / { return 410; }"):
        location = by_nginx(tmp_path, text.replace("%s", rest), "http://a.example/none.jpg")
        assert (location.kind.value, location.root) == ("no-file", os.fsencode(tmp_path / "www"))


def located(top, text, target="/a.jpg", root="root {www};"):
    plant(top / "www", "a.jpg", "dir/b.jpg", "index/index.html", "x.php")
    text = f"http {{ server {{ server_name a.example; {root} {text} }} }}"
    return by_nginx(top, text.replace("{www}", f"{top}/www"), f"http://a.example{target}")


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("access_by_lua x;", "undecided", "a program decides: access_by_lua at "),
        ("location / { content_by_lua_file x; }", "undecided", "a program decides"),
        ("location /dir { echo x; }", "file", "a.jpg"),
        ("return 200 text;", "script", "the text in the configuration at "),
        ("return 204;", "no-file", "answers 204"),
        ("return 302;", "no-file", "answers 302"),
        ("location /a { return 302 /dir/b.jpg; }", "file", "dir/b.jpg"),
        ("return 302 ftp://a.example/;", "undecided", "a redirect to ftp://a.example/: "),
        ("location / { stub_status; }", "script", "stub_status at "),
        ("location / { fastcgi_pass unix:/run/x; }", "script", "/www/a.jpg by fastcgi_pass unix:/run/x at "),
        ("location / { proxy_pass ftp://b; }", "script", "another server: ftp://b (proxy_pass, "),
        ("location / { proxy_pass http://$host; }", "script", "another server: http://$host (proxy_pass, "),
        ("location / { proxy_pass http://b:x; }", "script", "another server: http://b:x (proxy_pass, "),
        ("location / { internal; }", "no-file", "is internal"),
        ("location / { deny all; }", "no-file", "denies all"),
        ("location / { allow 192.0.2.1; deny all; }", "file", "a.jpg"),
        ("deny all; location / { allow all; }", "file", "a.jpg"),
        ("deny all;", "no-file", "denies all"),
        ("error_page 403 =200 /x; deny all;", "undecided", "error_page at "),
        ("error_page 403 /x; deny all;", "no-file", "denies all"),
        ("error_page 404 =200 /x; deny all;", "no-file", "denies all"),
        ("error_page 403 =404 /x; deny all;", "no-file", "denies all"),
        ("location /dir { } location = /a.jpg { return 410; } location / { }", "no-file", "410"),
        ("location ^~ /a { } location ~ jpg { return 410; }", "file", "a.jpg"),
        ("location /a { } location ~ jpg { return 410; }", "no-file", "410"),
        ("location /a { } location ~ JPG { return 410; }", "file", "a.jpg"),
        ("location ~* JPG { return 410; } location ~ a { return 411; }", "no-file", "410"),
        ("location ^~ /a { location ~ jpg { return 410; } }", "no-file", "410"),
        ("location /a { return 410; location /a. { } }", "file", "a.jpg"),
        ("location ~ ^/(a|a)*\\1*c$ { }", "file", "a.jpg"),
        ("location ~ ( { }", "undecided", "is not understood"),
        ("location @x { return 410; }", "file", "a.jpg"),
        ("try_files /none @x; location @x { return 410; }", "no-file", "410"),
        ("try_files /none @y; location @x { return 410; }", "undecided", "there is no location @y"),
        ("try_files /none =410;", "no-file", "finds no file"),
        ("location /a { try_files /none /dir/b.jpg; }", "file", "dir/b.jpg"),
        ("try_files dir/b.jpg =404;", "file", "dir/b.jpg"),
        ("try_files /dir =404;", "no-file", "finds no file"),
        ("try_files /a.jpg/ =404;", "no-file", "finds no file"),
        ("rewrite ^ /dir/b.jpg;", "file", "dir/b.jpg"),
        ("rewrite a /dir/b.jpg last; rewrite b /a.jpg;", "file", "dir/b.jpg"),
        ("rewrite a /dir/b.jpg break; rewrite b /a.jpg break;", "file", "dir/b.jpg"),
        ("rewrite a /dir/b.jpg; location /dir { deny all; }", "no-file", "denies all"),
        ("rewrite b /x.php; location = /a.jpg { try_files /none /b; }", "file", "x.php"),
        ("rewrite b /x.php; location = /a.jpg { try_files /none @n; } location @n { index b.jpg; rewrite ^ /dir/ break; }", "file", "x.php"),
        ("location / { rewrite ^(.*)$ /x$1; }", "undecided", "do not end"),
        ("if (-d $request_filename) { return 410; }", "file", "a.jpg"),
        ("if (-f $request_filename) { return 410; }", "no-file", "410"),
        ("if (-e $request_filename) { return 410; }", "no-file", "410"),
        ("location / { alias {www}/dir; }", "no-file", "there is no file dira.jpg"),
        ("location / { alias {www}/dir/; }", "no-file", "there is no file a.jpg below {www}/dir"),
        ("location /a.jpg { alias {www}/dir/b.jpg; }", "file", "b.jpg below {www}/dir"),
        ("location ~ ^/a[.](jpg)$ { alias {www}/dir/b.$1; }", "file", "b.jpg below {www}/dir"),
        ("location /a { alias {www}/x; location /a. { } }", "undecided", "alias is inherited"),
        ("location /a { alias {www}/x; location /a. { root {www}; } }", "file", "a.jpg"),
        ("location / { alias www; }", "undecided", "alias at "),
        ("location / { root www; }", "undecided", "is no full path in UTF-8"),
        ("location / { root /srv/$none; }", "undecided", "$none"),
    ],
)  # fmt: skip
def test_what_answers_for_a_file(tmp_path, text, kind, words):
    location = located(tmp_path, text)
    words = words.replace("{www}", f"{tmp_path}/www")
    assert (location.kind.value, words in location.reason) == (kind, True), location


@pytest.mark.parametrize(
    ("text", "target", "kind", "words"),
    [
        ("", "/%00", "no-file", "nginx answers 400"),
        ("", "/../a.jpg", "no-file", "nginx answers 400"),
        ("", "//a.jpg", "file", "a.jpg"),
        ("merge_slashes off;", "//dir/../a.jpg", "file", "a.jpg"),
        ("", "/dir", "directory", "dir is a directory"),
        ("", "/index/", "file", "index/index.html"),
        ("index none b.jpg;", "/dir/", "file", "dir/b.jpg"),
        ("index none /a.jpg;", "/dir/", "file", "a.jpg"),
        ("", "/a.jpg/", "no-file", "there is no file"),
        ("", "/a.jpg/x", "no-file", "there is no file"),
        ("passenger_enabled on;", "/none", "script", "passenger at "),
        ("passenger_enabled off;", "/none", "no-file", "there is no file"),
        ("location /d/ { proxy_pass http://b; }", "/d", "script", "another server: http://b"),
        ("location /d/ { }", "/d", "no-file", "there is no file /d"),
        (
            "location /x.php { fastcgi_pass f; }",
            "/x.php/y",
            "script",
            "/www/x.php by fastcgi_pass f",
        ),
        ("location ~ ^/(a|a)*\\1*c$ { }", "/" + "a" * 40, "undecided", "too long"),
    ],
)
def test_what_answers_at_a_target(tmp_path, text, target, kind, words):
    location = located(tmp_path, text, target)
    assert (location.kind.value, words in location.reason) == (kind, True), location


@pytest.mark.parametrize(
    ("root", "text", "words"),
    [
        ("", "", "no root is set"),
        ("", "if (-f $request_filename) { return 410; }", "a condition tests a file, and no root"),
        ("root www;", "", "no full path"),
        ("root www;", "if (-f $request_filename) { return 410; }", "the root is no full path"),
        ("root;", "", "no root is set"),
    ],
)
def test_a_root_that_is_not_known(tmp_path, root, text, words):
    location = located(tmp_path, text, root=root)
    assert (location.kind.value, words in location.reason) == ("undecided", True), location


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [("http://back", "a.example", 81), ("https://b.example", "a.example", 443), ("http://b:82", "a.example", 82)],
)  # fmt: skip
def test_a_request_is_passed_on_with_its_host_and_query(tmp_path, target, host, port):
    text = f"""http {{ upstream back {{ server 127.0.0.1:81; }}
      server {{ rewrite ^/old/(.*)$ /i/$1; location /i/ {{ proxy_pass {target}; }} }} }}"""
    found = configuration(tmp_path, text)
    with Disk() as disk:
        address = parse("http://a.example/old/%41 b?q")
        answer = NginxRequest(found, found.servers[0], address, disk, {}).answer()
    scheme = target.partition(":")[0]
    assert answer.address == Address(scheme, host, port, b"/i/A%20b", b"q")
    assert answer.otherwise.script.startswith(f"another server: {target} (proxy_pass, ")
