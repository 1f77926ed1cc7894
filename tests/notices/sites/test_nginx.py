"""nginx: for each URL, the server serves a file's bytes exactly if that file is located."""

import os

import pytest
from located_sites import by_nginx
from site_trees import FEW, TARGETS, plant, random_targets, three_sites
from web_servers import Comparison, free_port, program, running

from hashscan.config.settings import Settings
from hashscan.notices.sites.sites import Sites

LONG = bool(os.environ.get("HASHSCAN_LONG"))
_CONFIGURATION = """
daemon off; master_process off; pid {top}/pid; error_log {top}/error.log crit;
events {{ worker_connections 64; }}
http {{
  access_log off; server_names_hash_bucket_size 128;
  client_body_temp_path {top}/t; proxy_temp_path {top}/t; fastcgi_temp_path {top}/t;
  uwsgi_temp_path {top}/t; scgi_temp_path {top}/t;
  map $host $mapped {{ default 1; }}
  server {{ listen 127.0.0.1:{port} default_server; server_name _; return 404; }}
  include {top}/sites/*.conf;
}}
"""

#: Name of a host, and the rest of its server; {root} is a site's root, {other} another one's.
_SERVERS = {
    "plain.example": "root {root};",
    # Rewrites of a server without a location, and after an internal redirect.
    "break.example": "root {root}; rewrite ^/a.jpg$ /dir/b.jpg break; rewrite ^/dir/b.jpg$ /a.jpg break;",
    "again.example": "root {root}; rewrite ^/dir/index.html$ /a.jpg; location / {{ try_files $uri $uri/ /b.html; }}"
    " rewrite ^/b.html$ /dir/b.jpg;",
    "slashes.example": "root {root}; merge_slashes off;",
    "index.example": "root {root}; index none.html index.htm b.jpg /a.jpg;",
    "try.example": "root {root}; location / {{ try_files $uri $uri/ =404; }}",
    "front.example": "root {root}; location / {{ try_files $uri $uri/index.htm /a.jpg; }}",
    "named.example": "root {root}; location / {{ try_files $uri @other; }}"
    " location @other {{ root {other}; }}",
    "alias.example": "root {root}; location /dir/ {{ alias {other}/x/y/; }}"
    " location /x {{ alias {other}/dir; }} location = /noext {{ alias {other}/a.jpg; }}"
    " location ~ ^/only/(.*)$ {{ alias {other}/dir/$1; }}"
    " location /sub {{ alias {other}/; try_files $uri =404; }}",
    "choice.example": "root {root}; location ^~ /dir/ {{ root {other}; }}"
    " location ~* \\.JPG$ {{ root {third}; }} location = /a.jpg {{ root {root}; }}"
    " location /x/ {{ location ~ z {{ root {other}; }} }} location /bare {{ root {other}; }}",
    "php.example": "root {root}; index index.php index.html;"
    " location ~ [^/]\\.php(/|$) {{ fastcgi_pass unix:{top}/none.sock; }}"
    " location ~* \\.(jpg|gif)$ {{ expires 30d; }} location ~ /\\. {{ deny all; }}",
    "hidden.example": "root {root}; location /dir/ {{ internal; }} location /bare/ {{ deny all; }}"
    " location /x/ {{ allow 127.0.0.1; deny all; }}",
    "rewritten.example": "root {root}; rewrite ^/nothing/(.*)$ /dir/$1 last;"
    " rewrite ^/noext$ /a.jpg; location /bare/ {{ rewrite ^/bare/(.*)$ /x/y/z.jpg break; }}"
    " location /dir/ {{ rewrite b /sp\\ ace.jpg; }}",
    "moved.example": "root {root}; if ($host = moved.example) {{ return 301"
    " http://plain.example:{port}$request_uri; }}",
    "conditions.example": "root {root}; set $x a; if ($request_method = POST) {{ return 405; }}"
    " if ($http_user_agent ~ evil) {{ return 403; }} if ($uri ~* ^/DIR/(.)) {{ set $x $1; }}"
    " if (!-e $request_filename) {{ rewrite ^ /a.jpg last; }} if ($x = b) {{ return 404; }}",
    "proxied.example": "location / {{ proxy_set_header Host plain.example:{port};"
    " proxy_pass http://127.0.0.1:9; }} location /dir/ {{ root {root}; }}",
    "gone.example": "root {root}; return 410;",
    "text.example": 'return 200 "file a.jpg";',
    "missing.example": "root {root}/none;",
    "error.example": "root {root}; error_page 404 /a.jpg;",
    "replaced.example": "root {root}; error_page 404 =200 /a.jpg;",
    "listing.example": "root {root}; autoindex on;",
    "many.example *.many.example": "root {top}/hosts/$host;",
    "~^(?<name>[a-z]+)\\.regex\\.example$": "root {top}/hosts/$name;",
    "longest.* .dot.example": "root {other};",
}


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    command = program("nginx")
    top = tmp_path_factory.mktemp("nginx")
    port, roots = free_port(), three_sites(top)
    plant(top / "hosts" / "a.many.example", "a.jpg")
    plant(top / "hosts" / "two", "a.jpg")
    words = {"top": top, "port": port, **roots}
    (top / "sites").mkdir()
    for number, (names, rest) in enumerate(_SERVERS.items()):
        text = (
            f"server {{ listen 127.0.0.1:{port}; server_name {names};\n{rest.format(**words)}\n}}\n"
        )
        (top / "sites" / f"{number:02}.conf").write_text(text)
    configuration = str(top / "nginx.conf")
    (top / "nginx.conf").write_text(_CONFIGURATION.format(**words))
    sites = Sites(Settings.of(sites=[{"nginx": configuration}]).sites)
    with running([command, "-p", str(top), "-c", configuration], port):
        yield Comparison(port, sites)


_HOSTS = [
    name.split()[0] for name in _SERVERS if not name.startswith(("~", "many", "longest", "*"))
]
#: Not a file's bytes, though they begin so: the configuration answers itself.
_COMPUTED = {"text.example": "script", "replaced.example": "undecided"}


@pytest.mark.parametrize("host", _HOSTS)
def test_what_is_served_is_located_and_nothing_else(nginx, host):
    wrong, served = nginx.differences(host, TARGETS if host == "plain.example" else FEW)
    wrong = [one for one in wrong if one[2].kind.value != _COMPUTED.get(host)]
    assert not wrong
    assert served > 5 or host in {"gone.example", "missing.example"}


@pytest.mark.parametrize("host", [host for host in _HOSTS if host not in _COMPUTED])
def test_random_targets(nginx, host):
    wrong, _ = nginx.differences(host, random_targets(2000 if LONG else 12, host))
    assert [(*one[:2], one[2].why[-2:]) for one in wrong] == []


@pytest.mark.parametrize(
    ("host", "target", "kind"),
    [
        ("a.many.example", b"/a.jpg", "file"),
        ("b.many.example", b"/a.jpg", "no-file"),
        ("two.regex.example", b"/a.jpg", "file"),
        ("2.regex.example", b"/a.jpg", "no-site"),
        ("longest.test", b"/a.jpg", "file"),
        ("x.dot.example", b"/a.jpg", "file"),
        ("dot.example", b"/a.jpg", "file"),
        ("PLAIN.example.", b"/a.jpg", "file"),
        ("xplain.example", b"/a.jpg", "no-site"),
        ("other.test", b"/a.jpg", "no-site"),
    ],
)
def test_names_of_servers(nginx, host, target, kind):
    content = nginx.bytes_of(host, target)
    named, location = nginx.named(host, target)
    assert (location.kind.value, named) == (kind, content)


@pytest.mark.parametrize(
    ("host", "target", "kind", "words"),
    [
        ("plain.example", b"/bare/", "directory", "without an index file"),
        ("plain.example", b"/none.jpg", "no-file", "there is no file"),
        ("gone.example", b"/a.jpg", "no-file", "answers 410"),
        ("hidden.example", b"/bare/c.jpg", "no-file", "denies all"),
        ("php.example", b"/run.php", "script", "run.php by fastcgi_pass"),
        ("php.example", b"/run.php/info", "script", "run.php by fastcgi_pass"),
        ("php.example", b"/sub/", "script", "sub/index.php by fastcgi_pass"),
        ("proxied.example", b"/a.jpg", "script", "another server: http://127.0.0.1:9"),
        ("text.example", b"/", "script", "the text in the configuration"),
        ("replaced.example", b"/none.jpg", "undecided", "error_page"),
        ("other.test", b"/", "no-site", "no site"),
    ],
)
def test_what_else_answers(nginx, host, target, kind, words):
    _, location = nginx.named(host, target)
    assert location.kind.value == kind
    assert words in location.reason


def test_the_path_of_a_script(nginx):
    _, location = nginx.named("php.example", b"/run.php/info?x")
    assert location.root.endswith(b"/root/www")
    assert location.full == location.root + b"/run.php"


# Without a server


def test_a_port_that_nobody_listens_on(tmp_path):
    plant(tmp_path / "www", "a.jpg")
    text = f"http {{ server {{ server_name a.example; root {tmp_path}/www; }} }}"
    location = by_nginx(tmp_path, text, "https://a.example/a.jpg")
    assert (location.kind.value, location.path) == ("file", b"a.jpg")
    assert "no server listens on port 443" in location.why[0]


def test_redirects_that_do_not_end(tmp_path):
    text = "http { server { server_name a.example; return 301 https://$host$request_uri; } }"
    location = by_nginx(tmp_path, text, "http://a.example/a.jpg")
    assert (location.kind.value, location.reason) == (
        "undecided",
        "cannot be decided: the redirects do not end",
    )


def test_different_servers_on_different_addresses(tmp_path):
    plant(tmp_path / "1", "a.jpg")
    plant(tmp_path / "2", "a.jpg", "b.jpg")
    text = (
        "http {"
        + "".join(
            f"server {{ listen 198.51.100.{number}:80; server_name a.example; root {tmp_path}/{number}; }}"
            for number in (1, 2)
        )
        + "}"
    )
    location = by_nginx(tmp_path, text, "http://a.example/a.jpg")
    assert location.kind.value == "undecided"
    assert "different servers on different addresses" in location.reason
    assert by_nginx(tmp_path, text, "http://198.51.100.2/b.jpg").kind.value == "no-site"


def test_an_own_address_has_the_default_server(tmp_path):
    plant(tmp_path / "www", "a.jpg")
    text = f"http {{ server {{ server_name a.example; root {tmp_path}/www; }} }}"
    assert by_nginx(tmp_path, text, "http://127.0.0.1/a.jpg").kind.value == "file"
    assert by_nginx(tmp_path, text, "http://198.51.100.2/a.jpg").kind.value == "no-site"
