"""The phases of a request to Apache that no comparison with a running server shows."""

import os

import pytest
from apache_parts import directives, reader
from located_sites import APACHE_HOST, by_apache
from site_trees import plant

from hashscan.notices.sites.address import Address, parse
from hashscan.notices.sites.apache_request import ApacheRequest
from hashscan.notices.sites.disk import Disk

URL = "http://a.example/a.jpg"


def test_a_front_controller_of_a_customer(tmp_path):
    plant(tmp_path / "www", "index.php", "a.jpg")
    rest = "AddHandler x-php .php\n<Directory {top}/www>\nAllowOverride All\n</Directory>"
    htaccess = (
        b"# BEGIN\n<IfModule mod_rewrite.c>\nRewriteEngine On\n"
        b"RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]\nRewriteBase /\n"
        b"RewriteRule ^index\\.php$ - [L]\nRewriteCond %{REQUEST_FILENAME} !-f\n"
        b"RewriteCond %{REQUEST_FILENAME} !-d\nRewriteRule . /index.php [L]\n</IfModule>\n"
    )
    text = "LoadModule rewrite_module mod_rewrite.so\n" + APACHE_HOST % rest
    location = by_apache(tmp_path, text, "http://a.example/a.jpg", htaccess)
    assert (location.kind.value, location.path) == ("file", b"a.jpg")
    location = by_apache(tmp_path, text, "http://a.example/2026/post", htaccess)
    assert (location.kind.value, location.path) == ("script", b"index.php")
    location = by_apache(tmp_path, text, "http://a.example/", b"DirectoryIndex index.php")
    assert (location.kind.value, location.path) == ("script", b"index.php")


def located(top, rest, url=URL):
    plant(top / "www", "a.jpg", "dir/b.jpg", "x.php")
    return by_apache(top, APACHE_HOST % rest, url)


@pytest.mark.parametrize(
    ("rest", "kind", "words"),
    [
        ("JkMount /*.jpg w", "file", "a.jpg"),
        ("JkMount /a* w", "file", "a.jpg"),
        ("JkMount /* w", "script", "/* w at "),
        ("WSGIScriptAlias / /srv/app", "script", "/ /srv/app at "),
        ("WSGIScriptAlias /app /srv/app", "file", "a.jpg"),
        ("ScriptAliasMatch ^/a /srv/app", "script", "^/a /srv/app at "),
        ("ScriptAliasMatch ^/b /srv/app", "file", "a.jpg"),
        ("ProxyPass /a.jpg http://127.0.0.1:9", "script", "another server: http://127.0.0.1:9 (proxypass, "),
        ("ProxyPass /a http://127.0.0.1:9", "file", "a.jpg"),
        ("ProxyPass / !\nProxyPass / http://127.0.0.1:9", "file", "a.jpg"),
        ("ProxyPass http://127.0.0.1:9", "file", "a.jpg"),
        ("ProxyPassMatch ^/(.)[.] fcgi://127.0.0.1/$1", "script", "another server: fcgi://127.0.0.1/a (proxypassmatch, "),
        ("ProxyPassMatch ^/b fcgi://127.0.0.1", "file", "a.jpg"),
        ("<Location /a.jpg>\nProxyPass http://127.0.0.1:9\n</Location>", "script", "another server"),
        ("<Location /b>\nProxyPass http://127.0.0.1:9\n</Location>", "file", "a.jpg"),
        ("<Location />\nProxyPass !\n</Location>", "file", "a.jpg"),
        ("PassengerEnabled on", "file", "a.jpg"),
        ("RedirectMatch ^/b$ /none", "file", "a.jpg"),
        ("RedirectMatch gone ^/a", "no-file", "redirectmatch at "),
        ("Redirect 404 /a.jpg", "no-file", "answers 404"),
        ("Redirect /a.jpg ftp://a.example/", "undecided", "a redirect to ftp://a.example/: "),
        ("Redirect /a.jpg http://b.example/c", "no-site", "b.example"),
        ("RedirectPermanent /a.jpg http://a.example/dir/b.jpg", "file", "dir/b.jpg"),
        ("Redirect permanent", "undecided", "redirect at "),
        ("<Directory {top}>\nRedirect /x\n</Directory>", "undecided", "is not understood"),
        ("RewriteEngine on\nRewriteOptions Inherit", "undecided", "RewriteOptions Inherit"),
        ("RewriteOptions Inherit", "file", "a.jpg"),
        ("<Directory {top}>\nRewriteOptions InheritDown\n</Directory>", "undecided", "RewriteOptions Inherit"),
        ("<Location />\nRewriteEngine on\nRewriteRule . /b\n</Location>", "undecided", "in a Location section"),
        ("RewriteEngine off\nRewriteRule . - [F]", "file", "a.jpg"),
        ("RewriteEngine on\nRewriteRule . - [F]", "no-file", "refuses with 403"),
        ("RewriteEngine on\nRewriteRule . - [H=x]", "script", "x (RewriteRule at "),
        ("RewriteEngine on\nRewriteRule . /dir/b.jpg", "file", "dir/b.jpg"),
        ("RewriteEngine on\nRewriteCond {top}/www/dir -d\nRewriteRule . /dir/b.jpg", "file", "dir/b.jpg"),
        ("RewriteEngine on\nRewriteCond {top}/www -d\nRewriteRule . /dir/b.jpg", "file", "dir/b.jpg"),
        ("RewriteEngine on\nRewriteCond {top}/www -f\nRewriteRule . /dir/b.jpg", "file", "a.jpg"),
        ("RewriteEngine on\nRewriteCond {top}/www/a.jpg -s\nRewriteRule . /dir/b.jpg", "file", "dir/b.jpg"),
        ("RewriteEngine on\nRewriteCond {top}/www/a.jpg -l\nRewriteRule . /dir/b.jpg", "file", "a.jpg"),
        ("RewriteEngine on\nRewriteCond {top}/www/dir -e\nRewriteRule . /dir/b.jpg", "file", "dir/b.jpg"),
        ("RewriteEngine on\nRewriteCond /etc/passwd -f\nRewriteRule . /dir/b.jpg", "undecided", "a rule tests /etc/passwd, outside"),
        ("RewriteEngine on\nRewriteRule . /etc/passwd", "undecided", "path of the disk"),
        ("<Directory {top}/www>\nRewriteEngine on\nRewriteRule a dir/b.jpg\n</Directory>", "file", "dir/b.jpg"),
        ("<Directory {top}/www>\nRewriteEngine on\nRewriteRule .* x$0\n</Directory>", "undecided", "do not end"),
        ("<Directory {top}/www>\nRewriteEngine on\nRewriteRule .* x$0 [END]\n</Directory>", "no-file", "xa.jpg"),
    ],
)  # fmt: skip
def test_what_answers_for_a_file(tmp_path, rest, kind, words):
    location = located(tmp_path, rest)
    assert (location.kind.value, words in location.reason) == (kind, True), location


@pytest.mark.parametrize(
    ("rest", "target", "kind", "words"),
    [
        ("", "/a%2Fb", "no-file", "%2F in a path, and AllowEncodedSlashes is off"),
        ("AllowEncodedSlashes On", "/dir%2Fb.jpg", "file", "dir/b.jpg"),
        ("AllowEncodedSlashes On", "/dir%2F..%2Fa.jpg", "file", "a.jpg"),
        ("AllowEncodedSlashes NoDecode", "/dir%2Fb.jpg", "no-file", "there is no file"),
        ("", "/%", "no-file", "400 or 404"),
        ("", "/%00", "no-file", "400 or 404"),
        ("", "/../a.jpg", "no-file", "400 or 404"),
        ("", "/a.jpg/more", "no-file", "the URL continues after it"),
        ("AcceptPathInfo On", "/a.jpg/more", "file", "a.jpg"),
        ("", "/dir", "directory", "dir is a directory"),
        ("DirectorySlash Off", "/dir", "no-file", "DirectorySlash is off"),
        ("DirectoryIndex b.jpg", "/dir/", "file", "dir/b.jpg"),
        ("DirectoryIndex none /a.jpg?x", "/dir/", "file", "a.jpg"),
        ("FallbackResource /a.jpg", "/none", "file", "a.jpg"),
        ("FallbackResource /a.jpg?x", "/dir/", "file", "a.jpg"),
        ("FallbackResource disabled", "/none", "no-file", "there is no file"),
        ("FallbackResource a.jpg", "/none", "undecided", "is no full path"),
        ("FallbackResource /none", "/none", "no-file", "there is no file"),
        ("PassengerEnabled on", "/none", "script", "passenger at "),
        ("SetHandler app/x", "/none", "script", "app/x at "),
        ("SetHandler application/x", "/none", "no-file", "there is no file"),
        ("SetHandler x", "/none", "no-file", "there is no file"),
        ("Options MultiViews", "/none", "undecided", "MultiViews or CheckSpelling"),
        ("CheckSpelling on", "/none", "undecided", "MultiViews or CheckSpelling"),
        ("Options None", "/link.jpg", "no-file", "Options forbids links"),
        ("Options SymLinksIfOwnerMatch", "/link.jpg", "file", "a.jpg"),
        ("", "/pipe", "no-file", "a link to nothing, or no file"),
        ("", "/dangling", "no-file", "a link to nothing, or no file"),
    ],
)
def test_what_answers_at_a_target(tmp_path, rest, target, kind, words):
    www = tmp_path / "www"
    www.mkdir()
    os.mkfifo(www / "pipe")
    (www / "link.jpg").symlink_to("a.jpg")
    (www / "dangling").symlink_to("gone")
    location = located(tmp_path, rest, f"http://a.example{target}")
    assert (location.kind.value, words in location.reason) == (kind, True), location


@pytest.mark.parametrize(("keeps", "host"), [("Off", "back.example"), ("On", "a.example")])
def test_a_request_is_passed_on_with_its_query(keeps, host):
    own = directives(f"ProxyPreserveHost {keeps}\nProxyPass /i/ http://back.example:81/j/\n")
    with Disk() as disk:
        request = ApacheRequest((), own, reader(), parse("http://a.example/i/%41 b?q"), disk)
        answer = request.answer()
    assert answer.address == Address("http", host, 81, b"/j/A%20b", b"q")
    assert (
        answer.otherwise.script == "another server: http://back.example:81/j/ (proxypass, text:2)"
    )


def test_a_redirect_keeps_the_query_unless_it_has_one():
    for rest, url in (("/b", "http://a.example/b?q"), ("/b?c", "http://a.example/b?c")):
        with Disk() as disk:
            own = directives(f"Redirect /a {rest}")
            request = ApacheRequest((), own, reader(), parse("http://a.example/a?q"), disk)
            assert request.answer().address.url == url
