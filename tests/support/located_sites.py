"""URLs located by a configuration of a web server that no server runs with."""

from hashscan.config.settings import Settings
from hashscan.notices.sites.sites import Sites

#: A virtual host of Apache; ``%s``: more directives.
APACHE_HOST = (
    "<VirtualHost *:80>\nServerName a.example\nDocumentRoot {top}/www\n%s\n</VirtualHost>\n"
)


def by_apache(top, text, url="http://a.example/", htaccess=None):
    """Where Apache's configuration ``text``, with ``{top}`` for ``top``, leads.

    ``htaccess``: content of a customer's file in ``top``/www.
    """
    path = top / "apache2.conf"
    path.write_text(text.format(top=top))
    if htaccess is not None:
        (top / "www" / ".htaccess").write_bytes(htaccess)
    return Sites(Settings.of(sites=[{"apache": str(path)}]).sites).locate(url)


def by_nginx(top, text, url, *more):
    """Where nginx's configuration ``text`` leads; ``more``: the entries of sites after it."""
    path = top / "nginx.conf"
    path.write_text(text)
    return Sites(Settings.of(sites=[{"nginx": str(path)}, *more]).sites).locate(url)
