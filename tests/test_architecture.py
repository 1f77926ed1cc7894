"""docs/architecture.md prints the tree that is there, and names files that are there."""

import re
from pathlib import Path

import house_tree
import pytest

TOP = Path(__file__).parents[1]
TEXT = house_tree.PAGE.read_text()
NAMED = re.compile(r"`((?:[a-z_]+/)*[a-z_]+\.py)`")


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)[1]


def test_the_tree_is_that_of_the_files():
    assert house_tree.printed(TEXT) == house_tree.tree(), (
        "run `python tests/support/house_tree.py`, or `make format`"
    )


def test_another_tree_is_seen(tmp_path):
    top = tmp_path / "hashscan"
    (top / "room").mkdir(parents=True)
    (top / "__init__.py").write_text('"""The top.\n\nMore.\n"""\n')
    (top / "room" / "__init__.py").write_text('"""Does ``one`` thing."""\n')
    (top / "room" / "second.py").touch()
    (top / "room" / "first.py").touch()
    assert house_tree.tree(top) == (
        "hashscan/  The top\nroom/  Does one thing\n    first  second\n"
    )


@pytest.mark.parametrize(
    ("title", "least"), [("Four journeys", 40), ("To change something, start here", 25)]
)
def test_every_file_named_is_there(title, least):
    named = NAMED.findall(section(title))
    assert len(named) >= least
    assert [name for name in named if not (TOP / "hashscan" / name).is_file()] == []


def test_a_journey_is_one_line():
    lines = [line for line in section("Four journeys").split("\n") if " → " in line]
    assert len(lines) == 4
    assert all(len(NAMED.findall(line)) >= 9 for line in lines)
