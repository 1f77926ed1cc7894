"""What is found in the catalog's place: foreign, newer and older files, links, full disks."""

import os
import sqlite3
import sys

import catalog_rows
import namespaces
import pytest
from catalog_rows import report
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


def test_a_newer_catalog_is_refused(tmp_path):
    Catalog(str(tmp_path / "c")).close()
    newer = sqlite3.connect(tmp_path / "c")
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.close()
    with pytest.raises(StateError, match="newer hashscan"):
        Catalog(str(tmp_path / "c"))


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


def test_a_catalog_of_the_first_version_is_brought_up_to_date(tmp_path):
    path = str(tmp_path / "catalog.sqlite3")
    catalog = Catalog(path)
    number, _ = catalog.begin_scan([b"/v"], complete=False)
    catalog.filterset("baseline=1")
    catalog.service = ("s", True)
    (root,) = catalog.queue_directories(number, 0, b"", [(b"/v", 0)])
    report(catalog, number, root, b"match")
    catalog.end_scan(number, files=7, interrupted=False)
    catalog.close()
    old = sqlite3.connect(path)
    for statement in (
        "ALTER TABLE scan DROP COLUMN kind",
        "ALTER TABLE scan DROP COLUMN summary",
        "ALTER TABLE filterset DROP COLUMN judged_until",
        "DROP TABLE mounted",
        "ALTER TABLE file DROP COLUMN head",
        "ALTER TABLE candidate DROP COLUMN detected",
        *(
            f"ALTER TABLE {table} DROP COLUMN checksum"
            for table in ("file", "dir", "candidate", "scan", "filterset")
        ),
        "PRAGMA user_version = 1",
    ):
        old.execute(statement)
    old.commit()
    old.close()
    catalog = Catalog(path)
    assert catalog.expected([b"/v"]).files == 7
    filters = catalog.filterset("baseline=1")
    assert catalog.judged_until(filters) == 0
    catalog.set_judged_until(filters, number)
    catalog.set_mounted(b"/v")
    catalog.close()
    catalog = Catalog(path)
    assert catalog.judged_until(filters) == number
    assert catalog.was_mounted(b"/v")
    assert not catalog.was_mounted(b"/w")
    catalog.forget_mounted(b"/v")
    assert not catalog.was_mounted(b"/v")
    catalog.close()
    with sqlite3.connect(path) as now:
        assert "head" in {row[1] for row in now.execute("PRAGMA table_info(file)")}
        assert now.execute("SELECT found > 0, detected = found FROM candidate").fetchall() == [
            (1, 1)
        ]
