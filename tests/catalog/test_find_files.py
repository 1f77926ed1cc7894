"""hashscan.catalog.find_files: files by digest or path, beside the process that writes the catalog."""

import sqlite3

import pytest
from catalog_rows import row

from hashscan.catalog.find_files import open_finder
from hashscan.catalog.store import Catalog
from hashscan.model import Digest

VOLUME = b"/srv/\xff www"
MD5, SHA1, SHA256 = b"m" * 16, b"s" * 20, b"t" * 32


@pytest.fixture
def catalog(tmp_path):
    """A volume with files at its top and two levels down."""
    one = Catalog(str(tmp_path / "c.sqlite3"))
    one.service = ("s", True)
    scan, _ = one.begin_scan([VOLUME], complete=True)
    (root,) = one.queue_directories(scan, 0, b"", [(VOLUME, 2)])
    one.put_files(root.number, [row(b"top", sha1=SHA1), row(b"other", sha1=b"o" * 20)])
    below = one.find_directory(scan, root.number, b"a/b\n")
    one.put_files(
        below.number, [row(b"\xfe", sha1=SHA1, md5=MD5), row(b"256", sha1=None, sha256=SHA256)]
    )
    one.set_mounted(VOLUME)
    one.commit()
    yield one
    one.close()


def find(catalog, *digests, most=100):
    with open_finder(catalog.path) as finder:
        return {one[:2] for one in finder.with_digests([Digest(*one) for one in digests], most)}


def test_one_pass_finds_files_by_any_algorithm(catalog):
    assert find(catalog, ("sha1", SHA1.hex())) == {(VOLUME, b"top"), (VOLUME, b"a/b\n/\xfe")}
    assert find(catalog, ("md5", MD5.hex()), ("sha256", SHA256.hex())) == {
        (VOLUME, b"a/b\n/\xfe"),
        (VOLUME, b"a/b\n/256"),
    }
    assert find(catalog, ("sha1", "0" * 40)) == set()
    assert find(catalog) == set()
    assert len(find(catalog, ("sha1", SHA1.hex()), most=1)) == 1


def test_it_reads_beside_a_writer_that_has_not_committed(catalog):
    catalog.put_files(1, [row(b"new", sha1=SHA1)])
    assert (VOLUME, b"new") not in find(catalog, ("sha1", SHA1.hex()))
    catalog.commit()
    assert (VOLUME, b"new") in find(catalog, ("sha1", SHA1.hex()))


def test_files_by_path(catalog):
    with open_finder(catalog.path) as finder:
        assert finder.at(VOLUME, b"a/b\n/\xfe").digests.md5 == MD5
        for path in (b"a", b"a/b\n", b"a/b\n/c", b"x/y/z", b"top/x"):
            assert finder.at(VOLUME, path) is None
        assert finder.at(b"/srv", b"top") is None


def test_mount_points(catalog):
    with open_finder(catalog.path) as finder:
        assert finder.was_mounted(VOLUME)
        assert not finder.was_mounted(b"/srv")


def test_without_a_catalog(tmp_path):
    assert open_finder(str(tmp_path / "none")) is None
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        ("UPDATE file SET size = 11 WHERE name = x'746f70'", b"top"),
        ("UPDATE dir SET name = x'7a' WHERE name = x'61'", b"a/b\n/\xfe"),
    ],
)
def test_damaged_rows_are_passed_over_and_counted(catalog, damage, lost):
    with sqlite3.connect(catalog.path) as other:
        assert other.execute(damage).rowcount == 1
    with open_finder(catalog.path) as finder:
        found = finder.with_digests([Digest("sha1", SHA1.hex())], 100)
        assert (VOLUME, lost) not in {one[:2] for one in found}
        assert (len(found), finder.damaged) == (1, 1)
