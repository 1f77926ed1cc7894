"""The paths and the reason of a location."""

import pytest

from hashscan.notices.sites.location import Location, LocationKind


@pytest.mark.parametrize(
    ("kind", "root", "path", "full"),
    [
        (LocationKind.FILE, b"/srv/a", b"b/c.jpg", b"/srv/a/b/c.jpg"),
        (LocationKind.FILE, b"/", b"c.jpg", b"/c.jpg"),
        (LocationKind.DIRECTORY, b"/srv/a", b"b", b"/srv/a/b"),
        (LocationKind.DIRECTORY, b"/srv/a", b"", b"/srv/a"),
        (LocationKind.SCRIPT, b"/srv/a", b"x.php", b"/srv/a/x.php"),
        (LocationKind.SCRIPT, b"/srv/a", b"", b""),
        (LocationKind.NO_FILE, b"/srv/a", b"", b""),
        (LocationKind.NO_SITE, b"", b"", b""),
    ],
)
def test_the_full_path(kind, root, path, full):
    assert Location(kind, root, path).full == full


def test_the_reason_is_the_last_step():
    assert Location(LocationKind.NO_SITE, why=("first", "last")).reason == "last"
    assert Location(LocationKind.NO_SITE).reason == ""
