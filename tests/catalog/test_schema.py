"""What is found in the catalog's place: foreign files, other versions, links, full disks."""

import os
import sqlite3
import sys

import catalog_rows
import namespaces
import pytest
from namespaces import why_no_root

from hashscan.catalog.schema import VERSION
from hashscan.catalog.store import Catalog
from hashscan.errors import StateError


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be one" * 30, b"x" * 700]
)
def test_a_foreign_file_is_refused(tmp_path, content):
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(StateError, match="move it away"):
        Catalog(str(tmp_path / "c"))
    assert (tmp_path / "c").read_bytes() == content


def test_another_programs_database_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "c") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(StateError, match="another program"):
        Catalog(str(tmp_path / "c"))


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (VERSION + 1, "made by a newer hashscan .* upgrade hashscan, or give another --state"),
        (VERSION - 1, "cannot bring to its version 1; move it away and start again"),
    ],
)
def test_a_catalog_of_another_version_is_refused(tmp_path, version, words):
    Catalog(str(tmp_path / "c")).close()
    other = sqlite3.connect(tmp_path / "c")
    other.execute(f"PRAGMA user_version = {version}")
    other.close()
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(StateError, match=words):
        Catalog(str(tmp_path / "c"))
    assert (tmp_path / "c").read_bytes() == before


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "target").write_bytes(b"")
    os.symlink(tmp_path / "target", tmp_path / "c")
    with pytest.raises(StateError):
        Catalog(str(tmp_path / "c"))


@pytest.mark.root
@pytest.mark.skipif(bool(why_no_root()), reason=why_no_root())
def test_a_full_disk_ends_with_what_to_do_and_what_was_committed_stays(tmp_path):
    script = f"""
from hashscan.catalog.store import Catalog
from hashscan.errors import StateError
import sys
sys.path.insert(0, {os.path.dirname(catalog_rows.__file__)!r})
from catalog_rows import row
catalog = Catalog({str(tmp_path / "full" / "c")!r})
committed = 0
try:
    while True:
        catalog.put_files(1, [row(b"%d" % (committed + n)) for n in range(500)])
        catalog.commit()
        committed += 500
except StateError as error:
    assert "free some space" in str(error), error
catalog.abandon()
import os, sqlite3
os.unlink({str(tmp_path / "full" / "ballast")!r})
catalog = Catalog({str(tmp_path / "full" / "c")!r})
catalog.put_files(2, [row(b"after")])
catalog.close()
count = sqlite3.connect({str(tmp_path / "full" / "c")!r}).execute("select count(*) from file where dir = 1").fetchone()[0]
assert count == committed > 0, (count, committed)
print("ok")
"""
    (tmp_path / "script").write_text(script)
    (tmp_path / "full").mkdir()
    shell = (
        f"mount -t tmpfs -o size=2m none {tmp_path}/full && "
        f"head -c 600000 /dev/zero > {tmp_path}/full/ballast && exec {sys.executable} {tmp_path}/script"
    )
    done = namespaces.in_shell(shell)
    assert done.stdout == "ok\n", done.stderr
