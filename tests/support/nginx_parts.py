"""Parts of nginx's configuration, parsed from their text."""

from hashscan.notices.sites.nginx_conf import Configuration
from hashscan.notices.sites.read_files import ReadFiles


def configuration(top, text):
    """The configuration ``text``, in a file below ``top``."""
    (top / "nginx.conf").write_text(text)
    return Configuration(str(top / "nginx.conf"), ReadFiles())


def directives(top, text):
    """The directives of one server."""
    (server,) = configuration(top, f"http {{ server {{\n{text}\n}} }}").servers
    return server.levels[-1]
