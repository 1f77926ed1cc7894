"""Make one change of the program at a time, and see whether a test fails.

Each mutation is tried in a copy of the tree: first by the tests of its own room, then by tests/cli
and tests/e2e, which --near leaves out. In the room the file with the nearest name comes first, then
those that took the shortest time until now. A test that fails without the mutation as well is left
out. Results are JSON lines in --out; what is there already is not tried again.
"""

import argparse
import ast
import collections
import contextlib
import difflib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

ROOMS = (
    "scan",
    "quarantine",
    "known",
    "daemon",
    "fs",
    "catalog",
    "config",
    "jobs",
    "publisher",
    "report",
)
KINDS = ("comparison", "negation", "constant", "return value", "deleted statement", "except clause")
#: Tests that may see a change of any room.
WHOLE = ("tests/cli", "tests/e2e")
_OPPOSITE = {
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"), ast.In: ("in", "not in"), ast.NotIn: (r"not\s+in", "in"),
}  # fmt: skip
_LEFT_OUT = {".venv", ".git", ".mutants", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
#: In place of a test's name: the run timed out. A test that hangs fails by its own time limit.
UNDECIDED = "time limit"
#: The name has spaces if a parameter has some.
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)
_TOOK = re.compile(r"^([\d.]+)s (?:setup|call|teardown) +([^:\s]+)::", re.MULTILINE)


@dataclass(frozen=True)
class Mutation:
    """A change of the bytes from ``start`` to ``end`` of a file."""

    file: str
    line: int
    kind: str
    before: str
    after: str
    start: int
    end: int

    @property
    def key(self):
        """A key that is different for each mutation."""
        return f"{self.file}:{self.start}:{self.end}:{self.after}"


# What can be changed


class Finder(ast.NodeVisitor):
    """Collects the mutations of one file; annotations and docstrings are not entered."""

    def __init__(self, file, source):
        self.file, self.source, self.found = file, source, []
        lengths = [len(line) for line in source.splitlines(keepends=True)]
        self.begins = [0, *itertools.accumulate(lengths)]

    def at(self, line, column):
        return self.begins[line - 1] + column

    def span(self, node):
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    def text(self, node):
        start, end = self.span(node)
        return self.source[start:end].decode()

    def add(self, kind, start, end, after, line):
        before = self.source[start:end].decode()
        self.found.append(Mutation(self.file, line, kind, before, after, start, end))

    def replace(self, kind, node, after):
        self.add(kind, *self.span(node), after, node.lineno)

    def visit_FunctionDef(self, node):
        for one in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
            if one is not None:
                self.visit(one)
        self.body(node.body)

    def visit_AsyncFunctionDef(self, node):
        self.visit_FunctionDef(node)

    def visit_ClassDef(self, node):
        if not any("Protocol" in self.text(base) for base in node.bases):
            self.body(node.body)

    def visit_Module(self, node):
        self.body(node.body)

    def body(self, statements):
        for statement in statements:
            if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                self.visit(statement)

    def visit_AnnAssign(self, node):
        if node.value is not None:
            self.visit(node.value)

    def visit_Assign(self, node):
        names = [one.id for one in node.targets if isinstance(one, ast.Name)]
        if any(name.startswith("__") for name in names) or self.is_type(node.value):
            return
        if not names:  # of an attribute or an item: without it the old value stays
            self.replace("deleted statement", node, "pass")
        self.generic_visit(node)

    def is_type(self, node):
        return isinstance(node, ast.Subscript) and self.text(node).startswith(
            ("Literal", "Callable")
        )

    def visit_AugAssign(self, node):
        self.replace("deleted statement", node, "pass")
        self.generic_visit(node)

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Call):
            called = self.text(node.value.func)
            if called.endswith((".debug", ".info")):  # what is logged, at what level
                return
            self.replace("deleted statement", node, "pass")
        self.generic_visit(node)

    def visit_Raise(self, node):
        self.replace("deleted statement", node, "pass")
        # Not entered: all in it is the text of a message.

    def visit_If(self, node):
        if self.text(node.test) == "TYPE_CHECKING":
            return
        self.negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node):
        if not isinstance(node.test, ast.Constant):
            self.negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node):
        self.negate(node.test)
        self.generic_visit(node)

    def negate(self, test):
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self.replace("negation", test, f"({self.text(test.operand)})")
        else:
            self.replace("negation", test, f"(not ({self.text(test)}))")

    def visit_Compare(self, node):
        if len(node.ops) == 1:
            before, after = _OPPOSITE[type(node.ops[0])]
            start, end = self.span(node.left)[1], self.span(node.comparators[0])[0]
            found = re.search(before, self.source[start:end].decode())
            self.add("comparison", start + found.start(), start + found.end(), after, node.lineno)
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, bool):
            self.replace("constant", node, str(not node.value))
        elif isinstance(node.value, int | float):
            self.replace("constant", node, repr(node.value + 1))

    def visit_JoinedStr(self, node):
        """Not entered: its parts have no positions of their own in Python 3.11."""

    def visit_Return(self, node):
        if node.value is not None and not isinstance(node.value, ast.Constant):
            self.replace("return value", node.value, "None")
        self.generic_visit(node)

    def visit_ExceptHandler(self, node):
        if node.type is not None:
            self.replace("except clause", node.type, "()")
        for statement in node.body:
            self.visit(statement)


def mutations_of(file, source):
    """All mutations of one file; some of them do not compile."""
    finder = Finder(file, source)
    finder.visit(ast.parse(source))
    return finder.found


def mutated(source, one):
    return source[: one.start] + one.after.encode() + source[one.end :]


def compiles(source):
    try:
        compile(source, "mutated", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def draw(root, package, rooms, seed, only):
    """Yield all mutations that compile in a random order in which the kinds take turns."""
    every, sources = [], {}
    for room in rooms:
        for path in sorted((root / package / room).rglob("*.py")):
            file = str(path.relative_to(root))
            sources[file] = path.read_bytes()
            every += mutations_of(file, sources[file])
    chance = random.Random(seed)
    heaps = []
    for kind in KINDS:
        heap = [
            one for one in every if one.kind == kind and only in f"{one.file}:{one.line} {kind}"
        ]
        chance.shuffle(heap)
        # To compile all of them takes a minute: compile only those that are drawn.
        heaps.append(one for one in heap if compiles(mutated(sources[one.file], one)))
    turns = itertools.chain.from_iterable(itertools.zip_longest(*heaps))
    return (one for one in turns if one is not None)


# One of them


def copy_of(root, where, python):
    """A copy of the tree with a Python of its own that imports from there."""
    shutil.copytree(
        root, where, symlinks=True, copy_function=link,
        ignore=lambda _, names: _LEFT_OUT & set(names),
    )  # fmt: skip
    venv.EnvBuilder(symlinks=True, with_pip=False).create(where / ".venv")
    # Of the packages beside it only the directory is named: a .pth file in there (an editable
    # install) would lead back to the tree that was copied.
    (packages,) = Path(where, ".venv", "lib").glob("python*/site-packages")
    others = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (packages / "copy.pth").write_text(f"{where}\n{others}\n")
    for script in Path(python).parent.iterdir():
        content = script.read_bytes() if script.is_file() and not script.is_symlink() else b""
        first, _, rest = content.partition(b"\n")
        target = where / ".venv" / "bin" / script.name
        # The package's own program starts the Python beside it; a launcher of pip names its Python.
        if first == b"#!/bin/sh" and not rest.startswith(b"'''exec'"):
            target.write_bytes(content)
            target.chmod(0o755)
        elif first.startswith(b"#!") and first.endswith((b"/python", b"/python3")):
            target.write_bytes(b"#!%s\n%s" % (os.fsencode(where / ".venv/bin/python"), rest))
            target.chmod(0o755)


def link(source, target):
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def tests_for(root, package, file):
    """The test files of the same room, the nearest name first."""
    parts = Path(file).relative_to(package).with_suffix("").parts
    for depth in range(len(parts) - 1, 0, -1):
        found = sorted(Path(root, "tests", *parts[:depth]).rglob("test_*.py"))
        if found:
            break
    else:
        return []

    def distance(path):
        name = path.stem.removeprefix("test_")
        return -difflib.SequenceMatcher(None, name, parts[-1]).ratio()

    return [str(path.relative_to(root)) for path in sorted(found, key=distance)]


def run_tests(where, arguments, seconds):
    """Exit code (``None``: no end in time) and output of pytest."""
    environment = {**os.environ, "PYTHONPATH": ""}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(
        [where / ".venv/bin/python", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
         "--durations=0", *arguments],
        cwd=where, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None, ""
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    return process.returncode, out


class Trial:
    """Copies of the tree, and the tests that fail in the one without a mutation."""

    def __init__(self, root, package, python, seconds, clean, near):
        self.root, self.package, self.python, self.seconds = root, package, python, seconds
        self.clean, self.broken = clean, set()
        self.whole = [] if near else [name for name in WHOLE if Path(root, name).is_dir()]
        self.times = {}  # seconds of each test file in its longest run
        copy_of(root, clean, python)

    def run(self, one):
        """Name of the test that fails with a mutation, or ``UNDECIDED``; ``None``: it survived."""
        with tempfile.TemporaryDirectory(prefix="mutant-", dir=self.clean.parent) as work:
            where = Path(work, "tree")
            copy_of(self.root, where, self.python)
            path = where / one.file
            source = mutated(path.read_bytes(), one)
            path.unlink()  # it is a link to the file of the tree
            path.write_bytes(source)
            room = self.ordered(tests_for(where, self.package, one.file))
            for tests in (room, self.whole):
                killer = self.first_failure(where, tests) if tests else None
                if killer is not None:
                    return killer
        return None

    def first_failure(self, where, tests):
        while True:
            without = [f"--deselect={name}" for name in sorted(self.broken)]
            code, out = run_tests(where, [*tests, *without], self.seconds)
            self.learn(out)
            if code is None:
                return UNDECIDED
            if code in {0, 5}:  # 5: no test at all
                return None
            failed = _FAILED.search(out)
            if failed is None or "::" not in failed[1]:
                return f"pytest ended with {code}"
            if run_tests(self.clean, [failed[1]], self.seconds)[0] == 0:
                return failed[1]
            self.broken.add(failed[1])

    def ordered(self, tests):
        """The first file, then the others, those that took the shortest time first."""
        # Sorting is stable: files without a time keep their order.
        return tests[:1] + sorted(tests[1:], key=lambda name: self.times.get(name, 0.0))

    def learn(self, out):
        took = collections.Counter()
        for seconds, file in _TOOK.findall(out):
            took[file] += float(seconds)
        for file, seconds in took.items():
            self.times[file] = max(seconds, self.times.get(file, 0.0))


# All of them


def row(result):
    def short(text):
        return " ".join(text.split())[:40]

    end = f"killed by {result['by']}" if result["by"] else "SURVIVED"
    if result["by"] == UNDECIDED:
        end = "UNDECIDED: no end within --timeout"
    change = f"{short(result['before'])} -> {short(result['after'])}"
    return f"{result['file']}:{result['line']}  {result['kind']}  {change}  {end}"


def main():
    """Try mutations; print a row and keep a JSON line for each."""
    parser = argparse.ArgumentParser(description="Does a test fail if the program is changed?")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--package", default="hashscan")
    parser.add_argument("--rooms", nargs="*", default=ROOMS)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="those whose file:line and kind contain this")
    parser.add_argument("--near", action="store_true", help="only the tests of the room: faster")
    parser.add_argument("--jobs", type=int, default=2, help="mutations side by side")
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds for a run of pytest")
    parser.add_argument("--out", type=Path, help="default: .mutants/SEED.jsonl")
    parser.add_argument("--list", action="store_true", help="only name them")
    options = parser.parse_args()
    root = options.root.resolve()
    every = draw(root, options.package, options.rooms, options.seed, options.only)
    chosen = list(itertools.islice(every, options.count))
    if options.list:
        for one in chosen:
            print(row({**asdict(one), "by": "nobody yet"}).rpartition("  ")[0])
        return 0
    out = options.out or root / ".mutants" / f"{options.seed}.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    kept = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    done = {result["key"]: result for result in map(json.loads, kept)}
    done = {key: result for key, result in done.items() if result["by"] != UNDECIDED}
    with (
        tempfile.TemporaryDirectory(prefix="mutants-", dir=out.parent) as work,
        ThreadPoolExecutor(options.jobs) as pool,
        out.open("a", encoding="utf-8") as file,
    ):
        clean = Path(work, "clean")
        trial = Trial(root, options.package, sys.executable, options.timeout, clean, options.near)

        def attempt(one):
            if one.key in done:
                return done[one.key]
            began = time.monotonic()
            by = trial.run(one)
            result = {"key": one.key, **asdict(one), "by": by}
            result["seconds"] = round(time.monotonic() - began, 1)
            file.write(json.dumps(result) + "\n")
            file.flush()
            return result

        results = []
        for result in pool.map(attempt, chosen):
            results.append(result)
            print(row(result), flush=True)
    killed = sum(result["by"] not in {None, UNDECIDED} for result in results)
    for name in sorted(trial.broken):
        print(f"left out, it fails without a mutation: {name}")
    print(f"{killed} of {len(results)} killed, seed {options.seed}; {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
