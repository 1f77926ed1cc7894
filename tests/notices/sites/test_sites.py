"""Hostile URLs and ``.htaccess`` files: every answer is an answer, none an exception."""

import ctypes
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from site_trees import plant

from hashscan.config.settings import Settings
from hashscan.notices.sites.location import Location, LocationKind
from hashscan.notices.sites.sites import Sites

_EXAMPLES = int(os.environ.get("HASHSCAN_LONG", "0")) * 10_000 or 25
_NGINX = """http {{ server {{ server_name a.example *.b.example; root {root}; index index.html;
  location / {{ try_files $uri $uri/ /index.html?$args; }} location ~* ^/x(.*)\\.jpg$ {{ alias {root}/$1; }}
  location /i/ {{ alias {root}/; }} rewrite ^/r/(.*)$ /$1 last; }} }}"""
_APACHE = """LoadModule rewrite_module mod_rewrite.so
<VirtualHost *:80>
ServerName a.example
ServerAlias *.b.example
DocumentRoot {root}
Alias /i {root}
Redirect /r http://a.example/
<Directory {root}>
AllowOverride All
</Directory>
</VirtualHost>"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    top = tmp_path_factory.mktemp("hostile")
    plant(top / "www", "index.html", "a.jpg", "dir/b.jpg")
    plant(top, "outside.jpg")
    (top / "www" / "up").symlink_to("..")
    (top / "nginx.conf").write_text(_NGINX.format(root=top / "www"))
    (top / "apache2.conf").write_text(_APACHE.format(root=top / "www"))
    by_hand = {"host": "*", "root": f"{top}/www"}
    given_sites = ({"nginx": f"{top}/nginx.conf"}, {"apache": f"{top}/apache2.conf"}, by_hand)
    return top, [Sites(Settings.of(sites=[one]).sites) for one in given_sites]


def check(top, location):
    assert isinstance(location, Location)
    assert location.why
    assert all(step.isprintable() for step in location.why)
    root = os.fsencode(top / "www")
    if location.kind in {LocationKind.FILE, LocationKind.DIRECTORY}:
        assert location.root == root
        assert os.path.realpath(location.full) == location.full
        assert location.full == root or location.full.startswith(root + b"/")
    else:
        assert location.full == b"" or location.full.startswith(root)


_PARTS = st.sampled_from(
    ["/", "..", "%2e", "%2F", "%00", "up", "a.jpg", "dir", "i", "i..", "x", "r", "?", "#", "\x00", "\udcff",
     "é", ":", "@", "//", "\\", "%", "$1", "~root", "index.html", "\n", "\u202e", "[", "]"]
)  # fmt: skip
_HOSTS = st.sampled_from(["a.example", "x.b.example", "127.0.0.1", "[::1]", "$host", "*", "..", ""])


@pytest.mark.timeout(1800)
@settings(max_examples=_EXAMPLES, deadline=None)
@given(_HOSTS, st.lists(_PARTS | st.text(max_size=4), max_size=8))
def test_any_url(sources, host, parts):
    top, every = sources
    for sites in every:
        check(top, sites.locate(f"http://{host}/{''.join(parts)}"))
        check(top, sites.locate(host + "".join(parts)))


_LINES = st.sampled_from(
    ["RewriteEngine on", "RewriteRule (.*) $1", "RewriteRule ^ /a.jpg [L]", "RewriteRule . - [F", "<Files",
     "<Files *>", "</Files>", "RewriteCond %{X} (", "RewriteCond", "RewriteRule", "DirectoryIndex /../x",
     "Redirect / /", "Redirect", "RedirectMatch (", "RedirectMatch (.*) $1$9", "Options", "Options -All",
     "SetHandler", "AddHandler x", "AddType", "ErrorDocument 404 /x", "RewriteRule .* /up/outside.jpg",
     "RewriteRule ^ ../../etc/passwd", "RewriteRule ^ %{DOCUMENT_ROOT}/../outside.jpg", "Require", "Deny",
     "<If true>", "</If>", "<IfModule", "<IfModule mod_rewrite.c>", "</IfModule>", "RewriteBase ../..",
     "FallbackResource up/x", "FallbackResource /up/outside.jpg", "\\", "php_flag engine", "<>", "</>",
     "Alias / /etc", "RewriteRule ^(.*)$ $1/ [N]", "RewriteRule ^ - [S=x]", "AcceptPathInfo"]
)  # fmt: skip


@pytest.mark.timeout(1800)
@settings(max_examples=_EXAMPLES, deadline=None)
@given(st.lists(_LINES | st.text(max_size=12), max_size=8))
def test_any_htaccess(sources, lines):
    top, (_, apache, _) = sources
    with open(top / "www" / ".htaccess", "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write("\n".join(lines))
    try:
        for path in ("", "a.jpg", "dir/b.jpg", "none", "up/outside.jpg"):
            check(top, apache.locate(f"http://a.example/{path}"))
    finally:
        os.unlink(top / "www" / ".htaccess")


def test_a_directory_that_becomes_a_link_meanwhile(sources):
    """A customer swaps a directory and a link to the outside as fast as possible."""
    top, every = sources
    plant(top / "www", "swap/a.jpg")
    plant(top / "secret", "a.jpg")
    (top / "link").symlink_to(top / "secret")
    stop = threading.Event()

    def swap():
        libc = ctypes.CDLL(None)
        names = os.fsencode(top / "www" / "swap"), os.fsencode(top / "link")
        while not stop.is_set():
            assert libc.renameat2(-100, names[0], -100, names[1], 2) == 0  # RENAME_EXCHANGE

    customer = threading.Thread(target=swap)
    customer.start()
    try:
        kinds = set()
        for number in range(100):
            location = every[number % len(every)].locate("http://a.example/swap/a.jpg")
            assert not location.full.startswith(os.fsencode(top / "secret"))
            assert location.root in {b"", os.fsencode(top / "www")}
            kinds.add(location.kind)
    finally:
        stop.set()
        customer.join()
    assert LocationKind.FILE in kinds


@pytest.mark.parametrize("kind", ["fifo", "sparse", "device", "half"])
@pytest.mark.parametrize("server", ["nginx", "apache", "table"])
def test_a_customers_file_in_a_configuration_stops_nobody(server, kind, tmp_path):
    included = tmp_path / "customer.conf"
    if kind == "fifo":
        os.mkfifo(included)
    elif kind == "device":
        included.symlink_to("/dev/zero")
    else:
        included.write_bytes(b"<Directory x ")
        if kind == "sparse":
            os.truncate(included, 1 << 40)
    main = tmp_path / "main.conf"
    main.write_text({"nginx": f"http {{ include {tmp_path}/*r.conf; }}",
                     "apache": f"Include {included}\n", "table": ""}[server])  # fmt: skip
    if server == "table":
        main = included
    ((_, why, is_read),) = Sites(Settings.of(sites=[{server: str(main)}]).sites).contents()
    if kind == "half" and server == "table":
        assert why == "0 hosts"
        return
    assert not is_read
    words = {"sparse": "larger than 64 MiB", "half": "" if server == "apache" else "ends within"}
    assert f"{included}" in why
    assert words.get(kind, "is not a regular file") in why
