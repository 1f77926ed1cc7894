"""Apache httpd: for each URL, it serves a file's bytes exactly if that file is located."""

import glob
import os
import pathlib
import tempfile

import pytest
from located_sites import APACHE_HOST, by_apache
from site_trees import FEW, TARGETS, plant, random_targets, three_sites
from web_servers import Comparison, free_port, program, running

from hashscan.config.settings import Settings
from hashscan.notices.sites.sites import Sites

LONG = bool(os.environ.get("HASHSCAN_LONG"))
_MODULES = [
    "mpm_event",
    "authz_core",
    "authz_host",
    "access_compat",
    "alias",
    "autoindex",
    "dir",
    "mime",
    "negotiation",
    "rewrite",
    "userdir",
    "vhost_alias",
    "proxy",
    "proxy_http",
    "cgid",
]
_CONFIGURATION = """
ServerRoot {top}
{modules}
PidFile {top}/pid
ErrorLog {top}/error.log
Listen 127.0.0.1:{port}
ServerName main.example
TypesConfig /dev/null
ScriptSock {top}/cgid
User nobody
Group nogroup
Mutex file:{top}
Define WWW {root}
<IfModule mod_none.c>
  DocumentRoot /nowhere
</IfModule>
<IfModule mod_dir.c>
  DirectoryIndex index.html
</IfModule>
<Directory {top}>
  Require all granted
</Directory>
<Directory {top}/third>
  AllowOverride All
</Directory>
<VirtualHost *:{port}>
  ServerName first.example
  DocumentRoot {top}/none
</VirtualHost>
IncludeOptional sites/*.conf
"""

#: Name of a host, and the rest of its virtual host.
_HOSTS = {
    "plain.example": "DocumentRoot {root}",
    "defined.example": "DocumentRoot ${{WWW}}",
    "index.example": "DocumentRoot {root}\nDirectoryIndex none.html index.htm b.jpg /a.jpg",
    "slashes.example": "DocumentRoot {root}\nAllowEncodedSlashes On\nMergeSlashes Off",
    "nodecode.example": "DocumentRoot {root}\nAllowEncodedSlashes NoDecode",
    "alias.example": "DocumentRoot {root}\nAlias /dir {other}/x\nAlias /bare/ {other}/dir/\n"
    "Alias /noext {other}/a.jpg\nAlias /x/y {other}/dir\nAlias /sub/ {other}/dir",
    "moved.example": "DocumentRoot {root}\nRedirect permanent /dir http://plain.example:{port}/x/y\n"
    "Redirect gone /bare\nRedirectMatch ^/only/(.*)$ http://plain.example:{port}/dir/$1\n"
    "Redirect /x /dir",
    "denied.example": "DocumentRoot {root}\n<Directory {root}/dir>\nRequire all denied\n</Directory>\n"
    "<Location /x>\nOrder allow,deny\nDeny from all\n</Location>\n"
    '<Files "*.JPG">\nRequire all denied\n</Files>\n'
    '<FilesMatch "^[.]">\nRequire all denied\n</FilesMatch>\n'
    "<Directory ~ /bare>\nRequire local\n</Directory>",
    "options.example": "DocumentRoot {root}\n<Directory {root}>\nOptions None\n</Directory>\n"
    "<Directory {root}/dir>\nDirectorySlash Off\n</Directory>",
    "listing.example": "DocumentRoot {root}\n<Directory {root}>\nOptions +Indexes\n</Directory>",
    "fallback.example": "DocumentRoot {root}\nFallbackResource /a.jpg",
    "pathinfo.example": "DocumentRoot {root}\nAcceptPathInfo On",
    "rewritten.example": "DocumentRoot {root}\nRewriteEngine on\nRewriteRule ^/nothing/(.*)$ /dir/$1 [L]\n"
    "RewriteRule ^/noext$ /a.jpg\nRewriteCond %{{REQUEST_URI}} !b\\.jpg\n"
    "RewriteRule ^/bare/ /x/y/z.jpg [L]\nRewriteRule ^/x/ - [F]\n"
    "RewriteCond %{{HTTP_HOST}} ^rewritten\\. [NC]\nRewriteRule ^/sub http://plain.example:{port}/dir/ [R=301,L]",
    "front.example": "DocumentRoot {root}\n<Directory {root}>\nRewriteEngine On\nRewriteBase /\n"
    "RewriteRule ^index\\.html$ - [L]\nRewriteCond %{{REQUEST_FILENAME}} !-f\n"
    "RewriteCond %{{REQUEST_FILENAME}} !-d\nRewriteRule . /index.html [L]\n</Directory>",
    "htaccess.example": "DocumentRoot {third}",
    "scripts.example": "DocumentRoot {root}\nAddHandler cgi-script .php\nScriptAlias /bare/ {other}/dir/\n"
    "<Location /x>\nSetHandler cgi-script\n</Location>",
    "proxied.example": "DocumentRoot {root}\nProxyPass /dir !\nProxyPass / http://127.0.0.1:9/",
    "missing.example": "DocumentRoot {root}/none",
    "users.example": "DocumentRoot {root}\nUserDir {top}/homes/*/web",
    "aliased.example\n  ServerAlias alias? *.wild.example": "DocumentRoot {other}",
    "virtual.example\n  ServerAlias *.virtual.example": "VirtualDocumentRoot {top}/hosts/%1/%-2",
}
_HTACCESS = {
    "": "DirectoryIndex b.jpg index.html\n<Files noext>\nRequire all denied\n</Files>\n"
    "Redirect /x/y/ /dir/\n",
    "dir": "RewriteEngine on\nRewriteRule ^none\\.jpg$ b.jpg\nRewriteRule ^(.*)\\.png$ /$1.jpg [L]\n"
    "RewriteCond %{HTTP_REFERER} !^$\nRewriteRule \\.jpg$ - [F]\n",
    "bare": "Deny from all\n",
    "only": "<IfModule mod_rewrite.c>\nRewriteEngine off\nRewriteRule . - [F]\n</IfModule>\n"
    "<Limit POST>\nRequire all denied\n</Limit>\n",
    ".secret": "Options -FollowSymLinks\nFallbackResource /a.jpg\n",
}


@pytest.fixture(scope="module")
def apache():
    command = program("apache2")
    # Its processes run as nobody, who may not enter pytest's directories.
    with tempfile.TemporaryDirectory(prefix="hashscan-apache-") as place:
        os.chmod(place, 0o755)
        yield from _apache(command, pathlib.Path(place))


def _apache(command, top):
    port, roots = free_port(), three_sites(top)
    plant(top / "hosts" / "one" / "virtual", "a.jpg")
    plant(top / "homes" / "user" / "web", "f.jpg", "index.html")
    for place, text in _HTACCESS.items():
        with open(os.path.join(roots["third"], place, ".htaccess"), "w") as file:
            file.write(text)
    (place,) = glob.glob("/usr/lib*/apache2/modules") or ("/usr/lib/apache2/modules",)
    modules = "\n".join(f"LoadModule {one}_module {place}/mod_{one}.so" for one in _MODULES)
    words = {"top": top, "port": port, "modules": modules, **roots}
    (top / "sites").mkdir()
    for number, (names, rest) in enumerate(_HOSTS.items()):
        text = f"<VirtualHost *:{port}>\n  ServerName {names}\n{rest.format(**words)}\n</VirtualHost>\n"
        (top / "sites" / f"{number:02}.conf").write_text(text)
    configuration = str(top / "apache2.conf")
    (top / "apache2.conf").write_text(_CONFIGURATION.format(**words))
    sites = Sites(Settings.of(sites=[{"apache": configuration}]).sites)
    with running([command, "-f", configuration, "-DFOREGROUND"], port):
        yield Comparison(port, sites)


@pytest.mark.parametrize("host", [name.split()[0] for name in _HOSTS if "virtual" not in name])
def test_what_is_served_is_located_and_nothing_else(apache, host):
    more = ("/dir/none.jpg", "/dir/b.png", "/dir/x.png", "/~user/", "/~nobody/x", "/alias")
    wrong, served = apache.differences(
        host, (*(TARGETS if host == "plain.example" else FEW), *more)
    )
    assert not wrong
    assert served > 5 or host in {"missing.example", "proxied.example"}


@pytest.mark.parametrize("host", [name.split()[0] for name in _HOSTS if "virtual" not in name])
def test_random_targets(apache, host):
    wrong, _ = apache.differences(host, random_targets(2000 if LONG else 12, host))
    assert [(*one[:2], one[2].why[-2:]) for one in wrong] == []


@pytest.mark.parametrize(
    ("host", "target", "kind"),
    [
        ("alias1", b"/a.jpg", "file"),
        ("alias12", b"/a.jpg", "no-site"),
        ("x.y.wild.example", b"/a.jpg", "file"),
        ("wild.example", b"/a.jpg", "no-site"),
        ("one.virtual.example", b"/a.jpg", "file"),
        ("two.virtual.example", b"/a.jpg", "no-file"),
        ("PLAIN.example.", b"/a.jpg", "file"),
        ("other.test", b"/a.jpg", "no-site"),
    ],
)
def test_names_of_hosts(apache, host, target, kind):
    content = apache.bytes_of(host, target)
    named, location = apache.named(host, target)
    assert (location.kind.value, named) == (kind, content)


@pytest.mark.parametrize(
    ("host", "target", "kind", "words"),
    [
        ("plain.example", b"/bare/", "directory", "without an index file"),
        ("plain.example", b"/none.jpg", "no-file", "there is no file"),
        ("moved.example", b"/bare/c.jpg", "no-file", "answers 410"),
        ("denied.example", b"/dir/b.jpg", "no-file", "denies all"),
        ("scripts.example", b"/run.php", "script", "run.php by cgi-script"),
        ("scripts.example", b"/run.php/info", "script", "run.php by cgi-script"),
        ("scripts.example", b"/bare/b.jpg", "script", "b.jpg by cgi-script"),
        ("scripts.example", b"/x/y/z.jpg", "script", "z.jpg by cgi-script"),
        ("proxied.example", b"/a.jpg", "script", "another server: http://127.0.0.1:9/"),
        ("other.test", b"/", "no-site", "no site"),
    ],
)
def test_what_else_answers(apache, host, target, kind, words):
    _, location = apache.named(host, target)
    assert location.kind.value == kind
    assert words in location.reason


# Without a server


def test_a_main_server_without_virtual_hosts(tmp_path):
    plant(tmp_path / "www", "a.jpg")
    text = "ServerName a.example:80\nDocumentRoot {top}/www\n"
    assert by_apache(tmp_path, text, "http://a.example/a.jpg").kind.value == "file"
    assert by_apache(tmp_path, text, "http://127.0.0.1/a.jpg").kind.value == "file"
    assert by_apache(tmp_path, text, "http://b.example/a.jpg").kind.value == "no-site"


def test_a_port_that_no_host_has(tmp_path):
    plant(tmp_path / "www", "a.jpg")
    location = by_apache(tmp_path, APACHE_HOST % "", "https://a.example/a.jpg")
    assert (location.kind.value, location.path) == ("file", b"a.jpg")
    assert "no virtual host has port 443" in location.why[0]
