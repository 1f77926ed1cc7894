"""Many sites with document roots on the disk, half of them behind nginx, half behind Apache."""

import contextlib
import glob
import os

from web_servers import free_port, get, program, running

_NGINX = """
daemon off; master_process off; pid {top}/nginx.pid; error_log {top}/nginx.log crit;
events {{ worker_connections 64; }}
http {{
  access_log off; server_names_hash_max_size 4096; server_names_hash_bucket_size 128;
  client_body_temp_path {top}/t; proxy_temp_path {top}/t; fastcgi_temp_path {top}/t;
  uwsgi_temp_path {top}/t; scgi_temp_path {top}/t;
  server {{ listen 127.0.0.1:{port} default_server; server_name _; return 421; }}
  include {top}/nginx/*.conf;
}}
"""
_NGINX_SITE = """
server {{ listen 127.0.0.1:{port}; server_name {host}; root {root}; index index.html;
  location ~ \\.php$ {{ fastcgi_pass unix:{top}/none.sock; }}{more}
}}
"""
_TRY = "\n  location / { try_files $uri $uri/index.html =404; }"
_APACHE = """
ServerRoot {top}
{modules}
PidFile {top}/apache.pid
ErrorLog {top}/apache.log
LogLevel crit
Listen 127.0.0.1:{port}
ServerName main.example
TypesConfig /dev/null
ScriptSock {top}/cgid
User nobody
Group nogroup
Mutex file:{top}
StartServers 1
ServerLimit 1
ThreadsPerChild 8
MaxRequestWorkers 8
DirectoryIndex index.html
AddHandler cgi-script .php
<Directory {top}>
  Require all granted
</Directory>
<VirtualHost *:{port}>
  ServerName none.example
  Redirect 421 /
</VirtualHost>
IncludeOptional apache/*.conf
"""
_APACHE_SITE = """
<VirtualHost *:{port}>
  ServerName {host}
  DocumentRoot {root}
</VirtualHost>
"""
_MODULES = ("mpm_event", "authz_core", "alias", "cgid", "dir", "mime")


class Site:
    """One site: its host, the port of its server, and its document root.

    ``without_index``: the status for a directory without an index file.
    """

    def __init__(self, host, port, root, without_index):
        self.host, self.port, self.root, self.without_index = host, port, root, without_index

    def url(self, target):
        return f"http://{self.host}:{self.port}{target}"

    def put(self, name, content):
        """Write a file of the site, as its owner does it."""
        path = self.root / name
        for above in reversed(path.relative_to(self.root).parents):
            (self.root / above).mkdir(mode=0o755, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o644)
        return path


class Farm:
    """The sites; the servers run within ``serving``. ``top`` may be entered by everybody."""

    def __init__(self, top, number):
        self.top = top
        self.volume = top / "volume"
        self.ports = (free_port(), free_port())
        self._commands = (program("nginx"), program("apache2"))
        for name in ("nginx", "apache"):
            (top / name).mkdir()
        self.sites = [self._site(one) for one in range(number)]
        (place,) = glob.glob("/usr/lib*/apache2/modules") or ("/usr/lib/apache2/modules",)
        modules = "\n".join(f"LoadModule {one}_module {place}/mod_{one}.so" for one in _MODULES)
        nginx, apache = self.ports
        (top / "nginx.conf").write_text(_NGINX.format(top=top, port=nginx))
        (top / "apache2.conf").write_text(_APACHE.format(top=top, port=apache, modules=modules))

    def _site(self, number):
        host, root = f"s{number:03}.example", self.volume / f"s{number:03}.example" / "htdocs"
        root.mkdir(parents=True)
        port = self.ports[number % 2]
        words = {"host": host, "root": root, "port": port, "top": self.top}
        if number % 2:
            (self.top / "apache" / f"{number:03}.conf").write_text(_APACHE_SITE.format(**words))
        else:
            text = _NGINX_SITE.format(more="" if number % 4 else _TRY, **words)
            (self.top / "nginx" / f"{number:03}.conf").write_text(text)
        site = Site(host, port, root, 403 if number % 4 == 2 else 404)
        site.put("index.html", f"<h1>{host}</h1><img src=logo.png>".encode())
        site.put("logo.png", os.urandom(80))
        return site

    @property
    def section(self):
        """Of the configuration."""
        return f"sites: [{{nginx: {self.top}/nginx.conf}}, {{apache: {self.top}/apache2.conf}}]\n"

    @contextlib.contextmanager
    def serving(self):
        nginx, apache = self._commands
        with (
            running([nginx, "-p", str(self.top), "-c", f"{self.top}/nginx.conf"], self.ports[0]),
            running([apache, "-f", f"{self.top}/apache2.conf", "-DFOREGROUND"], self.ports[1]),
        ):
            yield


def status_of(url):
    """The status of a real answer to a GET."""
    authority, _, target = url.removeprefix("http://").partition("/")
    status, _, _ = get(int(authority.rpartition(":")[2]), authority, b"/" + target.encode())
    return status
