"""Parts of Apache's configuration, parsed from their text."""

from hashscan.notices.sites.apache_conf import ApacheReader
from hashscan.notices.sites.read_files import ReadFiles


def reader():
    """A reader that has read nothing; its server's root is /etc/apache2."""
    return ApacheReader("/etc/apache2", ReadFiles())


def directives(text):
    """The directives of a text without includes."""
    return reader().htaccess("text", text.encode())
