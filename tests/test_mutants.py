"""``make mutants`` on a tiny package: what is drawn, what is killed, and by which test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mutants
import pytest

# Each starts several pytests, beside other tests.
pytestmark = pytest.mark.timeout(240)

SOURCE = '''"""1 == 2"""
__version__ = 1
LIMIT: int = 5


def is_small(size: int = 3) -> bool:
    """Whether 1 < 2."""
    return size < LIMIT


def read(path):
    try:
        found = open(path).read()
    except FileNotFoundError:
        return ""
    return found


def untested(x):
    return x + 1
'''
TESTS = """from pkg.room.thing import is_small, read


def test_is_small():
    assert is_small()
    assert is_small(4)
    assert not is_small(5)


def test_read(tmp_path):
    assert read(tmp_path / "none") == ""
    (tmp_path / "some").write_text("x")
    assert read(tmp_path / "some") == "x"


def test_broken():
    assert False
"""


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # their import costs most of a run
    room, tests = tmp_path / "tree" / "pkg" / "room", tmp_path / "tree" / "tests" / "room"
    room.mkdir(parents=True)
    tests.mkdir(parents=True)
    (room / "thing.py").write_text(SOURCE)
    (tests / "test_other.py").write_text("def test_nothing():\n    assert True\n")
    (tests / "test_thing.py").write_text(TESTS)
    return tmp_path / "tree"


@pytest.mark.parametrize(
    "name",
    ["tests/test_a.py::test_b", "tests/test_a.py::test_b[sync-no sync: ]", "tests/test_a.py"],
)
@pytest.mark.parametrize("message", ["", " - assert 1 == 2", " - KeyError: 'x - y'"])
def test_the_name_of_a_test_that_failed(name, message):
    out = f"ERROR    root:a.py:1 logged\nFAILED {name}{message}\n1 failed in 0.01s\n"
    assert mutants._FAILED.search(out)[1] == name


def test_what_is_drawn():
    found = mutants.mutations_of("x.py", SOURCE.encode())
    assert {(one.line, one.kind, one.before, one.after) for one in found} == {
        (3, "constant", "5", "6"),
        (6, "constant", "3", "4"),
        (8, "comparison", "<", "<="),
        (8, "return value", "size < LIMIT", "None"),
        (14, "except clause", "FileNotFoundError", "()"),
        (16, "return value", "found", "None"),
        (20, "return value", "x + 1", "None"),
        (20, "constant", "1", "2"),
    }


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [
        ("if a is not b:\n    f()\n", "comparison", "if a is b:\n    f()\n"),
        ("x = a not in (b)\n", "comparison", "x = a in (b)\n"),
        ("x = (a) == (b)\n", "comparison", "x = (a) != (b)\n"),
        ("if a:\n    f()\n", "negation", "if (not (a)):\n    f()\n"),
        ("x = 1 if not a else 2\n", "negation", "x = 1 if (a) else 2\n"),
        ("self.é = f(\n    1,\n)\ng()\n", "deleted statement", "pass\ng()\n"),
        ("x = 'é' if a == 1 else b\n", "comparison", "x = 'é' if a != 1 else b\n"),
        ("x = True\n", "constant", "x = False\n"),
    ],
)
def test_the_change_is_where_it_should_be(source, kind, expected):
    raw = source.encode()
    changed = [
        mutants.mutated(raw, one) for one in mutants.mutations_of("x", raw) if one.kind == kind
    ]
    assert expected.encode() in changed


@pytest.mark.parametrize(
    "source",
    ["__all__ = [f(1)]\n", "x: f(1)\n", "if TYPE_CHECKING:\n    f(1)\n", "log.debug(f(1))\n"],
)
def test_what_cannot_matter_is_not_drawn(source):
    assert mutants.mutations_of("x", source.encode()) == []


def run(tree, *more):
    return subprocess.run(
        [sys.executable, mutants.__file__, "--root", tree, "--package", "pkg", "--rooms", "room",
         "--timeout", "110", "--jobs", "1", *more],
        capture_output=True, text=True, check=False, timeout=115,
        # A pytest removes old directories; those of the run around it may be thousands deep.
        env={**os.environ, "PYTEST_DEBUG_TEMPROOT": str(tree.parent)},
    )  # fmt: skip


def test_killed_survived_and_resumed(tree):
    ran = run(tree, "--only", "comparison")
    assert ran.returncode == 0, ran.stderr
    (result,) = map(json.loads, Path(tree, ".mutants", "1.jsonl").read_text().splitlines())
    assert result["by"] == "tests/room/test_thing.py::test_is_small"
    assert "1 of 1 killed" in ran.stdout
    ran = run(tree, "--only", "thing.py:20 return")
    assert "pkg/room/thing.py:20  return value  x + 1 -> None  SURVIVED" in ran.stdout
    assert "without a mutation: tests/room/test_thing.py::test_broken" in ran.stdout
    assert len(Path(tree, ".mutants", "1.jsonl").read_text().splitlines()) == 2
    began = run(tree, "--only", "comparison")
    assert "killed by tests/room/test_thing.py::test_is_small" in began.stdout
    assert len(Path(tree, ".mutants", "1.jsonl").read_text().splitlines()) == 2
    assert Path(tree, "pkg", "room", "thing.py").read_text() == SOURCE


@pytest.mark.parametrize("near", [True, False])
def test_near_leaves_out_the_tests_of_the_whole(tmp_path, tree, near):
    Path(tree, "tests", "room", "test_thing.py").write_text(TESTS.partition("def test_broken")[0])
    whole = Path(tree, "tests", "cli")
    whole.mkdir()
    test = "from pkg.room.thing import untested\n\n\ndef test_it():\n    assert untested(1) == 2\n"
    (whole / "test_all.py").write_text(test)
    (one,) = mutants.draw(tree, "pkg", ["room"], 1, "thing.py:20 return")
    trial = mutants.Trial(tree, "pkg", sys.executable, 30, tmp_path / "clean", near=near)
    assert trial.run(one) == (None if near else "tests/cli/test_all.py::test_it")


def test_a_copy_has_the_programs_of_the_package_and_they_use_its_python(tmp_path, tree):
    mutants.copy_of(tree, tmp_path / "copy", sys.executable)
    programs = tmp_path / "copy" / ".venv" / "bin"
    assert (programs / "hashscan").read_bytes() == (
        Path(sys.executable).with_name("hashscan").read_bytes()
    )
    (tree / "pkg" / "__init__.py").touch()
    code = "import sys, pkg; print(sys.prefix, pkg.__path__[0])"
    ran = subprocess.run(
        [programs / "python", "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == [
        str(tmp_path / "copy" / ".venv"), str(tmp_path / "copy" / "pkg"),
    ]  # fmt: skip
    assert os.access(programs / "hashscan", os.X_OK)


def test_the_nearest_name_comes_first_then_the_fastest_file(tmp_path, tree):
    trial = mutants.Trial(tree, "pkg", sys.executable, 30, tmp_path / "clean", near=True)
    files = ["tests/room/thing.py", "tests/room/a.py", "tests/room/b.py", "tests/room/new.py"]
    trial.learn(
        "0.50s call     tests/room/a.py::test_1\n0.10s setup    tests/room/a.py::test_2[x]\n"
    )
    trial.learn("0.20s call     tests/room/b.py::test\n0.30s teardown tests/room/a.py::test_1\n")
    assert trial.ordered(files) == [files[0], files[3], files[2], files[1]]


def test_no_end_in_time_is_no_kill(tree):
    Path(tree, "tests", "room", "test_thing.py").write_text(
        "import time\n\n\ndef test_slow():\n    time.sleep(50)\n"
    )
    ran = run(tree, "--only", "comparison", "--timeout", "3")
    assert "UNDECIDED" in ran.stdout
    assert "0 of 1 killed" in ran.stdout


def test_only_what_is_drawn_is_compiled(tree, monkeypatch):
    compiled = []

    def compiles(source):
        compiled.append(source)
        return b"FileNotFoundError:" in source  # the except clause is refused

    monkeypatch.setattr(mutants, "compiles", compiles)
    drawn = mutants.draw(tree, "pkg", ["room"], 1, "")
    next(drawn)
    assert len(compiled) <= len(mutants.KINDS)
    assert [one.kind for one in drawn].count("except clause") == 0
    assert len(compiled) == 8


def test_the_same_seed_draws_the_same(tree):
    first, again, other = (run(tree, "--list", "--seed", seed).stdout for seed in "334")
    assert first == again
    assert first.count("\n") == 8
    assert sorted(first.splitlines()) == sorted(other.splitlines())
