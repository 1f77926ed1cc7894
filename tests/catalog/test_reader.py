"""hashscan.catalog.reader: rows of a directory, at limits and with damage."""

import pytest
from catalog_rows import row

from hashscan.catalog import reader as reader_module
from hashscan.catalog.reader import CatalogReader
from hashscan.catalog.store import Catalog

ROW = row(b"a")


@pytest.fixture
def catalog(tmp_path):
    one = Catalog(str(tmp_path / "c.sqlite3"))
    one.service = ("s", True)
    yield one
    one.close()


@pytest.fixture
def reader(catalog):
    catalog.commit()
    one = CatalogReader(catalog.path)
    yield one
    one.close()


def damage(catalog, name):
    catalog._connection.execute("UPDATE file SET size = size + 1 WHERE name = ?", (name,))
    catalog.commit()


def test_a_directory_at_the_limit_of_the_memory_and_one_beyond(catalog, reader, monkeypatch):
    monkeypatch.setattr(reader_module, "WHOLE_DIRECTORY", 2)
    given = {"judged": 1, "until": 0, "algorithms": ["sha1"]}
    rows = [ROW._replace(name=name) for name in (b"a", b"b", b"c")]
    catalog.put_files(7, rows[:2])
    catalog.put_files(8, rows)
    catalog.commit()
    assert set(reader.directory(7)) == set(reader.settled(7, **given)) == {b"a", b"b"}
    assert reader.directory(8) is None
    assert reader.settled(8, **given) is None
    assert list(reader.names(8)) == [b"a", b"b", b"c"]


def test_a_damaged_row_hides_no_other(catalog, reader):
    catalog.put_files(7, [ROW._replace(name=name) for name in (b"a", b"b", b"c")])
    damage(catalog, b"b")
    given = {"judged": 1, "until": 0, "algorithms": ["sha1"]}
    assert reader.settled(7, **given) is None, "the file must be checked"
    rows = reader.directory(7)
    assert {name: row is None for name, row in rows.items()} == {
        b"a": False, b"b": True, b"c": False,
    }  # fmt: skip
    assert reader.damaged == 1
    assert reader.named(7, b"b") is None
    assert reader.has(7, b"b") is True
    whole, damaged = reader.digests_after(0, b"", 9, 10)
    assert whole == [(7, ROW), (7, ROW._replace(name=b"c"))]
    assert damaged == [(7, b"b")]
    parts = list(reader.plain_digests(0, 9, ["sha1"], judged=2, until=5, step=1))
    assert parts == [[(b"s" * 20,)], None, [(b"s" * 20,)]]


def test_the_digests_that_are_to_be_judged(catalog, reader):
    catalog.put_files(3, [ROW._replace(name=b"before")])
    catalog.put_files(
        4,
        [
            ROW._replace(name=b"judged", judged=2),
            ROW._replace(name=b"later", scan=6),
            ROW._replace(name=b"hit", hit=True),
            ROW._replace(name=b"md5", md5=b"m" * 16),
        ],
    )
    catalog.put_files(5, [ROW._replace(name=b"last")])
    catalog.put_files(6, [ROW._replace(name=b"behind")])
    catalog.commit()
    (rows,) = reader.plain_digests(3, 5, ["sha1", "md5"], judged=2, until=5, step=100)
    assert sorted(rows, key=str) == sorted(
        [(None, None), (b"s" * 20, b"m" * 16), (b"s" * 20, None)], key=str
    )
    whole, _ = reader.digests_after(4, b"judged", 5, 2)
    assert [(directory, one.name) for directory, one in whole] == [(4, b"later"), (4, b"md5")]
    assert reader.digests_after(4, b"zz", 5, 9)[0] == [(5, ROW._replace(name=b"last"))]


def test_the_last_directory(catalog, reader):
    assert reader.last_directory() == 0
    (directory,) = catalog.queue_directories(1, 0, b"", [(b"/srv", 0)])
    catalog.commit()
    assert reader.last_directory() == directory.number
