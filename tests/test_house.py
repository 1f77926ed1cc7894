"""The rules of CONTRIBUTING.md on files and names that no linter checks."""

import ast
from collections import defaultdict
from pathlib import Path

TOP = Path(__file__).parents[1]
PACKAGE = TOP / "hashscan"
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 500


def test_no_file_is_long():
    files = [*MODULES, *sorted((TOP / "tests").rglob("*.py"))]
    lines = {path: path.read_text().count("\n") for path in files}
    assert len(lines) > 800
    assert [str(path) for path, count in lines.items() if count > MOST_LINES] == []


def test_a_public_class_has_a_name_of_its_own():
    named = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                named[node.name].append(str(path.relative_to(PACKAGE)))
    assert len(named) > 300
    assert {name: files for name, files in named.items() if len(files) > 1} == {}
