"""The JSON file of names with secrets."""

import json
import os

import pytest
from service_clients import PASSWORD

from hashscan.errors import StateError, UsageError
from hashscan.service.data import Data
from hashscan.service.named_file import NamedFile
from hashscan.service.users import add_user

WORDS = NamedFile("words", "word", "say word", lambda one: one["is"], lambda one: {"is": one})


@pytest.fixture
def data(tmp_path):
    return Data(str(tmp_path / "data"))


@pytest.mark.parametrize("name", ["", "a:b", "a b", "x" * 65, "ü", "-x", "a\n"])
def test_names_that_are_none(name, prepared):
    with pytest.raises(UsageError, match="no user name"):
        add_user(prepared.data, name, PASSWORD)


def test_names_are_added_changed_and_removed(data):
    assert WORDS.read(data) == {}
    for name, word in (("b" * 64, "1"), ("a@b.c-_", "2"), ("b" * 64, "3")):
        WORDS.add(data, name, word)
    assert WORDS.read(data) == {"a@b.c-_": "2", "b" * 64: "3"}
    WORDS.remove(data, "a@b.c-_")
    assert WORDS.read(data) == {"b" * 64: "3"}
    assert os.stat(data.path("words.json")).st_mode & 0o777 == 0o600


def test_a_name_that_is_missing_is_not_removed(data):
    WORDS.add(data, "a", "1")
    with pytest.raises(UsageError, match=r"there is no word b; 'say word list'"):
        WORDS.remove(data, "b")
    assert WORDS.read(data) == {"a": "1"}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"words": []}', '{"words": {"a": {}}}', '{"words": {"a": 1}}', "\xff"],
)
def test_a_damaged_file_is_named_and_not_replaced(content, data):
    path = data.path("words.json")
    with open(path, "w", encoding="latin-1") as file:
        file.write(content)
    for change in (WORDS.read, lambda one: WORDS.add(one, "b", "2")):
        with pytest.raises(StateError, match=r"words\.json: is damaged; .*'say word add'"):
            change(data)
    with open(path, encoding="latin-1") as file:
        assert file.read() == content


def test_a_file_that_cannot_be_written_keeps_its_names(data, monkeypatch):
    WORDS.add(data, "a", "1")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hashscan.service.named_file.replace_file", full)
    with pytest.raises(StateError, match=r"words\.json: cannot be written: No space left"):
        WORDS.add(data, "b", "2")
    with open(data.path("words.json")) as file:
        assert json.load(file) == {"format": 1, "words": {"a": {"is": "1"}}}
