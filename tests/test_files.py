"""Names of hashscan's own files."""

import pytest

from hashscan.files import (
    audit_file,
    audit_number,
    foreign_to_state,
    is_temporary_of,
    temporary,
    temporary_of,
    without_file_system,
)


@pytest.mark.parametrize("number", [1, 999_999, 1_000_000, 999_999_999_999])
def test_a_file_of_the_audit_log_has_its_number(number):
    assert audit_number(audit_file(number)) == number


@pytest.mark.parametrize(
    "name",
    [
        "1.jsonl",
        "0000001.jsonl",
        "000001.json",
        "x000001.jsonl",
        "000001.jsonl\n",
        "00000\u0661.jsonl",
    ],
)
def test_other_names_have_no_number(name):
    assert audit_number(name) is None


@pytest.mark.parametrize("name", ["a", "a.b", "a\nb", "x" * 255])
def test_a_file_that_is_written_has_a_hidden_name(name):
    mark = "0123456789ab"
    for entry in (temporary(name), temporary(name, mark)):
        assert entry.startswith(".")
        assert len(entry) < 256
        assert temporary_of(entry) == name[:200]
    assert is_temporary_of(temporary(name, mark), name)


@pytest.mark.parametrize("entry", ["a", ".a", "a.tmp", "..tmp", ".a.tmp~", "x.a.0123456789ab.tmp"])
def test_other_names_are_of_no_file_that_is_written(entry):
    assert temporary_of(entry) is None


@pytest.mark.parametrize(
    "entry",
    [".a.tmp", ".a.0123456789AB.tmp", ".a.0123456789ab.tmp.tmp", ".b.0123456789ab.tmp", "a"],
)
def test_only_a_name_with_a_mark_is_a_leftover_of_a_file(entry):
    assert not is_temporary_of(entry, "a")


def test_names_that_somebody_else_made_are_found():
    own = {"catalog.sqlite3", "catalog.sqlite3-wal", "lock", "audit", temporary("daemon.json")}
    system = {"lost+found", ".snapshot"}
    others = {"www", ".x.tmp", "Catalog.sqlite3", "lock~", "catalog.sqlite3-wal-x"}
    assert foreign_to_state(own | system | others) == others
    assert without_file_system(own | system) == own
