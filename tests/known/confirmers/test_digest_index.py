"""hashscan.known.confirmers.digest_index: an index that cannot be read or written says why."""

import json
import os
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
from faulty import Faulty

from hashscan.errors import StateError
from hashscan.known.confirmers import digest_index as module
from hashscan.known.confirmers.digest_index import LocalConfirmer, seal, write_index


@pytest.fixture
def area():
    """A staging area with one digest."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE known (digest BLOB, category INTEGER)")
        connection.execute("INSERT INTO known VALUES (?, 0)", (b"1" * 20,))
        yield SimpleNamespace(connection=connection)


STAGED = SimpleNamespace(reports=[], categories=["baseline"])


@pytest.fixture
def directory(tmp_path, area):
    """A directory with an index of the known set ``key``, and its seal."""
    write_index(area, STAGED, str(tmp_path), "key", ["a remark"])
    seal(str(tmp_path))
    return tmp_path


def opened(directory):
    return LocalConfirmer("local", str(directory), "key")


def test_an_index_has_what_was_written(directory):
    with closing(opened(directory)) as one:
        assert one.categories == {"baseline"}
        assert one.meta() == (1, ["a remark"])
        held = {(b"1" * 20).hex()}
        assert [one.missing_in(filters) for filters in ([], [set()], [set(), held])] == [1, 1, 0]


def test_an_index_that_cannot_be_opened(directory, monkeypatch):
    def connect(*_a, **_k):
        raise sqlite3.OperationalError("unable to open")

    monkeypatch.setattr(module, "sqlite3", Faulty(sqlite3, connect=connect))
    with pytest.raises(StateError, match=r"index\.sqlite3: cannot be opened: unable to open"):
        opened(directory)


@pytest.mark.parametrize(
    "damage", ["DELETE FROM meta", "DROP TABLE meta", "DROP TABLE category", None]
)
def test_what_is_no_index(directory, damage):
    (path,) = directory.glob("*.sqlite3")
    if damage is None:
        path.write_bytes(b"no database, though it is long enough to be one" * 100)
    else:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(damage)
    os.unlink(directory / module._SEAL)
    seal(str(directory))
    with pytest.raises(StateError, match="is no index"):
        opened(directory)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 4096, b""])
def test_a_seal_that_cannot_be_read_is_damaged(directory, content):
    (directory / module._SEAL).write_bytes(content)
    with pytest.raises(StateError, match=f"{module._SEAL} is damaged"):
        opened(directory)


@pytest.mark.parametrize("content", [{}, {"sha256": "0" * 64, "length": 1}, None])
def test_an_index_with_another_seal_is_damaged(directory, content):
    (directory / module._SEAL).write_text(json.dumps(content))
    with pytest.raises(StateError, match="its SHA-256 is not the one it was made with"):
        opened(directory)


def test_an_index_that_cannot_be_written(tmp_path, area):
    area.connection.execute("DROP TABLE known")
    with pytest.raises(StateError, match=r"index of the known set cannot be written.*make room"):
        write_index(area, STAGED, str(tmp_path), "key")
