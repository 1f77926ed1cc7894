"""The rules of CONTRIBUTING.md on files and names that no linter checks."""

import ast
import importlib
import types
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


#: Modules without a test file of their name, each with the reason.
TESTED_ELSEWHERE = {
    "cli/daemon": "opens the settings and starts the daemon; tests/e2e/test_daemon.py runs it",
    "closable": "one with block; each class that is closed so is tested in its own file",
    "config/section": "pydantic's switches for all sections, each tested with its section",
    "reporter": "types only; tests/output tests the two that report",
}


def test_each_module_has_a_test_file_of_its_name():
    modules = [path.relative_to(PACKAGE) for path in MODULES if not path.stem.startswith("__")]
    assert len(modules) > 400
    missing = {
        str(module.with_suffix(""))
        for module in modules
        if not (TOP / "tests" / module.parent / f"test_{module.name}").exists()
    }
    assert missing == TESTED_ELSEWHERE.keys(), "add the test file, or remove the reason"
    assert len(TESTED_ELSEWHERE) <= 20
    assert all(TESTED_ELSEWHERE.values())


def named(module, name):
    """What ``from module import name`` gives."""
    found = importlib.import_module(module)
    return (
        getattr(found, name)
        if hasattr(found, name)
        else importlib.import_module(f"{module}.{name}")
    )


def test_the_benchmarks_use_names_that_exist():
    """Nothing else runs all of their lines in the gate."""
    gone = []
    for path in sorted((TOP / "benchmarks").glob("*.py")):
        parsed = ast.parse(path.read_text())
        modules = {}
        for node in ast.walk(parsed):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hashscan"):
                for name in node.names:
                    found = named(node.module, name.name)
                    if isinstance(found, types.ModuleType):
                        modules[name.asname or name.name] = found
        gone += [
            f"{path.name}: {node.value.id}.{node.attr}"
            for node in ast.walk(parsed)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and not hasattr(modules.get(node.value.id, node), node.attr)
            and node.value.id in modules
        ]
    assert gone == []
