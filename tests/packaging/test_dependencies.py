"""pyproject.toml declares each library that hashscan and its tests import, with the versions that fit."""

import ast
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from urllib3.connection import HTTPConnection
from watchdog.observers.inotify_c import InotifyFD

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: Libraries by the name of their import, if that is not the name of the library.
LIBRARIES = {"yaml": "pyyaml"}
#: Rooms that need an extra.
EXTRAS = {"service": "service", "demo": "service", "report": "report"}
#: An import at the beginning of a line: ruff's format has no statement behind another one.
IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)|import[ \t]+([^#\n]+))", re.MULTILINE)
#: Libraries of which hashscan uses private names. A next major version may change them.
PRIVATE = ("urllib3", "uvicorn", "watchdog")


def declared(requirements):
    """Map each library to its versions, e.g. ``{"requests": ">=2.31"}``."""
    found = {}
    for line in requirements:
        name, versions = re.fullmatch(
            r"([A-Za-z0-9._-]+)(?:\[.*?\])?([^;]*)(?:;.*)?", line
        ).groups()
        found[library_of(name)] = versions.strip()
    return found


def library_of(name):
    return LIBRARIES.get(name, re.sub(r"[-_.]+", "-", name).lower())


def imported(source):
    """Return the top names of the modules that ``source`` imports, those for types alone left out."""
    names = set()

    def visit(node):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for each in node.orelse:
                visit(each)
            return
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
        for each in ast.iter_child_nodes(node):
            visit(each)

    visit(ast.parse(source))
    return names - sys.stdlib_module_names


def perhaps_imported(source):
    """Return the names of ``imported`` and more: imports in texts and for types alone count, too.

    It takes a hundredth of the time of ``imported``, as it does not parse ``source``.
    """
    names = set()
    for package, modules in IMPORT.findall(source):
        names.add(package.partition(".")[0])
        names.update(re.split(r"[ .]", one.strip())[0] for one in modules.split(","))
    return names - sys.stdlib_module_names - {""}


def allowed_for(path):
    """Return what the file at ``path``, below the project, may import."""
    room = path.parts[1]
    if path.parts[0] == "hashscan":
        extra = PROJECT["optional-dependencies"][EXTRAS[room]] if room in EXTRAS else []
    else:
        extra = PROJECT["optional-dependencies"]["dev"]
    return set(declared(PROJECT["dependencies"] + extra))


def undeclared(path, source, own):
    """Return what ``source`` imports and pyproject does not declare, as lines for a reader."""
    allowed = allowed_for(path)
    if {library_of(name) for name in perhaps_imported(source) - own} <= allowed:
        return []
    libraries = {library_of(name) for name in imported(source) - own}
    return [f"{path}: {name}" for name in sorted(libraries - allowed)]


def test_each_imported_library_is_declared():
    files = [
        file for top in ("hashscan", "tests", "benchmarks") for file in (ROOT / top).rglob("*.py")
    ]
    assert len(files) > 500
    own = {"hashscan"} | {
        file.stem for file in files if file.parts[-2] in {"support", "benchmarks"}
    }
    missing = [
        line
        for file in sorted(files)
        for line in undeclared(file.relative_to(ROOT), file.read_text(), own)
    ]
    assert not missing, "declare these libraries in pyproject.toml:\n" + "\n".join(missing)


@pytest.mark.parametrize(
    ("path", "source", "found"),
    [
        ("hashscan/scan/a.py", "import os, click.core\nfrom yaml import load", []),
        ("hashscan/scan/a.py", "import stranger.part", ["stranger"]),
        ("hashscan/scan/a.py", "import os as system, stranger as s  # both", ["stranger"]),
        ("hashscan/scan/a.py", "import os, \\\n    stranger", ["stranger"]),
        ("hashscan/scan/a.py", "if a:\n\tfrom stranger.part import (\n\t\tb)", ["stranger"]),
        ("hashscan/scan/a.py", "a = '''\nimport stranger\n'''", []),
        ("hashscan/scan/a.py", "def f():\n    from my_library import x", ["my-library"]),
        ("hashscan/scan/a.py", "from hashscan.model import File\nfrom . import b", []),
        ("hashscan/scan/a.py", "if TYPE_CHECKING:\n    import _typeshed", []),
        ("hashscan/scan/a.py", "import pytest", ["pytest"]),
        ("hashscan/scan/a.py", "import starlette", ["starlette"]),
        ("hashscan/service/a.py", "import starlette", []),
        ("tests/scan/a.py", "import pytest, starlette, click", []),
    ],
)
def test_an_undeclared_library_is_found(path, source, found):
    lines = undeclared(Path(path), source, {"hashscan"})
    assert lines == [f"{path}: {name}" for name in found]


def test_each_library_has_a_lowest_version():
    extras = PROJECT["optional-dependencies"]
    for requirements in (PROJECT["dependencies"], *extras.values()):
        for name, versions in declared(requirements).items():
            assert re.match(">=|==", versions), f"{name} has no lowest version: {versions!r}"


def test_the_developers_extra_repeats_the_others():
    extras = {name: declared(lines) for name, lines in PROJECT["optional-dependencies"].items()}
    dev = extras.pop("dev")
    for name, libraries in extras.items():
        repeated = {library: dev.get(library) for library in libraries}
        assert repeated == libraries, f"dev and {name} ask for other versions"


@pytest.mark.parametrize("library", PRIVATE)
def test_a_library_with_private_names_in_use_has_a_highest_version(library):
    extras = PROJECT["optional-dependencies"]
    versions = declared(PROJECT["dependencies"] + extras["service"])[library]
    assert re.search(r",<\d+$", versions), f"{library} needs an upper bound: {versions!r}"


def test_the_private_names_of_watchdog_are_there():
    advice = "hashscan/watch/inotify.py uses this private name of watchdog: keep watchdog below this version"
    assert hasattr(InotifyFD, "_parse_event_buffer"), (
        f"InotifyFD._parse_event_buffer is gone; {advice}"
    )
    # inotify(7): watch, mask, cookie and length of the name, then the name, filled up with zeros.
    event = (
        (7).to_bytes(4, sys.byteorder)
        + (0x100).to_bytes(4, sys.byteorder)
        + bytes(4)
        + (4).to_bytes(4, sys.byteorder)
        + b"a\0\0\0"
    )
    parsed = list(InotifyFD._parse_event_buffer(event))
    assert parsed == [(7, 0x100, 0, b"a")], f"_parse_event_buffer returns something else; {advice}"
    kernel = InotifyFD()
    try:
        fd = getattr(kernel, "_inotify_fd", None)
        assert fd is not None, f"InotifyFD._inotify_fd is gone; {advice}"
        assert os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:inotify", (
            f"InotifyFD._inotify_fd is something else; {advice}"
        )
    finally:
        kernel.close()


def test_the_private_name_of_urllib3_is_there():
    connection = HTTPConnection("a.example")
    assert getattr(connection, "_dns_host", None) == "a.example", (
        "hashscan/net/bounded_requests.py uses HTTPConnection._dns_host: "
        "keep urllib3 below this version"
    )
